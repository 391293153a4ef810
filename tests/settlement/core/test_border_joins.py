"""An exit at birch's station 3 and an entry at cedar's station 1, or the other way, within 30 minutes: one ride of two journeys."""

import numpy as np
import pytest

from fare_chain.tap import TapKind
from settlement.core.border_joins import join_at_borders
from settlement.core.columns import SIDE_DTYPE, no_rows
from settlement.core.journeys import Between, Ridden, identify
from settlement.core.rules import Rules
from simulators.small_cities import CHANGE_US, DAY_US, HOUR_US, MINUTE_US, small_scheme, small_tap, tap_records

RULES = Rules().including(small_scheme())
NOON_US = CHANGE_US + 12 * HOUR_US
BIRCH, CEDAR = 2, 3


class Border:
    """Sides kept from tick to tick; journeys are named by the minute of their entry."""

    def __init__(self, rules=RULES):
        self.rules, self.sides = rules, no_rows(SIDE_DTYPE)
        self.names = {}

    def tick(self, minute, *journeys, extra_us=0):
        """Clear journeys of (host, from, entered, to, exited[, medium]) and give the joins as pairs of entry minutes."""
        sides = []
        for host, begin, entered, end, exited, *medium in journeys:
            who = {"host": host, "issuer": BIRCH}
            entry = small_tap(*(medium or [1]), TapKind.ENTRY, NOON_US + round(entered * MINUTE_US), station=begin, **who)
            leave = small_tap(*(medium or [1]), TapKind.EXIT, NOON_US + round(exited * MINUTE_US), station=end, **who)
            sides.append((entry, leave, entered))
        ones = np.ones(len(sides), np.int64)
        ridden = Ridden(tap_records(row[0] for row in sides), tap_records(row[1] for row in sides), ones, ones)
        rides, _ = identify(ridden, Between(np.zeros(0, np.int64), tap_records([])))
        for name, at_us in zip(rides.journey_id.tolist(), rides.entries["tapped_at_us"].tolist(), strict=True):
            self.names[name] = round((at_us - NOON_US) / MINUTE_US, 3)
        joins, self.sides = join_at_borders(self.sides, rides, self.rules, NOON_US + minute * MINUTE_US + extra_us)
        return sorted((self.names[one], self.names[other]) for one, other in joins.tolist())


OUT, ON = (BIRCH, 1, 0, 3, 20), (CEDAR, 1, 25, 2, 35)


def test_the_join_is_known_with_the_second_of_the_two_whichever_that_is():
    assert Border().tick(40, OUT, ON) == [(0, 25)]
    for first, second in ((OUT, ON), (ON, OUT)):
        border = Border()
        assert border.tick(40, first) == []
        assert border.tick(41, second) == [(0, 25)]
        assert len(border.sides) == 0


def test_the_other_way_is_a_way_too():
    assert Border().tick(60, (CEDAR, 2, 0, 1, 10), (BIRCH, 3, 40, 2, 50)) == [(0, 40)]


@pytest.mark.parametrize(("entered", "joined"), [(20, True), (50, True), (50 + 1 / 60, False), (19.9, False)])
def test_the_entry_comes_after_the_exit_and_within_the_limit(entered, joined):
    assert bool(Border().tick(60, OUT, (CEDAR, 1, entered, 2, 55))) is joined


@pytest.mark.parametrize("on", [(CEDAR, 2, 25, 1, 35), (BIRCH, 3, 25, 2, 35), (CEDAR, 1, 25, 2, 35, 2)])
def test_another_station_the_same_city_or_another_medium_is_another_ride(on):
    assert Border().tick(60, OUT, on) == []


def test_a_ride_there_and_back_is_two_joins():
    there_and_back = [OUT, (CEDAR, 1, 25, 1, 26), (BIRCH, 3, 30, 1, 50)]
    assert Border().tick(60, *there_and_back) == [(0, 25), (25, 30)]
    border = Border()
    assert [border.tick(60 + number, ride) for number, ride in enumerate(reversed(there_and_back))] == [[], [(25, 30)], [(0, 25)]]


def test_an_exit_is_gone_on_from_by_the_rider_s_next_entry_alone():
    again = (BIRCH, 3, 21, 3, 22)
    assert Border().tick(60, OUT, again, ON) == [(21, 25)], "the exit nearest to the entry"
    assert Border().tick(60, OUT, ON, (CEDAR, 1, 40, 2, 45)) == [(0, 25)], "the entry nearest to the exit"


def test_an_end_that_is_cleared_after_a_join_does_not_change_it():
    border = Border()
    assert border.tick(60, OUT, ON) == [(0, 25)]
    assert border.tick(61, (BIRCH, 3, 21, 3, 22)) == []


def test_what_is_joined_still_stands_between_other_ends():
    """Out, out again, in, and in: the middle two are one ride, and the outer two are not, in this tick or another."""
    border = Border()
    assert border.tick(60, OUT, (BIRCH, 1, 21, 3, 22), ON, (CEDAR, 1, 40, 2, 45)) == [(21, 25)]
    assert border.sides["goes_on"].tolist().count(2) == border.sides["goes_on"].tolist().count(3) == 1
    assert border.tick(61, (BIRCH, 1, 0, 3, 20, 2)) == []


def test_a_side_is_kept_until_it_is_a_day_older_than_the_tick():
    border = Border()
    border.tick(30, OUT)
    assert len(border.sides) == 1
    border.tick(20 + DAY_US // MINUTE_US)
    assert len(border.sides) == 1
    border.tick(20 + DAY_US // MINUTE_US, extra_us=1)
    assert len(border.sides) == 0


def test_sides_are_ends_where_a_border_begins_and_beginnings_where_one_ends_in_the_order_of_their_bytes():
    border = Border()
    assert border.tick(60, (BIRCH, 3, 0, 3, 20), (BIRCH, 2, 30, 1, 31), (CEDAR, 1, 0, 2, 35, 2)) == []
    found = [(row["host"], row["station"], row["goes_on"], (row["at_us"] - NOON_US) // MINUTE_US) for row in border.sides]
    assert sorted(found) == [(2, 3, 0, 20), (2, 3, 1, 0), (3, 1, 1, 0)]
    assert [row.tobytes() for row in border.sides] == sorted(row.tobytes() for row in border.sides)


def test_without_the_neighbours_table_there_is_no_border():
    border = Border(Rules().including(small_scheme()[:2]))
    assert border.tick(60, OUT) == []
    assert len(border.sides) == 0
