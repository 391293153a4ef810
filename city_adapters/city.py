"""A city as its folder tells it: network, operators, dated tariffs and split rules, and what of it is not confirmed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from city_adapters.agreed_shares import AgreedShares, contradictory_shares
from city_adapters.day_hours import DayType
from city_adapters.earlier_networks import stray_earlier_links
from city_adapters.findings import Finding, error, note, warning
from city_adapters.gates_of_lines import LineGates, stray_gates
from city_adapters.network import Network, Station, contradictions, repeated
from city_adapters.overrides import Overrides, contradictory_overrides
from city_adapters.provenance import Provenance
from city_adapters.service_day import ServiceDays
from city_adapters.split_rule import SplitRule, stray_lines
from city_adapters.tariff import Tariff
from fare_chain.identifiers import CitySlug, Fen, MemberNumber, StationId

BENEFICIARIES = 256
"""A beneficiary's global number is its host's number times this, plus its own number in the host."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A beneficiary: runs lines, earns shares; `number` is its own within the host, from 1."""

    number: int
    name_zh: str
    name_en: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Example:
    """A ride whose fare is known from elsewhere: the tariff must give just this."""

    line: int
    from_id: StationId
    to_id: StationId
    distance_m: int | None
    fare_fen: Fen
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A service day whose type its weekday does not tell."""

    line: int
    date: date
    day: DayType
    provenance: Provenance


@dataclass(frozen=True)
class City:
    """One member that hosts and issues; `number` is its member number, fixed for ever."""

    number: MemberNumber
    code: str
    slug: CitySlug
    name_zh: str
    name_en: str
    days: ServiceDays
    daily_riders: int
    ridership: Provenance
    network: Network
    operators: tuple[Operator, ...]
    tariffs: tuple[Tariff, ...]
    splits: tuple[SplitRule, ...]
    examples: tuple[Example, ...]
    gates: tuple[LineGates, ...]
    calendar: tuple[CalendarDay, ...]
    remarks: tuple[str, ...]
    overrides: tuple[Overrides, ...] = ()
    agreed: tuple[AgreedShares, ...] = ()
    remark_lines: tuple[int, ...] = ()

    def tariff_at(self, at_us: int) -> Tariff | None:
        """The tariff in force at a moment."""
        return next((tariff for tariff in self.tariffs if tariff.validity.from_us <= at_us < tariff.validity.to_us), None)

    def month_tiers_fen(self, at_us: int) -> list[int]:
        """The spend from which each step of a rider's month counts, at a moment; none where the tariff has no month tiers."""
        tariff = self.tariff_at(at_us)
        tiers = tariff.month_tiers if tariff else None
        return [tier.spent_fen for tier in tiers.tiers] if tiers else []

    @property
    def stations(self) -> tuple[Station, ...]:
        """The stations by number."""
        return self.network.stations

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Everything a quote has to be shown with, in words."""
        return tuple(finding.message for finding in unconfirmed(self))


def check(city: City) -> list[Finding]:
    """Say where the files of a folder, each well formed, contradict one another."""
    amended = (finding for overrides in city.overrides for finding in contradictory_overrides(city.network, overrides))
    found = (
        _numbers(city),
        _ids(city),
        _operators(city),
        _charges(city),
        _unsplit(city),
        _examples(city),
        stray_gates(city.gates, city.network),
        _days(city),
        stray_earlier_links(city.network),
        amended,
        _splits(city),
    )
    return [*contradictions(city.network), *(finding for findings in found for finding in findings)]


def _numbers(city: City) -> Iterable[Finding]:
    for file, numbers in (
        ("stations.csv", [(int(station.number), station.position.line) for station in city.stations]),
        ("operators.csv", [(operator.number, operator.provenance.line) for operator in city.operators]),
    ):
        if not numbers:
            yield error(file, "has no row", "add one below the columns", line=1)
        for (before, _), (number, line) in pairwise(numbers):
            if number < before:
                found = f"number {number} stands after {before}: the rows are not in the order of their numbers"
                yield error(file, found, "sort them by number; never renumber a row", line=line)
    yield from repeated("operators.csv", "number", ((operator.number, operator.provenance.line) for operator in city.operators))


def _ids(city: City) -> Iterable[Finding]:
    home = [("stations.csv", str(station.station_id), station.position.line) for station in city.stations]
    home += [("lines.csv", line.line_id, line.provenance.line) for line in city.network.lines]
    for file, name, at in home:
        code, hyphen, rest = name.partition("-")
        if code != city.code or not hyphen or not rest or not name.isascii() or " " in name:
            remedy = f"write {city.code}-<name in ASCII without spaces>"
            yield error(file, f"{name!r} is not an id of {city.name_en}", remedy, line=at)


def _operators(city: City) -> Iterable[Finding]:
    known = {operator.number for operator in city.operators}
    for line in city.network.lines:
        if line.operator not in known:
            yield error(
                "lines.csv",
                f"{line.line_id} is run by operator {line.operator}, which operators.csv does not have",
                "add it or correct it",
                line=line.provenance.line,
            )


def _splits(city: City) -> Iterable[Finding]:
    for rule in city.splits:
        yield from stray_lines(city.network, rule)
    for agreed in city.agreed:
        yield from contradictory_shares(city.network, [operator.number for operator in city.operators], agreed)


def _charges(city: City) -> Iterable[Finding]:
    lines = {line.line_id for line in city.network.lines}
    for tariff in city.tariffs:
        charged = {line: charge for charge in tariff.charges for line in charge.lines}
        for line in charged.keys() - lines:
            found = f"charge {charged[line].name!r} names {line}, which lines.csv does not have"
            yield error(tariff.file, found, "correct the line's id", line=charged[line].provenance.line)
        for link in city.network.links:
            charge = charged.get(link.line_id, tariff.charges[0])
            if charge.rate_classes and link.rate_class not in charge.rate_classes:
                yield error(
                    "links.csv",
                    f"{link.line_id} {link.from_id} - {link.to_id} has rate_class {link.rate_class!r}",
                    f"give one that {tariff.file} has a rate for: {', '.join(charge.rate_classes)}",
                    line=link.provenance.line,
                )


def _unsplit(city: City) -> Iterable[Finding]:
    """Versions of one thing follow one another without a gap, so only the ends can lie bare."""
    begin = min((split.validity.from_us for split in city.splits), default=0)
    end = max((split.validity.to_us for split in city.splits), default=0)
    for tariff in city.tariffs:
        if tariff.validity.from_us < begin or end < tariff.validity.to_us:
            found = "no split rule says who earns the fares of all days on which it holds"
            yield error(tariff.file, found, "add a split rule, or change its dates", line=tariff.provenance.line)


def _examples(city: City) -> Iterable[Finding]:
    for example in city.examples:
        for station in (example.from_id, example.to_id):
            if station not in city.network.rows:
                yield error("examples.csv", f"{station} is no station of {city.name_en}", "correct the id", line=example.line)


def _days(city: City) -> Iterable[Finding]:
    seen = set()
    for day in city.calendar:
        if day.date in seen:
            yield error("calendar.csv", f"{day.date} stands there more than once", "keep one of the rows", line=day.line)
        seen.add(day.date)


def unconfirmed(city: City) -> list[Finding]:
    """Say which values of a folder nobody has confirmed: notes for `city lint`, remarks for a quote."""
    ask = "confirm it with the operator and change its confidence"
    open_ends = [
        warning(tariff.file, "no ride time limit was found", "add [ride_time] once it is known", line=tariff.provenance.line)
        for tariff in city.tariffs
        if tariff.ride_time is None
    ]
    return [
        *(note("city.toml", remark, ask, line=at) for remark, at in zip(city.remarks, city.remark_lines, strict=True)),
        *(
            note(file, f"{what} is {known.confidence}", ask, line=known.line)
            for file, what, known in _values(city)
            if not known.confidence.is_firm
        ),
        *_counted(city, ask),
        *open_ends,
    ]


def _values(city: City) -> Iterable[tuple[str, str, Provenance]]:
    """The values that stand alone in a folder: file, what it is, how it is known."""
    yield "city.toml", "daily ridership", city.ridership
    for tariff in city.tariffs:
        for charge in tariff.charges:
            yield tariff.file, f"charge {charge.name!r}", charge.provenance
        yield tariff.file, "the same-station rule", tariff.same_station.provenance
        if tariff.ride_time:
            yield tariff.file, "the ride time limit", tariff.ride_time.provenance
        for discount in tariff.discounts:
            yield tariff.file, f"discount {discount.name!r}", discount.provenance
    for rule in city.splits:
        yield rule.file, "the split rule", rule.provenance
        if rule.station_weights:
            yield rule.file, "what a split gives to entry and exit stations", rule.station_weights.provenance
    for operator in city.operators:
        yield "operators.csv", f"{operator.name_en} as a beneficiary", operator.provenance


def _counted(city: City, ask: str) -> Iterable[Finding]:
    """The values that come by the hundred: how many are unconfirmed, of how many, and the line of the first."""
    network = city.network
    positions = [station.position for station in network.stations]
    links = [link.provenance for link in network.links]
    transfers = [change.provenance for change in network.transfers]
    agreed = [
        (table.file, "agreed shares", [(row.provenance.confidence, row.provenance.line) for row in table.rows])
        for table in city.agreed
    ]
    for file, what, values in (
        *agreed,
        ("stations.csv", "English names", [(station.name_en_confidence, station.position.line) for station in network.stations]),
        ("stations.csv", "station positions", [(known.confidence, known.line) for known in positions]),
        ("lines.csv", "operators of lines", [(line.operator_confidence, line.provenance.line) for line in network.lines]),
        ("links.csv", "link lengths", [(known.confidence, known.line) for known in links]),
        ("transfers.csv", "transfers", [(known.confidence, known.line) for known in transfers]),
        ("gates.csv", "gates of one line", [(row.provenance.confidence, row.provenance.line) for row in city.gates]),
        ("calendar.csv", "days of the calendar", [(day.provenance.confidence, day.provenance.line) for day in city.calendar]),
    ):
        lines = [line for confidence, line in values if not confidence.is_firm]
        if lines:
            yield note(file, f"{len(lines)} of {len(values)} {what} are unconfirmed", ask, line=lines[0])
