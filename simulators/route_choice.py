"""Riders whose true paths are known, and how far a split is from what they really rode.

The riders know nothing of the rule's model. Each line has its own speed and headway, each station its own walk, each rider an own
liking of every line and an own dislike of changing; and each takes the one path that seems shortest so. What a split says of them
is then held against the kilometres that they rode.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from city_adapters.city import City
from city_adapters.shared_track import earned_metres, stretches
from city_adapters.split_rule import SharedLines
from city_adapters.station_pairs import charge_pairs
from simulators.clock import stream

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

SPEED_KMH = (30.0, 46.0)
HEADWAY_S = (140.0, 420.0)
WALK_S = (60.0, 360.0)
LIKING = 0.12
"""How much longer or shorter a line seems to a rider than it is: the deviation of a factor's logarithm."""
DISLIKE_S = 180.0
"""What a change is worth avoiding to a rider, beyond its time: the mean of an exponential."""

NO_TIME_S = 0.001
"""A sparse graph knows no edge of zero."""


@dataclass(frozen=True, slots=True)
class SplitError:
    """How far a split is from the truth, in parts of all fares: of the operators' totals, and of ride after ride."""

    of_totals: float
    of_rides: float


@dataclass(frozen=True, slots=True)
class SplitTrial:
    """A population that rode, and how two splits of its fares compare with what it rode."""

    city: str
    rule: str
    riders: int
    fares_fen: int
    by_rule: SplitError
    by_shortest_path: SplitError

    def to_json(self) -> dict[str, Any]:
        """The trial under stable names."""
        errors = {"rule_error": self.by_rule, "shortest_path_error": self.by_shortest_path}
        told = {name: {"of_totals": error.of_totals, "of_rides": error.of_rides} for name, error in errors.items()}
        return {"city": self.city, "rule": self.rule, "riders": self.riders, "fares_fen": self.fares_fen, **told}


def try_split(city: City, *, riders: int, seed: int) -> SplitTrial:
    """Let riders ride, and hold the city's latest split rule and the shortest path against what they rode."""
    rule = replace(city.splits[-1], periods=())
    tariff = city.tariffs[-1]
    operators = tuple(operator.number for operator in city.operators)
    pairs = charge_pairs(city.network, operators, tariff, rule, tariff.charges[0])
    chance = stream(seed, f"route-choice-{city.slug}")
    world = _World(city, operators, rule.terms.shared, chance)
    start, end = _wishes(pairs.fare_fen, riders, chance)
    ridden = np.array([world.ride(int(one), int(other), chance) for one, other in zip(start, end, strict=True)])
    fares = pairs.fare_fen[start, end]
    truth = _in_parts(ridden)
    errors = [_error(_in_parts(split[start, end]), truth, fares) for split in (pairs.weights, pairs.marked_metres)]
    return SplitTrial(str(city.slug), rule.name, riders, int(fares.sum()), *errors)


def _wishes(fare_fen: Int64s, riders: int, chance: np.random.Generator) -> tuple[Int64s, Int64s]:
    """Draw where riders want to go among all pairs that the first charge joins."""
    start, end = np.nonzero((fare_fen >= 0) & ~np.eye(len(fare_fen), dtype=bool))
    drawn = chance.integers(0, len(start), riders)
    return start[drawn], end[drawn]


def _in_parts(weights: Int64s) -> Floats:
    parts: Floats = weights / weights.sum(axis=1, keepdims=True)
    return parts


def _error(split: Floats, truth: Floats, fares: Int64s) -> SplitError:
    """Half of all differences, as each fen too much is one too little elsewhere."""
    apart = (split - truth) * fares[:, None]
    total = float(fares.sum())
    return SplitError(float(np.abs(apart.sum(axis=0)).sum()) / total / 2, float(np.abs(apart).sum()) / total / 2)


class _Edge(NamedTuple):
    """A way on from one place to another: how long it takes in truth, and the line and stretch ridden (-1: none)."""

    tail: int
    head: int
    seconds: float
    line: int = -1
    stretch: int = -1
    is_change: bool = False


class _World:
    """A city as its riders find it: platforms joined by rides and changes, and what each takes in truth."""

    def __init__(self, city: City, operators: Sequence[int], shared: Sequence[SharedLines], chance: np.random.Generator) -> None:
        named = {line for charge in city.tariffs[-1].charges for line in charge.lines}
        self._network = city.network
        self._lines = [line.line_id for line in city.network.lines if line.line_id not in named]
        self._speed_kmh = dict(zip(self._lines, chance.uniform(*SPEED_KMH, len(self._lines)), strict=True))
        self._headway_s = dict(zip(self._lines, chance.uniform(*HEADWAY_S, len(self._lines)), strict=True))
        self._walk_s = chance.uniform(*WALK_S, len(city.stations))
        self._stretches = stretches(city.network, frozenset(self._lines), shared)
        platforms = dict.fromkeys(
            (row, link.line_id) for stretch in self._stretches for link in stretch.links for row in stretch.ends
        )
        self._platforms = {platform: at for at, platform in enumerate(platforms)}
        operator_of = {line.line_id: line.operator for line in city.network.lines}
        self._earned = [
            np.array(earned_metres(stretch, stretch.links[0].distance_m, shared, operator_of, operators))
            for stretch in self._stretches
        ]
        edges = sorted([*self._rides(), *self._changes(), *self._ways_in_and_out()])
        self._count = len(platforms) + 2 * len(city.stations)
        self._seconds = np.array([edge.seconds for edge in edges])
        self._line = np.array([edge.line for edge in edges])
        self._is_change = np.array([edge.is_change for edge in edges])
        self._heads = np.array([edge.head for edge in edges], dtype=np.int32)
        tails = np.array([edge.tail for edge in edges])
        self._starts = np.searchsorted(tails, np.arange(self._count + 1)).astype(np.int32)
        self._stretch = {(edge.tail, edge.head): edge.stretch for edge in edges}

    def ride(self, start: int, end: int, chance: np.random.Generator) -> Int64s:
        """Send one rider by the path that seems shortest, and add up whose metres it was."""
        liking = np.append(np.exp(chance.normal(0, LIKING, len(self._lines))), 1.0)
        seems = self._seconds * liking[self._line] + self._is_change * chance.exponential(DISLIKE_S)
        graph = csr_array((seems, self._heads, self._starts), shape=(self._count, self._count))
        _, before = dijkstra(graph, indices=self._way_in(start), return_predecessors=True)
        metres = np.zeros_like(self._earned[0])
        here = self._way_out(end)
        while here != self._way_in(start):
            last = int(before[here])
            if self._stretch[last, here] >= 0:
                metres += self._earned[self._stretch[last, here]]
            here = last
        return metres

    def _rides(self) -> Iterator[_Edge]:
        for at, stretch in enumerate(self._stretches):
            for link in stretch.links:
                one, other = (self._platforms[row, link.line_id] for row in stretch.ends)
                seconds, line = link.distance_m * 3.6 / self._speed_kmh[link.line_id], self._lines.index(link.line_id)
                yield _Edge(one, other, seconds, line, at)
                yield _Edge(other, one, seconds, line, at)

    def _changes(self) -> Iterator[_Edge]:
        """Change between any two lines of a station, and by the walks outside that fares run through."""
        rows = self._network.rows
        walks = [(rows[way.from_id], rows[way.to_id]) for way in self._network.transfers if way.joins_fares and way.to_id in rows]
        joined = {*((row, row) for row, _ in self._platforms), *walks, *((there, here) for here, there in walks)}
        for (row, line), tail in self._platforms.items():
            for (there, other), head in self._platforms.items():
                if other != line and (row, there) in joined:
                    yield _Edge(tail, head, self._walk_s[row] + self._headway_s[other] / 2, is_change=True)

    def _ways_in_and_out(self) -> Iterator[_Edge]:
        for (row, line), platform in self._platforms.items():
            yield _Edge(self._way_in(row), platform, self._headway_s[line] / 2)
            yield _Edge(platform, self._way_out(row), NO_TIME_S)

    def _way_in(self, row: int) -> int:
        return len(self._platforms) + 2 * row

    def _way_out(self, row: int) -> int:
        return self._way_in(row) + 1
