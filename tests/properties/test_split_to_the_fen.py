"""A split to the fen, in the shape of a published example: several paths, many riders, every fare shared over its operators."""

from hashlib import sha256

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.split_paths import paths_of
from city_adapters.split_weights import split_weights
from city_adapters.whole_shares import WHOLE
from settlement.core.apportionment import apportion, draws
from tests.city_adapters.split_world import network_of, rule_of

FOUR_PATHS = network_of(
    """
    R1 H M 3000
    R1 M W 5000
    R2 H N 4000
    R2 N W 4500
    R3 M V 2500
    R3 V W 3000
    R4 H P 6000
    R4 P W 6000
    """,
    {"R1": 1, "R2": 2, "R3": 3, "R4": 4},
)
RULE = rule_of(
    'model = "path-size logit"\ntheta_per_min = 0.2\nx_max = 1\nshared_track = "equal parts"\n'
    "[cost]\nspeed_kmh = 36\nwalk_s = 30\nwait_s = 30\npenalty_s = 0\n"
)
LINES = frozenset(("R1", "R2", "R3", "R4"))


def weights_of_the_pair():
    weights = split_weights(FOUR_PATHS, (1, 2, 3, 4), RULE, LINES).of_periods[0]
    return weights[FOUR_PATHS.rows["H"], FOUR_PATHS.rows["W"]]


def test_a_hundred_riders_of_five_yuan_over_four_paths_split_to_five_hundred_yuan():
    told = paths_of(FOUR_PATHS, RULE, LINES, "H", "W").paths
    assert len(told) == 4
    assert all(path.parts > WHOLE // 100 for path in told)
    assert sum(path.parts for path in told) == WHOLE
    weights = weights_of_the_pair()
    assert (weights > 0).all()
    journeys = np.array([int.from_bytes(sha256(bytes([rider])).digest()[:8], "little") for rider in range(100)], dtype=np.uint64)
    shares = apportion(np.full(100, 500), np.tile(weights, (100, 1)), draws(sha256(b"window").digest(), journeys))
    assert shares.sum() == 50_000, "500.00 yuan"
    assert shares.sum(axis=1).tolist() == [500] * 100
    exact = 500 * weights / WHOLE
    assert (np.abs(shares - exact) < 1).all()
    assert (np.abs(shares.sum(axis=0) - 100 * exact) < 30).all(), "what is rounded off does not add up for one operator"


@given(st.integers(0, 10_000), st.integers(0, 2**63 - 1))
@settings(max_examples=200, deadline=None)
def test_any_fare_over_a_models_weights_sums_to_itself(fare_fen, draw):
    weights = weights_of_the_pair()
    shares = apportion(np.array([fare_fen]), weights[None, :], np.array([draw]))[0].tolist()
    assert sum(shares) == fare_fen
    assert all(abs(share * WHOLE - fare_fen * int(weight)) < WHOLE for share, weight in zip(shares, weights, strict=True))
