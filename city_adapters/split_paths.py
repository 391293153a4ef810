"""The paths that one pair's split is made of, told so that anyone can recompute it: probability, lines, metres, cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise

import numpy as np

from city_adapters.efficient_paths import EfficientPaths, efficient_paths
from city_adapters.link_probabilities import logit_weights, weights_and_metres
from city_adapters.listed_paths import ListedPaths, listed_paths
from city_adapters.network import Network
from city_adapters.path_shares import by_pair, metres_by_operator
from city_adapters.paths import Int64s
from city_adapters.portable_exp import Floats
from city_adapters.ride_graph import ride_graph
from city_adapters.shared_track import Stretch, earned_metres
from city_adapters.shortest_split import length_m, paths_over, shortest_stretches
from city_adapters.split_rule import SplitModel, SplitRule, SplitTerms
from city_adapters.split_weights import path_weights
from city_adapters.whole_shares import WHOLE, whole_shares
from fare_chain.identifiers import StationId

TOLD = 32
"""A logit goes over all efficient paths; so many of the cheapest are told, and what the others have together."""
NO_LIMIT = Fraction(10**9)


@dataclass(frozen=True, slots=True)
class PathLeg:
    """A part of a path on one line, from the first station to the last; no line where riders walk outside."""

    line_id: str
    stations: tuple[StationId, ...]


@dataclass(frozen=True, slots=True)
class SplitPath:
    """One path: its probability in parts of a hundred million, its legs, and what it counts for each operator.

    `cost_ms` is what the model compares, zero for the shortest path, which compares nothing.
    """

    parts: int
    legs: tuple[PathLeg, ...]
    metres: int
    operator_metres: tuple[tuple[int, int], ...]
    cost_ms: int


@dataclass(frozen=True, slots=True)
class SplitPaths:
    """The paths of a pair, the cheapest first; their parts and `untold_parts` sum to a hundred million where there is a path."""

    paths: tuple[SplitPath, ...]
    untold_parts: int


def paths_of(
    network: Network, rule: SplitRule, lines: frozenset[str], from_id: StationId, to_id: StationId, period: str = ""
) -> SplitPaths:
    """Tell the paths that a rule weighs from one station to another over the lines of one charge; none where it weighs none."""
    terms = rule.terms_of(period)
    start, end = network.rows[from_id], network.rows[to_id]
    smaller, larger = min(start, end), max(start, end)
    if start == end or terms.model is SplitModel.STATIONS:
        return SplitPaths((), 0)
    operators = tuple(sorted({line.operator for line in network.lines}))
    tell = _shortest if terms.model is SplitModel.SHORTEST_PATH_METRES else _modelled
    told = tell(network, operators, terms, lines, smaller, larger)
    if not told.paths and tell is _modelled:
        told = _shortest(network, operators, terms, lines, smaller, larger)
    return told if start == smaller else SplitPaths(tuple(map(_reversed, told.paths)), told.untold_parts)


def _modelled(
    network: Network, operators: Sequence[int], terms: SplitTerms, lines: frozenset[str], start: int, end: int
) -> SplitPaths:
    assert terms.cost is not None, "a model over several paths has its costs"
    graph = ride_graph(network, operators, lines, terms.cost, terms.shared)
    paths = efficient_paths(graph, np.array([start]))
    if terms.model is SplitModel.LOGIT:
        listed = listed_paths(paths, NO_LIMIT, np.array([[0, end]]), TOLD)
        probabilities = _of_all(paths, listed, terms, end)
    else:
        assert terms.x_max is not None, "a model that lists paths says how dear they may be"
        listed = listed_paths(paths, terms.x_max, np.array([[0, end]]))
        probabilities = by_pair(*path_weights(listed, graph, terms))[0] if len(listed.end) else np.zeros(0)
    if not len(listed.end):
        return SplitPaths((), 0)
    parts = whole_shares(probabilities)
    earned = metres_by_operator(listed, graph.hops)
    told = tuple(
        SplitPath(
            int(parts[at]),
            _legs(network, [hop for hop in listed.hops[at, ::-1].tolist() if hop >= 0], paths),
            int(earned[at].sum()),
            _by_operator(operators, earned[at]),
            int(listed.cost_ms[at]),
        )
        for at in range(len(listed.end))
    )
    return SplitPaths(told, int(parts[len(told) :].sum()))


def _of_all(paths: EfficientPaths, listed: ListedPaths, terms: SplitTerms, end: int) -> Floats:
    """The logit's weights of listed paths, and behind them that of all other efficient paths together."""
    assert terms.theta_per_min is not None, "a logit has its theta"
    total = float(weights_and_metres(paths, terms.theta_per_min)[0][0, end])
    weights = logit_weights(listed.cost_ms - paths.ends_ms[0, end], terms.theta_per_min)
    return np.append(weights, max(0.0, total - sum(weights.tolist())))


def _shortest(
    network: Network, operators: Sequence[int], terms: SplitTerms, lines: frozenset[str], start: int, end: int
) -> SplitPaths:
    chosen = shortest_stretches(network, lines, terms.shared)
    paths = paths_over(network, chosen)
    if paths.metres[start, end] < 0:
        return SplitPaths((), 0)
    rows = [end]
    while rows[-1] != start:
        rows.append(int(paths.before[start, rows[-1]]))
    ridden = [(one, other, chosen[min(one, other), max(one, other)]) for one, other in pairwise(reversed(rows))]
    operator_of = {line.line_id: line.operator for line in network.lines}
    earned = np.zeros(len(operators), dtype=np.int64)
    for _, _, stretch in ridden:
        if stretch:
            earned += earned_metres(stretch, length_m(stretch), terms.shared, operator_of, operators)
    on = _lines_ridden([stretch for _, _, stretch in ridden])
    legs = _grouped(network, [(line, one, other) for line, (one, other, _) in zip(on, ridden, strict=True)])
    return SplitPaths((SplitPath(WHOLE, legs, int(earned.sum()), _by_operator(operators, earned), 0),), 0)


def _lines_ridden(stretches: Sequence[Stretch | None]) -> list[str]:
    """Name a line for each stretch: the one already ridden where it goes on, else the one that goes furthest."""
    on: list[str] = []
    running = [[link.line_id for link in stretch.links] if stretch else [""] for stretch in stretches]
    for at, here in enumerate(running):
        if on and on[-1] in here:
            on.append(on[-1])
        else:
            on.append(max(here, key=lambda line: _goes_on(line, running[at:])))
    return on


def _goes_on(line: str, running: Sequence[Sequence[str]]) -> int:
    return next((count for count, here in enumerate(running) if line not in here), len(running))


def _legs(network: Network, hops: Sequence[int], paths: EfficientPaths) -> tuple[PathLeg, ...]:
    """Join hops to legs; where one hop does not begin where the last one ended, the rider walked."""
    graph = paths.graph.hops
    ridden: list[tuple[str, int, int]] = []
    for hop in hops:
        begin, to = int(graph.from_row[hop]), int(graph.to_row[hop])
        if ridden and ridden[-1][2] != begin:
            ridden.append(("", ridden[-1][2], begin))
        ridden.append((graph.line[hop], begin, to))
    return _grouped(network, ridden)


def _grouped(network: Network, ridden: Sequence[tuple[str, int, int]]) -> tuple[PathLeg, ...]:
    ids = [station.station_id for station in network.stations]
    legs = []
    for line, hops in groupby(ridden, key=lambda hop: hop[0]):
        leg = list(hops)
        legs.append(PathLeg(line, (ids[leg[0][1]], *(ids[to] for _, _, to in leg))))
    return tuple(legs)


def _by_operator(operators: Sequence[int], earned: Int64s) -> tuple[tuple[int, int], ...]:
    return tuple((number, metres) for number, metres in zip(operators, earned.tolist(), strict=True) if metres)


def _reversed(path: SplitPath) -> SplitPath:
    legs = tuple(PathLeg(leg.line_id, leg.stations[::-1]) for leg in path.legs[::-1])
    return SplitPath(path.parts, legs, path.metres, path.operator_metres, path.cost_ms)
