"""The cheapest efficient paths of each pair, listed: merged node by node in the order of least cost, and traced back.

Each node keeps its cheapest labels, a label being a step and which label of the step's tail it goes on from. Of labels of one cost
the one from the step listed first comes first, so every machine lists the same paths in the same order.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from city_adapters.efficient_paths import FAR_MS, EfficientPaths
from city_adapters.paths import Int64s

LISTED = 8
"""Paths of a pair at most."""


@dataclass(frozen=True)
class ListedPaths:
    """Paths in the order of origin, row, cost: the place of the origin, the row of the end, the cost, and the hops ridden.

    `hops` is (p, longest), each path's hops from its *end* back to its origin, padded with -1.
    """

    origin: Int64s
    end: Int64s
    cost_ms: Int64s
    hops: Int64s


@dataclass(frozen=True)
class _Labels:
    """Of each origin and node the cheapest labels (o, m, most): cost, the step that came last, the label it went on from."""

    cost_ms: Int64s
    step: Int64s
    before: Int64s


def listed_paths(paths: EfficientPaths, x_max: Fraction, ends: Int64s | None = None, most: int = LISTED) -> ListedPaths:
    """List of each pair at most so many paths, none dearer than the cheapest by more than x_max times it.

    `ends` says which pairs, as places of origins and rows (p, 2); without it each origin with the rows above it.
    """
    if ends is None:
        place, row = np.nonzero(np.arange(paths.graph.stations) > paths.origins[:, None])
        ends = np.stack([place, row], axis=1)
    labels = _labels(paths, most)
    return _without_returns(paths, _traced(paths, labels, ends, x_max, most))


def _labels(paths: EfficientPaths, most: int) -> _Labels:
    graph = paths.graph
    shape = (*paths.least_ms.shape, most)
    cost_ms = np.full(shape, FAR_MS, dtype=np.int64)
    step, before = np.full(shape, -1, dtype=np.int32), np.full(shape, -1, dtype=np.int32)
    place = {row: at for at, row in enumerate(paths.origins.tolist())}
    for row, node in graph.boardings.tolist():
        if row in place:
            cost_ms[place[row], node, 0] = 0
    tail, step_ms = np.append(graph.steps.tail, 0), np.append(graph.steps.cost_ms, 0)
    order = np.argsort(paths.least_ms, axis=1, kind="stable")
    every = np.arange(len(paths.origins))
    for rank in range(order.shape[1]):
        node = order[:, rank]
        ways = paths.entering[node]
        usable = paths.steps[every[:, None], ways]
        moved = np.flatnonzero(usable.any(axis=1))
        if not len(moved):
            continue
        at, ways, usable = node[moved], ways[moved], usable[moved]
        dearer = cost_ms[moved[:, None], tail[ways]] + step_ms[ways][:, :, None]
        best, slot, label = _cheapest(np.where(usable[:, :, None], dearer, FAR_MS), most)
        cost_ms[moved, at] = best
        step[moved, at] = np.take_along_axis(ways, slot, axis=1)
        before[moved, at] = label
    return _Labels(cost_ms, step, before)


def _cheapest(cost_ms: Int64s, most: int) -> tuple[Int64s, Int64s, Int64s]:
    """Of costs (r, slots, labels) the cheapest in each row, equal ones as they stand: cost, slot, label, each (r, most)."""
    rows, slots, labels = cost_ms.shape
    bits = (slots * labels - 1).bit_length()
    keys = (np.minimum(cost_ms, FAR_MS).reshape(rows, -1) << bits) + np.arange(slots * labels)
    keys = np.sort(keys, axis=1)[:, :most]
    if keys.shape[1] < most:
        keys = np.pad(keys, ((0, 0), (0, most - keys.shape[1])), constant_values=FAR_MS << bits)
    slot, label = np.divmod(keys & ((1 << bits) - 1), labels)
    return keys >> bits, slot, label


def _traced(paths: EfficientPaths, labels: _Labels, ends: Int64s, x_max: Fraction, most: int) -> ListedPaths:
    """Choose the cheapest leavings of each pair, then follow every path's labels back to where it began."""
    graph = paths.graph
    place, row = ends.T
    tail, hop = np.append(graph.leavings.tail, 0), np.append(graph.leavings.hop, 0)
    way = paths.ending[row]
    usable = paths.leavings[place[:, None], way]
    dearer = labels.cost_ms[place[:, None], tail[way]] + np.append(graph.leavings.cost_ms, 0)[way][:, :, None]
    cost_ms, slot, label = _cheapest(np.where(usable[:, :, None], dearer, FAR_MS), most)
    least = cost_ms[:, :1]
    kept = (cost_ms < FAR_MS) & ((cost_ms - least) * x_max.denominator <= x_max.numerator * least)
    pair, nth = np.nonzero(kept)
    last = np.take_along_axis(way, slot, axis=1)[pair, nth]
    node, at = tail[last], label[pair, nth]
    ridden = [hop[last]]
    origin = place[pair]
    while True:
        step = labels.step[origin, node, at]
        going_on = step >= 0
        if not going_on.any():
            break
        ridden.append(np.where(going_on, graph.steps.hop[step], -1))
        at = np.where(going_on, labels.before[origin, node, at], at)
        node = np.where(going_on, graph.steps.tail[step], node)
    return ListedPaths(origin, row[pair], cost_ms[pair, nth], np.stack(ridden, axis=1))


def _without_returns(paths: EfficientPaths, listed: ListedPaths) -> ListedPaths:
    """Drop the paths that come to a station twice: efficient by their costs, and still nobody's way."""
    come_from = np.where(listed.hops >= 0, paths.graph.hops.from_row[listed.hops], -1).astype(np.int16)
    visited = np.sort(np.concatenate([come_from, listed.end[:, None].astype(np.int16)], axis=1), axis=1)
    fair = ~((visited[:, 1:] == visited[:, :-1]) & (visited[:, 1:] >= 0)).any(axis=1)
    return ListedPaths(listed.origin[fair], listed.end[fair], listed.cost_ms[fair], listed.hops[fair])
