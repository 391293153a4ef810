"""Pair: the taps of a tick, and those that waited, into journeys; or the reason why a tap is no side of one.

In the taps of one medium in one host, by time, an exit belongs to the latest entry before it that no exit between them took:
entries and exits match like brackets. What a bracket encloses is matched before it, so the outcome does not depend on how the
taps were cut into ticks or in which order these came, unless a tap arrives late *between* an entry and an exit already paired.
A marker tap belongs to the innermost bracket around it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fare_chain.tap import GOING_IN, GOING_OUT, TapKind
from settlement.core.columns import (
    DUE_DTYPE,
    EXCEPTION_DTYPE,
    TAP_DTYPE,
    ClearingReason,
    Mask,
    Records,
    Rows,
    Taps,
    join,
    no_rows,
    pick,
)
from settlement.core.journeys import Between, Ridden
from settlement.core.reversals import is_objected
from settlement.core.rules import FUTURE_TOLERANCE_US, Rules
from settlement.core.tap_counters import CountedTaps
from settlement.core.tap_order import lane_keys, order, starts_of_lanes
from settlement.core.virtual_transfers import Chained, Legs, chain
from settlement.core.waiting import WaitingTaps

_NONE = int(ClearingReason.NONE)
NO_TAPS = no_rows(TAP_DTYPE)
_CLEARED_KINDS = [*GOING_IN, *GOING_OUT, TapKind.MARKER]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every tap of the tick, and every one that waited, stands here once: in a journey, in an exception, or waiting.

    `due` (DUE_DTYPE, in its own order) names the lanes whose last ride may still go on; its taps wait.
    """

    ridden: Ridden
    between: Between
    waiting: WaitingTaps
    due: Records
    counted: CountedTaps
    exceptions: Records


def pair(
    waiting: WaitingTaps, due: Records, counted: CountedTaps, taps: Taps, rules: Rules, recorded_us: int, objected: Taps = NO_TAPS
) -> Pairing:
    """Match taps (TAP_DTYPE, any order) with each other and with those that wait; one whose number is `counted` came before.

    Those that are `objected` to match no more. Only lanes with a new or an objected tap are looked at, and those of `due` whose
    time has passed.
    """
    reason = examine(taps, rules, recorded_us)
    accused = reason != _NONE
    exceptions = [accuse(pick(taps, accused), reason[accused])] if accused.any() else []
    fit = pick(taps, ~accused) if accused.any() else taps
    counted, repeated = counted.take(fit)
    if repeated.any():
        exceptions.append(accuse(pick(fit, repeated), ClearingReason.REPEATED))
        fit = pick(fit, ~repeated)
    over = due["due_us"] < recorded_us
    keys = np.sort(np.concatenate([lane_keys(fit), due["lane"][over], lane_keys(objected)]))
    keys = keys[np.diff(keys, prepend=~keys[:1]) != 0]
    untouched, back = waiting.take(keys)
    together = join([fit, back], TAP_DTYPE)
    together = pick(together, order(together, lane_keys(together)))
    if len(objected) and (denied := is_objected(together, objected)).any():
        exceptions.append(accuse(pick(together, denied), ClearingReason.OBJECTED))
        together = pick(together, ~denied)
    matched = _match(together, rules)
    chained = chain(matched.legs, together, matched.lane, rules, recorded_us)
    inner = _between(matched, chained, together)
    rest = np.ones(len(together), np.bool_)
    rest[chained.first] = rest[chained.last] = rest[inner.rows] = False
    return Pairing(
        Ridden(pick(together, chained.first), pick(together, chained.last), chained.legs, inner.markers),
        Between(inner.journey, pick(together, inner.rows)),
        untouched.put(pick(together, rest)),
        _still_due(due, over, keys, chained.due),
        counted,
        join(exceptions, EXCEPTION_DTYPE),
    )


def examine(taps: Taps, rules: Rules, recorded_us: int) -> Rows:
    """Find what is wrong with each tap by itself, as ClearingReason numbers; the first of these that applies."""
    marks = taps["kind"] == TapKind.MARKER
    not_cleared = ~np.isin(taps["kind"], _CLEARED_KINDS)
    if marks.any():
        not_cleared |= marks & ~rules.takes_marker(taps)
    wrong: list[tuple[Mask, ClearingReason]] = [
        (~rules.knows_station(taps), ClearingReason.UNKNOWN_STATION),
        (~rules.knows_issuer(taps), ClearingReason.UNKNOWN_ISSUER),
        (taps["tapped_at_us"] > recorded_us + FUTURE_TOLERANCE_US, ClearingReason.FROM_FUTURE),
        (not_cleared, ClearingReason.KIND_NOT_CLEARED),
    ]
    reason = np.full(len(taps), _NONE, np.int64)
    for mask, why in reversed(wrong):
        reason[mask] = why
    return reason


def accuse(taps: Taps, reason: Rows | ClearingReason) -> Records:
    """Make exception records (EXCEPTION_DTYPE) of taps and their reasons."""
    rows = np.zeros(len(taps), EXCEPTION_DTYPE)
    for name in set(TAP_DTYPE.names or ()) & set(EXCEPTION_DTYPE.names or ()) - {"reserved"}:
        rows[name] = taps[name]
    rows["reason"] = reason
    return rows


class _Matched(NamedTuple):
    """Legs by entry row, the lane (counted from 1) of every tap, and the marker taps with the leg around each (-1: none)."""

    legs: Legs
    lane: Rows
    marker_rows: Rows
    marker_leg: Rows


class _Inner(NamedTuple):
    """The taps inside journeys: their rows in order of journey and time, whose each is, and how many markers each journey has."""

    rows: Rows
    journey: Rows
    markers: Rows


def _match(ordered: Taps, rules: Rules) -> _Matched:
    """Match entries and exits among taps in total order, none twice.

    Taps at one depth of a lane stand in line as exit, entry, exit, entry ...: sorted by lane and depth (a stable sort of what is
    nearly sorted), the tap after an entry at its own depth is its exit. Marker taps stand between, at the depth of the entry that
    they follow. A ride longer than allowed leaves both sides waiting.
    """
    count, kind = len(ordered), ordered["kind"]
    enters: Mask = (kind == TapKind.ENTRY) | (kind == TapKind.TRANSFER_ENTRY)
    marks: Mask = kind == TapKind.MARKER
    lane: Rows = np.cumsum(starts_of_lanes(ordered), dtype=np.int64)
    step = np.where(enters, 1, -1)
    if marks.any():
        step[marks] = 0
    depth = np.cumsum(step) + (step < 0)  # counted on from lane to lane: only differences within one matter
    place = lane * (2 * count + 2) + depth + count
    ranked = np.argsort(place, kind="stable")
    sides = ranked[~marks[ranked]] if marks.any() else ranked
    one, two = sides[:-1], sides[1:]
    matched = (place[one] == place[two]) & enters[one]
    entered, exited = one[matched], two[matched]
    at_us = ordered["tapped_at_us"]
    longest_us = rules.longest_ride_us(at_us[entered])
    # Entries are at most minutes ahead of the ledger and no ride lasts 2^62 us, so this sum cannot pass 2^63.
    allowed = (longest_us >= 0) & (at_us[exited] <= at_us[entered] + longest_us.clip(0))
    by_entry = np.argsort(entered[allowed], kind="stable")
    legs = Legs(entered[allowed][by_entry], exited[allowed][by_entry])
    marked = np.flatnonzero(marks)
    return _Matched(legs, lane, marked, _legs_around(marked, ranked, marks, place, legs))


def _legs_around(marker_rows: Rows, ranked: Rows, marks: Mask, place: Rows, legs: Legs) -> Rows:
    """The leg around each marker tap: that of the last entry before it at its own depth, if its exit comes after."""
    if not len(marker_rows) or not len(legs.entered):
        return np.full(len(marker_rows), -1, np.int64)
    # Behind each place of `ranked`, the last side (no marker) up to there.
    last_side = np.maximum.accumulate(np.where(marks[ranked], -1, np.arange(len(ranked))))
    behind = np.empty(len(ranked), np.int64)
    behind[ranked] = last_side
    before = ranked[behind[marker_rows].clip(0)]
    at = np.searchsorted(legs.entered, before).clip(0, len(legs.entered) - 1)
    around = (behind[marker_rows] >= 0) & (legs.entered[at] == before) & (place[before] == place[marker_rows])
    around &= legs.exited[at] > marker_rows
    return np.where(around, at, -1)


def _between(matched: _Matched, chained: Chained, ordered: Taps) -> _Inner:
    """Hand each journey its marker taps, and the exits and entries of its virtual transfers."""
    legs, journey_of_leg, count = matched.legs, chained.journey_of_leg, len(chained.first)
    if not len(matched.marker_rows) and count == len(legs.entered):
        nothing = np.zeros(0, np.int64)
        return _Inner(nothing, nothing, np.zeros(count, np.int64))
    owner = np.full(len(ordered), -1, np.int64)
    owner[legs.entered] = owner[legs.exited] = journey_of_leg
    around = matched.marker_leg >= 0
    marked = matched.marker_rows[around]
    owner[marked] = journey_of_leg[matched.marker_leg[around]]
    marks = np.bincount(owner[marked][owner[marked] >= 0], minlength=count)
    owner[chained.first] = owner[chained.last] = -1
    rows = np.flatnonzero(owner >= 0)
    rows = rows[np.argsort(owner[rows], kind="stable")]
    return _Inner(rows, owner[rows], marks)


def _still_due(due: Records, over: Mask, touched: Rows, new: Records) -> Records:
    """What is due after this tick: the lanes that were not looked at, and those that go on waiting."""
    if not len(due) and not len(new):
        return no_rows(DUE_DTYPE)
    at = np.searchsorted(touched, due["lane"]).clip(0, max(len(touched) - 1, 0))
    looked_at = touched[at] == due["lane"] if len(touched) else np.zeros(len(due), np.bool_)
    together = join([pick(due, ~over & ~looked_at), new], DUE_DTYPE)
    return pick(together, np.lexsort((together["lane"], together["due_us"])))
