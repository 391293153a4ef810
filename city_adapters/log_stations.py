"""The stations of one host as a gate log names them: by id, by an anonymous number, or by line and Chinese name."""

import re
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from city_adapters.city import City
from city_adapters.network import Station
from city_adapters.station_mapping import StationMapping
from city_adapters.tap_lines import BadField

_LINE_AND_NAME = re.compile(r"(\d{1,2}号线|\D{2,6}?线)(.+)")
_REMEMBERED = 65_536


class Place(NamedTuple):
    """A station's number in its host, and the gate of a reading there whose log names no gate."""

    station: int
    gate: int


class Unmapped(BadField):
    """A station of the log that is no station of the city; `label` is how the log names it."""

    def __init__(self, field: str, label: str, message: str) -> None:
        super().__init__(field, message)
        self.label = label


class LogStations:
    """One host city, asked by whatever a log calls its stations.

    A reading without a gate is given the gate that has its station's number, or the first of the gates that the named line has for
    itself there.
    """

    def __init__(self, city: City, mapping: StationMapping) -> None:
        """Index the city's stations; the mapping comes before the folder's own names."""
        self.city = int(city.number)
        self.slug = str(city.slug)
        self.zone = ZoneInfo(city.days.time_zone)
        self._mapping = mapping
        self._by_id = {str(station.station_id).casefold(): station for station in city.stations}
        self._by_name: dict[str, list[Station]] = {}
        for station in city.stations:
            self._by_name.setdefault(station.name_zh, []).append(station)
        lines = {line.line_id: line.name_zh for line in city.network.lines}
        self._stops = {(str(at), lines[line]) for at, stops in city.network.lines_at.items() for line in stops}
        self._own_gates = {(str(row.station_id), lines[row.line_id]): row.from_gate for row in city.gates if row.line_id in lines}
        self.by_name = lru_cache(_REMEMBERED)(self._find_by_name)
        self.by_number = lru_cache(_REMEMBERED)(self._find_by_number)
        self.by_id = lru_cache(_REMEMBERED)(self._find_by_id)

    def _find_by_id(self, field: str, text: str) -> Place:
        """Find a station by its id, or by what the mapping says for that text."""
        station = self._by_id.get((self._mapping.find(text, "") or text).casefold())
        if station is None:
            raise Unmapped(
                field, text, f"{field} is {text!r}, and {self.slug} has no such station: correct it, or map it with --mapping"
            )
        return Place(int(station.number), int(station.number))

    def _find_by_number(self, field: str, text: str, line: str) -> Place:
        """Find a station by the number that a log gives it instead of its name: by the mapping alone."""
        station_id = self._mapping.find(text, line)
        station = self._by_id.get(station_id.casefold()) if station_id else None
        if station is None:
            label = f"{text} (line {line})"
            raise Unmapped(
                field, label, f"{field} is {text!r} on line {line!r}: say with --mapping which station of {self.slug} it is"
            )
        return Place(int(station.number), int(station.number))

    def _find_by_name(self, field: str, text: str) -> Place:
        """Find a station by line and Chinese name, as 2号线人民广场, or by name alone."""
        parts = _LINE_AND_NAME.fullmatch(text)
        line, name = (parts[1], parts[2]) if parts else ("", text)
        found = self._mapped(text, name, line) or self._named(text) or self._named(name)
        if len(found) > 1:
            found = [station for station in found if (str(station.station_id), line) in self._stops]
        if len(found) != 1:
            raise Unmapped(
                field, text, f"{field} is {text!r}, and {self.slug} has {len(found) or 'no'} such stations: name it in --mapping"
            )
        number = int(found[0].number)
        return Place(number, self._own_gates.get((str(found[0].station_id), line), number))

    def _mapped(self, text: str, name: str, line: str) -> list[Station]:
        aliases = self._mapping.aliases
        meant = self._mapping.find(text, "") or self._mapping.find(name, line) or aliases.get(text) or aliases.get(name)
        if meant is None:
            return []
        station = self._by_id.get(meant.casefold())
        return [station] if station else self._named(meant)

    def _named(self, name: str) -> list[Station]:
        """The stations of that Chinese name; a log may leave the word for station away, or put it behind."""
        return self._by_name.get(name) or self._by_name.get(name.removesuffix("站")) or self._by_name.get(f"{name}站") or []
