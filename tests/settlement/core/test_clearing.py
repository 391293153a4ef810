"""One tick from taps to obligations, worked out by hand on the small scheme."""

from dataclasses import replace

import pytest

from fare_chain.errors import Conflict
from fare_chain.hashing import tagged_hash
from fare_chain.tap import TapKind
from settlement.core.clearing import Tick, clear
from settlement.core.columns import ClearingReason, plain
from settlement.core.laws import laws
from settlement.core.rules import PinnedTable
from settlement.core.state import State
from simulators.small_cities import (
    CHANGE_US,
    FOREVER_US,
    OPENING_US,
    SECOND_US,
    pinned,
    small_agreement,
    small_city,
    small_scheme,
    small_tap,
    tap_records,
)

NOON_US = CHANGE_US + 12 * 3600 * SECOND_US
MINUTE_US = 60 * SECOND_US


def ride(medium=1, *, minutes=20, entered_at_us=NOON_US - 30 * MINUTE_US, begin=1, end=2, **place):
    entry = small_tap(medium, TapKind.ENTRY, entered_at_us, station=begin, **place)
    return [entry, small_tap(medium, TapKind.EXIT, entered_at_us + minutes * MINUTE_US, station=end, **place)]


def cleared(taps, tables=None, *, seed=bytes(32)):
    state = State.genesis(NOON_US // SECOND_US)
    after, result = clear(state, Tick(NOON_US, 0, 3, seed, tap_records(taps), small_scheme() if tables is None else tables))
    assert laws(state, result, after) == []
    return after, result


def test_a_visitors_journey_is_priced_by_the_host_and_owed_by_the_issuer():
    entry, leave = ride(host=1, issuer=3, begin=1, end=3, category=2)
    _, result = cleared([entry, leave])
    (journey,) = result.journeys
    assert journey["journey_id"].tobytes() == tagged_hash("journey", [entry.to_bytes()])[:16]
    assert journey["medium"].tobytes() == entry.medium
    assert (journey["entered_at_us"], journey["exited_at_us"]) == (entry.tapped_at_us, leave.tapped_at_us)
    names = ("from_station", "to_station", "host", "issuer", "version", "category", "state", "fare_fen", "distance_m", "tariff")
    assert [int(journey[name]) for name in names] == [1, 3, 1, 3, 1, 2, 2, 400, 3500, 0]
    assert journey["fee_fen"] == 2
    assert journey["commission_fen"] in (4, 5), "12,345 ppm of 400 fen are 4.938"
    assert [(row[0], row[2]) for row in plain(result.shares)] in ([(257, 148), (258, 252)], [(257, 149), (258, 251)])
    commission = int(journey["commission_fen"])
    assert [row for row in plain(result.sums) if row[0] == 1] == [
        (1, 1, 3, 1, 1, 400),
        (1, 2, 1, 3, 1, commission),
        (1, 3, 3, 0, 1, 2),
    ]


def test_a_local_journey_makes_no_obligation_between_members():
    _, result = cleared(ride(host=2, begin=2, end=3))
    assert plain(result.sums) == [(2, 7, 2, 2 * 256 + 4, 1, 275)]
    assert (result.journeys["commission_fen"][0], result.journeys["fee_fen"][0]) == (0, 0)


@pytest.mark.parametrize(("entered_at_us", "fare", "tariff"), [(CHANGE_US - 1, 200, 0), (CHANGE_US, 275, 1)])
def test_the_tariff_in_force_at_entry_decides_whenever_the_exit_is(entered_at_us, fare, tariff):
    _, result = cleared(ride(host=2, entered_at_us=entered_at_us, minutes=11 * 60))
    assert (result.journeys["nominal_fen"][0], result.journeys["tariff"][0]) == (fare, tariff)


@pytest.mark.parametrize(("entered_at_us", "commission", "fee"), [(CHANGE_US - 1, [2], 1), (CHANGE_US, [3, 4], 2)])
def test_the_agreement_in_force_at_entry_decides(entered_at_us, commission, fee):
    _, result = cleared(ride(host=2, issuer=1, entered_at_us=entered_at_us))
    assert result.journeys["commission_fen"][0] in commission
    assert result.journeys["fee_fen"][0] == fee


def assert_both_taps_are_exceptions(taps, reason, tables=None):
    after, result = cleared([*taps, *ride(9, host=1)], tables)
    assert result.exceptions["reason"].tolist() == [reason] * 2
    assert sorted(result.exceptions["tapped_at_us"].tolist()) == [tap.tapped_at_us for tap in taps]
    assert len(result.journeys) == 1, "the rest clears"
    assert len(after.waiting) == 0


def test_a_ride_without_a_fare_is_two_exceptions():
    assert_both_taps_are_exceptions(ride(host=1, begin=4, end=1), ClearingReason.NO_FARE)


@pytest.mark.parametrize("valid", [(NOON_US, FOREVER_US), (OPENING_US, NOON_US - 30 * MINUTE_US)])
def test_a_ride_before_the_first_tariff_or_at_the_end_of_the_last_is_two_exceptions(valid):
    dated = small_city(2, "birch", [(*valid, 200)], kilometres=(1.0,), beneficiaries=(1,))
    tables = (*small_scheme()[:1], pinned(dated), *small_scheme()[3:])
    assert_both_taps_are_exceptions(ride(host=2), ClearingReason.NO_FARE, tables)


def test_a_visitor_whose_issuer_has_no_terms_with_the_host_is_two_exceptions():
    pairs = [small_agreement(OPENING_US, ppm=0, fee_fen=0, members=(1, 2)), small_agreement(FOREVER_US, ppm=0, fee_fen=0)]
    tables = (*small_scheme()[:3], *(pinned(table) for table in pairs))
    assert_both_taps_are_exceptions(ride(host=1, issuer=3), ClearingReason.NO_AGREEMENT, tables)


def test_a_station_that_left_the_table_while_the_tap_waited_has_no_fare():
    entry, leave = ride(host=1, begin=4, end=2)
    state, _ = cleared([entry])
    smaller = small_city(1, "alder", [(OPENING_US, FOREVER_US, 300)], kilometres=(1.0, 1.0), beneficiaries=(1,))
    tick = Tick(NOON_US + 1, 3, 4, bytes(32), tap_records([leave]), (pinned(smaller),))
    after, result = clear(state, tick)
    assert result.exceptions["reason"].tolist() == [ClearingReason.NO_FARE] * 2
    assert laws(state, result, after) == []


def test_terms_of_a_city_with_itself_are_nobodys_business():
    agreement = small_agreement(OPENING_US, ppm=10_000, fee_fen=1)
    agreement.fee_fen[:], agreement.commission_ppm[:] = 7, 500_000
    _, result = cleared(ride(host=1), (*small_scheme()[:3], PinnedTable(agreement, bytes(32))))
    assert (result.journeys["commission_fen"][0], result.journeys["fee_fen"][0]) == (0, 0)


def test_a_share_of_nothing_is_a_row_but_no_obligation():
    """Birch's first link is four metres long: its beneficiary's part of a fare is 0 or 1 fen."""
    for number in range(20):
        _, result = cleared(ride(host=2, end=3), seed=bytes([number * 13]) * 32)
        amounts = [(row[0], row[2]) for row in plain(result.shares)]
        assert [beneficiary for beneficiary, _fen in amounts] == [513, 516]
        assert [(row[3], row[5]) for row in plain(result.sums)] == [(name, fen) for name, fen in amounts if fen]
    assert {fen for _name, fen in amounts} <= {0, 1, 374, 375}


def test_the_seed_moves_only_what_the_draw_decides():
    taps = ride(host=1, issuer=3, end=3) + ride(2, host=2, issuer=1)
    results = [cleared(taps, seed=bytes([number]) * 32)[1] for number in range(20)]
    assert len({result.shares.tobytes() for result in results}) > 1
    assert len({result.journeys["fare_fen"].tobytes() for result in results}) == 1
    assert len({result.journeys["journey_id"].tobytes() for result in results}) == 1


def test_a_tick_without_taps_clears_to_nothing():
    state, result = cleared([])
    assert (len(result.journeys), len(result.shares), len(result.sums), len(result.exceptions)) == (0, 0, 0, 0)
    assert state.window.delta_roots == (result.delta_root,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"from_index": 2}, "3 is the next to clear"),
        ({"from_index": 4}, "3 is the next to clear"),
        ({"to_index": 3}, "3 is the next to clear"),
        ({"recorded_us": NOON_US}, "not after the last one"),
        ({"recorded_us": NOON_US + SECOND_US}, "close every second before it"),
    ],
)
def test_a_tick_that_is_not_the_next_one_is_refused(changes, says):
    state, _ = cleared([])
    tick = Tick(NOON_US + 1, 3, 4, bytes(32), tap_records([]))
    clear(state, tick)
    with pytest.raises(Conflict, match=says):
        clear(state, replace(tick, **changes))
