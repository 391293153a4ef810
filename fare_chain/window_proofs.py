"""What follows a WINDOW entry in a proof's `extra`: a journey, a line or a statement, and the paths that lead to it.

    1 journey    delta leaf, with its length as u16 before the leaf
    2 line       count u16, then so many delta leaves, each of 25 bytes; ticks in order
    3 earned     books; 0, or 1 and the opening: index u64, path, WINDOW entry, books
    4 position   member u16; 0, or 1 and the opening: index u64, path, WINDOW entry

    path         n u8, n hashes, leaf's sibling first           place   number u32, size u32, path
    delta leaf   tick root 32 B, its place among the window's ticks, the leaf's place in the tick, the leaf
    books        previous state root 32 B, earned root 32 B, the balance's place, balance 16 B

Little-endian. Numbers and sizes of places say how to fold a path and prove nothing else, but that two ticks of a line differ.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from fare_chain.cleared_records import (
    BALANCE_BYTES,
    SUM_BYTES,
    Balance,
    Journey,
    Sum,
    read_balance,
    read_journey_leaf,
    read_sum_leaf,
    state_root_of,
)
from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_window_entry
from fare_chain.hashing import HASH_BYTES, leaf_hash
from fare_chain.ledger import FRAME_BYTES, Entry, read_entry
from fare_chain.proofs import verify_inclusion

JOURNEY, LINE, EARNED, POSITION = 1, 2, 3, 4
_U16 = struct.Struct("<H")
_PLACE = struct.Struct("<II")
_INDEX = struct.Struct("<Q")

HoldsEntry = Callable[[int, tuple[bytes, ...], bytes], None]
"""Hold an entry to the proof's checkpoint: index, path, bytes; Untrusted where it does not stand there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a leaf stands in a tree, and the path to its root."""

    number: int
    size: int
    path: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Write it."""
        return _PLACE.pack(self.number, self.size) + write_path(self.path)

    def hold(self, leaf: bytes, root: bytes) -> None:
        """Untrusted unless the leaf stands here under that root."""
        verify_inclusion(leaf_hash(leaf), self.path, index=self.number, size=self.size, root=root)


@dataclass(frozen=True, slots=True)
class DeltaLeaf:
    """One record of a tick, and the two paths to the window's delta root."""

    tick_root: bytes
    tick: Place
    record: Place
    leaf: bytes

    def head(self) -> bytes:
        """Everything before the leaf."""
        return self.tick_root + self.tick.to_bytes() + self.record.to_bytes()

    def hold(self, window: WindowEntry) -> None:
        """Untrusted unless the leaf is one of the window's records."""
        self.record.hold(self.leaf, self.tick_root)
        self.tick.hold(self.tick_root, window.delta_root)


@dataclass(frozen=True, slots=True)
class Books:
    """One earned balance and what leads from it to a window's state root."""

    previous: bytes
    earned_root: bytes
    place: Place
    balance: bytes

    def to_bytes(self) -> bytes:
        """Write them."""
        return self.previous + self.earned_root + self.place.to_bytes() + self.balance

    def hold(self, window: WindowEntry) -> Balance:
        """The balance; Untrusted unless it stood in the books when the window closed."""
        self.place.hold(self.balance, self.earned_root)
        if state_root_of(window, self.previous, self.earned_root) != window.state_root:
            raise Untrusted(f"these books do not give the state root of window {window.second}: they are of another moment or log")
        return read_balance(self.balance)


@dataclass(frozen=True, slots=True)
class Opening:
    """The WINDOW entry with which a statement opens."""

    index: int
    path: tuple[bytes, ...]
    data: bytes

    def to_bytes(self) -> bytes:
        """Write it."""
        return _INDEX.pack(self.index) + write_path(self.path) + self.data


@dataclass(frozen=True, slots=True)
class ProvedJourney:
    """A journey of the window, with each beneficiary's share."""

    journey: Journey
    shares: tuple[Balance, ...]


@dataclass(frozen=True, slots=True)
class ProvedLine:
    """Sums of one debtor, creditor, level and kind, of different ticks of the window: all of them or some."""

    sums: tuple[Sum, ...]

    @property
    def amount_fen(self) -> int:
        """What they come to."""
        return sum(each.amount_fen for each in self.sums)


@dataclass(frozen=True, slots=True)
class ProvedStatement:
    """A balance after the opening window (None: since the log began, when nobody had anything) and after the proof's own.

    `owner` is a beneficiary, host * 256 + number, and the fen are what it has earned; or a member, and they are its position.
    """

    owner: int
    is_member: bool
    opening: WindowEntry | None
    opening_fen: int
    closing_fen: int


Proved = ProvedJourney | ProvedLine | ProvedStatement


def write_path(path: tuple[bytes, ...]) -> bytes:
    """A path with its length before it."""
    return bytes([len(path)]) + b"".join(path)


def write_journey(leaf: DeltaLeaf) -> bytes:
    """What proves a journey, after its WINDOW entry."""
    return bytes([JOURNEY]) + leaf.head() + _U16.pack(len(leaf.leaf)) + leaf.leaf


def read_journey(rest: bytes) -> DeltaLeaf:
    """What `write_journey` wrote, held to nothing yet; Malformed where it is anything else."""
    cut = Cut(rest)
    if cut.byte() != JOURNEY:
        raise Malformed(f"inner proof {rest[0]} is no journey's: expected {JOURNEY}")
    leaf = _journey_leaf(cut)
    cut.end()
    return leaf


def write_line(leaves: list[DeltaLeaf]) -> bytes:
    """What proves a line, after its WINDOW entry."""
    return bytes([LINE]) + _U16.pack(len(leaves)) + b"".join(leaf.head() + leaf.leaf for leaf in leaves)


def write_earned(closing: Books, opening: tuple[Opening, Books] | None) -> bytes:
    """What proves a beneficiary's statement, after the WINDOW entry with which it closes."""
    opens = b"\x00" if opening is None else b"\x01" + opening[0].to_bytes() + opening[1].to_bytes()
    return bytes([EARNED]) + closing.to_bytes() + opens


def write_position(member: int, opening: Opening | None) -> bytes:
    """What proves a member's statement, after the WINDOW entry with which it closes."""
    return bytes([POSITION]) + _U16.pack(member) + (b"\x00" if opening is None else b"\x01" + opening.to_bytes())


def verify(entry: Entry, rest: bytes, holds_entry: HoldsEntry) -> Proved:
    """What the bytes after a WINDOW entry prove; Malformed or Untrusted names what does not hold."""
    cut = Cut(rest)
    kind = cut.byte()
    if kind not in _VERIFIERS:
        raise Malformed(f"inner proof {kind} is unknown: expected 1 (journey), 2 (line), 3 (earned) or 4 (position)")
    return _VERIFIERS[kind](cut, entry, read_window_entry(entry.payload), holds_entry)


def _verify_journey(cut: "Cut", _entry: Entry, window: WindowEntry, _holds: HoldsEntry) -> ProvedJourney:
    leaf = _journey_leaf(cut)
    cut.end()
    leaf.hold(window)
    return ProvedJourney(*read_journey_leaf(leaf.leaf))


def _journey_leaf(cut: "Cut") -> DeltaLeaf:
    head = cut.take(HASH_BYTES), cut.place(), cut.place()
    return DeltaLeaf(*head, cut.take(cut.number(_U16)))


def _verify_line(cut: "Cut", _entry: Entry, window: WindowEntry, _holds: HoldsEntry) -> ProvedLine:
    leaves = [DeltaLeaf(cut.take(HASH_BYTES), cut.place(), cut.place(), cut.take(1 + SUM_BYTES)) for _ in range(cut.number(_U16))]
    cut.end()
    ticks = [leaf.tick.number for leaf in leaves]
    # Under one size two numbers are two places, so no tick is counted twice, whatever the size is.
    if not leaves or ticks != sorted(set(ticks)) or len({leaf.tick.size for leaf in leaves}) != 1:
        raise Untrusted("a line has one sum of each of its ticks, one at least, in order, under one number of ticks")
    for leaf in leaves:
        leaf.hold(window)
    sums = tuple(read_sum_leaf(leaf.leaf) for leaf in leaves)
    if len({each.line for each in sums}) != 1:
        raise Untrusted("the sums of a line are all of one level, kind, debtor and creditor")
    return ProvedLine(sums)


def _verify_earned(cut: "Cut", entry: Entry, window: WindowEntry, holds_entry: HoldsEntry) -> ProvedStatement:
    closing = cut.books().hold(window)
    if not cut.flag():
        cut.end()
        return ProvedStatement(closing.owner, is_member=False, opening=None, opening_fen=0, closing_fen=closing.fen)
    opening = _opened(cut, entry, window, holds_entry)
    opened = cut.books().hold(opening)
    cut.end()
    if opened.owner != closing.owner:
        raise Untrusted(f"the statement opens with the balance of {opened.owner} and closes with that of {closing.owner}")
    return ProvedStatement(closing.owner, is_member=False, opening=opening, opening_fen=opened.fen, closing_fen=closing.fen)


def _verify_position(cut: "Cut", entry: Entry, window: WindowEntry, holds_entry: HoldsEntry) -> ProvedStatement:
    member = cut.number(_U16)
    opening = _opened(cut, entry, window, holds_entry) if cut.flag() else None
    cut.end()
    closing = dict(window.positions)
    if member not in closing:
        raise Untrusted(f"window {window.second} has no position of member {member}")
    # The entry lists every member: who is not in the opening one had no position.
    opened = 0 if opening is None else dict(opening.positions).get(member, 0)
    return ProvedStatement(member, is_member=True, opening=opening, opening_fen=opened, closing_fen=closing[member])


_VERIFIERS: dict[int, Callable[["Cut", Entry, WindowEntry, HoldsEntry], Proved]] = {
    JOURNEY: _verify_journey,
    LINE: _verify_line,
    EARNED: _verify_earned,
    POSITION: _verify_position,
}


def _opened(cut: "Cut", closing: Entry, window: WindowEntry, holds_entry: HoldsEntry) -> WindowEntry:
    """The opening window, on the same log and before the closing one."""
    index, path = cut.number(_INDEX), cut.path()
    data = cut.entry()
    holds_entry(index, path, data)
    entry = read_entry(data)
    if entry.kind is not EntryKind.WINDOW:
        raise Untrusted(f"a statement opens with a WINDOW entry, not with a {entry.kind.name}")
    opening = read_window_entry(entry.payload)
    if index >= closing.index or opening.second >= window.second:
        raise Untrusted(f"the statement opens with window {opening.second} and closes with {window.second}: it runs backwards")
    return opening


class Cut:
    """Bytes read from the front; Malformed where they end too soon or go on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        """The next so many bytes."""
        part = self.data[self.at : self.at + length]
        if len(part) != length:
            raise Malformed(f"the inner proof is cut: {length} bytes are announced at {self.at}, {len(part)} are there")
        self.at += length
        return part

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != len(self.data):
            raise Malformed(f"{len(self.data) - self.at} bytes follow the inner proof: nothing may")

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def number(self, form: struct.Struct) -> int:
        """One number."""
        return int(form.unpack(self.take(form.size))[0])

    def flag(self) -> bool:
        """Whether something follows: 0 or 1."""
        given = self.byte()
        if given > 1:
            raise Malformed(f"a statement's opening is announced by 0 or 1, found {given}")
        return bool(given)

    def path(self) -> tuple[bytes, ...]:
        """A path; verifying it holds its length to the size of its tree."""
        return tuple(self.take(HASH_BYTES) for _ in range(self.byte()))

    def place(self) -> Place:
        """A place in a tree."""
        number, size = _PLACE.unpack(self.take(_PLACE.size))
        return Place(number, size, self.path())

    def books(self) -> Books:
        """One balance's books."""
        return Books(self.take(HASH_BYTES), self.take(HASH_BYTES), self.place(), self.take(BALANCE_BYTES))

    def entry(self) -> bytes:
        """An entry, whose frame names its length."""
        frame = self.take(FRAME_BYTES)
        return frame + self.take(int.from_bytes(frame[4:8], "little"))
