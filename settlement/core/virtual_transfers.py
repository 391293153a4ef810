"""Virtual transfers: out at one station, in at another within a time limit, and the journey goes on under one fare.

A leg that ends where such a walk begins is not cleared at once: its taps wait until the time limit has passed, and a while more
for taps that are late. If the rider went in on the other side in time, both legs are one journey, from the first entry to the
last exit; it may go on again. The outcome depends on the taps alone, not on the order in which they came within that time.
"""

from typing import NamedTuple

import numpy as np

from fare_chain.tap import GOING_IN
from settlement.core.columns import DUE_DTYPE, Int64, Keys, Mask, Records, Rows, Taps, no_rows, pick
from settlement.core.rules import Rules, place_keys
from settlement.core.tap_order import lane_keys

PATIENCE_US = 5 * 60 * 1_000_000
"""How long after the time limit a late tap may still join a journey; a later one begins its own."""


class Legs(NamedTuple):
    """Matched taps as rows of the taps in total order, by entry row."""

    entered: Rows
    exited: Rows


class Chained(NamedTuple):
    """Journeys as rows of first entry and last exit, and how many legs each has.

    `journey_of_leg` is -1 for a leg whose journey may still go on; `due` (DUE_DTYPE) says until when.
    """

    first: Rows
    last: Rows
    legs: Int64
    journey_of_leg: Rows
    due: Records


def chain(legs: Legs, ordered: Taps, lane: Rows, rules: Rules, recorded_us: int) -> Chained:
    """Join legs (by entry row) of one lane into journeys where a walk leads from one to the next in time."""
    count = len(legs.entered)
    exits = pick(ordered, legs.exited)
    exit_place = place_keys(exits["host"], exits["station"])
    longest_us = rules.walks.longest_us(exit_place)
    if not (longest_us > 0).any():
        every = np.arange(count)
        return Chained(legs.entered, legs.exited, np.ones(count, np.int64), every, no_rows(DUE_DTYPE))
    goes_on = _goes_on(legs, ordered, lane, exit_place, rules)
    begins = np.ones(count, np.bool_)
    begins[1:] = ~goes_on[:-1]
    group = np.cumsum(begins) - 1
    firsts, lasts = np.flatnonzero(begins), np.flatnonzero(~goes_on)
    until_us = _waits_until(legs, lasts, longest_us, ordered, lane, rules)
    held = until_us >= recorded_us
    number = np.where(held, -1, np.cumsum(~held) - 1)
    due = np.zeros(int(held.sum()), DUE_DTYPE)
    due["due_us"], due["lane"] = until_us[held], lane_keys(pick(ordered, legs.exited[lasts[held]]))
    return Chained(
        legs.entered[firsts[~held]], legs.exited[lasts[~held]], np.diff(np.append(firsts, count))[~held], number[group], due
    )


def _goes_on(legs: Legs, ordered: Taps, lane: Rows, exit_place: Keys, rules: Rules) -> Mask:
    """Mark each leg that the next leg of its lane goes on from."""
    goes_on = np.zeros(len(legs.entered), np.bool_)
    entries, at_us = pick(ordered, legs.entered[1:]), ordered["tapped_at_us"]
    limit_us = rules.walks.limit_between(exit_place[:-1], place_keys(entries["host"], entries["station"]))
    gap_us = at_us[legs.entered[1:]] - at_us[legs.exited[:-1]]
    apart = (lane[legs.entered[1:]] == lane[legs.exited[:-1]]) & (legs.entered[1:] > legs.exited[:-1])
    goes_on[:-1] = apart & (limit_us > 0) & (gap_us <= limit_us)
    return goes_on


def _waits_until(legs: Legs, lasts: Rows, longest_us: Int64, ordered: Taps, lane: Rows, rules: Rules) -> Int64:
    """Until when each journey's last leg waits to be gone on from; -1 where no walk begins at its exit.

    A rider who went in on the other side in time and has not come out yet makes it wait as long as that ride may last.
    """
    at_us = ordered["tapped_at_us"]
    ends = legs.exited[lasts]
    until_us = np.where(longest_us[lasts] > 0, at_us[ends] + longest_us[lasts] + PATIENCE_US, -1)
    waiting = np.flatnonzero(until_us >= 0)
    open_rows = _open_entries(legs, ordered)
    if not len(open_rows) or not len(waiting):
        return until_us
    after = np.searchsorted(open_rows, ends[waiting])
    there = after < len(open_rows)
    waiting, entry = waiting[there], open_rows[after[there]]
    following = np.append(legs.entered, len(ordered))[lasts[waiting] + 1]
    begin, inside = pick(ordered, ends[waiting]), pick(ordered, entry)
    limit_us = rules.walks.limit_between(place_keys(begin["host"], begin["station"]), place_keys(inside["host"], inside["station"]))
    gap_us = inside["tapped_at_us"] - begin["tapped_at_us"]
    on = (lane[entry] == lane[ends[waiting]]) & (entry < following) & (limit_us > 0) & (gap_us <= limit_us)
    longest = rules.longest_ride_us(inside["tapped_at_us"]).clip(0)
    until_us[waiting[on]] = np.maximum(until_us[waiting[on]], (inside["tapped_at_us"] + longest + PATIENCE_US)[on])
    return until_us


def _open_entries(legs: Legs, ordered: Taps) -> Rows:
    """The entry taps that have no exit yet."""
    enters = np.isin(ordered["kind"], list(GOING_IN))
    enters[legs.entered] = False
    return np.flatnonzero(enters)
