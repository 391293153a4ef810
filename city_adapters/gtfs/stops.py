"""Stops grouped to places: platforms to their parent station, and stops without one to others of their name nearby."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from city_adapters.gtfs.feed import Feed, Row
from city_adapters.gtfs.names import tidy
from city_adapters.network_shape import METRES_PER_E3

ONE_PLACE_M = 400
"""Stops of one name closer than this are one station."""
STOP, STATION, BOARDING_AREA = 0, 1, 4
"""The location types that matter; 2 is an entrance, 3 a node of a footpath."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a vehicle stops, or the station around it."""

    stop_id: str
    row: Row
    name: str
    lon: float
    lat: float
    location_type: int
    parent: str


@dataclass(frozen=True, slots=True)
class Place:
    """A station to be: the stop that names it, its position, and the stops that belong to it."""

    root: Stop
    lon: float
    lat: float
    stops: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """All places by the id of the stop that names them, and the place of each stop."""

    stops: Mapping[str, Stop]
    by_root: Mapping[str, Place]
    root_of: Mapping[str, str]


def read_places(feed: Feed) -> Places:
    """Group a feed's stops."""
    stops = {stop.stop_id: stop for stop in _stops(feed)}
    root_of = {stop_id: _root(feed, stops, stop) for stop_id, stop in stops.items()}
    merged = _merged(feed, [stops[root] for root in dict.fromkeys(root_of.values())])
    root_of = {stop_id: merged[root] for stop_id, root in root_of.items()}
    members: dict[str, list[Stop]] = {}
    for stop_id, root in root_of.items():
        members.setdefault(root, []).append(stops[stop_id])
    return Places(stops, {root: _place(stops[root], inside) for root, inside in members.items()}, root_of)


def distance_m(one: Stop | Place, other: Stop | Place) -> float:
    """The straight line between two positions."""
    return metres_between(one.lon, one.lat, other.lon, other.lat)


def metres_between(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """The straight line between two positions in degrees, good for the length of a city."""
    narrowing = math.cos(math.radians((lat + other_lat) / 2))
    return math.hypot((lon - other_lon) * narrowing, lat - other_lat) * 1000 * METRES_PER_E3


def _stops(feed: Feed) -> Iterable[Stop]:
    for row in feed.rows("stops.txt", "stop_id", needed=True):
        kind = row.whole("location_type", blank=STOP)
        lon, lat = row.decimal("stop_lon"), row.decimal("stop_lat")
        if kind not in (STOP, STATION, BOARDING_AREA):
            continue  # entrances and footpaths: a station is where trains stop
        if not row["stop_id"] or lon is None or lat is None or abs(lat) > 90 or abs(lon) > 180:
            if kind != BOARDING_AREA:
                feed.left(row, "the stop has no id or no position and is passed over", "correct it in the feed")
            continue
        yield Stop(row["stop_id"], row, tidy(row["stop_name"]), lon, lat, kind, row["parent_station"])


def _root(feed: Feed, stops: Mapping[str, Stop], stop: Stop) -> str:
    """The stop that has no parent above a stop: at most boarding area, platform, station."""
    here = stop
    for _ in range(3):
        if not here.parent:
            return here.stop_id
        if here.parent not in stops:
            feed.left(stop.row, "its parent_station is not in the file: the stop stands for itself", "correct it in the feed")
            return here.stop_id
        here = stops[here.parent]
    return here.stop_id


def _merged(feed: Feed, roots: list[Stop]) -> dict[str, str]:
    """Take stops without a parent to the first place of their name nearby; stations stay apart."""
    merged: dict[str, str] = {}
    named: dict[str, list[Stop]] = {}
    for stop in sorted(roots, key=lambda stop: stop.location_type != STATION):
        near = [other for other in named.get(stop.name, ()) if distance_m(stop, other) <= ONE_PLACE_M]
        if stop.location_type != STATION and stop.name and near:
            merged[stop.stop_id] = near[0].stop_id
            found = f"has no parent_station and is taken to a stop of its name within {ONE_PLACE_M} m"
            feed.left(stop.row, found, "give it its parent_station, or tell the two names apart")
        else:
            merged[stop.stop_id] = stop.stop_id
            named.setdefault(stop.name, []).append(stop)
    return merged


def _place(root: Stop, inside: list[Stop]) -> Place:
    """A station stands where the feed puts it; a group of stops in their middle."""
    around = [root] if root.location_type == STATION else inside
    lon, lat = (sum(values) / len(around) for values in ([stop.lon for stop in around], [stop.lat for stop in around]))
    return Place(root, lon, lat, tuple(stop.stop_id for stop in inside))
