"""Any amount over any weights: exact in sum, within a fen, fair over all draws."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.core.apportionment import apportion, draws


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
