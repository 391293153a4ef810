"""Intended rides from a seed: who wants to go from where to where, and when, in the shape of a real metro's day.

The curve of `demand.toml` gives each slot of a day its entries and exits, apart for stations that people leave in the morning
(homes) and those they travel to (works). It is laid over each city's own stations by centrality, and scaled to its ridership.
All weights are integers, so that a seed gives the same rides on every machine.
"""

import tomllib
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from city_adapters.city import City
from city_adapters.tables import CityTable
from fare_chain.errors import Malformed, Unknown
from simulators.clock import MINUTE_US, SECOND_US, SLOT_MINUTES, SLOTS_PER_DAY, DemoClock, stream

Numbers = NDArray[np.int32]
Weights = NDArray[np.int64]
Micros = NDArray[np.int64]

WHOLE = 10_000
"""Shares in the curve are parts of this."""
EXIT_SLOTS = 2
"""Where a ride goes is drawn by the exits this many slots after its entry: a ride takes some 20 minutes."""
_MASS = 20_000  # station weights of one city, together: small enough that products of two stay far below a drawn point
_LON_M, _LAT_M = 95, 111  # metres in a thousandth of a degree, at 31 degrees north


class DayKind(StrEnum):
    """Which of the curves a day follows."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"


class StationKind(IntEnum):
    """Whether more riders leave than enter on a weekday morning, or the other way round."""

    WORKS = 0
    HOMES = 1


@dataclass(frozen=True, slots=True, eq=False)
class KindCurve:
    """One kind of station on one kind of day, in parts of `WHOLE`."""

    stations: Weights
    """Each station's share of the day's taps, busiest first; both kinds together make `WHOLE`."""
    entries: Weights
    """Entries in each slot; with the exits they make `WHOLE`."""
    exits: Weights


@dataclass(frozen=True, slots=True)
class Parameters:
    """The named numbers of `demand.toml`, explained there."""

    entries_per_10000_trips: int
    codes_per_10000_entries: int
    visitors_per_10000_rides: int
    least_visitors_per_10000: int
    even_ride_m: int


@dataclass(frozen=True, slots=True)
class DemandShape:
    """The curves of one kind of day, by `StationKind`, and the parameters."""

    kinds: tuple[KindCurve, KindCurve]
    parameters: Parameters


@dataclass(frozen=True, slots=True, eq=False)
class CityDemand:
    """What demand needs to know of one city; `distance_m[i, j]` is -1 where no fare takes a rider from i to j."""

    number: int
    daily_riders: int
    centre_e3: tuple[int, int]
    """Median longitude and latitude of the stations, in thousandths of a degree."""
    station_numbers: Numbers
    distance_m: Numbers


@dataclass(frozen=True, slots=True)
class World:
    """The cities that ride, and the shape of their day."""

    cities: tuple[CityDemand, ...]
    shape: DemandShape


@dataclass(frozen=True, slots=True, eq=False)
class DepartureColumns:
    """When rides set out, in order of time: microseconds after the run's start, and the slot of the simulated day."""

    depart_us: Micros
    slot: Weights


@dataclass(frozen=True, slots=True, eq=False)
class RideColumns:
    """Intended rides in order of departure, one row each."""

    issuer: NDArray[np.uint16]
    host: NDArray[np.uint16]
    from_station: NDArray[np.uint32]
    to_station: NDArray[np.uint32]
    distance_m: Numbers
    depart_us: Micros
    """Microseconds after the run's start."""
    toured: NDArray[np.bool_]
    """True for the rides of the tour at the start, which walks the city pairs and should be ridden honestly."""

    def __len__(self) -> int:
        return len(self.depart_us)


def load_shape(day: DayKind, path: Path | None = None) -> DemandShape:
    """Read the shape of one kind of day; Malformed where the file contradicts what its comments promise."""
    with (path or Path(__file__).with_name("demand.toml")).open("rb") as file:
        content = tomllib.load(file)
    try:
        kinds = (_kind_curve(content[day]["works"]), _kind_curve(content[day]["homes"]))
        parameters = Parameters(**content["parameters"])
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"the demand file's {day} or parameters cannot be read: {error!r}") from error
    listed = sum(int(kind.stations.sum()) for kind in kinds)
    if listed != WHOLE:
        raise Malformed(f"the {day}'s stations make {listed}, expected {WHOLE}: round by largest remainder")
    return DemandShape(kinds, parameters)


def city_demand(city: City, table: CityTable, at_us: int) -> CityDemand:
    """Take from a city what demand needs: the pairs that have a fare at that moment; Unknown when no tariff is in force."""
    version = table.version_at(at_us)
    if version is None:
        raise Unknown(f"{city.slug} has no tariff in force at {at_us} us: choose another day, or add the tariff to its folder")
    middle = len(city.stations) // 2
    lon_e3 = sorted(station.lon_e3 for station in city.stations)[middle]
    lat_e3 = sorted(station.lat_e3 for station in city.stations)[middle]
    stations = np.s_[: len(table.station_ids), : len(table.station_ids)]  # riders of this world take no line's own gates
    distance_m = np.where(version.fare_fen[stations] >= 0, version.distance_m[stations], np.int32(-1))
    return CityDemand(city.number, city.daily_riders, (lon_e3, lat_e3), table.station_numbers, distance_m)


def steady_departures(clock: DemoClock, *, rides_per_second: int, seconds: int, seed: int) -> DepartureColumns:
    """Let rides set out at an even rate, each at a drawn moment of its own n-th of a second.

    The rate is as asked for at every time of day; the clock decides only whose hour it is.
    """
    count = rides_per_second * seconds
    jitter = stream(seed, "departures").integers(0, SECOND_US, size=count, dtype=np.int64)
    depart_us = (np.arange(count, dtype=np.int64) * SECOND_US + jitter) // rides_per_second
    return DepartureColumns(depart_us, clock.slot(depart_us))


def day_departures(shape: DemandShape, *, rides: int, seed: int) -> DepartureColumns:
    """Spread rides over one whole day, from midnight, as the curve's entries have it."""
    share = sum(kind.stations.sum() * kind.entries for kind in shape.kinds)
    chance = stream(seed, "departures")
    slot = np.sort(_draw(np.asarray(share, np.int64), chance.integers(0, 2**62, size=rides, dtype=np.int64)))
    within_us = chance.integers(0, SLOT_MINUTES * MINUTE_US, size=rides, dtype=np.int64)
    return DepartureColumns(np.sort(slot * SLOT_MINUTES * MINUTE_US + within_us), slot)


def rides_in_a_day(world: World) -> int:
    """How many rides with a code the world's cities have on an average day: trips count transfers, and not all show codes."""
    parameters = world.shape.parameters
    trips = sum(city.daily_riders for city in world.cities)
    return trips * parameters.entries_per_10000_trips * parameters.codes_per_10000_entries // (WHOLE * WHOLE)


def intended_rides(world: World, departures: DepartureColumns, seed: int) -> RideColumns:
    """Draw issuer, host and stations of each departure.

    The first rides walk every ordered pair of different cities once, in a drawn order (the tour): with nine cities 72 rides,
    less than a second at 100 rides a second. All later rides are drawn by `city_pair_weights`, so local rides prevail. A ride's
    draws depend only on the seed and its row: a longer run begins with the rides of a shorter one.
    """
    count, cities = len(departures.depart_us), len(world.cities)
    issuer, host = np.divmod(_draw(city_pair_weights(world).ravel(), _points(seed, "city-pairs", count)), cities)
    apart = np.flatnonzero(~np.eye(cities, dtype=np.bool_))
    tour = stream(seed, "tour").permutation(apart)[:count]
    issuer[: len(tour)], host[: len(tour)] = np.divmod(tour, cities)
    origin, destination, distance_m = _draw_stations(world, host, departures.slot, _points(seed, "station-pairs", count))
    number = np.array([city.number for city in world.cities], "<u2")
    return RideColumns(
        number[issuer], number[host], origin, destination, distance_m, departures.depart_us, np.arange(count) < len(tour)
    )


def city_pair_weights(world: World) -> Weights:
    """How often each [issuer, host] pair rides, as integers: each host's column is in proportion to its daily riders.

    A fixed part of a host's rides are visitors'. Of these each other city has a floor, and the rest goes by gravity: its daily
    riders over the square of the distance in kilometres.
    """
    parameters, cities = world.shape.parameters, world.cities
    visitors, least = parameters.visitors_per_10000_rides, parameters.least_visitors_per_10000
    weights: Weights = np.zeros((len(cities), len(cities)), "<i8")
    for h, host in enumerate(cities):
        pull = [0 if city is host else city.daily_riders * WHOLE // _square_km(city, host) for city in cities]
        free = WHOLE - least * (len(cities) - 1)
        for i, issuer in enumerate(cities):
            share = (WHOLE - visitors) * WHOLE if issuer is host else visitors * (least + free * pull[i] // max(sum(pull), 1))
            weights[i, h] = host.daily_riders * share
    return weights


def station_pair_weights(city: CityDemand, shape: DemandShape, slot: int) -> Weights:
    """How often a ride that enters in this slot goes from station i to station j, as integers of shape (stations, stations).

    Entries of the origin times exits of the destination a little later, damped by distance: half at `even_ride_m`. One part of
    `WHOLE` is added to each, so that a demo may run at night, when the curve is zero.
    """
    mass, kind = station_masses(city, shape)
    entries = np.array([curve.entries[slot] + 1 for curve in shape.kinds])[kind]
    exits = np.array([curve.exits[(slot + EXIT_SLOTS) % SLOTS_PER_DAY] + 1 for curve in shape.kinds])[kind]
    distance, even = city.distance_m.astype(np.int64), shape.parameters.even_ride_m
    damping = np.where(distance > 0, 100 * even**2 // (even**2 + distance**2) + 1, 0)
    weights: Weights = (mass * entries)[:, None] * (mass * exits)[None, :] * damping
    return weights


def station_masses(city: CityDemand, shape: DemandShape) -> tuple[Weights, Weights]:
    """How busy each station is, and its `StationKind`: the curve's ranks laid over the stations, most central first.

    We have counts of no other city, so this is an assumption: people live further out than they work, and central stations are
    the busy ones. Central is what has the shortest distances to all others.
    """
    count = len(city.station_numbers)
    if count < 2:
        raise Unknown(f"city {city.number} has {count} stations, a ride needs two: complete its folder")
    ranked = np.argsort(np.where(city.distance_m < 0, 0, city.distance_m).sum(axis=1, dtype=np.int64), kind="stable")
    works, homes = shape.kinds
    works_count = min(max(count * len(works.stations) // (len(works.stations) + len(homes.stations)), 1), count - 1)
    mass, kind = np.zeros(count, "<i8"), np.zeros(count, "<i8")
    mass[ranked] = np.concatenate([_laid_over(works.stations, works_count), _laid_over(homes.stations, count - works_count)])
    kind[ranked[works_count:]] = StationKind.HOMES
    return mass, kind


def _laid_over(ranks: Weights, count: int) -> Weights:
    """Give `count` stations the share that lies under their part of the rank curve, in parts of `_MASS` of the city."""
    risen = np.concatenate([[0], np.cumsum(ranks)])
    step, part = np.divmod(np.arange(count + 1) * len(ranks), count)
    edges = risen[step] * count + np.append(ranks, 0)[step] * part
    mass: Weights = np.diff(edges) * (_MASS // WHOLE) // count + 1
    return mass


def _draw_stations(
    world: World, host: Weights, slot: Weights, points: Weights
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Numbers]:
    """Draw origin, destination and the distance between them for every ride, one host and slot at a time."""
    origin, destination, distance_m = np.empty(len(host), "<u4"), np.empty(len(host), "<u4"), np.empty(len(host), "<i4")
    group = host * SLOTS_PER_DAY + slot
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1))
    for first, last in pairwise(bounds):
        rows = order[first:last]
        city = world.cities[host[rows[0]]]
        weights = station_pair_weights(city, world.shape, int(slot[rows[0]]))
        start, end = np.divmod(_draw(weights.ravel(), points[rows]), len(city.station_numbers))
        origin[rows], destination[rows] = city.station_numbers[start], city.station_numbers[end]
        distance_m[rows] = city.distance_m[start, end]
    return origin, destination, distance_m


def _points(seed: int, actor: str, count: int) -> Weights:
    return stream(seed, actor).integers(0, 2**62, size=count, dtype=np.int64)


def _draw(weights: Weights, points: Weights) -> Weights:
    """Turn points below 2^62 into places drawn by weight; Unknown when nothing has any weight."""
    risen = np.cumsum(weights)
    if not risen[-1]:
        raise Unknown("nothing to draw from: no pair of stations has a fare, or no rider was given")
    places: Weights = np.searchsorted(risen, points % risen[-1], side="right").astype("<i8")
    return places


def _square_km(one: CityDemand, other: CityDemand) -> int:
    east_m = (one.centre_e3[0] - other.centre_e3[0]) * _LON_M
    north_m = (one.centre_e3[1] - other.centre_e3[1]) * _LAT_M
    return max((east_m**2 + north_m**2) // 10**6, 1)


def _kind_curve(table: dict[str, Any]) -> KindCurve:
    curve = KindCurve(*(np.array(table[name], "<i8") for name in ("stations", "entries", "exits")))
    if len(curve.entries) != SLOTS_PER_DAY or len(curve.exits) != SLOTS_PER_DAY:
        raise ValueError(f"{len(curve.entries)} entries and {len(curve.exits)} exits, expected {SLOTS_PER_DAY} of each")
    if curve.entries.sum() + curve.exits.sum() != WHOLE:
        raise ValueError(f"entries and exits make {curve.entries.sum() + curve.exits.sum()}, expected {WHOLE}")
    if (np.diff(curve.stations) > 0).any():
        raise ValueError("stations are not sorted, expected the busiest first")
    return curve
