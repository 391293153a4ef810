"""A city's network: stations, the lines that serve them, the links of track between neighbours, and the ways to change."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from city_adapters.findings import Finding, error
from city_adapters.provenance import Confidence, Provenance
from fare_chain.errors import Unknown
from fare_chain.identifiers import StationId, StationNumber

LONGEST_LINK_M = 200_000
"""No two neighbours are further apart: a longer link is a slip of the unit."""


class LineKind(StrEnum):
    """What runs on a line."""

    METRO = "metro"
    SUBURBAN_METRO = "suburban metro"
    SUBURBAN_RAILWAY = "suburban railway"
    TRAM = "tram"
    MONORAIL = "monorail"
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
class EarlierLink:
    """How one link stood in an earlier network, numbered from 1 in the order of time.

    Without metres it was not there: the link, or without stations the whole line, or without a line the walk that fares run
    through between the two stations. With metres it was so long, or was there where today is none.
    """

    line: int
    network: int
    line_id: str
    from_id: StationId
    to_id: StationId
    distance_m: int | None
    source_m: int | None
    reason: str
    provenance: Provenance

    @property
    def key(self) -> tuple[int, str, frozenset[StationId]]:
        """What no other row may name."""
        return self.network, self.line_id, frozenset((self.from_id, self.to_id))

    @property
    def place(self) -> str:
        """The link in words."""
        return " ".join(filter(None, (f"network {self.network}:", self.line_id, self.from_id, self.to_id)))


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
    """One city's network; stations stand by number, and a station's *row* is its place in that order.

    `earlier` tells how it differed when fares were made that hold still.
    """

    stations: tuple[Station, ...]
    lines: tuple[Line, ...]
    links: tuple[Link, ...]
    transfers: tuple[Transfer, ...]
    earlier: tuple[EarlierLink, ...] = ()

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
        *repeated("stations.csv", "station_id", ((station.station_id, station.position.line) for station in network.stations)),
        *repeated("stations.csv", "number", ((station.number, station.position.line) for station in network.stations)),
        *repeated("lines.csv", "line_id", ((line.line_id, line.provenance.line) for line in network.lines)),
        *repeated(
            "links.csv",
            "the link",
            (((link.line_id, *sorted((link.from_id, link.to_id))), link.provenance.line) for link in network.links),
        ),
        *repeated(
            "transfers.csv",
            "the transfer",
            (
                (tuple(sorted(((change.from_id, change.from_line), (change.to_id, change.to_line)))), change.provenance.line)
                for change in network.transfers
            ),
        ),
        *(stray := _stray_links(network)),
        *_stray_transfers(network),
        *([] if stray else _pieces(network)),
    ]


def repeated(file: str, what: str, values: Iterable[tuple[Hashable, int]]) -> list[Finding]:
    """Name each value that stands there already, by its line and the line of the first; a value comes with its line."""
    first: dict[Hashable, int] = {}
    return [
        error(file, f"{what} {value} stands in line {first[value]} already", "keep one of the rows", line=line)
        for value, line in values
        if first.setdefault(value, line) != line
    ]


def _stray_links(network: Network) -> list[Finding]:
    findings = []
    lines = {line.line_id for line in network.lines}
    for link in network.links:
        place = f"the link {link.line_id} {link.from_id} - {link.to_id}"
        wrong = []
        if link.from_id not in network.rows or link.to_id not in network.rows:
            wrong.append((f"{place} ends at a station that stations.csv does not have", "add the station or correct the id"))
        if link.line_id not in lines:
            wrong.append((f"{place} belongs to a line that lines.csv does not have", "add the line or correct the id"))
        if (link.distance_m == link.source_m) != (not link.reason):
            found = f"{place} has the reason {link.reason!r} where distance_m is {link.distance_m} and source_m {link.source_m}"
            wrong.append((found, "give a reason exactly where the two differ"))
        if link.from_id == link.to_id:
            wrong.append((f"{place} begins where it ends", "give its two stations"))
        findings += [error("links.csv", found, remedy, line=link.provenance.line) for found, remedy in wrong]
    return findings


def _stray_transfers(network: Network) -> list[Finding]:
    """A change between cities is known by its near side only; the catalogue looks at both."""
    findings = []
    for change in network.transfers:
        near = [(change.from_id, change.from_line)]
        if change.kind is not TransferKind.BETWEEN_CITIES:
            near.append((change.to_id, change.to_line))
        wrong = [
            (f"{station} is no stop of {line}", "correct the station or the line of this transfer")
            for station, line in near
            if line not in network.lines_at.get(station, ())
        ]
        if (change.from_id, change.from_line) == (change.to_id, change.to_line):
            wrong.append((f"{change.from_id} {change.from_line} changes to itself", "give its two lines"))
        if change.kind is TransferKind.BETWEEN_CITIES and change.time_limit_min is None:
            remedy = "say within how many minutes a ride that goes on in the other city is one with the first"
            wrong.append((f"{change.from_id} - {change.to_id} has no time_limit_min", remedy))
        if (change.kind is TransferKind.SAME_STATION) != (change.from_id == change.to_id):
            found = f"{change.from_id} - {change.to_id} is called {change.kind.value!r}"
            wrong.append((found, "correct its kind or its stations"))
        findings += [error("transfers.csv", found, remedy, line=change.provenance.line) for found, remedy in wrong]
    return findings


def _pieces(network: Network) -> list[Finding]:
    """A network in pieces has pairs without a fare; a line in pieces lacks a link. The largest piece is the rest."""
    whole = [(link.from_id, link.to_id) for link in network.links]
    whole += [(change.from_id, change.to_id) for change in network.transfers if change.kind is TransferKind.EXIT_AND_REENTER]
    findings = []
    _, *others = pieces([station.station_id for station in network.stations], whole) or [[]]
    apart = {station for piece in others for station in piece}
    for piece in others:
        found = f"{piece[0]} cannot be reached from the rest of the network"
        if len(piece) == 1 and not network.lines_at[piece[0]]:
            found = f"{piece[0]} is on no line: it {found.removeprefix(piece[0]).strip()}"
        elif len(piece) > 1:
            found += f", nor can the {len(piece) - 1} beside it"
        line = network.station(piece[0]).position.line
        findings.append(error("stations.csv", found, "add the missing links to links.csv, or the transfer to it", line=line))
    for line_id, at in ((line.line_id, line.provenance.line) for line in network.lines):
        links = [link for link in network.links if link.line_id == line_id]
        ends = [(link.from_id, link.to_id) for link in links]
        if not ends:
            found = f"{line_id} has no link"
            findings.append(error("lines.csv", found, "add its links to links.csv, or remove the line", line=at))
        for piece in pieces(sorted({end for pair in ends for end in pair}), ends)[1:]:
            if piece[0] in apart:
                continue
            found = f"{line_id} is in pieces: {piece[0]} cannot be reached along it"
            begin = next(link.provenance.line for link in links if link.from_id in piece)
            findings.append(error("links.csv", found, "add the missing links", line=begin))
    return findings


def pieces(stations: Sequence[StationId], ends: Sequence[tuple[StationId, StationId]]) -> list[list[StationId]]:
    """Cut stations into the pieces within which each can be reached, the largest first; in a piece as they were given."""
    beside: dict[StationId, list[StationId]] = {station: [] for station in stations}
    for one, other in ends:
        if one in beside and other in beside:
            beside[one].append(other)
            beside[other].append(one)
    piece_of: dict[StationId, int] = {}
    for number, station in enumerate(stations):
        waiting = [] if station in piece_of else [station]
        while waiting:
            here = waiting.pop()
            if piece_of.setdefault(here, number) == number:
                waiting += [there for there in beside[here] if there not in piece_of]
    found: dict[int, list[StationId]] = {}
    for station in stations:
        found.setdefault(piece_of[station], []).append(station)
    return sorted(found.values(), key=len, reverse=True)
