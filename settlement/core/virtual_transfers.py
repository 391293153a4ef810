"""Virtual transfers: out at one station, in at another within a time limit, and the journey goes on under one fare.

A leg that ends where such a walk begins is not cleared at once: its taps wait until the time limit has passed, and a while more
for taps that are late. If the rider went in on the other side in time, both legs are one journey, from the first entry to the
last exit; it may go on again. The outcome depends on the taps alone, not on the order in which they came within that time.
"""

from typing import NamedTuple

import numpy as np

from fare_chain.tap import TapKind
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
    count, every = len(legs.entered), np.arange(len(legs.entered))
    exits = pick(ordered, legs.exited)
    exit_place = place_keys(exits["host"], exits["station"])
    longest_us = rules.walks.longest_us(exit_place)
    if not (longest_us > 0).any():
        return Chained(legs.entered, legs.exited, np.ones(count, np.int64), every, no_rows(DUE_DTYPE))
    onward = _onward(legs, ordered, lane, exit_place, longest_us, rules)
    leg_of = np.full(len(ordered) + 1, -1, np.int64)  # row -1, for no tap, is the last
    leg_of[legs.entered] = every
    next_leg = leg_of[onward]
    goes_on = next_leg >= 0
    head = every.copy()
    head[next_leg[goes_on]] = every[goes_on]
    while (head[head] != head).any():
        head = head[head]
    lasts = every[~goes_on]
    waits, until_us = _waits(legs.exited[lasts], onward[lasts], longest_us[lasts], ordered, lane, rules, recorded_us)
    firsts, ready = head[lasts], ~waits
    number = np.full(count, -1, np.int64)
    number[firsts[ready]] = np.arange(int(ready.sum()))
    own = until_us >= recorded_us
    due = np.zeros(int(own.sum()), DUE_DTYPE)
    due["due_us"], due["lane"] = until_us[own], lane_keys(pick(ordered, legs.exited[lasts[own]]))
    sizes = np.bincount(head, minlength=count)[firsts[ready]]
    return Chained(legs.entered[firsts[ready]], legs.exited[lasts[ready]], sizes, number[head], due)


def _onward(legs: Legs, ordered: Taps, lane: Rows, exit_place: Keys, longest_us: Int64, rules: Rules) -> Rows:
    """For each leg the row of the tap by which it goes on or may go on, else -1.

    It is the next tap of the lane that goes in, where a walk leads to it in time and no other leg ends before it.
    """
    walking = np.flatnonzero(longest_us > 0)
    ends, at_us = legs.exited[walking], ordered["tapped_at_us"]
    enters = np.append(
        np.flatnonzero((ordered["kind"] == TapKind.ENTRY) | (ordered["kind"] == TapKind.TRANSFER_ENTRY)), len(ordered)
    )
    after = enters[np.searchsorted(enters, ends)]
    exits = np.append(np.sort(legs.exited), len(ordered))
    there = (after < len(ordered)) & (exits[np.searchsorted(exits, ends, "right")] > after)
    walking, ends, after = walking[there], ends[there], after[there]
    inside = pick(ordered, after)
    limit_us = rules.walks.limit_between(exit_place[walking], place_keys(inside["host"], inside["station"]))
    in_time = (lane[after] == lane[ends]) & (limit_us > 0) & (inside["tapped_at_us"] - at_us[ends] <= limit_us)
    onward = np.full(len(legs.entered), -1, np.int64)
    onward[walking[in_time]] = after[in_time]
    return onward


def _waits(
    ends: Rows, onward: Rows, longest_us: Int64, ordered: Taps, lane: Rows, rules: Rules, recorded_us: int
) -> tuple[Mask, Int64]:
    """Which journeys wait, by the row of their last exit, and when each is to be looked at again on its own account; else -1.

    A journey waits for taps that may come in time. Those of its lane that end after it wait with it, or its next tap would be
    another once they are gone. Then a rider who went in on the other side and is not out yet makes it wait as long as that may be.
    """
    at_us = ordered["tapped_at_us"]
    until_us = np.where(longest_us > 0, at_us[ends] + longest_us + PATIENCE_US, -1)
    watched = np.append(-1, np.sort(ends[until_us >= recorded_us]))
    before = watched[np.searchsorted(watched, ends) - 1]
    behind = (before >= 0) & (lane[before] == lane[ends])
    inside = np.flatnonzero((onward >= 0) & (until_us < recorded_us))
    entered_at_us = at_us[onward[inside]]
    until_us[inside] = entered_at_us + rules.longest_ride_us(entered_at_us).clip(0) + PATIENCE_US
    return (until_us >= recorded_us) | behind, until_us
