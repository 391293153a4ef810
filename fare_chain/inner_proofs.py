"""Proofs of what stands inside an entry: one tap of a batch, or one window, in a C2SP `.tlog-proof` of that entry.

The file proves the entry (index, path, checkpoint); `extra` carries what leads from there, little-endian:

    entry: its 56-byte frame names its length; where it is a BATCH: tap number u32, n u8, tap 80 B, n <= 12 hashes to taps_root

A verifier needs the file and the policy, or the log's key, and nothing else; the file shows no other tap.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from fare_chain import tap
from fare_chain.batch import BatchHeader, read_header
from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_window_entry
from fare_chain.hashing import HASH_BYTES, leaf_hash
from fare_chain.ledger import FRAME_BYTES, Entry, read_entry
from fare_chain.ledger_walk import LogSource, beside_path
from fare_chain.merkle import leaf_hashes, root
from fare_chain.note import Note, read_note
from fare_chain.proofs import ProofFile, prove_inclusion, read_proof_file, verify_inclusion
from fare_chain.tap import TAP_BYTES, Tap
from fare_chain.tiles import TILE_WIDTH, node_reader, read_bundle, tile_path

LONGEST_LINE = 96
"""Bytes of the longest signature kept in a proof: Ed25519's of both types; an ML-DSA-44 line alone has 2,428."""
_TAP = struct.Struct("<IB")
_MOST_HASHES = 12


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof shows: an entry of a log under a checkpoint, and the tap in it, or the window that it is."""

    checkpoint: Checkpoint
    entry: Entry
    header: BatchHeader | None = None
    tap_number: int = 0
    tap: Tap | None = None
    window: WindowEntry | None = None


def prove_tap(source: LogSource, index: int, number: int) -> str:
    """A proof of tap `number` of the batch that entry `index` holds; Unknown or Malformed where there is none."""
    data, proof = _prove_entry(source, index)
    entry = read_entry(data)
    if entry.kind is not EntryKind.BATCH:
        raise Malformed(f"entry {index} is a {entry.kind.name}: a tap is proved in a BATCH entry")
    header = read_header(entry.payload)
    if not 0 <= number < header.count:
        raise Unknown(f"the batch of entry {index} has taps 0 to {header.count - 1}, not {number}")
    body = source.read(beside_path("body", header.body_hash))
    leaves = leaf_hashes(body, TAP_BYTES)
    path = prove_inclusion(index=number, size=len(leaves), read_node=_nodes_of(leaves))
    extra = data + _TAP.pack(number, len(path)) + body[number * TAP_BYTES : (number + 1) * TAP_BYTES] + b"".join(path)
    return ProofFile(index, proof.path, proof.checkpoint, extra).to_text()


def prove_window(source: LogSource, second: int) -> str:
    """A proof of the WINDOW entry that covers a second; Unknown where the log has none."""
    size = read_text(read_note(source.read("checkpoint").decode()).text).size
    for number in reversed(range(-(-size // TILE_WIDTH))):
        width = min(TILE_WIDTH, size - number * TILE_WIDTH)
        for data in read_bundle(source.read(tile_path(None, number, width)), width):
            entry = read_entry(data)
            if entry.kind is EntryKind.WINDOW:
                window = read_window_entry(entry.payload)
                if window.second <= second < window.second + window.seconds:
                    _data, proof = _prove_entry(source, entry.index)
                    return ProofFile(entry.index, proof.path, proof.checkpoint, data).to_text()
    raise Unknown(f"no window of this log covers second {second}: it is open, not final yet, or before the log's first")


def verify(text: str, open_checkpoint: Callable[[str], Checkpoint]) -> Proved:
    """Check a proof file against a checkpoint that the caller's keys open; Malformed or Untrusted names what does not hold."""
    file = read_proof_file(text)
    checkpoint = open_checkpoint(file.checkpoint)
    entry, rest = _cut_entry(file.extra)
    data = file.extra[: len(file.extra) - len(rest)]
    verify_inclusion(leaf_hash(data), file.path, index=file.index, size=checkpoint.size, root=checkpoint.root)
    if entry.index != file.index:
        raise Untrusted(f"the entry says index {entry.index}, but it is proved at {file.index}")
    if entry.kind is EntryKind.BATCH and rest:
        header, number, shown = _verify_tap(entry, rest)
        return Proved(checkpoint, entry, header, number, shown)
    if rest:
        raise Malformed(f"{len(rest)} bytes follow the entry in `extra`: a {entry.kind.name} entry has no inner proof")
    window = read_window_entry(entry.payload) if entry.kind is EntryKind.WINDOW else None
    return Proved(checkpoint, entry, window=window)


def _prove_entry(source: LogSource, index: int) -> tuple[bytes, ProofFile]:
    """An entry with its path under the log's checkpoint, whose long signature lines are left out."""
    note = read_note(source.read("checkpoint").decode())
    size = read_text(note.text).size
    if not 0 <= index < size:
        raise Unknown(f"the log has entries 0 to {size - 1} under its checkpoint, not {index}")
    number, at = divmod(index, TILE_WIDTH)
    width = min(TILE_WIDTH, size - number * TILE_WIDTH)
    data = read_bundle(source.read(tile_path(None, number, width)), width)[at]

    def read_tile(level: int, place: int, width: int) -> bytes:
        return source.read(tile_path(level, place, width))

    path = prove_inclusion(index=index, size=size, read_node=node_reader(size, read_tile))
    short = tuple(line for line in note.lines if len(line.signature) <= LONGEST_LINE)
    return data, ProofFile(index, tuple(path), Note(note.text, short).to_text())


def _nodes_of(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    return lambda level, place: root(leaves[place << level : (place + 1) << level])


def _cut_entry(extra: bytes) -> tuple[Entry, bytes]:
    """The entry at the head of `extra`, and what follows it."""
    if len(extra) < FRAME_BYTES:
        raise Malformed(f"`extra` begins with an entry of at least {FRAME_BYTES} bytes, found {len(extra)}")
    end = FRAME_BYTES + int.from_bytes(extra[4:8], "little")
    return read_entry(extra[:end]), extra[end:]


def _verify_tap(entry: Entry, rest: bytes) -> tuple[BatchHeader, int, Tap]:
    if len(rest) < _TAP.size + TAP_BYTES:
        raise Malformed(f"a tap's inner proof has at least {_TAP.size + TAP_BYTES} bytes, found {len(rest)}")
    number, hashes = _TAP.unpack_from(rest)
    record, run = rest[_TAP.size : _TAP.size + TAP_BYTES], rest[_TAP.size + TAP_BYTES :]
    if hashes > _MOST_HASHES or len(run) != hashes * HASH_BYTES:
        raise Malformed(
            f"a tap's path of {hashes} hashes has {hashes * HASH_BYTES} bytes, at most {_MOST_HASHES}; found {len(run)}"
        )
    header = read_header(entry.payload)
    path = [run[at : at + HASH_BYTES] for at in range(0, len(run), HASH_BYTES)]
    verify_inclusion(leaf_hash(record), path, index=number, size=header.count, root=header.taps_root)
    tap.check_run(record)
    return header, number, tap.read(record)


def in_words(proved: Proved) -> list[str]:
    """What is proved, for people."""
    checkpoint, entry = proved.checkpoint, proved.entry
    said = [f"entry {entry.index} ({entry.kind.name}) stands in {checkpoint.origin} at size {checkpoint.size}"]
    if proved.tap is not None and proved.header is not None:
        shown = proved.tap
        said += [
            f"tap {proved.tap_number} of {proved.header.count} in city {proved.header.city}'s batch {proved.header.city_seq}",
            f"{shown.kind.name} at station {shown.station}, gate {shown.gate}, its tap {shown.gate_seq}, {shown.tapped_at_us} us",
            f"host {shown.host}, issuer {shown.issuer}, medium {shown.medium.hex()}",
        ]
    if proved.window is not None:
        window = proved.window
        said.append(f"window {window.second} of {window.seconds} s: {window.journeys} journeys, {window.gross_fen} fen gross")
        said += [f"member {member} stands at {fen} fen" for member, fen in window.positions]
    return said
