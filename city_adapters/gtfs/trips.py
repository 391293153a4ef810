"""Routes, and the ways their trips take: each order of stops once, with the metres that the feed gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from city_adapters.findings import Severity
from city_adapters.gtfs.feed import Feed, Row
from city_adapters.network import LineKind

KINDS = {
    0: LineKind.TRAM,
    1: LineKind.METRO,
    2: LineKind.SUBURBAN_RAILWAY,
    5: LineKind.TRAM,
    7: LineKind.PEOPLE_MOVER,
    12: LineKind.MONORAIL,
}
"""What a city folder can say of the basic route types: rails behind gates. Buses, ferries and ropeways are left out."""
EXTENDED = {
    405: 12,
    **dict.fromkeys((400, 401, 402, 403, 404, 500, 600), 1),
    **dict.fromkeys((*range(100, 200), 300), 2),
    **dict.fromkeys(range(900, 1000), 0),
    **dict.fromkeys(range(1400, 1500), 7),
}
"""The basic type of each extended one."""
NO_STOP = "1"
"""Neither boarding nor alighting there: the train passes through."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route that the city takes over as a line."""

    route_id: str
    row: Row
    kind: LineKind
    agency: str


@dataclass(frozen=True, slots=True)
class Way:
    """One order of stops of a route; `traveled` is the feed's own measure at each stop, None where it gives none."""

    route_id: str
    shape_id: str
    stops: tuple[str, ...]
    traveled: tuple[float | None, ...]
    row: Row


def read_routes(feed: Feed, *, agency: str | None, route_types: tuple[int, ...] | None) -> list[Route]:
    """Read the routes that were asked for."""
    routes = []
    for row in feed.rows("routes.txt", "route_id", "route_type", needed=True):
        number = row.whole("route_type", blank=-1)
        basic = EXTENDED.get(number, number) if number is not None else None
        wanted = route_types is None or bool({number, basic} & set(route_types))
        if agency is not None and row["agency_id"] != agency:
            feed.left(row, f"the route is not of agency {agency} and is left out", "nothing to do", Severity.NOTE)
        elif not wanted:
            feed.left(row, f"route_type {number} was not asked for: left out", "ask for it with --route-type", Severity.NOTE)
        elif basic not in KINDS:
            feed.left(row, f"route_type {number} has no gates and is left out", "nothing to do", Severity.NOTE)
        else:
            routes.append(Route(row["route_id"], row, KINDS[basic], row["agency_id"]))
    return routes


def read_ways(feed: Feed, routes: Iterable[Route], stops: Mapping[str, object]) -> list[Way]:
    """Read the ways of these routes, each once, in the order in which the feed has their trips."""
    wanted = {route.route_id for route in routes}
    trips = {row["trip_id"]: row for row in feed.rows("trips.txt", "route_id", "trip_id", needed=True) if row["route_id"] in wanted}
    calls: dict[str, list[tuple[int, Row]]] = {trip: [] for trip in trips}
    for row in feed.rows("stop_times.txt", "trip_id", "stop_id", "stop_sequence", needed=True):
        if row["trip_id"] not in calls or (row["pickup_type"], row["drop_off_type"]) == (NO_STOP, NO_STOP):
            continue
        place = row.whole("stop_sequence", blank=-1)
        if place is None or place < 0 or row["stop_id"] not in stops:
            feed.left(row, "the call has no order or an unknown stop_id and is passed over", "correct it in the feed")
        else:
            calls[row["trip_id"]].append((place, row))
    ways: dict[tuple[object, ...], Way] = {}
    for trip, at in calls.items():
        rows = [row for _, row in sorted(at, key=lambda call: call[0])]
        if rows:
            way = _way(trips[trip], rows)
            ways.setdefault((way.route_id, way.shape_id, way.stops, way.traveled), way)
    return list(ways.values())


def _way(trip: Row, rows: list[Row]) -> Way:
    traveled = tuple(row.decimal("shape_dist_traveled") for row in rows)
    return Way(trip["route_id"], trip["shape_id"], tuple(row["stop_id"] for row in rows), traveled, rows[0])
