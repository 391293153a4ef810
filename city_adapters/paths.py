"""Shortest track distance between all stations, in exact metres, and sums of whole numbers along those paths.

Which path is *the* shortest is fixed, so that every machine splits a fare alike: least metres; among those the fewest links;
among those, traced back from the station with the larger number to the one with the smaller, the next station is always the
one with the smallest number. Both directions of a pair use that one path.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

LINKS_BITS = 12
"""A path's cost is metres shifted left by these bits plus its number of links: whole numbers, exact in float64 below 2^53."""


@dataclass(frozen=True)
class Track:
    """Pieces of track between rows of a network: an array of ends (e, 2), each pair once, and their metres (e,)."""

    stations: int
    ends: Int64s
    metres: Int64s


@dataclass(frozen=True)
class Paths:
    """All shortest paths over a track: metres (n, n), -1 where there is none; the row before each end; links (n, n)."""

    track: Track
    metres: Int64s
    before: Int64s
    links: Int64s


def shortest_paths(track: Track) -> Paths:
    """Find the shortest path of every pair of rows."""
    # A third of a second to import: a gate, which never asks for paths, starts without it.
    from scipy.sparse import csr_array  # noqa: PLC0415
    from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415

    count = track.stations
    tails = np.concatenate([track.ends[:, 0], track.ends[:, 1]])
    heads = np.concatenate([track.ends[:, 1], track.ends[:, 0]])
    cost = np.tile((track.metres << LINKS_BITS) + 1, 2)
    graph = csr_array((cost.astype(np.float64), (tails, heads)), shape=(count, count))
    total = dijkstra(graph, directed=True)
    reached = np.isfinite(total)
    exact = np.where(reached, total, -1).astype(np.int64)
    before = np.full((count, count), -1, dtype=np.int64)
    for at in np.argsort(-tails, kind="stable"):  # the smallest number is written last, and stays
        tail, head = tails[at], heads[at]
        on_a_path = reached[:, tail] & (exact[:, tail] + cost[at] == exact[:, head])
        before[on_a_path, head] = tail
    metres = np.where(reached, exact >> LINKS_BITS, -1)
    links = np.where(reached, exact & ((1 << LINKS_BITS) - 1), -1)
    return Paths(track, metres, before, links)


def shortest_metres(track: Track) -> Int64s:
    """Find the metres of every pair of rows, -1 where there is no path."""
    from scipy.sparse import csr_array  # noqa: PLC0415
    from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415

    # A step of no metres is no edge of a sparse graph: each is a little longer, so little that whole metres do not change.
    lengths = track.metres + 1 / (4 << LINKS_BITS)
    graph = csr_array((lengths, (track.ends[:, 0], track.ends[:, 1])), shape=(track.stations, track.stations))
    total = dijkstra(graph, directed=False)
    reached = np.isfinite(total)
    return np.where(reached, np.floor(np.where(reached, total, 0)), -1).astype(np.int64)


def sums_along(paths: Paths, values: Int64s) -> Int64s:
    """Add up `values` (e, k) of the track's pieces along every path: (n, n, k), zero where there is no path."""
    count = paths.track.stations
    piece = np.full((count, count), -1, dtype=np.int64)
    first, second = paths.track.ends[:, 0], paths.track.ends[:, 1]
    piece[first, second] = piece[second, first] = np.arange(len(first))
    sums = np.zeros((count, count, values.shape[1]), dtype=np.int64)
    by_links = np.argsort(paths.links, axis=None, kind="stable")
    cuts = np.searchsorted(paths.links.ravel()[by_links], np.arange(1, paths.links.max() + 2))
    for begin, end in pairwise(cuts.tolist()):  # paths of one link, then of two, ...
        origin, here = np.divmod(by_links[begin:end], count)
        last = paths.before[origin, here]
        sums[origin, here] = sums[origin, last] + values[piece[last, here]]
    later_first = np.tril_indices(count, -1)
    sums[later_first] = sums[later_first[::-1]]
    return sums
