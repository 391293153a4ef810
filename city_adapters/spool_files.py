"""The files of a spool, one at a time: how each is named, written so that a death leaves the old or the new, and read."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fare_chain.batch import BatchHeader, CityTail, SealedBatch, read_batch
from fare_chain.errors import Conflict, Malformed

TAIL_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Spooled:
    """A sealed batch on disk: where it is, and what of it a receipt must show."""

    path: Path
    header: BatchHeader
    signed_header: bytes
    file_bytes: int

    @property
    def seq(self) -> int:
        """Its sequence in the city's chain."""
        return self.header.city_seq

    def moved_to(self, path: Path) -> "Spooled":
        """The same batch under another name."""
        return replace(self, path=path)


@dataclass(frozen=True, slots=True)
class Tail:
    """What must be remembered of batches that are gone: the chain's end and each gate's last gate_seq."""

    chain: CityTail = CityTail()  # noqa: RUF009  a frozen value
    gates: Mapping[int, int] = field(default_factory=dict)

    def after(self, header: BatchHeader, gates: Mapping[int, int]) -> "Tail":
        """The tail once batches up to this header are gone."""
        known = dict(self.gates)
        for gate, gate_seq in gates.items():
            known[gate] = max(gate_seq, known.get(gate, 0))
        return Tail(CityTail(header.city_seq + 1, header.hash()), known)


def name_of(seq: int, ending: str) -> str:
    """A file's name: the sequence in twelve digits, so that names sort as batches follow."""
    return f"{seq:012}.{ending}"


def read_spooled(path: Path) -> SealedBatch:
    """Read a batch file; Malformed names the file."""
    try:
        return read_batch(path.read_bytes())
    except Malformed as error:
        raise Malformed(f"{path}: {error}; the file was changed or cut, bring it back from a copy") from error


def write_tail(path: Path, city: int, tail: Tail) -> None:
    """Write the tail durably."""
    data = {
        "format": TAIL_FORMAT,
        "city": city,
        "next_seq": tail.chain.next_seq,
        "header_hash": tail.chain.header_hash.hex(),
        "gates": {str(gate): gate_seq for gate, gate_seq in sorted(tail.gates.items())},
    }
    write_durably(path, json.dumps(data, indent=1).encode() + b"\n")


def read_tail(path: Path, city: int) -> Tail:
    """Read the tail, the beginning of a chain where there is none; Conflict where it is another city's."""
    if not path.exists():
        return Tail()
    try:
        data = json.loads(path.read_bytes())
        found_format, found_city = data["format"], data["city"]
        chain = CityTail(int(data["next_seq"]), bytes.fromhex(data["header_hash"]))
        gates = {int(gate): int(gate_seq) for gate, gate_seq in data["gates"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"{path} cannot be read ({error!r}): it was changed, bring it back from a copy") from error
    if found_format != TAIL_FORMAT:
        raise Malformed(f"{path} has format {found_format}, expected {TAIL_FORMAT}: it is a later program's, run that")
    if found_city != city:
        raise Conflict(f"{path} is city {found_city}'s, not city {city}'s: give each city its own data folder")
    return Tail(chain, gates)


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in place so that a death at any moment leaves the old one whole or the new one whole."""
    draft = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        # Dead within: an unfinished draft, which counts as nothing.
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    # Dead here: a finished draft, which counts as nothing all the same.
    draft.rename(path)
    # Dead here: the new file is there, though a power cut may still bring the old one back.
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
