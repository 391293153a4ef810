"""Shortest paths against all simple paths, counted out."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from city_adapters.paths import Track, shortest_paths, sums_along


@st.composite
def tracks(draw):
    count = draw(st.integers(2, 7))
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1, max_size=10))
    metres = draw(st.lists(st.integers(0, 4), min_size=len(chosen), max_size=len(chosen)))
    return Track(count, np.array(chosen, dtype=np.int64), np.array(metres, dtype=np.int64))


def simple_paths(neighbours, here, end, seen=()):
    if here == end:
        yield (*seen, here)
        return
    for there in neighbours.get(here, {}):
        if there not in seen:
            yield from simple_paths(neighbours, there, end, (*seen, here))


def counted_out(track):
    """The path of each pair by the rule of the module's docstring: metres, links, then the smallest stations from the end back."""
    neighbours = {}
    for (a, b), metres in zip(track.ends.tolist(), track.metres.tolist(), strict=True):
        neighbours.setdefault(a, {})[b] = metres
        neighbours.setdefault(b, {})[a] = metres
    for a in range(track.stations):
        for b in range(a, track.stations):
            ranked = [
                (sum(neighbours[x][y] for x, y in pairwise(path)), len(path), path[::-1]) for path in simple_paths(neighbours, a, b)
            ]
            yield a, b, min(ranked, default=None)


@given(tracks())
def test_every_pair_takes_the_one_path_that_the_rule_names(track):
    paths = shortest_paths(track)
    visits = np.eye(len(track.ends), dtype=np.int64)
    ridden = sums_along(paths, visits)
    for a, b, best in counted_out(track):
        assert paths.metres[a, b] == paths.metres[b, a] == (best[0] if best else -1)
        steps = {frozenset(step) for step in pairwise(best[2])} if best else set()
        expected = [frozenset(ends) in steps for ends in track.ends.tolist()]
        assert ridden[a, b].tolist() == ridden[b, a].tolist() == expected


@given(tracks())
def test_metres_summed_along_a_path_are_its_length(track):
    paths = shortest_paths(track)
    summed = sums_along(paths, track.metres[:, None])[:, :, 0]
    assert np.array_equal(summed, np.maximum(paths.metres, 0))


def test_among_equal_paths_the_one_with_fewer_links_is_taken():
    track = Track(4, np.array([(0, 1), (1, 2), (2, 3), (0, 2)]), np.array([10, 10, 5, 20]))
    ridden = sums_along(shortest_paths(track), np.eye(4, dtype=np.int64))
    assert ridden[0, 3].tolist() == [0, 0, 1, 1]


def test_both_directions_use_the_path_that_is_traced_from_the_larger_number():
    ends = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5)]  # 5 back to 0: by 3 and 2; from 0 it would be by 1 and 4
    ridden = sums_along(shortest_paths(Track(6, np.array(ends), np.full(6, 10))), np.eye(6, dtype=np.int64))
    assert ridden[0, 5].tolist() == ridden[5, 0].tolist() == [0, 1, 0, 1, 1, 0]


def test_a_long_line_is_summed_to_its_end():
    ends = np.array([(at, at + 1) for at in range(99)])
    paths = shortest_paths(Track(100, ends, np.full(99, 1_003)))
    assert paths.metres[0, 99] == 99 * 1_003
    assert paths.links.max() == 99
    assert sums_along(paths, np.full((99, 1), 7))[99, 0, 0] == 99 * 7
