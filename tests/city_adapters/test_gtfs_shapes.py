"""Stops along a drawn line, against every way of putting them there."""

from itertools import combinations_with_replacement, pairwise
from math import hypot, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.gtfs.shapes import METRES_PER_DEGREE, SAME_SPOT_M, along, differences

STEP = 0.001
"""About 111 metres at the equator, where a degree is the same both ways."""
spots = st.tuples(st.integers(0, 6), st.integers(0, 6))


def degrees(points):
    return [(x * STEP, y * STEP) for x, y in points]


def on_segment(stop, begin, end):
    """The part of a segment at which a stop lies, and the squared distance to it, in steps."""
    (x, y), (a, b), (c, d) = stop, begin, end
    length = (c - a) ** 2 + (d - b) ** 2
    part = min(max(((x - a) * (c - a) + (y - b) * (d - b)) / length, 0.0), 1.0)
    return part, (x - a - part * (c - a)) ** 2 + (y - b - part * (d - b)) ** 2


def cheapest(shape, stops):
    """Every choice of a segment for every stop whose offsets never fall: the least sum of squared distances."""
    lengths = [hypot(u - x, v - y) for (x, y), (u, v) in pairwise(shape)]
    begins = [sum(lengths[:at]) for at in range(len(lengths))]
    least = inf
    for chosen in combinations_with_replacement(range(len(lengths)), len(stops)):
        found = [on_segment(stop, shape[at], shape[at + 1]) for stop, at in zip(stops, chosen, strict=True)]
        offsets = [begins[at] + part * lengths[at] for (part, _), at in zip(found, chosen, strict=True)]
        if all(before <= after + 1e-9 for before, after in pairwise(offsets)):
            least = min(least, sum(square for _, square in found))
    return least


def at_offset(shape, metres):
    for begin, end in pairwise(shape):
        length = hypot(end[0] - begin[0], end[1] - begin[1]) * STEP * METRES_PER_DEGREE
        if metres <= length + 1e-6:
            part = metres / length
            return begin[0] + part * (end[0] - begin[0]), begin[1] + part * (end[1] - begin[1])
        metres -= length
    return shape[-1]


@settings(deadline=None, max_examples=150)
@given(shape=st.lists(spots, min_size=2, max_size=5, unique=True), stops=st.lists(spots, min_size=2, max_size=4))
def test_the_stops_lie_where_the_sum_of_squares_is_least_and_never_turn_back(shape, stops):
    found = along(np.array(degrees(shape)), degrees(stops))
    least = cheapest(shape, stops)
    if found is None:
        assert least == inf
        return
    assert all(before <= after + SAME_SPOT_M for before, after in pairwise(found))
    ours = sum((x - u) ** 2 + (y - v) ** 2 for (x, y), (u, v) in zip(stops, (at_offset(shape, at) for at in found), strict=True))
    assert ours == pytest.approx(least, abs=1e-3)


def test_a_stop_far_from_the_line_is_not_on_it():
    assert along(np.array([(0.0, 0.0), (0.01, 0.0)]), [(0.0, 0.0), (0.005, 0.01)]) is None


def test_only_steps_forward_between_two_measured_neighbours_count():
    assert differences({0: 1.0, 1: 3.0, 3: 9.0, 4: 9.0, 5: 8.0}) == {0: 2.0}
