"""Any amount over any weights: exact in sum, within a fen, fair over all draws."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_chain.tap import TapKind
from settlement.core.apportionment import apportion, apportion_fares, draws
from settlement.core.journeys import Between
from settlement.core.pricing import Fares
from settlement.core.rules import Rules
from simulators.small_cities import small_scheme, small_tap, tap_records


def split(amount, weights, draw):
    return apportion(np.array([amount]), np.array([weights]), np.array([draw]))[0].tolist()


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=9).filter(sum), st.integers(0, 2**63 - 1))
@settings(max_examples=300, deadline=None)
def test_rows_sum_exactly_and_each_share_is_within_one_fen(amount, weights, draw):
    shares = split(amount, weights, draw)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights))) < 1
        assert share >= 0
        assert weight or not share


@given(st.integers(0, 400), st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(sum))
@settings(max_examples=60, deadline=None)
def test_over_all_draws_every_share_is_exactly_fair(amount, weights):
    total = sum(weights)
    rows = apportion(np.full(total, amount), np.tile(weights, (total, 1)), np.arange(total))
    assert rows.sum(axis=0).tolist() == [amount * weight for weight in weights]


def test_a_million_even_splits_of_275_fen_favour_nobody():
    count = 1_000_000
    journeys = np.random.default_rng(5).integers(0, 2**64, count, dtype=np.uint64)
    rows = apportion(np.full(count, 275), np.ones((count, 2), np.int64), draws(b"8 bytes of a hash", journeys))
    first, second = rows.sum(axis=0).tolist()
    assert first + second == 275 * count
    assert abs(first - second) < 6000, "six standard deviations of a fair coin"


def test_weights_are_taken_as_they_are_named():
    assert split(300, [1, 0, 2], 0) == [100, 0, 200]
    assert split(100, [1, 2], 0) == [33, 67]
    assert split(100, [1, 2], 2) == [34, 66]
    assert split(0, [1, 2], 2) == [0, 0]


def test_an_amount_times_weights_beyond_63_bits_is_refused_not_wrapped():
    assert split(2**31 - 1, [2**31 - 1], 0) == [2**31 - 1]
    with pytest.raises(OverflowError, match="passes 2\\^63"):
        split(2**33, [2**31 - 1], 0)


def test_draws_are_the_journeys_numbers_turned_by_the_seed_and_wrap_around():
    journeys = np.array([0, 1, 2**64 - 1], np.uint64)
    assert draws((3).to_bytes(8, "little") + b"the rest does not count", journeys).tolist() == [1, 2, 1]
    assert draws(bytes(32), journeys).tolist() == [0, 0, 2**63 - 1]
    assert draws(bytes(32), journeys).dtype == np.int64


RULES = Rules().including(small_scheme())
DOGWOOD = 4
"""Place of dogwood's first tariff among all; its set 2 is for markers."""


def shares(rides, markers=(), *, weight_set=2, draw=0):
    """Split 1000 fen for each ride (from row, to row); markers are (ride, station, gate). Rows of (ride, beneficiary, fen)."""
    count = len(rides)
    begin, end = (np.array(column) for column in zip(*rides, strict=True))
    numbers = (DOGWOOD, 0, begin, end, 1000, 0, 0, weight_set)
    fares = Fares(*(np.broadcast_to(number, count).copy() for number in numbers))
    taps = [small_tap(1, TapKind.MARKER, at, host=4, station=station, gate=gate) for at, (_, station, gate) in enumerate(markers)]
    between = Between(np.array([ride for ride, *_ in markers], np.int64), tap_records(taps))
    rows = apportion_fares(fares, np.full(count, 1000), between, RULES, np.full(count, draw))
    return [(row["journey"], row["beneficiary"] - 1024, row["amount_fen"]) for row in rows]


def test_a_marker_proves_the_way_past_it():
    """Links of 1.0, 2.5, 0.7, 3.1 and 1.9 km are beneficiaries 1, 2, 3, 1, 2; from 1 to 2 past 3: 1.0, 2.5 and 2.5."""
    assert shares([(0, 1)], weight_set=0) == [(0, 1, 1000)]
    assert shares([(0, 1)], [(0, 3, 1)]) == [(0, 1, 166), (0, 2, 834)]


def test_markers_are_passed_in_their_order():
    past_3_and_1 = [(0, 1, 285), (0, 2, 715)]  # 1.0 2.5 | 2.5 1.0 | 1.0 2.5, from 1 to 3
    assert shares([(0, 2)], [(0, 3, 1), (0, 1, 1)]) == past_3_and_1
    assert shares([(0, 2)], [(0, 1, 1), (0, 3, 1)]) == [(0, 1, 285), (0, 2, 715)]
    assert shares([(0, 3)], [(0, 6, 1), (0, 5, 1)]) == shares([(0, 3)], [(0, 6, 1)])
    assert shares([(0, 3)], [(0, 5, 1), (0, 1, 1)]) != shares([(0, 3)], [(0, 1, 1), (0, 5, 1)])


def test_a_marker_of_another_line_s_own_gates_stands_in_its_own_area():
    assert shares([(0, 3)], [(0, 4, 55)]) == shares([(0, 3)], [(0, 4, 50)]) != shares([(0, 3)], [(0, 4, 1)])


def test_markers_that_prove_nothing_leave_a_ride_to_the_pairs_own_weights():
    assert shares([(1, 1)], [(0, 2, 1)]) == shares([(1, 1)], weight_set=0) == [(0, 1, 1000)]


def test_a_marker_whose_station_has_left_the_table_is_passed_over():
    assert shares([(0, 1)], [(0, 99, 1)]) == shares([(0, 1)], weight_set=0)
    assert shares([(0, 1)], [(0, 99, 1), (0, 3, 1)]) == shares([(0, 1)], [(0, 3, 1), (0, 99, 1)]) == shares([(0, 1)], [(0, 3, 1)])


def test_each_ride_has_its_own_path_and_the_others_their_pair():
    rides, markers = [(0, 1), (0, 1), (1, 1), (0, 2)], [(0, 3, 1), (1, 4, 1), (2, 2, 1), (3, 4, 1)]
    alone = [[(number, *row[1:]) for row in shares([ride], [(0, *markers[number][1:])])] for number, ride in enumerate(rides)]
    assert shares(rides, markers) == [row for rows in alone for row in rows]


def test_the_draw_moves_at_most_a_fen_of_a_proven_path():
    rows = [shares([(0, 1)], [(0, 3, 1)], draw=draw) for draw in range(0, 6000, 37)]
    assert {row[0][2] for row in rows} == {166, 167}
    assert all(sum(fen for _ride, _beneficiary, fen in row) == 1000 for row in rows)
