"""The portable exponential beside the system's own, and shares as whole numbers."""

import hashlib
from fractions import Fraction
from math import exp, ulp

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from city_adapters.portable_exp import exp_of
from city_adapters.whole_shares import WHOLE, parted, whole_parts, whole_shares


@given(st.floats(-700, 0))
def test_it_is_within_two_last_bits_of_the_systems_own(exponent):
    found = float(exp_of(np.array([exponent]))[0])
    assert abs(found - exp(exponent)) <= 2 * ulp(exp(exponent))


def test_nothing_is_exactly_one_and_the_very_small_is_zero():
    assert exp_of(np.array([0.0, -0.0, -700.1, -1e300])).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_its_bytes_never_change():
    digest = hashlib.sha256(exp_of(-np.arange(0, 100_000) / 256.0).tobytes()).hexdigest()
    assert digest == "70794103af417050b0ef3ccb24b6fcb52c5018d89a5b9c577d54a27901963a90", (
        "tables of ratios are named by bytes that come from here"
    )


values = st.lists(st.floats(0, 1e6), min_size=1, max_size=9).filter(lambda row: sum(row) > 1e-3)


@given(values)
def test_shares_sum_to_the_whole_exactly_and_each_is_within_one_part(row):
    shares = whole_shares(np.array([row]))[0].tolist()
    assert sum(shares) == WHOLE
    for share, value in zip(shares, row, strict=True):
        assert abs(share - Fraction(value) * WHOLE / sum(map(Fraction, row))) < Fraction(1001, 1000)


def test_what_is_left_over_goes_to_the_largest_remainders_then_to_who_stands_first():
    assert whole_shares(np.array([[1.0, 1.0, 1.0]])).tolist() == [[33_333_334, 33_333_333, 33_333_333]]
    assert whole_shares(np.array([[1.0, 1.0, 4.0]])).tolist() == [[16_666_667, 16_666_667, 66_666_666]]
    assert whole_shares(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(sum))
def test_whole_parts_of_whole_numbers_are_exact(row):
    parts = whole_parts(np.array([row]) * WHOLE, np.array([sum(row)]))[0].tolist()
    assert sum(parts) == WHOLE
    assert all(abs(part - Fraction(value * WHOLE, sum(row))) < 1 for part, value in zip(parts, row, strict=True))


@given(st.integers(0, 10**6), st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_an_amount_is_parted_without_a_rest(amount, parts):
    cut = parted(amount, parts)
    assert sum(cut) == amount
    assert all(abs(got - Fraction(amount * part, sum(parts))) < 1 for got, part in zip(cut, parts, strict=True))


def test_odd_metres_go_to_who_stands_first():
    assert parted(5, (1, 1)) == (3, 2)
    assert parted(100, (15, 12)) == (56, 44)
