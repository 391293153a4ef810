"""The mapping file of a gate log: which station of the city folder a number or a name of the log is.

TOML:                                       or CSV:

    [[station]]                                 station,line,station_id
    station = "15"                              15,B,HGH-dinganlu
    line = "B"          # may be left out
    station_id = "HGH-dinganlu"

    [aliases]           # TOML only: a name of the log, and a name of stations.csv or a station id
    "上海火车站" = "上海站"
"""

import csv
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fare_chain.errors import Malformed

COLUMNS = ("station", "line", "station_id")


@dataclass(frozen=True, slots=True)
class StationMapping:
    """Station ids by (station, line) of the log, line blank for any; and the log's names for names."""

    stations: Mapping[tuple[str, str], str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def find(self, station: str, line: str) -> str | None:
        """The station id for a station of the log, the row of its line first; None where the file has none."""
        return self.stations.get((station, line)) or self.stations.get((station, ""))


def read_mapping(data: bytes, name: str) -> StationMapping:
    """Read a mapping's bytes, as TOML where its name ends so, else as CSV; Malformed names file and row."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Malformed(f"{name} is not UTF-8 at byte {wrong.start}: save it as UTF-8") from wrong
    aliases: dict[str, str] = {}
    rows = _toml_rows(text, name, aliases) if name.lower().endswith(".toml") else _csv_rows(text, name)
    stations: dict[tuple[str, str], str] = {}
    for place, row in rows:
        key, station_id = (row["station"], row["line"]), row["station_id"]
        if not row["station"] or not station_id:
            raise Malformed(f"{place}: station or station_id is blank: give both")
        if stations.setdefault(key, station_id) != station_id:
            raise Malformed(f"{place}: station {key[0]!r} of line {key[1]!r} is {stations[key]} already: keep one of the rows")
    return StationMapping(stations, aliases)


def _csv_rows(text: str, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    lines = csv.reader(text.splitlines())
    header = [column.strip() for column in next(lines, [])]
    if not {"station", "station_id"} <= set(header) or not set(header) <= set(COLUMNS):
        raise Malformed(f"{name}, line 1: the columns are {', '.join(header) or 'none'}; give {', '.join(COLUMNS)}")
    for values in lines:
        if any(value.strip() for value in values):
            row = dict(zip(header, values, strict=False))
            yield f"{name}, line {lines.line_num}", {column: row.get(column, "").strip() for column in COLUMNS}


def _toml_rows(text: str, name: str, aliases: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        told: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise Malformed(f"{name} is not TOML: {wrong}") from wrong
    tables, others = told.pop("station", []), told.pop("aliases", {})
    if told or not isinstance(tables, list) or not isinstance(others, dict):
        raise Malformed(f"{name} holds {', '.join(told) or 'other things'}: give [[station]] tables and one table [aliases]")
    for alias, meant in others.items():
        if not isinstance(meant, str):
            raise Malformed(f"{name}: the alias {alias!r} is {meant!r}: give a station's name or id")
        aliases[alias] = meant
    for number, table in enumerate(tables, 1):
        place = f"{name}, [[station]] {number}"
        if not isinstance(table, dict) or not set(table) <= set(COLUMNS):
            raise Malformed(f"{place}: give station, station_id and, where needed, line")
        yield place, {column: str(table.get(column, "")).strip() for column in COLUMNS}
