"""A GTFS feed into the texts of a city's folder, and everything of it that the folder cannot say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from city_adapters.city import BENEFICIARIES
from city_adapters.city_columns import (
    EXAMPLE_COLUMNS,
    LINE_COLUMNS,
    LINK_COLUMNS,
    OPERATOR_COLUMNS,
    STATION_COLUMNS,
    TRANSFER_COLUMNS,
)
from city_adapters.findings import Finding, error, errors, note
from city_adapters.gtfs.changes import Change, changes, read_walks
from city_adapters.gtfs.charges import PairFare, Stops, charge
from city_adapters.gtfs.city_texts import csv_text, head_text, split_text, tariff_text, thousandths
from city_adapters.gtfs.fare_rules import read_fare_rules
from city_adapters.gtfs.feed import Feed, Row, day
from city_adapters.gtfs.lengths import lengths, measure
from city_adapters.gtfs.names import Named, Names, slug, tidy, unique
from city_adapters.gtfs.stops import Places, read_places
from city_adapters.gtfs.track import Run, largest_network, lay_track
from city_adapters.gtfs.trips import read_routes, read_ways
from city_adapters.overrides import OVERRIDE_COLUMNS
from city_adapters.provenance import Confidence
from city_adapters.service_day import ServiceDays

NO_COLOUR = "#808080"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the feed does not say: who the city is, and which part of the feed is meant."""

    number: int
    code: str
    slug: str
    name_zh: str
    name_en: str
    agency: str | None = None
    route_types: tuple[int, ...] | None = None
    as_of: date | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The folder's files by name, none where an error was found; the findings; how many rows each list has."""

    files: Mapping[str, str]
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]


def import_feed(files: Mapping[str, bytes], asked: Asked) -> Imported:
    """Build a city's folder from the files of a feed; the same feed gives the same bytes."""
    feed = Feed(files)
    names = Names(feed)
    as_of = asked.as_of or _day_of(feed)
    places = read_places(feed)
    routes = read_routes(feed, agency=asked.agency, route_types=asked.route_types)
    ways = read_ways(feed, routes, places.stops)
    runs = lay_track(feed, places, routes, ways, lengths(feed, measure(feed, places, ways)))
    walks = read_walks(feed, places)
    runs = largest_network(feed, runs, walks)
    if not runs:
        feed.found(error("routes.txt", "no route that was asked for has trips between stations", "ask with other --route-type"))
    for file in feed.unused():
        feed.found(note(file, "is not looked at", "nothing to do"))
    if errors(feed.findings) or as_of is None:
        return Imported({}, tuple(feed.findings), {})
    drafted = _Draft(feed, asked, names, places, runs, as_of)
    texts, counts = drafted.texts(walks)
    found = tuple(feed.findings)
    return Imported({} if errors(found) else texts, found, counts)


def _day_of(feed: Feed) -> date | None:
    """The day that the feed itself says it is of."""
    for row in feed.rows("feed_info.txt"):
        if known := day(row["feed_start_date"]):
            return known
    feed.found(error("feed_info.txt", "no feed_start_date says of which day the feed is", "give the day with --as-of YYYY-MM-DD"))
    return None


class _Draft:
    """The folder being written: ids given, rows made."""

    def __init__(self, feed: Feed, asked: Asked, names: Names, places: Places, runs: Sequence[Run], as_of: date) -> None:
        self.feed, self.asked, self.names, self.places, self.runs, self.as_of = feed, asked, names, places, runs, as_of
        self.line_ids = unique([f"{asked.code}-L{_line_slug(run.route.row)}" for run in runs])
        served = {place for run in runs for place in run.places}
        self.named = {place: self._name_of(place) for place in served}
        wanted = {place: self._slug(place) for place in sorted(served)}
        in_order = sorted(wanted, key=lambda place: (wanted[place], place))
        ids = unique([f"{asked.code}-{wanted[place]}" for place in in_order])
        self.station_ids = dict(zip(in_order, ids, strict=True))
        self.lines_at = {
            place: tuple(line for line, run in zip(self.line_ids, runs, strict=True) if place in run.places) for place in in_order
        }
        self.agencies = list(dict.fromkeys(run.route.agency for run in runs))

    def texts(self, walks: Sequence[tuple[str, str]]) -> tuple[dict[str, str], dict[str, int]]:
        """Write every file."""
        track = [pair for run in self.runs for pair, _ in run.links]
        ways = changes(self.feed, self.lines_at, track, walks)
        lines_of: dict[str, tuple[str, ...]] = {}
        for line, run in zip(self.line_ids, self.runs, strict=True):
            lines_of[run.route.route_id] = (*lines_of.get(run.route.route_id, ()), line)
        rules = read_fare_rules(self.feed, self.places)
        charges, pair_fares = charge(self.feed, rules, Stops(self.lines_at, lines_of))
        rows = {
            "stations": (STATION_COLUMNS, [self._station(*at) for at in enumerate(self.station_ids, 1)]),
            "lines": (LINE_COLUMNS, [self._line(*both) for both in zip(self.line_ids, self.runs, strict=True)]),
            "links": (LINK_COLUMNS, self._links()),
            "transfers": (TRANSFER_COLUMNS, [self._change(way) for way in ways]),
            "operators": (OPERATOR_COLUMNS, self._operators()),
            "examples": (EXAMPLE_COLUMNS, []),
        }
        texts = {f"{name}.csv": csv_text(*table) for name, table in rows.items()}
        name = f"{self.asked.name_en}: "
        texts["city.toml"] = head_text(self._head(), self._remarks(), self.as_of)
        texts[f"tariff-{self.as_of}.toml"] = tariff_text(name + "fares of a GTFS feed", charges, self.as_of)
        texts[f"split-{self.as_of}.toml"] = split_text(name + "kilometres on the shortest path", self.as_of)
        if pair_fares:
            texts[f"overrides-{self.as_of}.csv"] = csv_text(OVERRIDE_COLUMNS, [self._override(fare) for fare in pair_fares])
        counts = {name: len(table[1]) for name, table in rows.items()}
        return texts, {**counts, "overrides": len(pair_fares)}

    def _name_of(self, place: str) -> Named:
        return self.names.of("stops", "stop_name", place, self.places.by_root[place].root.name)

    def _slug(self, place: str) -> str:
        """The English name, else the stop's id, else its place in nothing but letters and digits of its bytes."""
        return slug(self.named[place].en) or slug(place) or place.encode().hex()

    def _station(self, number: int, place: str) -> list[object]:
        at, named = self.places.by_root[place], self.named[place]
        position = (thousandths(at.lon), thousandths(at.lat), Confidence.MEDIUM, self.as_of)
        return [number, self.station_ids[place], named.zh, named.en, named.confidence, *position]

    def _line(self, line_id: str, run: Run) -> list[object]:
        row = run.route.row
        field = "route_short_name" if row["route_short_name"] else "route_long_name"
        named = self.names.of("routes", field, run.route.route_id, row[field])
        part = line_id.removeprefix(f"{self.asked.code}-L{_line_slug(row)}")
        colour = f"#{row['route_color'].upper()}" if _is_colour(row["route_color"]) else NO_COLOUR
        operator = self.agencies.index(run.route.agency) + 1
        known = (Confidence.MEDIUM, Confidence.MEDIUM, self.as_of)
        return [line_id, named.zh + part, named.en + part, run.route.kind, colour, operator, *known]

    def _links(self) -> list[list[object]]:
        rows: list[list[object]] = []
        for line_id, run in zip(self.line_ids, self.runs, strict=True):
            for (one, other), length in run.links:
                ends = self.station_ids[one], self.station_ids[other]
                rows.append([line_id, *ends, length.metres, length.metres, "", "", length.confidence, self.as_of])
        return rows

    def _change(self, way: Change) -> list[object]:
        ends = [self.station_ids[place] for place in way.places]
        joins = "yes" if way.joins_fares else "no"
        return [*ends, *way.lines, way.kind, joins, "", Confidence.UNCONFIRMED, self.as_of]

    def _operators(self) -> list[list[object]]:
        """The agencies that run a line; a feed of one agency may leave its id out."""
        rows = list(self.feed.rows("agency.txt", "agency_name", needed=True))
        by_id = {row["agency_id"]: row for row in rows}
        operators: list[list[object]] = []
        for number, agency in enumerate(self.agencies, 1):
            row = by_id.get(agency) or (rows[0] if len(rows) == 1 else None)
            if row is None:
                self.feed.found(error("agency.txt", f"has no agency {agency!r}, which runs a route", "correct it in the feed"))
                continue
            named = self.names.of("agency", "agency_name", agency, row["agency_name"])
            operators.append([number, named.zh, named.en, Confidence.MEDIUM, self.as_of])
        if len(operators) >= BENEFICIARIES:
            self.feed.found(error("agency.txt", f"{len(operators)} agencies are too many", "choose one with --agency"))
        return operators

    def _override(self, fare: PairFare) -> list[object]:
        (one, from_line), (other, to_line) = fare.ends
        ends = (self.station_ids[one], self.station_ids[other], from_line, to_line)
        return [*ends, fare.amount, tidy(fare.reason), Confidence.MEDIUM, self.as_of]

    def _head(self) -> dict[str, str | int]:
        zone, asked = self._time_zone(), self.asked
        names = {"slug": asked.slug, "name_zh": asked.name_zh, "name_en": asked.name_en}
        return {"number": asked.number, "code": asked.code, **names, "time_zone": zone, "service_day_starts_at_hour": 3}

    def _time_zone(self) -> str:
        for row in self.feed.rows("agency.txt"):
            named = row["agency_timezone"]
            try:
                zone = ZoneInfo(named)
            except (ValueError, OSError, LookupError):
                self.feed.left(row, f"agency_timezone {named!r} is unknown: UTC stands in", "correct time_zone in city.toml")
                break
            if not ServiceDays(named, 0).moves_its_clocks:
                return named
            winter = datetime(self.as_of.year, 1, 1, 12, tzinfo=zone).utcoffset() or timedelta()
            fixed = f"Etc/GMT{-(winter // timedelta(hours=1)):+d}"
            found = f"{named} moves its clocks, which a folder cannot say yet: {fixed} stands in all the year"
            self.feed.left(row, found, "mind it where hours matter")
            return fixed
        return "UTC"

    def _remarks(self) -> list[str]:
        return [
            "built from a GTFS feed: fares, walks between stations and the split have to be confirmed",
            "how many ride a day and when the service day begins are placeholders",
        ]


def _line_slug(row: Row) -> str:
    return slug(row["route_short_name"]) or slug(row["route_id"]) or row["route_id"].encode().hex()


def _is_colour(text: str) -> bool:
    return len(text) == 6 and all(letter in "0123456789abcdefABCDEF" for letter in text)
