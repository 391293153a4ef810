"""Uphold: a ride that its rider did not sign falls, by rule; nobody is asked.

A tap that still waits is no side of a journey any more. A journey that has cleared stays as it was, and what it made owed is owed
back in the open second. The fold remembers no journeys, whatever the day holds: an objection brings the journey's own proof, and
the fold remembers the windows' delta roots for an hour. What is objected to later is for a dispute.
"""

from collections.abc import Iterable

import numpy as np

from fare_chain.errors import Untrusted
from fare_chain.tap import GOING_OUT, read
from settlement.core.columns import (
    ADJUSTMENT_DTYPE,
    CLOSED_DTYPE,
    JOURNEY_DTYPE,
    JOURNEY_VERSION,
    REVERSED_DTYPE,
    SHARE_DTYPE,
    TAP_DTYPE,
    AdjustmentReason,
    Mask,
    Records,
    Taps,
    in_byte_order,
    join,
    pick,
)
from settlement.core.deltas import JOURNEY_LEAF
from settlement.core.journeys import journey_ids
from settlement.core.objections import Objection, Upheld

CONTEST_SECONDS = 3600
"""How long after its window an objection that brings a journey's proof is upheld by rule."""
_LEAF_SHARE = np.dtype({"names": ["beneficiary", "amount_fen"], "formats": ["<u2", "<i8"], "offsets": [0, 8], "itemsize": 16})


def objected_taps(objections: Iterable[Objection]) -> Taps:
    """The taps that are objected to: TAP_DTYPE, in no order."""
    return np.frombuffer(b"".join(objection.tap for objection in objections), TAP_DTYPE)


def is_objected(taps: Taps, objected: Taps) -> Mask:
    """Mark the taps that are among those objected to, in all 80 bytes."""
    wanted = set(objected.view(f"V{TAP_DTYPE.itemsize}").tolist())
    return np.array([tap in wanted for tap in taps.view(f"V{TAP_DTYPE.itemsize}").tolist()], np.bool_)


def uphold(objections: Iterable[Objection], closed: Records, reversed_before: Records) -> Upheld:
    """The journeys that these objections bring down; each falls once.

    `closed` (CLOSED_DTYPE) are the windows remembered, `reversed_before` (REVERSED_DTYPE) what fell in them already. Untrusted
    where an objection names a journey that did not clear there, or that the tap is no end of: whoever put it on the ledger lied.
    """
    roots = {int(row["second"]): row["delta_root"].tobytes() for row in closed}
    fallen = set(reversed_before["journey_id"].tolist())
    found: dict[bytes, tuple[Records, Records]] = {}
    for objection in objections:
        leaf = objection.leaf
        if leaf is None or objection.second not in roots:
            continue
        leaf.record.hold(leaf.leaf, leaf.tick_root)
        leaf.tick.hold(leaf.tick_root, roots[objection.second])
        journey = _journey_in(objection)
        name = journey["journey_id"].tobytes()
        if name not in found and name not in fallen:
            shares = np.frombuffer(leaf.leaf, _LEAF_SHARE, offset=1 + JOURNEY_DTYPE.itemsize)
            found[name] = _adjustment(objection, journey), shares
    adjustments = join([found[name][0] for name in sorted(found)], ADJUSTMENT_DTYPE)
    return Upheld(adjustments, join([_owed_back(found[name][1], row) for row, name in enumerate(sorted(found))], SHARE_DTYPE))


def remember(closed: Records, second: int, delta_root: bytes) -> Records:
    """The windows remembered once one more is closed: those of the last hour."""
    row = np.zeros(1, CLOSED_DTYPE)
    row["second"], row["delta_root"] = second, np.frombuffer(delta_root, "V32")
    return join([pick(closed, closed["second"] > second - CONTEST_SECONDS), row], CLOSED_DTYPE)


def still_reversed(before: Records, adjustments: Records, closed: Records) -> Records:
    """The journeys that fell, of the windows still remembered (CLOSED_DTYPE): none of them can fall again."""
    if not len(before) and not len(adjustments):
        return before
    rows = np.zeros(len(adjustments), REVERSED_DTYPE)
    rows["journey_id"], rows["second"] = adjustments["journey_id"], adjustments["second"]
    return in_byte_order(join([pick(before, before["second"] >= closed["second"][0]), rows], REVERSED_DTYPE))


def _journey_in(objection: Objection) -> Records:
    """The journey that the objection brings, as one row; Untrusted unless the tap is its first or its last."""
    assert objection.leaf is not None
    data = objection.leaf.leaf
    if data[:1] != JOURNEY_LEAF:
        raise Untrusted(f"entry {objection.index} brings a record of kind {data[:1].hex()}, which is no journey")
    journey = np.frombuffer(data, JOURNEY_DTYPE, count=1, offset=1)
    if not is_end_of(objection.tap, journey[0]):
        raise Untrusted(f"entry {objection.index} brings a journey that its tap neither begins nor ends")
    return journey


def is_end_of(record: bytes, journey: np.void) -> bool:
    """Whether a tap (80 bytes) is the first or the last of a journey (a row of JOURNEY_DTYPE)."""
    if journey["journey_id"].tobytes() == journey_ids(np.frombuffer(record, TAP_DTYPE))[0].tobytes():
        return True
    tap = read(record)
    last = (tap.medium, tap.host, tap.station, tap.gate, tap.tapped_at_us)
    told = (journey["medium"].tobytes(), *(int(journey[name]) for name in ("host", "to_station", "to_gate", "exited_at_us")))
    return tap.kind in GOING_OUT and told == last


def _adjustment(objection: Objection, journey: Records) -> Records:
    row = np.zeros(1, ADJUSTMENT_DTYPE)
    for name in ("journey_id", "host", "issuer", "fare_fen", "commission_fen", "fee_fen"):
        row[name] = journey[name]
    row["second"], row["entry_index"] = objection.second, objection.index
    row["version"], row["reason"] = JOURNEY_VERSION + 1, AdjustmentReason.RIDER_DID_NOT_SIGN
    return row


def _owed_back(shares: Records, row: int) -> Records:
    rows = np.zeros(len(shares), SHARE_DTYPE)
    rows["beneficiary"], rows["amount_fen"], rows["journey"] = shares["beneficiary"], shares["amount_fen"], row
    return rows
