"""Lengths learnt from fares: the linear program against trying all lengths, a planted slip, fares kept apart, what may not move."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.calibration import PricePaths, PublishedBands, Terms, TrackLengths, calibrate
from city_adapters.tariff import Bands
from fare_chain.identifiers import Fen

CHEAP = Terms(metre_price=0.3, margin_m=20)
"""For networks of a few hundred fares: with 43,000 a metre moved has to help more of them."""
RULE = Bands((1500, 3000, 4000), (Fen(200), Fen(300), Fen(400)), 1500, Fen(100))


def track(ends, source_m, *, reach=400, networks=None):
    source = np.array(source_m, dtype=np.int64)
    whole = np.arange(len(source))
    return TrackLengths(
        stations=int(np.max(ends)) + 1,
        ends=np.array(ends, dtype=np.int64),
        source_m=source,
        least_m=np.maximum(source - reach, 0),
        most_m=source + reach,
        networks=tuple(np.array(one) for one in networks or [whole]),
    )


def grid(side, rng):
    """A square network of links between 700 and 2,500 m, and the bands of every pair's fare."""
    at = np.arange(side * side).reshape(side, side)
    ends = [*zip(at[:, :-1].ravel(), at[:, 1:].ravel(), strict=True), *zip(at[:-1].ravel(), at[1:].ravel(), strict=True)]
    return ends, rng.integers(700, 2500, len(ends))


def published(ends, true_m):
    pairs = np.array([(one, other) for one in range(np.max(ends) + 1) for other in range(one)])
    metres = PricePaths(track(ends, true_m), true_m, pairs).metres
    spans = [RULE.metres_of(Fen(int(fare))) for fare in RULE.fares(metres)]
    return PublishedBands(pairs, np.array([span[0] for span in spans]), np.array([span[1] for span in spans]))


def exact(ends, metres, bands):
    return int(bands.hold(PricePaths(track(ends, metres), metres, bands.pairs).metres).sum())


def cost(source_m, metres, lines, bands, terms):
    """What a choice of lengths costs on a tree, where each pair has one path whatever the lengths are."""
    missed = 0
    for links, above, up_to in zip(lines, bands.above_m, bands.up_to_m, strict=True):
        long = sum(metres[link] for link in links)
        missed += max(long - (up_to - terms.margin_m), 0) + (max(above + 1 + terms.margin_m - long, 0) if above else 0)
    return terms.metre_price * sum(abs(a - b) for a, b in zip(metres, source_m, strict=True)) + missed


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 16), min_size=3, max_size=3), st.integers(0, 5), st.sampled_from([0.5, 1.25, 2.5]))
def test_no_choice_of_lengths_on_a_line_costs_less(bounds, margin, price):
    source, paths, pairs = (10, 10, 10), [(0, 1), (1, 2), (0, 1, 2)], [(0, 2), (1, 3), (0, 3)]
    above = np.array([12, 12, 22]) + np.array(bounds) - 8
    bands = PublishedBands(np.array(pairs), above, above + 12)
    terms = Terms(metre_price=price, margin_m=margin)
    answer = calibrate(track([(0, 1), (1, 2), (2, 3)], source, reach=6), bands, terms).metres
    best = min(cost(source, tried, paths, bands, terms) for tried in product(range(4, 17), repeat=3))
    ours = cost(source, answer.tolist(), paths, bands, terms)
    unmoved = cost(source, source, paths, bands, terms)
    assert ours <= best + 3 * price + 3 or ours == unmoved, "at most the rounding of three links to whole metres"
    assert ours <= unmoved + 3


def test_a_planted_slip_is_found_and_nothing_else_is_moved_far():
    rng = np.random.default_rng(4)
    ends, true_m = grid(6, rng)
    bands, source = published(ends, true_m), true_m.copy()
    source[17] += 390
    answer = calibrate(track(ends, source), bands, CHEAP)
    assert abs(answer.metres[17] - true_m[17]) < 100
    assert np.argsort(np.abs(answer.metres - source))[-1] == 17
    assert exact(ends, answer.metres, bands) > exact(ends, source, bands)
    assert answer.fares[17] > 0


def test_fares_that_were_kept_apart_are_foretold_better_than_by_the_source():
    rng = np.random.default_rng(7)
    ends, true_m = grid(7, rng)
    bands = published(ends, true_m)
    source = true_m + np.where(rng.random(len(ends)) < 0.3, rng.integers(-250, 250, len(ends)), 0)
    order = rng.permutation(len(bands))
    apart, rest = bands.taken(order[:300]), bands.taken(order[300:])
    answer = calibrate(track(ends, source), rest, CHEAP)
    before, after = exact(ends, source, apart), exact(ends, answer.metres, apart)
    assert after - before > (300 - before) // 2, f"{before} of 300 before, {after} after"


def test_a_fare_that_no_length_explains_drags_no_link():
    ends, source = [(0, 1), (1, 2), (2, 3), (1, 3)], [1000, 1010, 1000, 2200]
    pairs, above, up_to = [(0, 3), (0, 3), (0, 1), (0, 2)], [9000, 9000, 0, 2012], [10_000, 10_000, 3000, 3000]
    bands = PublishedBands(np.array(pairs * 2), np.array(above * 2), np.array(up_to * 2))
    assert calibrate(track(ends, source, reach=5000), bands.taken(np.array([2, 3, 6, 7])), CHEAP).metres.sum() == 5213 + 20
    assert calibrate(track(ends, source), bands, CHEAP).metres.sum() == 5213 + 20, "a fare of 9 km for at most 4.4 km is left out"


def test_lengths_stay_within_their_reach_and_a_walk_stays_none():
    ends = [(0, 1), (1, 2), (2, 3)]
    bands = PublishedBands(np.array([(0, 3)]), np.array([6000]), np.array([7500]))
    bounds = track(ends, [2900, 0, 2900], reach=200)
    bounds.most_m[1] = 0
    assert sum(calibrate(bounds, bands, CHEAP).metres.tolist()) == 6021
    assert calibrate(bounds, bands, CHEAP).metres[1] == 0
    tight = track(ends, [2900, 0, 2900], reach=20)
    tight.most_m[1] = 0
    moved = calibrate(tight, bands, CHEAP).metres
    assert (moved <= tight.most_m).all()
    assert (moved >= tight.least_m).all()


@pytest.mark.parametrize(("metres", "inside"), [(1500, False), (1501, True), (3000, True), (3001, False)])
def test_a_band_holds_its_last_metre_and_neither_the_next_nor_the_last_of_the_band_before(metres, inside):
    bands = PublishedBands(np.array([(0, 1)]), np.array([1500]), np.array([3000]))
    assert bands.hold(np.array([metres])).tolist() == [inside]


def test_a_pair_is_priced_by_the_least_of_the_earlier_networks_that_have_it():
    #  0 --1000-- 1 --1000-- 2      today, and before the short cut 0 - 2 of 500 m;  3 hangs on 2 today only
    ends, metres = [(0, 1), (1, 2), (0, 2), (2, 3)], [1000, 1000, 500, 300]
    both = track(ends, metres, networks=[[0, 1], [0, 1, 2, 3]])
    paths = PricePaths(both, np.array(metres), np.array([(0, 2), (0, 3)]))
    assert paths.metres.tolist() == [2000, 800]
    assert paths.pieces().toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


@given(st.integers(0, 30_000))
def test_the_band_of_a_fare_holds_every_metre_that_costs_it(metres):
    above, up_to = RULE.metres_of(Fen(int(RULE.fares(np.array([metres]))[0])))
    assert above < metres <= up_to or metres == above == 0
    assert RULE.fares(np.array([max(above + 1, 1), up_to])).tolist() == [RULE.fares(np.array([metres]))[0]] * 2


def test_a_fare_of_no_band_has_no_metres():
    assert RULE.metres_of(Fen(250)) is None
    assert RULE.metres_of(Fen(100)) is None
    assert RULE.metres_of(Fen(550)) is None
