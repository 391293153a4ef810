"""The ledger as values: entries chained by index and by the leaf hash of the entry before, their tree, and its head.

Every entry starts with a frame of 56 bytes, little-endian, then its payload:

     0 kind u16   2 format u16 = 1   4 payload_bytes u32   8 index u64   16 recorded_us i64   24 prev_leaf 32 B

prev_leaf is the leaf hash of entry index - 1 (zeros at 0), so chain and tree bind each other. Entries that one commit appended
share one recorded_us, and each commit's is greater than the last: a run of equal recorded_us is a *tick*, whoever reads it.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import ZERO_HASH, leaf_hash
from fare_chain.merkle import Frontier
from fare_chain.tiles import LONGEST_ENTRY

FRAME_BYTES = 56
ENTRY_FORMAT = 1
_FRAME = struct.Struct("<HHIQq32s")
assert _FRAME.size == FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of the ledger."""

    kind: EntryKind
    index: int
    recorded_us: int
    prev_leaf: bytes
    payload: bytes

    def to_bytes(self) -> bytes:
        """Write frame and payload."""
        return _FRAME.pack(self.kind, ENTRY_FORMAT, len(self.payload), self.index, self.recorded_us, self.prev_leaf) + self.payload

    @property
    def second(self) -> int:
        """The recorded second: the window that this entry belongs to."""
        return self.recorded_us // 1_000_000


def read_entry(data: bytes) -> Entry:
    """Read one entry; Malformed names the field and its offset."""
    if not FRAME_BYTES <= len(data) <= LONGEST_ENTRY:
        raise Malformed(f"an entry has {FRAME_BYTES} to {LONGEST_ENTRY} bytes, found {len(data)}")
    kind, entry_format, payload_bytes, index, recorded_us, prev_leaf = _FRAME.unpack(data[:FRAME_BYTES])
    if kind not in set(EntryKind):
        raise Malformed(f"kind is {kind}, expected one of {[int(known) for known in EntryKind]} (offset 0)")
    if entry_format != ENTRY_FORMAT:
        raise Malformed(f"format is {entry_format}, expected {ENTRY_FORMAT} (offset 2)")
    if payload_bytes != len(data) - FRAME_BYTES:
        raise Malformed(f"payload_bytes is {payload_bytes}, but {len(data) - FRAME_BYTES} follow the frame (offset 4)")
    return Entry(EntryKind(kind), index, recorded_us, prev_leaf, data[FRAME_BYTES:])


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the ledger: its tree, the last leaf hash, and the last recorded moment."""

    frontier: Frontier = Frontier()  # noqa: RUF009  a frozen value
    last_leaf: bytes = ZERO_HASH
    recorded_us: int = -1

    @property
    def size(self) -> int:
        """How many entries stand on the ledger."""
        return self.frontier.size

    def root(self) -> bytes:
        """The root over all entries."""
        return self.frontier.root()


def append(head: Head, recorded_us: int, payloads: Iterable[tuple[EntryKind, bytes]]) -> tuple[Head, list[bytes], list[bytes]]:
    """Append one tick: (new head, entries as bytes, their leaf hashes). `recorded_us` must be later than the head's."""
    if recorded_us <= head.recorded_us:
        raise Malformed(f"a tick at {recorded_us} is not after the last, {head.recorded_us}: ticks are strictly increasing")
    entries: list[bytes] = []
    leaves: list[bytes] = []
    last_leaf = head.last_leaf
    for kind, payload in payloads:
        entry = Entry(kind, head.size + len(entries), recorded_us, last_leaf, payload).to_bytes()
        last_leaf = leaf_hash(entry)
        entries.append(entry)
        leaves.append(last_leaf)
    if not entries:
        return head, entries, leaves
    return Head(head.frontier.append(leaves), last_leaf, recorded_us), entries, leaves


def follow(head: Head, data: bytes) -> tuple[Head, Entry]:
    """Take the next entry of a ledger that somebody else wrote: read it and hold it to the chain."""
    entry = read_entry(data)
    if entry.index != head.size:
        raise Untrusted(f"its index says {entry.index}: an entry was moved, lost or added")
    if entry.prev_leaf != head.last_leaf:
        raise Untrusted("its prev_leaf is not the leaf hash of the entry before: this entry or the one before was changed")
    if entry.recorded_us < head.recorded_us:
        raise Untrusted(f"its recorded_us {entry.recorded_us} is before the last, {head.recorded_us}")
    leaf = leaf_hash(data)
    return Head(head.frontier.append([leaf]), leaf, entry.recorded_us), entry
