"""Where a rider can be on a path, and how it goes on: ride to the next station, and there stay on the train, change, or leave.

A *node* is a rider on the way at a station on a line: on the train, or on its platform to board it. A *step* rides one link and
then stays, or changes; a *leaving* rides one link and ends. So no path changes twice at one station, or changes and then leaves.

Lines that run over one stretch offer one path there, not several. Whoever boards a line where another runs beside it owes a reason
to have boarded just this one: until a link that the others do not run over, the rider may neither change nor leave. Those others
are the node's *rivals*: the line just left, and lines named before this one. Nor does a rider change to a line that already ran
beside the last link: the change belongs to the first station where both meet. (Where three lines or more share different stretches
a path may remain that changes without need; it costs more.)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from city_adapters.network import Network
from city_adapters.paths import Int64s
from city_adapters.shared_track import earned_metres, stretches
from city_adapters.shortest_split import walks
from city_adapters.split_rule import SharedLines
from city_adapters.travel_cost import TravelCost

Platform = tuple[int, str]
Node = tuple[int, str, frozenset[str]]
"""Row, line, rivals."""


@dataclass(frozen=True)
class Hops:
    """Rides to the next station, in each direction: rows, line, stretch, metres, cost, and the metres by operator (h, k).

    Over one track all lines take as long as the one named first.
    """

    from_row: Int64s
    to_row: Int64s
    line: tuple[str, ...]
    stretch: Int64s
    metres: Int64s
    ride_ms: Int64s
    earned: Int64s


@dataclass(frozen=True)
class Steps:
    """From node `tail` ride `hop`, be at node `through`, and go on from node `head`: the same one, or another after a change."""

    tail: Int64s
    through: Int64s
    head: Int64s
    hop: Int64s
    cost_ms: Int64s


@dataclass(frozen=True)
class Leavings:
    """From node `tail` ride `hop`, be at node `through`, and leave at the station `row`."""

    tail: Int64s
    through: Int64s
    row: Int64s
    hop: Int64s
    cost_ms: Int64s


@dataclass(frozen=True)
class Moves:
    """Every ride, change and walk between platforms, whatever a rider did before: what least costs are made of.

    `walked_from` is the row that a walk outside begins at, -1 for other moves.
    """

    tail: Int64s
    head: Int64s
    cost_ms: Int64s
    walked_from: Int64s


@dataclass(frozen=True)
class RideGraph:
    """All nodes, steps and leavings of some lines; `boardings` are (b, 2): a row and the node at which a ride may begin there.

    A *platform* is a station on a line; `platform` says on which one each node is, and `moves` lead from one to another.
    """

    stations: int
    nodes: tuple[Node, ...]
    platform: Int64s
    moves: Moves
    boardings: Int64s
    hops: Hops
    steps: Steps
    leavings: Leavings


@dataclass
class _Walker:
    """Finds every node that a rider can come to, beginning on every platform."""

    numbers: dict[Node, int] = field(default_factory=dict)
    waiting: list[Node] = field(default_factory=list)

    def number(self, node: Node) -> int:
        if node not in self.numbers:
            self.numbers[node] = len(self.numbers)
            self.waiting.append(node)
        return self.numbers[node]


def ride_graph(
    network: Network, operators: Sequence[int], lines: frozenset[str], cost: TravelCost, shared: Sequence[SharedLines]
) -> RideGraph:
    """Lay out where riders of these lines can be and how they go on; rows count all stations of the network."""
    hops, rivals_of = _hops(network, operators, lines, cost, shared)
    leaving: dict[Platform, list[int]] = {}
    for hop, (row, line) in enumerate(zip(hops.from_row.tolist(), hops.line, strict=True)):
        leaving.setdefault((row, line), []).append(hop)
    platforms = _Platforms(network, lines, leaving, rivals_of, cost)
    walker = _Walker()
    boardings = [(row, walker.number(platforms.boarded(row, line))) for row, line in leaving]
    steps: list[tuple[int, int, int, int, int]] = []
    leavings: list[tuple[int, int, int, int, int]] = []
    while walker.waiting:
        node = walker.waiting.pop()
        tail = walker.numbers[node]
        row, line, rivals = node
        for hop in leaving[row, line]:
            there: Node = (int(hops.to_row[hop]), line, rivals & rivals_of[hop])
            through, ride_ms = walker.number(there), int(hops.ride_ms[hop])
            steps.append((tail, through, through, hop, ride_ms))
            if not there[2]:
                leavings.append((tail, through, there[0], hop, ride_ms))
                steps += [
                    (tail, through, walker.number(other), hop, ride_ms + change_ms)
                    for other, change_ms in platforms.changes(there[0], line, rivals_of[hop])
                ]
    stepped, left = (_by_hop(rows) for rows in (steps, leavings))
    ways = Steps(stepped[0], stepped[1], stepped[2], stepped[3], stepped[4])
    ends = Leavings(left[0], left[1], left[2], left[3], left[4])
    begun = np.array(boardings, dtype=np.int64).reshape(-1, 2)
    numbers = {platform: at for at, platform in enumerate(leaving)}
    on = np.array([numbers[row, line] for row, line, _ in walker.numbers], dtype=np.int64)
    moves = _moves(platforms, numbers, hops)
    return RideGraph(len(network.stations), tuple(walker.numbers), on, moves, begun, hops, ways, ends)


def _by_hop(rows: list[tuple[int, int, int, int, int]]) -> Int64s:
    """Columns in the order of the hop ridden: of paths that cost the same, this says which is listed first."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return columns[:, np.argsort(columns[3], kind="stable")]


class _Platforms:
    """Which lines a rider finds at each station, and whom each would have to justify itself against."""

    def __init__(
        self,
        network: Network,
        lines: frozenset[str],
        leaving: dict[Platform, list[int]],
        rivals_of: Sequence[frozenset[str]],
        cost: TravelCost,
    ) -> None:
        self._order = {line.line_id: at for at, line in enumerate(network.lines)}
        self._at: dict[int, list[str]] = {}
        for row, line in leaving:
            self._at.setdefault(row, []).append(line)
        self._beside = {
            platform: frozenset(rival for hop in hops for rival in rivals_of[hop]) for platform, hops in leaving.items()
        }
        self._change_ms, self._walk_ms = cost.change_ms(), cost.change_ms(outside=True)
        self._walks: dict[Platform, list[Platform]] = {}
        for walk in walks(network, lines):
            one, other = network.rows[walk.from_id], network.rows[walk.to_id]
            for here, there in ((one, other), (other, one)):
                # Outside, a walk leads from station to station, whichever line it is told for.
                for line in self._at.get(here, ()):
                    self._walks.setdefault((here, line), []).extend((there, beyond) for beyond in self._at.get(there, ()))

    def boarded(self, row: int, line: str, left: str = "") -> Node:
        """The node of a rider who has come to this platform, from the line `left` where it is a change."""
        order = self._order
        rivals = (rival for rival in self._beside[row, line] if rival == left or order[rival] < order[line])
        return row, line, frozenset(rivals)

    def beside(self, row: int, line: str) -> Iterable[tuple[Platform, int, int]]:
        """Every platform that can be walked to from this one, at what cost, and where a walk outside begins (else -1)."""
        yield from (((row, other), self._change_ms, -1) for other in self._at[row] if other != line)
        yield from ((there, self._walk_ms, row) for there in self._walks.get((row, line), ()))

    def changes(self, row: int, line: str, beside: frozenset[str]) -> Iterable[tuple[Node, int]]:
        """Where a rider of this line can change to, and at what cost; not to lines that ran beside the last link."""
        for other in self._at[row]:
            if other != line and other not in beside:
                yield self.boarded(row, other, left=line), self._change_ms
        for there, other in self._walks.get((row, line), ()):
            yield self.boarded(there, other), self._walk_ms


def _moves(platforms: _Platforms, numbers: dict[Platform, int], hops: Hops) -> Moves:
    moved = [
        (numbers[row, line], numbers[there, line], ride_ms, -1)
        for row, there, line, ride_ms in zip(
            hops.from_row.tolist(), hops.to_row.tolist(), hops.line, hops.ride_ms.tolist(), strict=True
        )
    ]
    moved += [
        (numbers[here], numbers[there], change_ms, walked_from)
        for here in numbers
        for there, change_ms, walked_from in platforms.beside(*here)
    ]
    columns = np.array(moved, dtype=np.int64).reshape(-1, 4).T
    return Moves(columns[0], columns[1], columns[2], columns[3])


def _hops(
    network: Network, operators: Sequence[int], lines: frozenset[str], cost: TravelCost, shared: Sequence[SharedLines]
) -> tuple[Hops, list[frozenset[str]]]:
    """List the rides of each link in both directions, and beside each the other lines that run over its stretch."""
    operator_of = {line.line_id: line.operator for line in network.lines}
    rows: list[tuple[int, int, int, int, int]] = []
    on, earned, rivals_of = [], [], []
    for number, stretch in enumerate(stretches(network, lines, shared)):
        ride_ms = cost.ride_ms(stretch.links[0].line_id, stretch.links[0].distance_m)
        together = frozenset(link.line_id for link in stretch.links)
        for link in stretch.links:
            metres = earned_metres(stretch, link.distance_m, shared, operator_of, operators)
            for first, second in (stretch.ends, stretch.ends[::-1]):
                rows.append((first, second, number, link.distance_m, ride_ms))
                on.append(link.line_id)
                earned.append(metres)
                rivals_of.append(together - {link.line_id})
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    by_operator = np.array(earned, dtype=np.int64).reshape(-1, len(operators))
    return Hops(columns[0], columns[1], tuple(on), columns[2], columns[3], columns[4], by_operator), rivals_of
