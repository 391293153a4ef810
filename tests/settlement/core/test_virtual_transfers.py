"""Walks from one leg to the next in dogwood: from 3 to 5 and back in 30 minutes, from 3 to 6 in 10, from 6 to 2 in 20."""

import pytest

from fare_chain.tap import TapKind
from settlement.core.columns import DUE_DTYPE, no_rows
from settlement.core.pairing import pair
from settlement.core.rules import Rules
from settlement.core.tap_counters import CountedTaps
from settlement.core.tap_order import lane_keys
from settlement.core.waiting import WaitingTaps
from simulators.small_cities import CHANGE_US, HOUR_US, MINUTE_US, SECOND_US, small_scheme, small_tap, tap_records

RULES = Rules().including(small_scheme())
NOON_US = CHANGE_US + 12 * HOUR_US


class Lane:
    """One rider's taps, cleared tick by tick; minutes count from noon."""

    def __init__(self):
        self.waiting, self.due, self.counted = WaitingTaps(), no_rows(DUE_DTYPE), CountedTaps()

    def tick(self, minute, *taps, medium=1, extra_us=0):
        """Clear taps of (minute, in or out, station) and give the journeys: (from, to, legs), by entry."""
        records = tap_records(
            small_tap(
                medium, TapKind.ENTRY if way == "in" else TapKind.EXIT, NOON_US + round(at * MINUTE_US), host=4, station=station
            )
            for at, way, station in taps
        )
        pairing = pair(self.waiting, self.due, self.counted, records, RULES, NOON_US + minute * MINUTE_US + extra_us)
        self.waiting, self.due, self.counted = pairing.waiting, pairing.due, pairing.counted
        ridden = pairing.ridden
        columns = (ridden.entries["tapped_at_us"], ridden.entries["station"], ridden.exits["station"], ridden.legs)
        return [tuple(row[1:]) for row in sorted(zip(*(column.tolist() for column in columns), strict=True))]

    def due_minutes(self):
        return [(at_us - NOON_US) / MINUTE_US for at_us in self.due["due_us"].tolist()]


FIRST = ((0, "in", 1), (10, "out", 3))


@pytest.mark.parametrize(
    ("second", "journeys"),
    [
        (((40, "in", 5), (50, "out", 4)), [(1, 4, 2)]),  # in time, to the microsecond
        (((40.001, "in", 5), (50, "out", 4)), [(1, 3, 1), (5, 4, 1)]),
        (((20, "in", 6), (50, "out", 4)), [(1, 4, 2)]),
        (((21, "in", 6), (50, "out", 4)), [(1, 3, 1), (6, 4, 1)]),  # the limit is of the pair, not of the place
        (((20, "in", 3), (50, "out", 4)), [(1, 3, 1), (3, 4, 1)]),  # no walk leads back in
        (((20, "in", 2), (50, "out", 4)), [(1, 3, 1), (2, 4, 1)]),
    ],
)
def test_two_legs_are_one_journey_where_a_walk_leads_from_one_to_the_other_in_time(second, journeys):
    assert Lane().tick(60, *FIRST, *second) == journeys
    live = Lane()
    assert live.tick(10, *FIRST) == []
    assert live.tick(41, second[0]) == []
    assert live.tick(60, second[1]) == journeys


def test_a_leg_that_ends_where_walks_begin_waits_for_the_longest_and_five_minutes_more():
    lane = Lane()
    assert lane.tick(10, *FIRST) == []
    assert lane.due_minutes() == [45]
    assert lane.tick(45) == []
    assert lane.tick(45, extra_us=1) == [(1, 3, 1)]
    assert (len(lane.waiting), len(lane.due)) == (0, 0)


def test_a_rider_inside_on_the_other_side_is_waited_for_as_long_as_the_ride_may_last():
    lane = Lane()
    lane.tick(20, *FIRST, (20, "in", 5))
    day = 24 * 60
    assert lane.due_minutes() == [45], "what comes behind may go then"
    assert lane.tick(46) == []
    assert lane.due_minutes() == [20 + day + 5]
    assert lane.tick(25 + day) == []
    assert lane.tick(25 + day, extra_us=1) == [(1, 3, 1)]
    assert len(lane.waiting) == 1, "the entry alone"


def test_a_ride_behind_one_that_waits_for_its_rider_waits_no_longer_than_the_walk_may_take():
    lane = Lane()
    assert lane.tick(30, *FIRST, (20, "in", 5), (21, "in", 1), (30, "out", 2)) == []
    assert lane.tick(45) == []
    assert lane.tick(45, extra_us=1) == [(1, 2, 1)]
    assert lane.tick(60, (60, "out", 4)) == [(1, 4, 2)]


def test_a_journey_goes_on_and_on():
    lane = Lane()
    assert lane.tick(10, *FIRST) == []
    assert lane.tick(30, (20, "in", 6), (30, "out", 6)) == []
    assert lane.due_minutes() == [55]
    assert lane.tick(60, (50, "in", 2), (58, "out", 1)) == [(1, 1, 3)]


def test_a_ride_between_breaks_the_journey_in_one_tick_as_in_many():
    """The ride between waits as well; were it cleared at once, the first would seem to go on to the third."""
    between, third = ((15, "in", 1), (18, "out", 2)), ((25, "in", 5), (30, "out", 4))
    expected = [(1, 3, 1), (1, 2, 1), (5, 4, 1)]
    assert Lane().tick(60, *FIRST, *between, *third) == expected
    lane = Lane()
    assert lane.tick(10, *FIRST) + lane.tick(18, *between) + lane.tick(30, *third) == []
    assert lane.tick(45, extra_us=1) == expected


def test_a_ride_around_ends_the_journey_in_one_tick_as_in_many():
    """Somebody goes in twice and out twice before the walk's end: the exit nearest to the next entry counts."""
    around, third = (15, "out", 2), ((25, "in", 5), (30, "out", 4))
    expected = [(4, 2, 1), (1, 3, 1), (5, 4, 1)]
    assert Lane().tick(60, (-5, "in", 4), *FIRST, around, *third) == expected
    lane = Lane()
    assert lane.tick(15, (-5, "in", 4), *FIRST) + lane.tick(16, around) + lane.tick(30, *third) == []
    assert lane.tick(45, extra_us=1) == expected


def test_a_forgotten_exit_between_breaks_the_journey_whatever_comes_inside_it():
    """Between exit and walk somebody goes in elsewhere and never out: that ride, once it ends, was the next one."""
    expected = [(1, 3, 1), (5, 4, 1)]
    assert Lane().tick(60, *FIRST, (15, "in", 1), (20, "in", 5), (30, "out", 4)) == expected
    lane = Lane()
    assert lane.tick(20, *FIRST, (15, "in", 1), (20, "in", 5)) == []
    assert lane.tick(30, (30, "out", 4)) == []
    assert lane.tick(46) == expected


def test_a_second_exit_without_an_entry_breaks_nothing():
    assert Lane().tick(60, *FIRST, (11, "out", 3), (20, "in", 5), (30, "out", 4)) == [(1, 4, 2)]


def test_an_entry_that_comes_late_within_the_patience_goes_on_all_the_same():
    lane = Lane()
    assert lane.tick(10, *FIRST) == []
    assert lane.tick(45, (40, "in", 5)) == []
    assert lane.tick(46, (46, "out", 4)) == [(1, 4, 2)]


def test_lanes_that_share_a_key_wait_each_for_its_own():
    lane = Lane()
    media = (0, 1 << 120)
    keys = {int(lane_keys(tap_records([small_tap(medium, TapKind.ENTRY, 1, host=4)]))[0]) for medium in media}
    assert len(keys) == 1
    lane.tick(10, *FIRST, medium=media[0])
    assert lane.tick(20, (2, "in", 1), (20, "out", 3), medium=media[1]) == []
    assert lane.due_minutes() == [45, 55]
    assert lane.tick(46) == [(1, 3, 1)]
    assert lane.due_minutes() == [55]
    assert lane.tick(56) == [(1, 3, 1)]


def test_a_city_without_walks_keeps_nothing_back():
    waiting = WaitingTaps()
    taps = tap_records([small_tap(1, TapKind.ENTRY, NOON_US), small_tap(1, TapKind.EXIT, NOON_US + SECOND_US, station=3)])
    pairing = pair(waiting, no_rows(DUE_DTYPE), CountedTaps(), taps, RULES, NOON_US + MINUTE_US)
    assert (len(pairing.ridden), len(pairing.due)) == (1, 0)
