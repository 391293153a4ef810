"""What a ride costs: the fare of its two areas by the tariff at entry, and what its terms put on top or leave out."""

from dataclasses import replace

import numpy as np
import pytest

from city_adapters.tables import Beyond, RideTerms
from fare_chain.tap import TapKind
from settlement.core.journeys import Between, Ridden, identify
from settlement.core.pricing import price
from settlement.core.rules import PinnedTable, Rules
from simulators.small_cities import (
    CHANGE_US,
    FOREVER_US,
    HOUR_US,
    MINUTE_US,
    NEW_YEAR_US,
    OPENING_US,
    small_city,
    small_scheme,
    small_tap,
    tap_records,
)

RULES = Rules().including(small_scheme())
NOON_US = CHANGE_US + 2 * HOUR_US  # ten in the morning in dogwood, a Saturday


def priced(rules=RULES, *, begin=1, end=2, host=4, at_us=NOON_US, lasted_us=MINUTE_US, gates=(1, 1), legs=1, markers=0):
    """The fares of one ride."""
    entry = small_tap(1, TapKind.ENTRY, at_us, host=host, station=begin, gate=gates[0])
    leave = small_tap(1, TapKind.EXIT, at_us + lasted_us, host=host, station=end, gate=gates[1])
    ridden = Ridden(tap_records([entry]), tap_records([leave]), np.array([legs]), np.array([markers]))
    fares = price(identify(ridden, Between(np.zeros(0, np.int64), tap_records([])))[0], rules)
    names = ("nominal_fen", "surcharge_fen", "version", "weight_set", "from_row", "to_row")
    return {name: int(getattr(fares, name)[0]) for name in names}


def alder_with(terms):
    """Rules of a city of three stations with these terms: 300 and 400 fen, 90 for no link."""
    city = small_city(1, "alder", [(OPENING_US, FOREVER_US, 300)], kilometres=(1.0, 1.0), beneficiaries=(1,), terms=terms)
    return Rules().including([PinnedTable(city, bytes(32))])


@pytest.mark.parametrize(
    ("beyond", "lasted_us", "surcharge"),
    [
        (Beyond.NOTHING, 2 * HOUR_US, 0),
        (Beyond.SURCHARGE, HOUR_US, 0),
        (Beyond.SURCHARGE, HOUR_US + 1, 55),
        (Beyond.HIGHEST_FARE, HOUR_US, 0),
        (Beyond.HIGHEST_FARE, HOUR_US + 1, 620 - 300),
        (Beyond.LOWEST_FARE, HOUR_US, 0),
        (Beyond.LOWEST_FARE, HOUR_US + 1, 80),
    ],
)
def test_a_ride_beyond_its_limit_owes_what_the_terms_say(beyond, lasted_us, surcharge):
    rules = alder_with(RideTerms(0, HOUR_US, beyond, surcharge_fen=55, lowest_fen=80, highest_fen=620))
    found = priced(rules, host=1, lasted_us=lasted_us)
    assert (found["nominal_fen"], found["surcharge_fen"]) == (300, surcharge)


def test_a_fare_above_the_highest_owes_nothing_more():
    rules = alder_with(RideTerms(0, HOUR_US, Beyond.HIGHEST_FARE, highest_fen=299))
    assert priced(rules, host=1, lasted_us=HOUR_US + 1)["surcharge_fen"] == 0


def test_without_a_limit_no_ride_is_too_long():
    rules = alder_with(RideTerms(0, 0, Beyond.SURCHARGE, surcharge_fen=55))
    assert priced(rules, host=1, lasted_us=20 * HOUR_US)["surcharge_fen"] == 0


@pytest.mark.parametrize(
    ("free_within_us", "lasted_us", "end", "nominal"),
    [
        (MINUTE_US, MINUTE_US, 1, 0),
        (MINUTE_US, MINUTE_US + 1, 1, 90),
        (MINUTE_US, 0, 1, 0),
        (MINUTE_US, 0, 2, 300),
        (0, 0, 1, 90),
    ],
)
def test_a_ride_to_its_own_station_is_free_for_a_while_where_a_while_is_set(free_within_us, lasted_us, end, nominal):
    rules = alder_with(RideTerms(free_within_us))
    assert priced(rules, host=1, end=end, lasted_us=lasted_us)["nominal_fen"] == nominal


@pytest.mark.parametrize(
    ("places", "nominal", "rows"),
    [
        ({"begin": 4, "end": 2}, 375, (3, 1)),
        ({"begin": 4, "end": 2, "gates": (55, 1)}, 1375, (6, 1)),
        ({"begin": 2, "end": 4, "gates": (1, 55)}, 1375, (1, 6)),
        ({"begin": 4, "end": 1, "gates": (50, 44)}, 1475, (6, 7)),
        ({"begin": 4, "end": 4, "gates": (55, 1)}, 1090, (6, 3)),  # another area: not its own station
        ({"begin": 4, "end": 4, "gates": (55, 59)}, 0, (6, 6)),
        ({"begin": 2, "end": 4, "gates": (55, 60)}, 375, (1, 3)),
    ],
)
def test_gates_of_a_line_of_their_own_have_fares_of_their_own(places, nominal, rows):
    found = priced(**places)
    assert (found["nominal_fen"], (found["from_row"], found["to_row"])) == (nominal, rows)


@pytest.mark.parametrize(
    ("at_us", "markers", "version", "weight_set"),
    [
        (NOON_US, 0, 0, 0),
        (NOON_US, 1, 0, 2),
        (OPENING_US, 0, 0, 1),  # eight on a Friday
        (OPENING_US, 3, 0, 2),
        (OPENING_US + HOUR_US, 0, 0, 0),
        (NEW_YEAR_US - 1, 0, 0, 0),
        (NEW_YEAR_US, 0, 1, 1),
        (NEW_YEAR_US, 2, 1, 1),  # this version has no set for markers
    ],
)
def test_the_weights_are_those_of_the_moment_of_entry_or_of_the_proven_path(at_us, markers, version, weight_set):
    found = priced(at_us=at_us, markers=markers, lasted_us=HOUR_US)
    assert (found["version"], found["weight_set"]) == (version, weight_set)


def test_the_first_period_that_holds_is_the_one():
    scheme = list(small_scheme())
    dogwood = scheme[-1].table
    old = dogwood.versions[0]
    first, second = old.periods[0], old.periods[0]._replace(days=7, weight_set=0)
    for periods, expected in (((first, second), 1), ((second, first), 0)):
        changed = replace(dogwood, versions=(replace(old, periods=periods), dogwood.versions[1]))
        rules = Rules().including([*scheme[:-1], PinnedTable(changed, bytes(32))])
        assert priced(rules, at_us=OPENING_US)["weight_set"] == expected


def test_a_pair_without_a_fare_and_a_moment_without_a_tariff_have_no_price():
    assert priced(host=1, begin=4, end=1)["nominal_fen"] == -1
    assert priced(at_us=OPENING_US - 1)["nominal_fen"] == -1
    assert priced(host=1, begin=9)["nominal_fen"] == -1
