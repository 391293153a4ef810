"""Border joins: a journey that ended where two cities' networks meet, and the one that went on there, are one ride to the rider.

Each is priced, split and cleared by its own host, so joining moves no money: it is a record that names the two. It does not
matter which of them is cleared first.
"""

from typing import NamedTuple

import numpy as np

from settlement.core.columns import JOIN_DTYPE, SIDE_DTYPE, Mask, Records, Rows, in_byte_order, join, no_rows, pick
from settlement.core.journeys import Rides
from settlement.core.rules import Rules, Ways, place_keys

PATIENCE_US = 24 * 3600 * 1_000_000
"""How long an end at a border waits for the other journey to be cleared: a neighbour's gates may be cut off for a day."""

JOINED = 2
"""Added to `goes_on` of an end that is joined."""


class Joined(NamedTuple):
    """The joins that are now known (JOIN_DTYPE), and the ends that still wait (SIDE_DTYPE), both in the order of their bytes."""

    joins: Records
    sides: Records


def join_at_borders(waiting: Records, rides: Rides, rules: Rules, recorded_us: int) -> Joined:
    """Match what ended at a border with what began on the other side within the time limit; `rides` are cleared in this tick."""
    ways = rules.borders
    new = [_sides(rides, ways, goes_on=goes_on) for goes_on in (False, True)] if len(ways.from_key) else []
    if not sum(map(len, new)):
        return Joined(no_rows(JOIN_DTYPE), pick(waiting, _still_of_use(waiting, recorded_us)))
    together = join([waiting, *new], SIDE_DTYPE)
    together = pick(together, _by_rider_and_time(together))
    first = _followed(together, ways)
    joins = np.zeros(len(first), JOIN_DTYPE)
    joins["first"], joins["second"] = together["journey_id"][first], together["journey_id"][first + 1]
    together["goes_on"][first] |= JOINED
    together["goes_on"][first + 1] |= JOINED
    return Joined(in_byte_order(joins), in_byte_order(pick(together, _still_of_use(together, recorded_us))))


def _still_of_use(sides: Records, recorded_us: int) -> Mask:
    """Mark the ends (by medium) that are not too old, of riders who have one that is not joined: others stand between theirs."""
    if not len(sides):
        return np.zeros(0, np.bool_)
    rider = np.cumsum(np.append(False, sides["medium"][1:] != sides["medium"][:-1]))
    waits = np.bincount(rider[sides["goes_on"] < JOINED], minlength=len(sides)) > 0
    of_use: Mask = waits[rider] & (sides["at_us"] >= recorded_us - PATIENCE_US)
    return of_use


def _sides(rides: Rides, ways: Ways, *, goes_on: bool) -> Records:
    """The ends of these rides at border stations: where they began, or where they ended."""
    taps, keys = (rides.entries, ways.to_key) if goes_on else (rides.exits, ways.from_key)
    rows = np.flatnonzero(np.isin(place_keys(taps["host"], taps["station"]), keys))
    sides = np.zeros(len(rows), SIDE_DTYPE)
    sides["journey_id"] = rides.journey_id[rows]
    for name, field in (("medium", "medium"), ("at_us", "tapped_at_us"), ("station", "station"), ("host", "host")):
        sides[name] = taps[field][rows]
    sides["goes_on"] = goes_on
    return sides


def _by_rider_and_time(sides: Records) -> Rows:
    """By medium, time, ends before beginnings; what ties there by its bytes."""
    by_bytes = np.argsort(sides.view(f"S{SIDE_DTYPE.itemsize}"), kind="stable")
    high, low = sides["medium"][by_bytes].view(">u8").reshape(-1, 2).T
    return by_bytes[np.lexsort((sides["goes_on"][by_bytes] & 1, sides["at_us"][by_bytes], low, high))]


def _followed(ordered: Records, ways: Ways) -> Rows:
    """The rows of ends that the row after them goes on from, neither joined before."""
    one, other = pick(ordered, np.arange(len(ordered) - 1)), pick(ordered, np.arange(1, len(ordered)))
    limit_us = ways.limit_between(place_keys(one["host"], one["station"]), place_keys(other["host"], other["station"]))
    return np.flatnonzero(
        (one["medium"] == other["medium"])
        & (one["goes_on"] == 0)
        & (other["goes_on"] == 1)
        & (limit_us > 0)
        & (other["at_us"] - one["at_us"] <= limit_us)
    )
