"""Pair: the taps of a tick, and those that waited, into legs; or the reason why a tap is no side of one.

In the taps of one medium in one host, by time, an exit belongs to the latest entry before it that no exit between them took:
entries and exits match like brackets. What a bracket encloses is matched before it, so the outcome does not depend on how the
taps were cut into ticks or in which order these came, unless a tap arrives late *between* an entry and an exit already paired.
"""

from dataclasses import dataclass

import numpy as np

from fare_chain.tap import TapKind
from settlement.core.columns import (
    EXCEPTION_DTYPE,
    TAP_DTYPE,
    ClearingReason,
    Columns,
    Mask,
    Records,
    Rows,
    Taps,
    join,
    pick,
)
from settlement.core.rules import FUTURE_TOLERANCE_US, Rules
from settlement.core.tap_order import lane_keys, order, repeats, starts_of_lanes
from settlement.core.waiting import WaitingTaps

_NONE = int(ClearingReason.NONE)


@dataclass(frozen=True)
class Legs(Columns):
    """Rides from gate to gate: row i of `entries` and of `exits` belong together. Both of TAP_DTYPE."""

    entries: Taps
    exits: Taps


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every tap of the tick, and every one that waited, stands here once: in a leg, in an exception, or waiting."""

    legs: Legs
    waiting: WaitingTaps
    exceptions: Records


def pair(waiting: WaitingTaps, taps: Taps, rules: Rules, recorded_us: int) -> Pairing:
    """Match taps (TAP_DTYPE, any order) with each other and with those that wait; only lanes with a new tap are looked at."""
    reason = examine(taps, rules, recorded_us)
    accused = reason != _NONE
    exceptions = [accuse(pick(taps, accused), reason[accused])] if accused.any() else []
    fit = pick(taps, ~accused) if accused.any() else taps
    keys = np.sort(lane_keys(fit))
    untouched, back = waiting.take(keys[np.diff(keys, prepend=~keys[:1]) != 0])
    together = join([fit, back], TAP_DTYPE)
    together = pick(together, order(together, lane_keys(together)))
    repeated = repeats(together)
    if repeated.any():
        exceptions.append(accuse(pick(together, repeated), ClearingReason.REPEATED))
        together = pick(together, ~repeated)
    entered, exited = _match(together, rules)
    rest = np.ones(len(together), np.bool_)
    rest[entered] = rest[exited] = False
    return Pairing(
        Legs(pick(together, entered), pick(together, exited)),
        untouched.put(pick(together, rest)),
        join(exceptions, EXCEPTION_DTYPE),
    )


def examine(taps: Taps, rules: Rules, recorded_us: int) -> Rows:
    """Find what is wrong with each tap by itself, as ClearingReason numbers; the first of these that applies."""
    wrong: list[tuple[Mask, ClearingReason]] = [
        (~rules.knows_station(taps), ClearingReason.UNKNOWN_STATION),
        (~rules.knows_issuer(taps), ClearingReason.UNKNOWN_ISSUER),
        (taps["tapped_at_us"] > recorded_us + FUTURE_TOLERANCE_US, ClearingReason.FROM_FUTURE),
        ((taps["kind"] != TapKind.ENTRY) & (taps["kind"] != TapKind.EXIT), ClearingReason.KIND_NOT_CLEARED),
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


def _match(ordered: Taps, rules: Rules) -> tuple[Rows, Rows]:
    """The rows of entries and of their exits among taps in total order, none twice.

    Taps at one depth of a lane stand in line as exit, entry, exit, entry ...: sorted by lane and depth (a stable sort of what is
    nearly sorted), the tap after an entry at its own depth is its exit. A ride longer than allowed leaves both sides waiting.
    """
    count = len(ordered)
    enters = ordered["kind"] == TapKind.ENTRY
    lane = np.cumsum(starts_of_lanes(ordered))
    depth = np.cumsum(np.where(enters, 1, -1)) + ~enters  # counted on from lane to lane: only differences within one matter
    place = lane * (2 * count + 2) + depth + count
    rank = np.argsort(place, kind="stable")
    one, two = rank[:-1], rank[1:]
    matched = (place[one] == place[two]) & enters[one]
    entered, exited = one[matched], two[matched]
    at_us = ordered["tapped_at_us"]
    longest_us = rules.longest_ride_us(at_us[entered])
    # Entries are at most minutes ahead of the ledger and no ride lasts 2^62 us, so this sum cannot pass 2^63.
    allowed = (longest_us >= 0) & (at_us[exited] <= at_us[entered] + longest_us.clip(0))
    return entered[allowed], exited[allowed]
