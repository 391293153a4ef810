"""The metres between neighbouring stations: as the feed measures them, else along its drawn line, else a straight line's share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, median_low

from city_adapters.findings import note, warning
from city_adapters.gtfs.feed import Feed, Row
from city_adapters.gtfs.shapes import along, differences, read_shapes
from city_adapters.gtfs.stops import Places, distance_m
from city_adapters.gtfs.trips import Way
from city_adapters.network import LONGEST_LINK_M
from city_adapters.provenance import Confidence

UNITS_M = {"metres": 1.0, "kilometres": 1000.0, "miles": 1609.344, "feet": 0.3048}
DETOUR = 1.2
"""Track is so much longer than the straight line, where nothing better is known."""
BELIEVED = (0.95, 2.0)
"""A measure is believed whose median step is so many straight lines long."""
SPREAD = 0.1
"""Trips that differ by more than this part of a length are told."""
MEASURED, DRAWN, STRAIGHT = 0, 1, 2

Pair = tuple[str, str]
"""Two places, whichever stands first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One way's run from a place to the next."""

    route_id: str
    from_root: str
    to_root: str
    metres: float
    source: int
    row: Row

    @property
    def pair(self) -> Pair:
        """The two places, whichever stands first."""
        first, second = sorted((self.from_root, self.to_root))
        return first, second


@dataclass(frozen=True, slots=True)
class Length:
    """The length of a link and how far it is known."""

    metres: int
    source: int

    @property
    def confidence(self) -> Confidence:
        """A measure and a drawn line are fair; a straight line is a guess."""
        return Confidence.LOW if self.source == STRAIGHT else Confidence.MEDIUM


def measure(feed: Feed, places: Places, ways: Sequence[Way]) -> list[Step]:
    """Find the metres of every step of every way."""
    unit_m = _unit_m(feed, places, ways)
    shapes = read_shapes(feed, dict.fromkeys(way.shape_id for way in ways))
    steps: list[Step] = []
    for way in ways:
        given = {place: value * unit_m for place, value in enumerate(way.traveled) if value is not None and unit_m}
        measured = differences(given)
        if any(after < before for before, after in pairwise(given.values())):
            feed.left(way.row, "shape_dist_traveled falls along this trip and is not used there", "correct it in the feed")
        drawn: dict[int, float] = {}
        if len(measured) < len(way.stops) - 1 and way.shape_id in shapes:
            at = along(shapes[way.shape_id], [(places.stops[stop].lon, places.stops[stop].lat) for stop in way.stops])
            drawn = differences(dict(enumerate(at or ())))
            if at is None:
                feed.left(way.row, f"the stops of this trip do not lie along its shape {way.shape_id}", "correct it in the feed")
        steps += _steps(places, way, measured, drawn)
    return steps


def lengths(feed: Feed, steps: Iterable[Step]) -> dict[tuple[str, Pair], Length]:
    """Settle one length for each route and pair of places: the best source, of its several values the middle one."""
    told: dict[tuple[str, Pair], list[Step]] = {}
    for step in steps:
        told.setdefault((step.route_id, step.pair), []).append(step)
    settled = {}
    for key, runs in told.items():
        if min(step.metres for step in runs) > LONGEST_LINK_M:
            found = f"two stations are more than {LONGEST_LINK_M // 1000} km apart: there is no link between them"
            feed.left(runs[0].row, found, "correct their positions or the measure in the feed")
            continue
        source = min(step.source for step in runs)
        values = [round(step.metres) for step in runs if step.source == source]
        settled[key] = Length(max(median_low(values), 1), source)
        if max(values) - min(values) > SPREAD * max(values):
            found = f"trips between two stations differ by more than {SPREAD:.0%} in length: the middle value is taken"
            feed.left(runs[0].row, found, "check the link's metres in links.csv")
    straight = [length for length in settled.values() if length.source == STRAIGHT]
    if straight:
        found = f"{len(straight)} of {len(settled)} links have neither measure nor shape: {DETOUR} times the straight line is taken"
        feed.found(warning("shapes.txt", found, "give their metres in links.csv; they are of low confidence"))
    return settled


def _steps(places: Places, way: Way, measured: dict[int, float], drawn: dict[int, float]) -> Iterable[Step]:
    for place, (stop, following) in enumerate(zip(way.stops, way.stops[1:], strict=False)):
        here, there = places.root_of[stop], places.root_of[following]
        if here == there:
            continue
        metres, source = DETOUR * distance_m(places.stops[stop], places.stops[following]), STRAIGHT
        if place in measured and measured[place] <= LONGEST_LINK_M:
            metres, source = measured[place], MEASURED
        elif place in drawn:
            metres, source = drawn[place], DRAWN
        yield Step(way.route_id, here, there, metres, source, way.row)


def _unit_m(feed: Feed, places: Places, ways: Sequence[Way]) -> float:
    """Find the unit of the feed's measure by comparing its steps with straight lines; 0 where there is none to believe."""
    ratios = []
    for way in ways:
        steps = differences({place: value for place, value in enumerate(way.traveled) if value is not None})
        for place, step in steps.items():
            straight = distance_m(places.stops[way.stops[place]], places.stops[way.stops[place + 1]])
            if straight > 1:
                ratios.append(step / straight)
    if not ratios:
        return 0.0
    middle = median(ratios)
    for name, unit_m in UNITS_M.items():
        if BELIEVED[0] <= middle * unit_m <= BELIEVED[1]:
            feed.found(note("stop_times.txt", f"shape_dist_traveled is taken to be in {name}", "nothing to do", line=1))
            return unit_m
    found = f"shape_dist_traveled is {middle:.6g} times the straight lines in metres: no unit is like that, and it is not used"
    feed.found(warning("stop_times.txt", found, "correct it in the feed", line=1))
    return 0.0
