"""The logit over all efficient paths without listing one: Dial's pass, once for each origin and all its destinations.

In the order of least cost r, with L = exp(theta * (r(tail) + cost - r(head)) * -1) of each efficient step,

    W(head) = sum L * W(tail),   K_o(head) = sum L * (K_o(tail) + W(tail) * km_o),   W = 1 where riders board

and of what leaves at a station K_o / W is the expected distance by operator. The share is the ratio of these expectations.
"""

from fractions import Fraction

import numpy as np

from city_adapters.efficient_paths import FAR_MS, EfficientPaths, Flags
from city_adapters.paths import Int64s
from city_adapters.portable_exp import Floats, exp_of
from city_adapters.ride_graph import Leavings, Steps

MINUTE_MS = 60_000


def logit_weights(dearer_ms: Int64s, theta_per_min: Fraction) -> Floats:
    """exp(-theta * cost) of paths that are so much dearer than the cheapest of their pair."""
    above = dearer_ms.astype(np.float64) * float(theta_per_min.numerator)
    return exp_of(-(above / float(theta_per_min.denominator * MINUTE_MS)))


def weights_and_metres(paths: EfficientPaths, theta_per_min: Fraction) -> tuple[Floats, Floats]:
    """Sum over all efficient paths that leave at each row: their weights (o, n), and weights times metres (o, n, k).

    A path's weight is exp(-theta * (its cost - `ends_ms` of the pair)).
    """
    at_nodes = _weights_at_nodes(paths, theta_per_min)
    graph = paths.graph
    ending = paths.ending
    factor = _factors(paths, graph.leavings, paths.ends_ms, graph.leavings.row, paths.leavings, theta_per_min)
    hop = np.append(graph.leavings.hop, 0)
    tail = np.append(graph.leavings.tail, 0)
    summed = np.zeros((len(paths.origins), graph.stations, at_nodes.shape[2]))
    for slot in range(ending.shape[1]):
        way = ending[:, slot]
        summed += _carried(factor[:, way], at_nodes[:, tail[way]], graph.hops.earned[hop[way]])
    return summed[:, :, 0], summed[:, :, 1:]


def _weights_at_nodes(paths: EfficientPaths, theta_per_min: Fraction) -> Floats:
    """W and K_o of every node (o, m, 1 + k), the nodes of all origins in step, each origin in its own order."""
    graph = paths.graph
    factor = _factors(paths, graph.steps, paths.least_ms, graph.steps.head, paths.steps, theta_per_min)
    tail, hop = np.append(graph.steps.tail, 0), np.append(graph.steps.hop, 0)
    earned = graph.hops.earned.astype(np.float64)
    held = np.zeros((*paths.least_ms.shape, 1 + earned.shape[1]))
    place = {row: at for at, row in enumerate(paths.origins.tolist())}
    for row, node in graph.boardings.tolist():
        if row in place:
            held[place[row], node, 0] = 1.0
    order = np.argsort(paths.least_ms, axis=1, kind="stable")
    every = np.arange(len(paths.origins))
    for rank in range(order.shape[1]):
        node = order[:, rank]
        ways = paths.entering[node]
        summed = held[every, node]
        for slot in range(ways.shape[1]):
            way = ways[:, slot]
            along = factor[every, way]
            if along.any():
                summed = summed + _carried(along, held[every, tail[way]], earned[hop[way]])
        held[every, node] = summed
    return held


def _carried(factor: Floats, before: Floats, earned: Floats | Int64s) -> Floats:
    """L * W, and L * (K_o + W * km_o), side by side in the last axis."""
    after = np.empty_like(before)
    after[..., 0] = factor * before[..., 0]
    after[..., 1:] = factor[..., None] * (before[..., 1:] + before[..., :1] * earned)
    return after


def _factors(
    paths: EfficientPaths, way: Steps | Leavings, reached_ms: Int64s, head: Int64s, efficient: Flags, theta_per_min: Fraction
) -> Floats:
    """L of each origin and way, zero where it is not efficient and for the one that is nobody's."""
    dearer_ms = np.pad(paths.least_ms[:, way.tail] + way.cost_ms - reached_ms[:, head], ((0, 0), (0, 1)))
    usable = np.where(efficient, np.minimum(dearer_ms, FAR_MS), 0)
    return np.where(efficient, logit_weights(usable, theta_per_min), 0.0)
