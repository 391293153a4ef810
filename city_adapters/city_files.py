"""A city's folder read into a city, or refused with everything that is wrong with it: file, line, remedy."""

import csv
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

from city_adapters.agreed_shares import SHARE_COLUMNS, AgreedShares, read_agreed_share
from city_adapters.agreement import Agreement, read_agreement
from city_adapters.city import BENEFICIARIES, CalendarDay, City, Example, Operator, check
from city_adapters.city_columns import (
    DAY_COLUMNS,
    EXAMPLE_COLUMNS,
    GATE_COLUMNS,
    LINE_COLUMNS,
    LINK_COLUMNS,
    OPERATOR_COLUMNS,
    STATION_COLUMNS,
    TRANSFER_COLUMNS,
)
from city_adapters.day_hours import DayType
from city_adapters.earlier_networks import EARLIER_COLUMNS, read_earlier_link
from city_adapters.earlier_networks import FILE as EARLIER_FILE
from city_adapters.fields import Fields
from city_adapters.findings import Finding, MalformedFolder, error, errors, warning
from city_adapters.folder_rows import earlier_links_text, links_text, table_text
from city_adapters.gates_of_lines import LineGates
from city_adapters.lint import look_through
from city_adapters.network import LONGEST_LINK_M, EarlierLink, Line, LineKind, Link, Network, Station, Transfer, TransferKind
from city_adapters.overrides import OVERRIDE_COLUMNS, Overrides, bounded, read_override
from city_adapters.provenance import Confidence
from city_adapters.service_day import ServiceDays
from city_adapters.split_rule import read_split_rule
from city_adapters.tariff import Tariff, read_tariff
from city_adapters.toml_lines import lines_of_paths
from city_adapters.validity import Dates, Validity, follow, read_dates
from fare_chain.identifiers import CitySlug, Fen, MemberNumber, StationId, StationNumber

FILES = {
    "city.toml",
    EARLIER_FILE,
    *(f"{name}.csv" for name in ("stations", "lines", "links", "transfers", "operators", "examples", "gates", "calendar")),
}
DATED_FILES = ("tariff-*.toml", "split-*.toml", "overrides-*.csv", "shares-*.csv")

Record = TypeVar("Record")


def load_city(folder: Path) -> City:
    """Read a folder into a city; raises MalformedFolder with its findings where it cannot be used."""
    city, findings = read_city(folder)
    if city is None:
        raise MalformedFolder(str(folder), findings)
    return city


def read_city(folder: Path) -> tuple[City | None, list[Finding]]:
    """Read a folder into a city and everything found wrong with it; no city where an error was found."""
    findings = _strange_files(folder)
    head = _toml(folder / "city.toml", findings)
    if head is None:
        return None, findings
    days = ServiceDays(_time_zone(head), head.whole("service_day_starts_at_hour", most=23))
    ridership = head.table("ridership")
    tariffs = _dated(folder, "tariff", days, read_tariff, findings)
    city = City(
        number=MemberNumber(head.whole("number", least=1, most=2**16 - 1)),
        code=head.text("code"),
        slug=CitySlug(head.text("slug")),
        name_zh=head.text("name_zh"),
        name_en=head.text("name_en"),
        days=days,
        daily_riders=ridership.whole("riders_per_day", least=1),
        ridership=ridership.provenance(),
        network=_network(folder, findings),
        operators=_rows(folder / "operators.csv", OPERATOR_COLUMNS, _operator, findings),
        tariffs=tariffs,
        splits=_dated(folder, "split", days, read_split_rule, findings),
        examples=_rows(folder / "examples.csv", EXAMPLE_COLUMNS, _example, findings),
        gates=_optional_rows(folder / "gates.csv", GATE_COLUMNS, _line_gates, findings),
        calendar=_optional_rows(folder / "calendar.csv", DAY_COLUMNS, _calendar_day, findings),
        remarks=(remarks := head.texts("unconfirmed") if head.has("unconfirmed") else ()),
        remark_lines=tuple(head.line_of(f"unconfirmed[{at}]") for at in range(len(remarks))),
        overrides=_overrides(folder, days, tariffs, findings),
        agreed=_agreed(folder, days, findings),
    )
    ridership.done()
    head.done()
    if city.slug != folder.resolve().name:
        head.wrong("slug", f"is {city.slug!r} in the folder {folder.name!r}", "call both the same")
    if not (len(city.code) == 3 and city.code.isascii() and city.code.isalpha() and city.code.isupper()):
        head.wrong("code", f"is {city.code!r}", "give three capital letters, as the ids of its stations begin")
    if not errors(findings):
        findings += check(city)
    return (None if errors(findings) else city), findings


def _strange_files(folder: Path) -> list[Finding]:
    """Name the files that nobody reads: a slip in a tariff's name must not make it vanish."""
    return [
        warning(path.name, "is not a file of a city folder, and nobody reads it", "correct its name, or remove it")
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.name not in FILES and not any(path.match(dated) for dated in DATED_FILES)
    ]


def write_lengths(folder: Path, network: Network) -> None:
    """Write the links of a network, of today and of earlier, back into its folder."""
    _write(folder / "links.csv", links_text(network, LINK_COLUMNS))
    if network.earlier:
        _write(folder / EARLIER_FILE, earlier_links_text(network, EARLIER_COLUMNS))


def write_overrides(folder: Path, first_day: date, rows: Iterable[Sequence[str]]) -> Path:
    """Write the overrides that hold from a day on, in place of those that a file of that day had."""
    path = folder / f"overrides-{first_day.isoformat()}.csv"
    _write(path, table_text(OVERRIDE_COLUMNS, rows))
    return path


def _write(path: Path, text: str) -> None:
    """Put a file in place whole: a reader finds the old one or the new one."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(path)


def lint(folder: Path) -> list[Finding]:
    """Say everything about a folder: what is wrong, what is worth a look, and what nobody has confirmed."""
    city, findings = read_city(folder)
    return findings if city is None else [*findings, *look_through(city)]


def load_agreements(folder: Path, days: ServiceDays) -> tuple[Agreement, ...]:
    """Read every agreement of a folder; raises MalformedFolder with its findings where one cannot be used."""
    findings: list[Finding] = []
    agreements = _dated(folder, "scheme", days, read_agreement, findings)
    if errors(findings):
        raise MalformedFolder(str(folder), findings)
    return agreements


def _network(folder: Path, findings: list[Finding]) -> Network:
    return Network(
        stations=_rows(folder / "stations.csv", STATION_COLUMNS, _station, findings),
        lines=_rows(folder / "lines.csv", LINE_COLUMNS, _line, findings),
        links=_rows(folder / "links.csv", LINK_COLUMNS, _link, findings),
        transfers=_rows(folder / "transfers.csv", TRANSFER_COLUMNS, _transfer, findings),
        earlier=_optional_rows(folder / EARLIER_FILE, EARLIER_COLUMNS, _earlier_link, findings),
    )


def _station(row: Fields) -> Station:
    return Station(
        StationNumber(row.whole("number", least=1)),
        StationId(row.text("station_id")),
        row.text("name_zh"),
        row.text("name_en"),
        row.choice("name_en_confidence", Confidence),
        row.thousandths("lon"),
        row.thousandths("lat"),
        row.provenance(),
    )


def _line(row: Fields) -> Line:
    return Line(
        row.text("line_id"),
        row.text("name_zh"),
        row.text("name_en"),
        row.choice("kind", LineKind),
        row.text("colour"),
        row.whole("operator", least=1, most=BENEFICIARIES - 1),
        row.choice("operator_confidence", Confidence),
        row.provenance(),
    )


def _link(row: Fields) -> Link:
    return Link(
        row.text("line_id"),
        StationId(row.text("from_id")),
        StationId(row.text("to_id")),
        row.whole("distance_m", least=1, most=LONGEST_LINK_M),
        row.whole("source_m", least=1, most=LONGEST_LINK_M),
        row.optional_text("reason"),
        row.optional_text("rate_class"),
        row.provenance(),
    )


def _earlier_link(row: Fields) -> EarlierLink:
    return read_earlier_link(row, LONGEST_LINK_M)


def _transfer(row: Fields) -> Transfer:
    return Transfer(
        StationId(row.text("from_id")),
        StationId(row.text("to_id")),
        row.text("from_line"),
        row.text("to_line"),
        row.choice("kind", TransferKind),
        row.yes_or_no("joins_fares"),
        row.optional_whole("time_limit_min", least=1, most=1440),
        row.provenance(),
    )


def _operator(row: Fields) -> Operator:
    return Operator(
        row.whole("number", least=1, most=BENEFICIARIES - 1), row.text("name_zh"), row.text("name_en"), row.provenance()
    )


def _example(row: Fields) -> Example:
    return Example(
        row.line,
        StationId(row.text("from_id")),
        StationId(row.text("to_id")),
        row.optional_whole("distance_m"),
        Fen(row.whole("fare_fen", least=1)),
        row.provenance(),
    )


def _line_gates(row: Fields) -> LineGates:
    return LineGates(
        row.line,
        StationId(row.text("station_id")),
        row.text("line_id"),
        row.whole("from_gate"),
        row.whole("to_gate"),
        row.provenance(),
    )


def _calendar_day(row: Fields) -> CalendarDay:
    return CalendarDay(row.line, row.day("date"), row.choice("day", DayType), row.provenance())


def _optional_rows(
    path: Path, columns: tuple[str, ...], read: Callable[[Fields], Record], findings: list[Finding]
) -> tuple[Record, ...]:
    """Read the rows of a file that a folder need not have."""
    return _rows(path, columns, read, findings) if path.exists() else ()


def _rows(path: Path, columns: tuple[str, ...], read: Callable[[Fields], Record], findings: list[Finding]) -> tuple[Record, ...]:
    """Read the rows of a CSV file: UTF-8, the columns of its format and no others."""
    before = len(findings)
    lines = csv.reader(_text(path, findings).splitlines())
    header = tuple(next(lines, ()))
    if header != columns:
        if len(findings) == before:
            findings.append(error(path.name, f"the columns are {', '.join(header)}", f"give {', '.join(columns)}", line=1))
        return ()
    records = []
    for values in lines:
        row = Fields(dict(zip(columns, values, strict=False)), path.name, findings, line=lines.line_num)
        if len(values) != len(columns):
            row.wrong("the row", f"has {len(values)} fields", f"give {len(columns)}, as in the first line")
        else:
            records.append(read(row))
    return tuple(records)


def _dated(
    folder: Path, name: str, days: ServiceDays, read: Callable[[Fields, Validity], Record], findings: list[Finding]
) -> tuple[Record, ...]:
    """Read the dated versions `<name>-<date>.toml` of a folder, in the order of their dates."""
    found: list[Finding] = []
    files = [fields for path in sorted(folder.glob(f"{name}-*.toml")) if (fields := _toml(path, found))]
    if not files and not found:
        found.append(error(f"{name}-<date>.toml", "is missing", f"add {name}-<first day>.toml as docs/formats/city-folder.md says"))
    dates = [read_dates(fields) for fields in files]
    validities, clashes = ({}, []) if errors(found) else follow(dates, days)
    records = tuple(read(fields, validities.get(fields.file, Validity(0))) for fields in files)
    findings += [*found, *clashes]
    return records


def _overrides(folder: Path, days: ServiceDays, tariffs: Sequence[Tariff], findings: list[Finding]) -> tuple[Overrides, ...]:
    """Read the versions `overrides-<date>.csv` of a folder."""
    return tuple(
        Overrides(
            path.name, bounded(path.name, validity, tariffs, findings), _rows(path, OVERRIDE_COLUMNS, read_override, findings)
        )
        for path, validity in _dated_tables(folder, "overrides", days, findings)
    )


def _agreed(folder: Path, days: ServiceDays, findings: list[Finding]) -> tuple[AgreedShares, ...]:
    """Read the versions `shares-<date>.csv` of a folder."""
    return tuple(
        AgreedShares(path.name, validity, _rows(path, SHARE_COLUMNS, read_agreed_share, findings))
        for path, validity in _dated_tables(folder, "shares", days, findings)
    )


def _dated_tables(folder: Path, name: str, days: ServiceDays, findings: list[Finding]) -> list[tuple[Path, Validity]]:
    """Find the versions `<name>-<date>.csv` of a folder, each named for its first service day and in force until the next."""
    paths = sorted(folder.glob(f"{name}-*.csv"))
    dates = [Dates(path.name, day, None) for path in paths if (day := _named_day(path, name, findings))]
    validities, clashes = follow(dates, days)
    findings += clashes
    return [(path, validities[path.name]) for path in paths if path.name in validities]


def _named_day(path: Path, name: str, findings: list[Finding]) -> date | None:
    try:
        return date.fromisoformat(path.stem.removeprefix(f"{name}-"))
    except ValueError:
        findings.append(error(path.name, "its name does not say a day", f"name it {name}-YYYY-MM-DD.csv for its first day"))
        return None


def _toml(path: Path, findings: list[Finding]) -> Fields | None:
    """Read a TOML file, or say what keeps it from being one."""
    before = len(findings)
    text = _text(path, findings)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        said = re.search(r"\(at line (\d+),", str(wrong))
        line = int(said[1]) if said else text.count("\n") + 1
        findings.append(error(path.name, f"is not TOML: {wrong}", "correct it there", line=line))
        return None
    return Fields(values, path.name, findings, lines=lines_of_paths(text)) if len(findings) == before else None


def _text(path: Path, findings: list[Finding]) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        findings.append(error(path.name, "is missing", f"add it to {path.parent.name} as docs/formats/city-folder.md says"))
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = wrong.object.count(b"\n", 0, wrong.start) + 1
        findings.append(error(path.name, f"is not UTF-8 at byte {wrong.start} of the file", "save it as UTF-8", line=line))
        return ""


def _time_zone(head: Fields) -> str:
    """Read the name of the host's time zone; an unknown one is a finding and stands in as UTC."""
    name = head.text("time_zone")
    try:
        ServiceDays(name, 0).day_of(0)
    except (ValueError, OSError, LookupError):
        head.wrong("time_zone", f"is {name!r}, which is unknown", "give a name of the IANA time zone database")
        return "UTC"
    if ServiceDays(name, 0).moves_its_clocks:
        head.wrong("time_zone", f"is {name!r}, which moves its clocks", "give a zone of one offset, as Etc/GMT+5")
        return "UTC"
    return name
