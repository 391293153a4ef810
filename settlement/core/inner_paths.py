"""What leads from a WINDOW entry inside: to a journey, a pair's sums, a beneficiary's balance; as `window_proofs` reads it.

Trees are built again from the records and held to the roots that stand on the ledger: a proof is never made of rows that do not
give them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fare_chain.errors import Conflict, Unknown
from fare_chain.events import WindowEntry
from fare_chain.hashing import leaf_hash
from fare_chain.merkle import root
from fare_chain.proofs import prove_inclusion
from fare_chain.window_proofs import Books, DeltaLeaf, Opening, Place, write_earned, write_journey, write_line
from settlement.core.books import Balances
from settlement.core.clearing import Cleared
from settlement.core.columns import SUM_DTYPE, Records, raw
from settlement.core.deltas import JOURNEY_LEAF, SUM_LEAF, delta_leaves
from settlement.core.state import balances_bytes, chain_root, earned_leaves


@dataclass(frozen=True, slots=True, eq=False)
class ClearedWindow:
    """A window that stands on the ledger as entry `index`, its ticks in order, and the books after it.

    `previous` is the state root before it. Who asks for ticks alone, or for the books alone, leaves the other empty.
    """

    index: int
    window: WindowEntry
    previous: bytes
    ticks: tuple[Cleared, ...] = ()
    earned: Balances = ()


@dataclass(frozen=True, slots=True)
class Line:
    """Whose obligations: level, kind (ObligationKind), debtor, creditor."""

    level: int
    kind: int
    debtor: int
    creditor: int


def journey_inside(cleared: ClearedWindow, journey_id: bytes) -> bytes | None:
    """What proves a journey, after the WINDOW entry; None where none of the window's ticks has it."""
    wanted = np.frombuffer(journey_id, "V16")[0]
    for number, tick in enumerate(cleared.ticks):
        rows = np.flatnonzero(tick.journeys["journey_id"] == wanted)
        if len(rows):
            row = int(rows[0])
            return write_journey(_delta_leaf(cleared, number, row, journey_leaf(tick, row)))
    return None


def line_inside(cleared: ClearedWindow, line: Line) -> bytes | None:
    """What proves a line's sum in each of the window's ticks that has one; None where none has."""
    leaves = []
    for number, tick in enumerate(cleared.ticks):
        record = _sum_of(tick.sums, line)
        if record is not None:
            ordered = sorted(SUM_LEAF + each.tobytes() for each in tick.sums)
            leaf = SUM_LEAF + record
            leaves.append(_delta_leaf(cleared, number, len(tick.journeys) + ordered.index(leaf), leaf))
    return write_line(leaves) if leaves else None


def earned_inside(closing: ClearedWindow, opening: tuple[ClearedWindow, Opening] | None, beneficiary: int) -> bytes:
    """What proves a beneficiary's statement, after the closing WINDOW entry; without an opening, since the log began.

    Unknown where it has no balance: that there is none can be shown by its neighbours alone, whose money is nobody's business.
    """
    closes = books_inside(closing, beneficiary)
    if closes is None:
        raise Unknown(f"beneficiary {beneficiary} had earned nothing by window {closing.window.second}: there is nothing to prove")
    if opening is None:
        return write_earned(closes, None)
    opens = books_inside(opening[0], beneficiary)
    if opens is None:
        raise Unknown(
            f"beneficiary {beneficiary} had earned nothing by window {opening[0].window.second}, and that cannot be proved without "
            "showing its neighbours' balances: leave the beginning out, the statement then opens with 0 fen before the log began"
        )
    return write_earned(closes, (opening[1], opens))


def books_inside(cleared: ClearedWindow, beneficiary: int) -> Books | None:
    """What proves a beneficiary's earned balance after the window; None where it has earned nothing.

    Conflict where these balances do not give the window's state root.
    """
    leaves, window = earned_leaves(cleared.earned), cleared.window
    earned_root = root(leaves)
    state_root = chain_root(
        cleared.previous, second=window.second, seconds=window.seconds, delta_root=window.delta_root, positions=window.positions,
        rules_hash=window.rules_hash, earned_root=earned_root,
    )  # fmt: skip
    if state_root != window.state_root:
        raise Conflict(f"the books held for window {window.second} do not give its state root: run `fare-chain verify` and compare")
    held = [balance for balance in sorted(cleared.earned) if balance[1]]
    for number, balance in enumerate(held):
        if balance[0] == beneficiary:
            place = _place(leaves, number)
            return Books(cleared.previous, earned_root, place, balances_bytes((balance,)))
    return None


def journey_leaf(tick: Cleared, row: int) -> bytes:
    """The delta leaf of one journey: its record, and its shares without the row that they belong to."""
    shares = raw(tick.shares[tick.shares["journey"] == row]).copy()
    shares[:, 2:8] = 0
    return JOURNEY_LEAF + bytes(tick.journeys[row].tobytes()) + shares.tobytes()


def _sum_of(sums: Records, line: Line) -> bytes | None:
    assert sums.dtype == SUM_DTYPE, sums.dtype
    mask = (sums["level"] == line.level) & (sums["kind"] == line.kind)
    rows = np.flatnonzero(mask & (sums["debtor"] == line.debtor) & (sums["creditor"] == line.creditor))
    return bytes(sums[rows[0]].tobytes()) if len(rows) else None


def _delta_leaf(cleared: ClearedWindow, number: int, at: int, leaf: bytes) -> DeltaLeaf:
    """A leaf of tick `number` with its paths; Conflict where the records do not give the roots on the ledger."""
    tick = cleared.ticks[number]
    hashes = delta_leaves(tick.journeys, tick.shares, tick.sums, tick.exceptions, tick.joins, tick.upheld)
    if root(hashes) != tick.delta_root or hashes[at] != leaf_hash(leaf):
        raise Conflict(f"the records held for the tick up to entry {tick.to_index} do not give its delta root: they were changed")
    roots = [leaf_hash(each.delta_root) for each in cleared.ticks]
    if root(roots) != cleared.window.delta_root:
        raise Conflict(f"the ticks held for window {cleared.window.second} do not give its delta root: they were changed")
    return DeltaLeaf(tick.delta_root, _place(roots, number), _place(hashes, at), leaf)


def _place(leaves: Sequence[bytes], number: int) -> Place:
    def read_node(level: int, index: int) -> bytes:
        return root(leaves[index << level : (index + 1) << level])

    return Place(number, len(leaves), tuple(prove_inclusion(index=number, size=len(leaves), read_node=read_node)))
