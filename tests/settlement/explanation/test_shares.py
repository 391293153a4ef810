"""Who gets the odd fen: the intervals that an explanation tells, held to the apportioning that clearing does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from settlement.core.apportionment import apportion
from settlement.explanation.shares import one_more

WEIGHTS = st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any)


@given(st.integers(0, 2000), WEIGHTS, st.data())
def test_the_intervals_say_for_every_point_what_apportioning_gives(amount, weights, data):
    total = sum(weights)
    point = data.draw(st.integers(0, total - 1))
    got = apportion(np.array([amount]), np.array([weights]), np.array([point]))[0].tolist()
    for which, weight in enumerate(weights):
        more = any(begin <= point < end for begin, end in one_more(amount, weights, which))
        assert got[which] == amount * weight // total + more


@given(st.integers(0, 2000), WEIGHTS)
def test_the_intervals_are_as_long_as_the_share_is_odd(amount, weights):
    total = sum(weights)
    for which, weight in enumerate(weights):
        pieces = one_more(amount, weights, which)
        assert sum(end - begin for begin, end in pieces) == amount * weight % total, "so the draw is exactly fair"
        assert all(0 <= begin < end <= total for begin, end in pieces)


def test_an_even_split_of_an_odd_fen_gives_each_half_of_the_points():
    assert one_more(275, (1, 1), 0) == ((1, 2),)
    assert one_more(275, (1, 1), 1) == ((0, 1),)
    assert one_more(300, (1, 1), 0) == ()
