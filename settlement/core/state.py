"""What one tick leaves to the next, as a value; its snapshot in bytes; and the root that chains the windows."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from fare_chain.errors import Malformed, Unknown
from fare_chain.hashing import HASH_BYTES, ZERO_HASH, tagged_hash
from fare_chain.merkle import leaf_hashes
from settlement.core.books import Balances
from settlement.core.columns import (
    CLOSED_DTYPE,
    COUNTED_DTYPE,
    DUE_DTYPE,
    REVERSED_DTYPE,
    SIDE_DTYPE,
    SUM_DTYPE,
    TAP_DTYPE,
    Records,
    Taps,
    column,
    in_byte_order,
    no_rows,
    pick,
    raw,
)
from settlement.core.obligations import add_up
from settlement.core.rules import PinnedTable, Rules
from settlement.core.tap_counters import CountedTaps
from settlement.core.tap_order import is_ordered
from settlement.core.waiting import WaitingTaps

_BALANCE = struct.Struct("<H6sq")
_HEAD = struct.Struct("<8sqqQ32sQQQIIIIIQQQQQQ")
_MAGIC = b"FCSTATE3"
assert _HEAD.size == 156


@dataclass(frozen=True, slots=True, eq=False)
class OpenWindow:
    """What the ticks of the second that is not closed yet add up to."""

    from_index: int
    taps: int = 0
    journeys: int = 0
    sums: Records = field(default_factory=lambda: no_rows(SUM_DTYPE))
    delta_roots: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Clearing between two ticks.

    `second` is the first that is not closed; entries below `next_index` are cleared, the last of them recorded at `recorded_us`.
    `positions` and `earned` are the books at the end of the last closed window; what came since stands in `window`. `due`
    (DUE_DTYPE) names lanes among the waiting whose last ride may go on, `sides` (SIDE_DTYPE) cleared ends at city borders;
    `counted` knows every tap that was taken by its gate's number. `closed` (CLOSED_DTYPE) are the windows of the last hour, for
    objections, `reversed` (REVERSED_DTYPE) the journeys of theirs that fell.
    """

    second: int
    next_index: int
    recorded_us: int
    state_root: bytes
    positions: Balances
    earned: Balances
    rules: Rules
    waiting: WaitingTaps
    window: OpenWindow
    due: Records = field(default_factory=lambda: no_rows(DUE_DTYPE))
    sides: Records = field(default_factory=lambda: no_rows(SIDE_DTYPE))
    counted: CountedTaps = field(default_factory=CountedTaps)
    closed: Records = field(default_factory=lambda: no_rows(CLOSED_DTYPE))
    reversed: Records = field(default_factory=lambda: no_rows(REVERSED_DTYPE))

    @classmethod
    def genesis(cls, second: int) -> "State":
        """Nothing cleared, nobody owing; the first window will be `second`."""
        return cls(second, 0, second * 1_000_000 - 1, ZERO_HASH, (), (), Rules(), WaitingTaps(), OpenWindow(0))

    @property
    def open_taps(self) -> Taps:
        """Every tap that waits for its other side: TAP_DTYPE, in total order."""
        return self.waiting.all()

    def to_bytes(self) -> bytes:
        """Write the snapshot: equal states give equal bytes. Tables stand in it by hash only.

        0 magic "FCSTATE3" · 8 second i64 · 16 recorded_us i64 · 24 next_index u64 · 32 state_root 32 B · 64 from_index u64 ·
        72 taps u64 · 80 journeys u64 · 88 counts u32: tables, positions, earned, sums, delta roots · 108 counts u64: due, sides,
        waiting, counted runs, closed windows, fallen journeys · 156 the lists in this order: table hashes 32 B, balances 16 B
        (number u16, 6 zero bytes, fen i64) of positions and of earned, sums 24 B, delta roots 32 B, due lanes 16 B, sides 48 B,
        waiting taps 80 B, counted runs 24 B, closed windows 40 B, fallen journeys 24 B.
        """
        waiting, counted, window = self.waiting.all(), self.counted.to_rows(), self.window
        lists = (self.rules.pins, self.positions, self.earned, window.sums, window.delta_roots)
        head = _HEAD.pack(
            _MAGIC, self.second, self.recorded_us, self.next_index, self.state_root, window.from_index, window.taps,
            window.journeys, *(len(items) for items in lists), len(self.due), len(self.sides), len(waiting), len(counted),
            len(self.closed), len(self.reversed),
        )  # fmt: skip
        pins = b"".join(pin.sha256 for pin in self.rules.pins)
        books = balances_bytes(self.positions) + balances_bytes(self.earned)
        return b"".join(
            [
                head,
                pins,
                books,
                window.sums.tobytes(),
                *window.delta_roots,
                self.due.tobytes(),
                self.sides.tobytes(),
                waiting.tobytes(),
                counted.tobytes(),
                self.closed.tobytes(),
                self.reversed.tobytes(),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes, tables: Iterable[PinnedTable]) -> "State":
        """Read a snapshot, given the tables it names; Malformed where it is not what `to_bytes` writes, Unknown for a table."""
        if len(data) < _HEAD.size or data[:8] != _MAGIC:
            raise Malformed(
                f"a snapshot starts with {_MAGIC!r} and has at least {_HEAD.size} bytes, found {data[:8]!r}, {len(data)}"
            )
        _, second, recorded_us, next_index, root, from_index, taps, journeys, *counts = _HEAD.unpack(data[: _HEAD.size])
        widths = [HASH_BYTES, _BALANCE.size, _BALANCE.size, SUM_DTYPE.itemsize, HASH_BYTES]
        widths += [dtype.itemsize for dtype in (DUE_DTYPE, SIDE_DTYPE, TAP_DTYPE, COUNTED_DTYPE, CLOSED_DTYPE, REVERSED_DTYPE)]
        sizes = [count * width for count, width in zip(counts, widths, strict=True)]
        if len(data) != _HEAD.size + sum(sizes):
            raise Malformed(f"a snapshot with these counts has {_HEAD.size + sum(sizes)} bytes, found {len(data)} (offset 88)")
        ends = (_HEAD.size + np.cumsum([0, *sizes])).tolist()
        parts = [data[begin:end] for begin, end in pairwise(ends)]
        open_taps = np.frombuffer(parts[7], TAP_DTYPE)
        if not is_ordered(open_taps):
            raise Malformed(f"a snapshot's waiting taps stand in order, each once (offset {ends[7]})")
        due, sides = np.frombuffer(parts[5], DUE_DTYPE), np.frombuffer(parts[6], SIDE_DTYPE)
        counted = np.frombuffer(parts[8], COUNTED_DTYPE)
        _check_lists(due, sides, counted)
        closed, fallen = np.frombuffer(parts[9], CLOSED_DTYPE), np.frombuffer(parts[10], REVERSED_DTYPE)
        if (np.diff(closed["second"]) <= 0).any() or in_byte_order(fallen).tobytes() != parts[10]:
            raise Malformed(
                "a snapshot's closed windows stand in order, and its fallen journeys in order of their bytes; take another"
            )
        window = OpenWindow(from_index, taps, journeys, np.frombuffer(parts[3], SUM_DTYPE), tuple(_cut(parts[4], HASH_BYTES)))
        state = cls(
            second, next_index, recorded_us, root, _read_balances(parts[1]), _read_balances(parts[2]),
            _find_rules(_cut(parts[0], HASH_BYTES), tables), WaitingTaps().put(open_taps), window,
            due, sides, CountedTaps.from_rows(counted), closed, fallen,
        )  # fmt: skip
        if add_up([window.sums]).tobytes() != parts[3] or state.to_bytes() != data:
            raise Malformed("a snapshot is written in one way only: order, reserved zeros and counts; take another snapshot")
        return state


def balances_bytes(balances: Balances) -> bytes:
    """Write balances as the WINDOW entry does: number u16, 6 zero bytes, fen i64; by number."""
    return b"".join(_BALANCE.pack(number, bytes(6), fen) for number, fen in sorted(balances))


def earned_leaves(earned: Balances) -> list[bytes]:
    """The leaf hashes of the tree over what beneficiaries have earned: a balance of 16 bytes each, by number, none of 0 fen."""
    return leaf_hashes(balances_bytes(tuple(balance for balance in earned if balance[1])), _BALANCE.size)


def chain_root(
    previous: bytes, *, second: int, seconds: int, delta_root: bytes, positions: Balances, rules_hash: bytes, earned_root: bytes
) -> bytes:
    """The state root after a window, which names the one before: what mirrors compare and cosign.

    `earned_root` is the RFC 6962 root over `earned_leaves`: with it an operator proves its balance at any second, and by two of
    them its statement, without showing anybody else's.
    """
    parts = [previous, struct.pack("<qI", second, seconds), delta_root, balances_bytes(positions), rules_hash, earned_root]
    return tagged_hash("state", parts)


def _check_lists(due: Records, sides: Records, counted: Records) -> None:
    """Refuse due lanes, border sides and runs of counted taps that clearing would not have left so."""
    if pick(due, np.lexsort((due["lane"], due["due_us"]))).tobytes() != due.tobytes():
        raise Malformed("a snapshot's due lanes stand in order of time, then lane; take another snapshot")
    if in_byte_order(sides).tobytes() != sides.tobytes() or (raw(sides)[:, 46:] > (3, 0)).any():
        raise Malformed("a snapshot's border sides stand in order of their bytes, as ends or beginnings; take another")
    host, first, last = (column(counted, name) for name in ("host", "first", "last"))
    if (first > last).any() or ((host[1:] == host[:-1]) & (first[1:] <= last[:-1] + np.uint64(1))).any():
        raise Malformed("a snapshot's runs of counted taps stand in order, and none touches the next; take another snapshot")


def _cut(run: bytes, width: int) -> list[bytes]:
    return [run[at : at + width] for at in range(0, len(run), width)]


def _read_balances(run: bytes) -> Balances:
    rows = [_BALANCE.unpack(part) for part in _cut(run, _BALANCE.size)]
    if len({number for number, _zeros, _fen in rows}) != len(rows):
        raise Malformed("a snapshot's balances name each member and beneficiary once")
    return tuple((number, fen) for number, _zeros, fen in rows)


def _find_rules(hashes: list[bytes], tables: Iterable[PinnedTable]) -> Rules:
    held = {pin.sha256: pin for pin in tables}
    for sha256 in hashes:
        if sha256 not in held:
            raise Unknown(f"the snapshot's table {sha256.hex()} is not here: load the tables that the ledger's TARIFF entries name")
    return Rules().including(held[sha256] for sha256 in hashes)
