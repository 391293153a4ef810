"""Links of lines: neighbours only, each line in one piece, and the network of all of them in one piece too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from city_adapters.findings import Severity
from city_adapters.gtfs.feed import Feed
from city_adapters.gtfs.lengths import STRAIGHT, Length, Pair
from city_adapters.gtfs.stops import Places
from city_adapters.gtfs.trips import Route, Way
from city_adapters.network import pieces
from fare_chain.identifiers import StationId

EXPRESS = 0.15
"""A run past a station is as long as the two runs that stop there, up to this part."""


@dataclass(frozen=True, slots=True)
class Run:
    """One line to be: a route, or the part of it that hangs together, with its links in the order of its trips."""

    route: Route
    links: tuple[tuple[Pair, Length], ...]

    @property
    def places(self) -> list[str]:
        """The places that it serves, in the order of its links."""
        return list(dict.fromkeys(place for pair, _ in self.links for place in pair))


def lay_track(
    feed: Feed, places: Places, routes: Sequence[Route], ways: Sequence[Way], lengths: Mapping[tuple[str, Pair], Length]
) -> list[Run]:
    """Make the links of every route, without runs past a station, in pieces that hang together."""
    runs = []
    for route in routes:
        links = {pair: length for (route_id, pair), length in lengths.items() if route_id == route.route_id}
        orders = [_order(places, way) for way in ways if way.route_id == route.route_id]
        past = [pair for pair in links if _runs_past(pair, links, orders)]
        for pair in past:
            found = "trips run past stations at which other trips of the route stop: such runs are no links of their own"
            feed.left(route.row, found, "nothing to do", Severity.NOTE)
            del links[pair]
        parts = pieces([StationId(place) for place in dict.fromkeys(end for pair in links for end in pair)], _ends(links))
        if not parts:
            feed.left(route.row, "the route has no trip between two stations and is left out", "nothing to do")
        elif len(parts) > 1:
            found = f"the route is in {len(parts)} pieces that no trip joins: each becomes a line"
            feed.left(route.row, found, "check the lines, and join them where track joins them")
        for part in parts:
            inside = set(part)
            runs.append(Run(route, tuple((pair, length) for pair, length in links.items() if pair[0] in inside)))
    return runs


def largest_network(feed: Feed, runs: Sequence[Run], walks: Iterable[Pair]) -> list[Run]:
    """Keep the runs of the largest piece of the network: no fare leads from one piece to another."""
    ends = [pair for run in runs for pair, _ in run.links]
    served = list(dict.fromkeys(end for pair in ends for end in pair))
    joints = [(StationId(one), StationId(other)) for one, other in (*ends, *walks)]
    whole = {str(place) for piece in pieces([StationId(place) for place in served], joints)[:1] for place in piece}
    kept = []
    for run in runs:
        if run.places[0] in whole:
            kept.append(run)
        else:
            found = "the route is joined to the largest network by no station and no transfer: it is left out"
            feed.left(run.route.row, found, "add a transfer to the feed, or import it as a city of its own")
    return kept


def _order(places: Places, way: Way) -> list[str]:
    """The places of a way, one after the other."""
    roots = [places.root_of[stop] for stop in way.stops]
    return [root for root, before in zip(roots, ["", *roots], strict=False) if root != before]


def _runs_past(pair: Pair, links: Mapping[Pair, Length], orders: Sequence[list[str]]) -> bool:
    """Whether another way stops between the two, over track that is about as long.

    A trip that itself stops there elsewhere does not run past: so a loop keeps the link that closes it.
    """
    neighbours = [set(order) for order in orders if any(_pair(*step) == pair for step in pairwise(order))]
    for order in orders:
        for begin, end in _stretches(order, pair):
            between = order[begin + 1 : end]
            steps = [_pair(*step) for step in zip(order[begin:end], order[begin + 1 : end + 1], strict=True)]
            if not between or pair in steps or any(set(between) & visited for visited in neighbours):
                continue
            around = [links[step] for step in steps if step in links]
            guessed = any(length.source == STRAIGHT for length in (*around, links[pair]))
            metres = sum(length.metres for length in around)
            if guessed or abs(metres - links[pair].metres) <= EXPRESS * metres:
                return True
    return False


def _stretches(order: list[str], pair: Pair) -> Iterable[tuple[int, int]]:
    """Where a way goes from one of the two to the other without meeting either between."""
    at = [place for place, root in enumerate(order) if root in pair]
    return ((begin, end) for begin, end in pairwise(at) if order[begin] != order[end])


def _pair(one: str, other: str) -> Pair:
    first, second = sorted((one, other))
    return first, second


def _ends(links: Iterable[Pair]) -> list[tuple[StationId, StationId]]:
    return [(StationId(one), StationId(other)) for one, other in links]
