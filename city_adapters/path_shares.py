"""Probabilities of listed paths, by path-size logit or by normal share, and the share of each operator: sum of P * metres / length.

path-size   P ~ PS * exp(-theta * C),     PS = sum over stretches of (length / path's length) / paths that use it
normal      P ~ exp(-x^2 / (2 sigma^2)),  x = (C - C_min) / C_min
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from city_adapters.link_probabilities import logit_weights
from city_adapters.listed_paths import LISTED, ListedPaths
from city_adapters.paths import Int64s
from city_adapters.portable_exp import Floats, exp_of
from city_adapters.ride_graph import Hops

COMMON = lcm(*range(1, LISTED + 1))
"""A length over the number of paths that use it is a whole number of these parts of a metre."""


@dataclass(frozen=True)
class Grouped:
    """Listed paths by pair: `pair` numbers each path's pair from 0, `nth` its place in the pair."""

    listed: ListedPaths
    pair: Int64s
    nth: Int64s
    first: Int64s


def grouped(listed: ListedPaths) -> Grouped:
    """Number the pairs of listed paths, which stand pair by pair."""
    begins = np.ones(len(listed.origin), dtype=bool)
    begins[1:] = (listed.origin[1:] != listed.origin[:-1]) | (listed.end[1:] != listed.end[:-1])
    first = np.flatnonzero(begins)
    pair = np.cumsum(begins) - 1
    return Grouped(listed, pair, np.arange(len(pair)) - first[pair], first)


def path_size_shares(paths: Grouped, hops: Hops, theta_per_min: Fraction) -> Floats:
    """The probability of each path by path-size logit, as a weight beside the others of its pair."""
    listed = paths.listed
    dearer_ms = listed.cost_ms - listed.cost_ms[paths.first][paths.pair]
    return _path_sizes(paths, hops) * logit_weights(dearer_ms, theta_per_min)


def normal_shares(paths: Grouped, sigma: Fraction) -> Floats:
    """The probability of each path by normal share, as a weight beside the others of its pair."""
    least_ms = paths.listed.cost_ms[paths.first][paths.pair]
    excess = (paths.listed.cost_ms - least_ms) / least_ms.astype(np.float64)
    scaled = excess * float(sigma.denominator) / float(sigma.numerator)
    return exp_of(-(scaled * scaled / 2.0))


def by_pair(paths: Grouped, weights: Floats) -> Floats:
    """Lay weights of paths out by pair and place (pairs, LISTED), zeros where there is no path, each row summing to one."""
    laid = np.zeros((len(paths.first), int(paths.nth.max(initial=0)) + 1))
    laid[paths.pair, paths.nth] = weights
    total = np.zeros(len(laid))
    for nth in range(laid.shape[1]):  # in one order everywhere
        total = total + laid[:, nth]
    return laid / total[:, None]


def operator_shares(paths: Grouped, hops: Hops, weights: Floats) -> Floats:
    """The share of each operator of each pair (pairs, k): over its paths, probability times metres over length."""
    probability = by_pair(paths, weights)[paths.pair, paths.nth]
    earned = metres_by_operator(paths.listed, hops)
    parts = probability[:, None] * earned / earned.sum(axis=1)[:, None].astype(np.float64)
    shares = np.zeros((len(paths.first), parts.shape[1]))
    for nth in range(int(paths.nth.max(initial=0)) + 1):
        here = paths.nth == nth
        shares[paths.pair[here]] += parts[here]
    return shares


def metres_by_operator(listed: ListedPaths, hops: Hops) -> Int64s:
    """Metres of each path by operator (p, k)."""
    earned = np.concatenate([hops.earned, np.zeros((1, hops.earned.shape[1]), dtype=np.int64)])  # -1 reads this row
    summed = np.zeros((len(listed.hops), hops.earned.shape[1]), dtype=np.int64)
    for place in range(listed.hops.shape[1]):
        summed += earned[listed.hops[:, place]]
    return summed


def _path_sizes(paths: Grouped, hops: Hops) -> Floats:
    """How much of each path is its own: 1 where no other path of its pair uses any of its stretches."""
    sizes = np.ones(len(paths.pair))
    several = np.bincount(paths.pair) > 1
    beside = several[paths.pair]
    hop = paths.listed.hops[beside]
    hop = hop[:, (hop >= 0).any(axis=0)]
    pair = (np.cumsum(several) - 1)[paths.pair[beside]]
    stretch, metres = np.append(hops.stretch, -1)[hop], np.append(hops.metres, 0)[hop]
    count = int(hops.stretch.max(initial=0)) + 2
    key = pair[:, None] * count + stretch + 1  # place 0 of each pair counts what is padded
    used = np.bincount(key.ravel())[key]
    own = (metres * COMMON // used).sum(axis=1)
    sizes[beside] = own / (metres.sum(axis=1) * COMMON).astype(np.float64)
    return sizes
