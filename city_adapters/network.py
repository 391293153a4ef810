"""A city's network: stations, the lines that serve them, the links of track between neighbours, and the ways to change."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from city_adapters.findings import Finding, error
from city_adapters.provenance import Confidence, Provenance
from fare_chain.errors import Unknown
from fare_chain.identifiers import StationId, StationNumber


class LineKind(StrEnum):
    """What runs on a line."""

    METRO = "metro"
    SUBURBAN_METRO = "suburban metro"
    SUBURBAN_RAILWAY = "suburban railway"
    PEOPLE_MOVER = "people mover"
    MAGLEV = "maglev"


class TransferKind(StrEnum):
    """How a rider changes from one line to another."""

    SAME_STATION = "same station"
    EXIT_AND_REENTER = "exit and re-enter"
    BETWEEN_CITIES = "between cities"


@dataclass(frozen=True, slots=True)
class Station:
    """A station; `lon_e3` and `lat_e3` are thousandths of a degree (WGS 84), good for a map and not for distances."""

    number: StationNumber
    station_id: StationId
    name_zh: str
    name_en: str
    name_en_confidence: Confidence
    lon_e3: int
    lat_e3: int
    position: Provenance


@dataclass(frozen=True, slots=True)
class Line:
    """A line and the operator that runs it (its number in `operators.csv`)."""

    line_id: str
    name_zh: str
    name_en: str
    kind: LineKind
    colour: str
    operator: int
    operator_confidence: Confidence
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Link:
    """Track between two neighbouring stations of one line; `rate_class` is blank unless a tariff charges it by class.

    `distance_m` is in force. Where it is not what the source said, `source_m`, the reason says why.
    """

    line_id: str
    from_id: StationId
    to_id: StationId
    distance_m: int
    source_m: int
    reason: str
    rate_class: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Transfer:
    """A way to change; where it `joins_fares` the price path runs through it, and it adds no metres."""

    from_id: StationId
    to_id: StationId
    from_line: str
    to_line: str
    kind: TransferKind
    joins_fares: bool
    time_limit_min: int | None
    provenance: Provenance


@dataclass(frozen=True)
class Network:
    """One city's network; stations stand by number, and a station's *row* is its place in that order."""

    stations: tuple[Station, ...]
    lines: tuple[Line, ...]
    links: tuple[Link, ...]
    transfers: tuple[Transfer, ...]

    @cached_property
    def rows(self) -> dict[StationId, int]:
        """The row of each station."""
        return {station.station_id: row for row, station in enumerate(self.stations)}

    @cached_property
    def lines_at(self) -> dict[StationId, tuple[str, ...]]:
        """The lines that stop at each station, in the order of `lines.csv`."""
        stops = {(end, link.line_id) for link in self.links for end in (link.from_id, link.to_id)}
        return {
            station.station_id: tuple(line.line_id for line in self.lines if (station.station_id, line.line_id) in stops)
            for station in self.stations
        }

    def station(self, station_id: str) -> Station:
        """Find a station by its id."""
        row = self.rows.get(StationId(station_id))
        if row is None:
            raise Unknown(f"there is no station {station_id!r} here; station ids stand in the city's stations.csv")
        return self.stations[row]


def contradictions(network: Network) -> list[Finding]:
    """Say where the parts of a network contradict each other."""
    return [
        *_repeated("stations.csv", "station_id", (station.station_id for station in network.stations)),
        *_repeated("stations.csv", "number", (station.number for station in network.stations)),
        *_repeated("lines.csv", "line_id", (line.line_id for line in network.lines)),
        *_repeated("links.csv", "link", ((link.line_id, *sorted((link.from_id, link.to_id))) for link in network.links)),
        *_stray_links(network),
        *_stray_transfers(network),
        *_pieces(network),
    ]


def _repeated(file: str, what: str, values: Iterable[object]) -> list[Finding]:
    twice = [value for value, count in Counter(values).items() if count > 1]
    return [error(file, f"{what} {value} stands there more than once", "keep one of the rows") for value in twice]


def _stray_links(network: Network) -> list[Finding]:
    findings = []
    lines = {line.line_id for line in network.lines}
    for link in network.links:
        place = f"the link {link.line_id} {link.from_id} - {link.to_id}"
        if link.from_id not in network.rows or link.to_id not in network.rows:
            findings.append(
                error(
                    "links.csv", f"{place} ends at a station that stations.csv does not have", "add the station or correct the id"
                )
            )
        if link.line_id not in lines:
            findings.append(
                error("links.csv", f"{place} belongs to a line that lines.csv does not have", "add the line or correct the id")
            )
        if (link.distance_m == link.source_m) != (not link.reason):
            found = f"{place} has the reason {link.reason!r} where distance_m is {link.distance_m} and source_m {link.source_m}"
            findings.append(error("links.csv", found, "give a reason exactly where the two differ"))
        if link.from_id == link.to_id:
            findings.append(error("links.csv", f"{place} begins where it ends", "give its two stations"))
    return findings


def _stray_transfers(network: Network) -> list[Finding]:
    """A change between cities is known by its near side only; the catalogue looks at both."""
    findings = []
    for change in network.transfers:
        near = [(change.from_id, change.from_line)]
        if change.kind is not TransferKind.BETWEEN_CITIES:
            near.append((change.to_id, change.to_line))
        findings += [
            error("transfers.csv", f"{station} is no stop of {line}", "correct the station or the line of this transfer")
            for station, line in near
            if line not in network.lines_at.get(station, ())
        ]
        if change.kind is TransferKind.BETWEEN_CITIES and change.time_limit_min is None:
            findings.append(
                error(
                    "transfers.csv",
                    f"{change.from_id} - {change.to_id} has no time_limit_min",
                    "say within how many minutes a ride that goes on in the other city is one with the first",
                )
            )
        if (change.kind is TransferKind.SAME_STATION) != (change.from_id == change.to_id):
            findings.append(
                error(
                    "transfers.csv",
                    f"{change.from_id} - {change.to_id} is called {change.kind.value!r}",
                    "correct its kind or its stations",
                )
            )
    return findings


def _pieces(network: Network) -> list[Finding]:
    """A network in two pieces has pairs without a fare; a line in two pieces lacks a link."""
    whole = [(link.from_id, link.to_id) for link in network.links]
    whole += [(change.from_id, change.to_id) for change in network.transfers if change.kind is TransferKind.EXIT_AND_REENTER]
    findings = []
    apart = _apart([station.station_id for station in network.stations], whole)
    if apart:
        findings.append(error("links.csv", f"{apart} cannot be reached from the rest of the network", "add the missing links"))
    for line in network.lines:
        ends = [(link.from_id, link.to_id) for link in network.links if link.line_id == line.line_id]
        if not ends:
            findings.append(error("lines.csv", f"{line.line_id} has no link", "add its links to links.csv, or remove the line"))
        elif apart := _apart(sorted({end for pair in ends for end in pair}), ends):
            findings.append(
                error("links.csv", f"{line.line_id} is in pieces: {apart} cannot be reached along it", "add the missing links")
            )
    return findings


def _apart(stations: Sequence[StationId], ends: Sequence[tuple[StationId, StationId]]) -> str:
    """Name a station that cannot be reached from the first of `stations`, or nothing."""
    beside: dict[StationId, list[StationId]] = {station: [] for station in stations}
    for one, other in ends:
        if one in beside and other in beside:
            beside[one].append(other)
            beside[other].append(one)
    waiting = list(stations[:1])
    reached = set(waiting)
    while waiting:
        new = [station for station in beside[waiting.pop()] if station not in reached]
        reached.update(new)
        waiting.extend(new)
    return next((station for station in beside if station not in reached), "")
