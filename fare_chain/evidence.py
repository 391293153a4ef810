"""Evidence files: what somebody signed and should not have, in one text that anybody can check with the policy alone.

    fare-chain/evidence@v1
    kind <name>
    item <name> <base64>        in the fixed order of the kind; further `key` items may follow the kind's own, then a `journey`

`key` is the `.tlog-proof` of a KEY entry under a final checkpoint, the entry in `extra`: it makes a file about a city's batch
self-contained. `journey` is what an objection brings down: for the clearing, which holds it to its own windows; it convicts nobody.
What a file shows is for `evidence_checks` to say; docs/formats/evidence.md has the items of each kind.
"""

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fare_chain.errors import Malformed
from fare_chain.governance import EvidenceEntry, EvidenceKind
from fare_chain.hashing import sha256
from fare_chain.ledger import Entry
from fare_chain.merkle import leaf_hashes, root
from fare_chain.proofs import ProofFile, decode_base64, inclusion_ranges
from fare_chain.tap import TAP_BYTES, records

_HEADER = "fare-chain/evidence@v1"
KEY_ITEM = "key"
JOURNEY_ITEM = "journey"
ITEMS: dict[EvidenceKind, tuple[str, ...]] = {
    EvidenceKind.FORK_SAME_SIZE: ("note", "note"),
    EvidenceKind.FORK_ANY_SIZE: ("proof", "proof"),
    EvidenceKind.DOUBLE_BATCH: ("header", "header"),
    EvidenceKind.BAD_ROOT: ("header", "body"),
    EvidenceKind.BAD_RIDER_SIGNATURE: ("entry", "number", "tap", "path", "code"),
    EvidenceKind.WRONG_STATE: ("note", "index"),
    EvidenceKind.ROLLBACK: ("note", "note"),
    EvidenceKind.DOUBLE_TERM: ("term", "signature", "term", "signature"),
    EvidenceKind.BROKEN_RECEIPT: ("receipt", "proof"),
}
"""The items of each kind, in their order."""
_TAP_NUMBER = struct.Struct("<I")
_INDEX = struct.Struct("<Q")
_ABOUT_BATCHES = frozenset({EvidenceKind.DOUBLE_BATCH, EvidenceKind.BAD_ROOT, EvidenceKind.BAD_RIDER_SIGNATURE})


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A kind and its items (name, bytes), nothing of them checked yet."""

    kind: EvidenceKind
    items: tuple[tuple[str, bytes], ...]

    def own(self) -> list[bytes]:
        """The kind's own items, in their order."""
        return [data for _name, data in self.items[: len(ITEMS[self.kind])]]

    def keys(self) -> list[bytes]:
        """The proofs of KEY entries that travel with it."""
        return [data for name, data in self.items[len(ITEMS[self.kind]) :] if name == KEY_ITEM]

    def journey(self) -> bytes:
        """The journey that an objection brings down; empty where it brings none."""
        name, data = self.items[-1]
        return data if name == JOURNEY_ITEM else b""

    def with_journey(self, journey: bytes) -> str:
        """The same objection as a file that brings its journey."""
        others = [(name, data) for name, data in self.items if name != JOURNEY_ITEM]
        return write_evidence(self.kind, [*others, (JOURNEY_ITEM, journey)])


def kind_name(kind: EvidenceKind) -> str:
    """The kind as a file spells it: `fork-same-size`."""
    return kind.name.lower().replace("_", "-")


def write_evidence(kind: EvidenceKind, items: Sequence[tuple[str, bytes]]) -> str:
    """Write a file; Malformed where the items are not those of the kind, in their order."""
    _check_items(kind, [name for name, _data in items])
    lines = [f"item {name} {base64.b64encode(data).decode('ascii')}\n" for name, data in items]
    return f"{_HEADER}\nkind {kind_name(kind)}\n{''.join(lines)}"


def read_evidence(text: str) -> EvidenceFile:
    """Read a file in its one spelling; Malformed names the line that is not as the format wants it."""
    lines = text.split("\n")
    if len(lines) < 3 or lines[0] != _HEADER or lines[-1]:
        raise Malformed(f"an evidence file begins with {_HEADER!r} and ends in a line feed, found {lines[0][:60]!r}")
    named = {f"kind {kind_name(kind)}": kind for kind in EvidenceKind}
    if lines[1] not in named:
        raise Malformed(f"evidence line 2 is {lines[1][:60]!r}, expected one of {', '.join(named)}")
    kind, items = named[lines[1]], []
    for number, line in enumerate(lines[2:-1], start=3):
        words = line.split(" ")
        if len(words) != 3 or words[0] != "item":
            raise Malformed(f"evidence line {number} is {line[:60]!r}, expected 'item <name> <base64>'")
        items.append((words[1], decode_base64(words[2], f"evidence line {number}")))
    _check_items(kind, [name for name, _data in items])
    return EvidenceFile(kind, tuple(items))


def two_of(kind: EvidenceKind, one: bytes, other: bytes, keys: Sequence[bytes] = ()) -> str:
    """A file of the kinds whose own items are two: notes, proofs, signed headers, or a signed header and a body."""
    return write_evidence(kind, [*zip(ITEMS[kind], (one, other), strict=True), *((KEY_ITEM, key) for key in keys)])


def wrong_state(note: str, entry_index: int) -> str:
    """Evidence that the replay of a signed log differs at that entry."""
    return two_of(EvidenceKind.WRONG_STATE, note.encode(), _INDEX.pack(entry_index))


def double_term(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> str:
    """Evidence of two terms of one number, each as (112 bytes of the term, a city's signature)."""
    return write_evidence(EvidenceKind.DOUBLE_TERM, list(zip(ITEMS[EvidenceKind.DOUBLE_TERM], (*one, *other), strict=True)))


def bad_rider_signature(
    entry_index: int, batch_entry: bytes, tap_number: int, body: bytes, code: bytes, keys: Sequence[bytes] = ()
) -> str:
    """Evidence that a tap's code, as its gate scanned it, is not its rider's: shows that tap and no neighbour.

    `batch_entry` is the ledger's BATCH entry with its frame, `keys` proofs of KEY entries; Malformed where the numbers do not fit.
    """
    taps = records(body)
    if int.from_bytes(batch_entry[8:16], "little") != entry_index or not 0 <= tap_number < len(taps):
        raise Malformed(f"entry {entry_index} with {len(taps)} taps is not the one given, or has no tap {tap_number}")
    leaves = leaf_hashes(body, TAP_BYTES)
    path = b"".join(root(leaves[begin:end]) for begin, end in inclusion_ranges(index=tap_number, size=len(taps)))
    own = (batch_entry, _TAP_NUMBER.pack(tap_number), taps[tap_number], path, code)
    items = list(zip(ITEMS[EvidenceKind.BAD_RIDER_SIGNATURE], own, strict=True))
    return write_evidence(EvidenceKind.BAD_RIDER_SIGNATURE, [*items, *((KEY_ITEM, key) for key in keys)])


def proof_item(entry: Entry, path: Sequence[bytes], note: str) -> bytes:
    """An entry's `.tlog-proof` with the entry itself in `extra`, as `proof`, `receipt` and `key` items hold it."""
    return ProofFile(entry.index, tuple(path), note, entry.to_bytes()).to_text().encode()


def read_tap_number(data: bytes) -> int:
    """Read a `number` item (u32); Malformed where it has other than 4 bytes."""
    if len(data) != _TAP_NUMBER.size:
        raise Malformed(f"a tap's number has {_TAP_NUMBER.size} bytes, found {len(data)}")
    return int(_TAP_NUMBER.unpack(data)[0])


def read_index(data: bytes) -> int:
    """Read an `index` item (u64); Malformed where it has other than 8 bytes."""
    if len(data) != _INDEX.size:
        raise Malformed(f"an entry's index has {_INDEX.size} bytes, found {len(data)}")
    return int(_INDEX.unpack(data)[0])


def entry_for(file: bytes, *, accused: int, index: int = 0, tap: int = 0) -> EvidenceEntry:
    """The EVIDENCE entry that puts a file on record; `Finding` of a checked file has accused, index and tap."""
    kind = read_evidence(file.decode()).kind
    return EvidenceEntry(kind, accused, tap, len(file), sha256(file), index)


def _check_items(kind: EvidenceKind, names: Sequence[str]) -> None:
    own = list(ITEMS[kind])
    further = list(names[len(own) :])
    if kind is EvidenceKind.BAD_RIDER_SIGNATURE and further[-1:] == [JOURNEY_ITEM]:
        further.pop()
    if list(names[: len(own)]) != own or (further and kind not in _ABOUT_BATCHES) or any(name != KEY_ITEM for name in further):
        keys = ", then any number of key" if kind in _ABOUT_BATCHES else ""
        raise Malformed(f"evidence of {kind_name(kind)} has the items {', '.join(own)}{keys}; found {', '.join(names) or 'none'}")
