"""The split by the shortest path alone: each operator's metres on the path of least track, whatever the price was made from."""

from collections.abc import Sequence

import numpy as np

from city_adapters.network import Network, Transfer
from city_adapters.paths import Int64s, Paths, Track, shortest_paths, sums_along
from city_adapters.shared_track import Ends, Stretch, earned_metres, stretches
from city_adapters.split_rule import SharedLines


def shortest_stretches(network: Network, lines: frozenset[str], shared: Sequence[SharedLines]) -> dict[Ends, Stretch | None]:
    """Choose the shortest stretch between each two neighbours; none where riders walk outside and pay one fare."""
    chosen: dict[Ends, Stretch | None] = {}
    for stretch in stretches(network, lines, shared):
        held = chosen.get(stretch.ends)
        if held is None or length_m(stretch) < length_m(held):
            chosen[stretch.ends] = stretch
    for change in walks(network, lines):
        first, second = sorted((network.rows[change.from_id], network.rows[change.to_id]))
        chosen[first, second] = None
    return {ends: chosen[ends] for ends in sorted(chosen)}


def length_m(stretch: Stretch | None) -> int:
    """Metres of a stretch; a walk has none."""
    return min(link.distance_m for link in stretch.links) if stretch else 0


def walks(network: Network, lines: frozenset[str]) -> list[Transfer]:
    """List the walks outside that fares run through, between stops of these lines."""
    return [
        change
        for change in network.transfers
        if change.joins_fares and change.from_id != change.to_id and {change.from_line, change.to_line} <= lines
    ]


def paths_over(network: Network, chosen: dict[Ends, Stretch | None]) -> Paths:
    """Find the shortest path of every pair over these stretches."""
    ends = np.array(list(chosen), dtype=np.int64).reshape(-1, 2)
    metres = np.array([length_m(stretch) for stretch in chosen.values()], dtype=np.int64)
    return shortest_paths(Track(len(network.stations), ends, metres))


def shortest_metres(network: Network, operators: Sequence[int], lines: frozenset[str], shared: Sequence[SharedLines]) -> Int64s:
    """Metres of each pair by operator (n, n, k), zeros where there is no path or no metre; both directions alike."""
    chosen = shortest_stretches(network, lines, shared)
    operator_of = {line.line_id: line.operator for line in network.lines}
    earned = np.zeros((len(chosen), len(operators)), dtype=np.int64)
    for at, stretch in enumerate(chosen.values()):
        if stretch:
            earned[at] = earned_metres(stretch, length_m(stretch), shared, operator_of, operators)
    return sums_along(paths_over(network, chosen), earned)
