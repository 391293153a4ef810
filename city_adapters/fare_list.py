"""Published fares against ours: a list of pairs with their fares, compared with the tables of the cities it names.

A list is CSV in UTF-8 with at least the columns city, from_id, to_id, fare_yuan, in any order; further columns are left alone.
The city is a slug or a code, or blank where the ids tell it. A row that cannot be read or compared is reported, and the rest
goes on. Where a fare depends on the gate, columns from_line and to_line name the gates' lines; a row without them agrees with us
where any gate of its two stations has its fare.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

from city_adapters.tables import CityTable, TariffVersion
from fare_chain.errors import Malformed, Unknown
from fare_chain.identifiers import Fen

COLUMNS = ("city", "from_id", "to_id", "fare_yuan")
GATE_COLUMNS = ("from_line", "to_line")
YUAN_FEN = 100


@dataclass(frozen=True, slots=True)
class ListedFare:
    """One row: a published fare between two stations."""

    line: int
    city: str
    from_id: str
    to_id: str
    fare_fen: Fen
    from_line: str = ""
    to_line: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether it holds for gates of certain lines only."""
        return bool(self.from_line or self.to_line)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that could not be read, or names what is not here."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class FareList:
    """The rows that could be read, and the problems of the others."""

    fares: tuple[ListedFare, ...]
    unreadable: tuple[RowProblem, ...]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A pair whose published fare is not ours."""

    line: int
    from_id: str
    to_id: str
    published_fen: Fen
    ours_fen: Fen
    distance_m: int


@dataclass(slots=True)
class FareAgreement:
    """How far a run of rows agrees with us; `within_one_yuan` counts the exact ones too."""

    checked: int = 0
    exact: int = 0
    within_one_yuan: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)

    def add(self, row: ListedFare, ours_fen: Fen, distance_m: int) -> None:
        """Count one compared row."""
        apart = abs(row.fare_fen - ours_fen)
        self.checked += 1
        self.exact += apart == 0
        self.within_one_yuan += apart <= YUAN_FEN
        if apart:
            self.mismatches.append(Mismatch(row.line, row.from_id, row.to_id, row.fare_fen, ours_fen, distance_m))


@dataclass(frozen=True, slots=True)
class FareCheck:
    """The whole comparison: in total, by city, and the rows that could not be compared."""

    total: FareAgreement
    by_city: dict[str, FareAgreement]
    unknown: tuple[RowProblem, ...]
    unreadable: tuple[RowProblem, ...]


def read_fare_list(data: bytes) -> FareList:
    """Read a list's bytes, with or without a byte order mark, with any line ends; Malformed where it is no such list."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Malformed(f"the fare list is not UTF-8 at byte {wrong.start}: save it as UTF-8") from wrong
    lines = csv.reader(text.splitlines())
    header = [name.strip().casefold() for name in next(lines, [])]
    lacking = [name for name in COLUMNS if name not in header]
    if lacking:
        raise Malformed(
            f"line 1 of the fare list has the columns {', '.join(header) or 'none'}; {', '.join(lacking)} must be there too"
        )
    rows = [_read_row(lines.line_num, dict(zip(header, values, strict=False))) for values in lines if any(map(str.strip, values))]
    return FareList(
        tuple(row for row in rows if isinstance(row, ListedFare)),
        tuple(row for row in rows if isinstance(row, RowProblem)),
    )


def check_fares(listed: FareList, table_of: Callable[[str], CityTable], at_us: int) -> FareCheck:
    """Compare every row with the fares in force at a moment; `table_of` finds a city by slug or code, or raises Unknown."""
    total, unknown = FareAgreement(), []
    by_city: dict[str, FareAgreement] = {}
    rows_of: dict[str, dict[str, int]] = {}
    for row in listed.fares:
        try:
            table = table_of(row.city or row.from_id.partition("-")[0])
            version = _in_force(table, at_us)
            if table.slug not in rows_of:
                rows_of[table.slug] = {name.casefold(): at for at, name in enumerate(table.station_ids)}
            rows = rows_of[table.slug]
            pair = _priced_row(table, version, row, _row(rows, row.from_id, table), _row(rows, row.to_id, table))
        except Unknown as wrong:
            unknown.append(RowProblem(row.line, str(wrong)))
            continue
        for count in (total, by_city.setdefault(table.slug, FareAgreement())):
            count.add(row, Fen(int(version.fare_fen[pair])), int(version.distance_m[pair]))
    return FareCheck(total, by_city, tuple(unknown), listed.unreadable)


def _priced_row(table: CityTable, version: TariffVersion, row: ListedFare, first: int, second: int) -> tuple[int, int]:
    """Find the rows to compare: of the lines' gates where the row names them, else of any gates that have its fare."""
    if row.is_narrowed:
        return table.area_row(first, row.from_line), table.area_row(second, row.to_line)
    gates = product(_rows_at(table, first), _rows_at(table, second)) if table.gate_areas else ()
    return next((pair for pair in gates if version.fare_fen[pair] == row.fare_fen), (first, second))


def _rows_at(table: CityTable, station_row: int) -> list[int]:
    count = len(table.station_ids)
    return [station_row, *(count + at for at, area in enumerate(table.gate_areas) if area.station_row == station_row)]


def _read_row(line: int, values: dict[str, str]) -> ListedFare | RowProblem:
    city, from_id, to_id, yuan = (values.get(name, "").strip() for name in COLUMNS)
    if not from_id or not to_id:
        return RowProblem(line, "from_id or to_id is blank: give two station ids")
    whole, _, part = yuan.partition(".")
    part = part.rstrip("0")
    if not whole.isdecimal() or not yuan.isascii() or len(part) > 2 or (part and not part.isdecimal()):
        return RowProblem(line, f"fare_yuan is {yuan!r}: give yuan, as 3 or 3.50")
    from_line, to_line = (values.get(name, "").strip() for name in GATE_COLUMNS)
    if bool(from_line) != bool(to_line):
        return RowProblem(line, "one of from_line and to_line is blank: name both gates' lines, or neither")
    return ListedFare(line, city, from_id, to_id, Fen(int(whole) * YUAN_FEN + int(part.ljust(2, "0"))), from_line, to_line)


def _in_force(table: CityTable, at_us: int) -> TariffVersion:
    version = table.version_at(at_us)
    if version is None:
        raise Unknown(f"{table.slug} has no tariff in force at that moment")
    return version


def _row(rows: dict[str, int], station_id: str, table: CityTable) -> int:
    row = rows.get(station_id.casefold())
    if row is None:
        raise Unknown(f"{table.slug} has no station {station_id!r}; ids are as in its stations.csv")
    return row
