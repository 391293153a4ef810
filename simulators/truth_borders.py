"""Which journeys of two cities are one ride over a border, in the plainest code: out at one side, in at the other, in time."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from city_adapters.tables import CityTable
from simulators.truth_rides import Ride


class Side(NamedTuple):
    """One end of a cleared journey at a border: `begins` 0 where it ended there, 1 where it began there, 2 more once joined."""

    medium: bytes
    journey_id: bytes
    at_us: int
    station: int
    host: int
    begins: int


class Way(NamedTuple):
    """A border that may be passed this way: (host, station) at both sides, and in how much time."""

    out_at: tuple[int, int]
    in_at: tuple[int, int]
    limit_us: int


def ways_over(tables: Iterable[CityTable]) -> list[Way]:
    """Every border of these cities whose other side is one of their stations."""
    cities = list(tables)
    places = {
        name: (city.city, int(number))
        for city in cities
        for name, number in zip(city.station_ids, city.station_numbers, strict=True)
    }
    return [
        Way((city.city, int(city.station_numbers[border.row])), places[border.other_id], border.limit_us)
        for city in cities
        for border in city.borders
        if border.other_id in places
    ]


def sides_of(ride: Ride, tables: Iterable[CityTable]) -> list[Side]:
    """The ends of a ride at which it may be joined to another city's."""
    ways = ways_over(tables)
    ends = []
    for tap, begins in ((ride.leave, 0), (ride.entry, 1)):
        if any((tap.host, tap.station) == (way.in_at if begins else way.out_at) for way in ways):
            ends.append(Side(tap.medium, ride.journey_id, tap.tapped_at_us, tap.station, tap.host, begins))
    return ends


def joined(sides: list[Side], tables: Iterable[CityTable]) -> tuple[list[tuple[bytes, bytes]], list[Side]]:
    """Join each ending to the beginning that comes next among its rider's sides: the journeys' ids, and the sides that stay."""
    ways = ways_over(tables)
    ordered = sorted(sides, key=lambda side: (side.medium, side.at_us, side.begins % 2, side.journey_id))
    pairs = [(end, begin) for end, begin in pairwise(ordered) if passes(end, begin, ways)]
    done = [side for pair in pairs for side in pair]
    marked = [side._replace(begins=side.begins + 2) if side in done else side for side in sides]
    alone = {side.medium for side in marked if side.begins < 2}
    return [(end.journey_id, begin.journey_id) for end, begin in pairs], [side for side in marked if side.medium in alone]


def passes(end: Side, begin: Side, ways: list[Way]) -> bool:
    """Tell whether somebody who left there could enter here in time."""
    return (end.medium, end.begins, begin.begins) == (begin.medium, 0, 1) and any(
        (way.out_at, way.in_at) == ((end.host, end.station), (begin.host, begin.station))
        and 0 <= begin.at_us - end.at_us <= way.limit_us
        for way in ways
    )
