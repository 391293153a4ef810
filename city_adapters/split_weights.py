"""What each operator earned of every pair, under one split rule and the lines of one charge: whole-number weights.

The clearing path is found here and knows nothing of prices. The model that holds is tried first; a pair that it has no path for is
earned by the shortest path, and a ride without metres by the lines that stop at its ends.
"""

from dataclasses import dataclass

import numpy as np

from city_adapters.efficient_paths import efficient_paths
from city_adapters.link_probabilities import weights_and_metres
from city_adapters.listed_paths import ListedPaths, listed_paths
from city_adapters.network import Network
from city_adapters.path_shares import Grouped, grouped, normal_shares, operator_shares, path_size_shares
from city_adapters.paths import Int64s
from city_adapters.portable_exp import Floats
from city_adapters.ride_graph import RideGraph, ride_graph
from city_adapters.shortest_split import shortest_metres
from city_adapters.split_rule import SplitModel, SplitRule, SplitTerms, StationWeights
from city_adapters.whole_shares import WHOLE, whole_parts, whole_shares

BLOCK = 24
"""Origins whose paths are listed at once: enough to be quick, few enough to stay small in memory."""
MILLION = 1_000_000


@dataclass(frozen=True)
class SplitWeights:
    """Weights (n, n, k) outside all periods, then of each period in the rule's order; metres prove what a marker tap says.

    Only the ratio within a pair counts: metres for the shortest path, parts of a hundred million for the other models. A pair is
    earned alike both ways unless entry and exit stations weigh differently.
    """

    of_periods: tuple[Int64s, ...]
    metres: Int64s


def split_weights(network: Network, operators: tuple[int, ...], rule: SplitRule, lines: frozenset[str]) -> SplitWeights:
    """Weigh every pair that these lines join, for the rule itself and for each of its periods."""
    stops = stops_by_operator(network, operators, lines)
    weighed: dict[SplitTerms, Int64s] = {}
    for terms in (rule.terms, *(period.terms for period in rule.periods)):
        if terms not in weighed:
            weighed[terms] = _weighed(network, operators, rule, terms, lines, stops)
    of_periods = tuple(weighed[terms] for terms in (rule.terms, *(period.terms for period in rule.periods)))
    return SplitWeights(of_periods, shortest_metres(network, operators, lines, rule.terms.shared))


def stops_by_operator(network: Network, operators: tuple[int, ...], lines: frozenset[str]) -> Int64s:
    """How many of the lines that stop at each station an operator runs: the weights of a ride that covers no metres."""
    operator_of = {line.line_id: line.operator for line in network.lines}
    stops = np.zeros((len(network.stations), len(operators)), dtype=np.int64)
    for row, station in enumerate(network.stations):
        for line_id in network.lines_at[station.station_id]:
            if line_id in lines:
                stops[row, operators.index(operator_of[line_id])] += 1
    return stops


def _weighed(
    network: Network, operators: tuple[int, ...], rule: SplitRule, terms: SplitTerms, lines: frozenset[str], stops: Int64s
) -> Int64s:
    shortest = shortest_metres(network, operators, lines, terms.shared)
    served = stops.any(axis=1)
    without = (shortest.sum(axis=2) == 0) & np.logical_and.outer(served, served)
    weights = np.where(without[:, :, None], stops[:, None] + stops[None, :], shortest)
    if terms.model is SplitModel.STATIONS:
        halves = StationWeights(MILLION // 2, MILLION // 2, rule.provenance)
        return _with_stations(weights, stops, halves)
    if terms.model is not SplitModel.SHORTEST_PATH_METRES and len({int(place) for place in np.nonzero(stops)[1]}) > 1:
        modelled = modelled_parts(network, operators, terms, lines)
        weights = np.where(modelled.sum(axis=2)[:, :, None] > 0, modelled, weights)
    return _with_stations(weights, stops, rule.station_weights) if rule.station_weights else weights


def modelled_parts(network: Network, operators: tuple[int, ...], terms: SplitTerms, lines: frozenset[str]) -> Int64s:
    """Parts of a hundred million by operator, from the smaller row to the larger and mirrored; zeros where there is no path."""
    assert terms.cost is not None, "a model over several paths has its costs"
    graph = ride_graph(network, operators, lines, terms.cost, terms.shared)
    rows = np.unique(graph.boardings[:, 0])
    parts = np.zeros((len(network.stations), len(network.stations), len(operators)), dtype=np.int64)
    if terms.model is SplitModel.LOGIT:
        _fill_by_links(parts, graph, rows, terms)
    else:
        for begin in range(0, len(rows), BLOCK):
            _fill_by_paths(parts, graph, rows[begin : begin + BLOCK], terms)
    later = np.tril_indices(len(parts))
    parts[later] = parts[later[::-1]]
    diagonal = np.arange(len(parts))
    parts[diagonal, diagonal] = 0
    return parts


def path_weights(listed: ListedPaths, graph: RideGraph, terms: SplitTerms) -> tuple[Grouped, Floats]:
    """Weigh listed paths by the model that lists them."""
    paths = grouped(listed)
    if terms.model is SplitModel.NORMAL:
        assert terms.sigma is not None, "a normal share has its sigma"
        return paths, normal_shares(paths, terms.sigma)
    assert terms.theta_per_min is not None, "a logit has its theta"
    return paths, path_size_shares(paths, graph.hops, terms.theta_per_min)


def _fill_by_links(parts: Int64s, graph: RideGraph, rows: Int64s, terms: SplitTerms) -> None:
    assert terms.theta_per_min is not None, "a logit has its theta"
    _, metres = weights_and_metres(efficient_paths(graph, rows), terms.theta_per_min)
    parts[rows] = whole_shares(metres)


def _fill_by_paths(parts: Int64s, graph: RideGraph, rows: Int64s, terms: SplitTerms) -> None:
    assert terms.x_max is not None, "a model that lists paths says how dear they may be"
    listed = listed_paths(efficient_paths(graph, rows), terms.x_max)
    paths, weights = path_weights(listed, graph, terms)
    shares = operator_shares(paths, graph.hops, weights)
    parts[rows[listed.origin[paths.first]], listed.end[paths.first]] = whole_shares(shares)


def _with_stations(weights: Int64s, stops: Int64s, station: StationWeights) -> Int64s:
    """Mix the weights of each pair with those of its entry and its exit station, exactly; no longer alike both ways."""
    total, at_station = weights.sum(axis=2), np.maximum(stops.sum(axis=1), 1)
    entry, end = at_station[:, None], at_station[None, :]
    rest = MILLION - station.boarding_ppm - station.alighting_ppm
    mixed = weights * (rest * entry * end)[:, :, None]
    mixed += (station.boarding_ppm * total * end)[:, :, None] * stops[:, None, :]
    mixed += (station.alighting_ppm * total * entry)[:, :, None] * stops[None, :, :]
    return whole_parts(mixed * (WHOLE // MILLION), total * entry * end)
