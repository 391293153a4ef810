"""Least costs from each origin, and the steps that lead away from it: a path of such steps alone is *efficient*.

A step is efficient where the least cost of the platform it leads to is above that of the platform it begins at, for its ride and
for its change each by itself. So every efficient path goes through platforms of rising least cost, and one pass in that order
serves all of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from city_adapters.paths import Int64s
from city_adapters.ride_graph import Leavings, RideGraph, Steps

Flags = NDArray[np.bool_]

FAR_MS = 2**40
"""The least cost of what cannot be reached: above any real one, and sums of it stay exact."""


@dataclass(frozen=True)
class EfficientPaths:
    """The steps of a graph that lead away from each origin; axes begin with the place of the origin in `origins`.

    `least_ms` is the least cost of each node's platform; `ends_ms` is what costs of leaving at each row are counted from, no more
    than that of any efficient path, FAR_MS where there is none. `entering` lists
    the steps into each node and `ending` the leavings at each row, padded with one that is nobody's and never efficient: the last
    column of `steps` and of `leavings`.
    """

    graph: RideGraph
    origins: Int64s
    least_ms: Int64s
    ends_ms: Int64s
    steps: Flags
    leavings: Flags
    entering: Int64s
    ending: Int64s


def efficient_paths(graph: RideGraph, origins: Int64s) -> EfficientPaths:
    """Find least costs and efficient steps from some rows; rows without a boarding reach nothing."""
    moves = graph.moves
    at_platforms = _least_costs(graph, origins, np.ones(len(moves.tail), dtype=bool))
    for place in np.flatnonzero(np.isin(origins, moves.walked_from)).tolist():
        # Nobody enters a station to walk out of it again.
        at_platforms[place] = _least_costs(graph, origins[place : place + 1], moves.walked_from != origins[place])[0]
    least_ms = at_platforms[:, graph.platform]
    steps, leavings = (_efficient(least_ms, way) for way in (graph.steps, graph.leavings))
    entering = _padded(graph.steps.head, len(graph.nodes))
    ending = _padded(graph.leavings.row, graph.stations)
    cost = np.where(leavings, least_ms[:, _with_nobody(graph.leavings.tail)] + _with_nobody(graph.leavings.cost_ms), FAR_MS)
    ends_ms = cost[:, ending].min(axis=2, initial=FAR_MS)
    return EfficientPaths(graph, origins, least_ms, ends_ms, steps, leavings, entering, ending)


def _least_costs(graph: RideGraph, origins: Int64s, allowed: Flags) -> Int64s:
    from scipy.sparse import coo_array  # noqa: PLC0415 - as in `paths`: a gate starts without it
    from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415

    moves = graph.moves
    count = int(graph.platform.max(initial=-1)) + 1
    # One place more for each station, from which riders board at a cost of 1, as a sparse graph knows no zero; it is taken off.
    tails = np.concatenate([moves.tail[allowed], count + graph.boardings[:, 0]])
    heads = np.concatenate([moves.head[allowed], graph.platform[graph.boardings[:, 1]]])
    cost = np.concatenate([moves.cost_ms[allowed], np.ones(len(graph.boardings), dtype=np.int64)])
    cheapest_first = np.lexsort((cost, heads, tails))
    tails, heads, cost = tails[cheapest_first], heads[cheapest_first], cost[cheapest_first]
    first = np.ones(len(tails), dtype=bool)
    first[1:] = (tails[1:] != tails[:-1]) | (heads[1:] != heads[:-1])
    shape = (count + graph.stations, count + graph.stations)
    sparse = coo_array((cost[first].astype(np.float64), (tails[first], heads[first])), shape=shape).tocsr()
    total = dijkstra(sparse, directed=True, indices=count + origins)[:, :count]
    return np.where(np.isfinite(total), total - 1, FAR_MS).astype(np.int64)


def _efficient(least_ms: Int64s, way: Steps | Leavings) -> Flags:
    """Whether the ride leads on, and the change after it, for each origin and way; never for the one that is nobody's."""
    rides_on = least_ms[:, way.tail] < least_ms[:, way.through]
    if isinstance(way, Steps):
        rides_on &= (way.head == way.through) | (least_ms[:, way.through] < least_ms[:, way.head])
    return np.pad(rides_on, ((0, 0), (0, 1)))


def _padded(owner: Int64s, owners: int) -> Int64s:
    """List the ways of each owner in their order, padded with the number of ways, which is none of them."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=owners)
    starts = np.cumsum(counts) - counts
    listed = np.full((owners, int(counts.max(initial=1))), len(owner), dtype=np.int64)
    listed[owner[order], np.arange(len(owner)) - starts[owner[order]]] = order
    return listed


def _with_nobody(values: Int64s) -> Int64s:
    return np.append(values, 0)
