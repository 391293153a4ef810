"""A city as its folder tells it: network, operators, dated tariffs and split rules, and what of it is not confirmed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from city_adapters.agreed_shares import AgreedShares, contradictory_shares
from city_adapters.day_hours import DayType
from city_adapters.findings import Finding, error, note, warning
from city_adapters.gates_of_lines import LineGates, stray_gates
from city_adapters.network import Network, Station, contradictions
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
        _examples(city),
        stray_gates(city.gates, city.network),
        _days(city),
        amended,
        _splits(city),
    )
    return [*contradictions(city.network), *(finding for findings in found for finding in findings)]


def _numbers(city: City) -> Iterable[Finding]:
    for file, numbers in (
        ("stations.csv", [station.number for station in city.stations]),
        ("operators.csv", [operator.number for operator in city.operators]),
    ):
        if not numbers:
            yield error(file, "has no row", "add one below the columns")
        if numbers != sorted(numbers):
            yield error(file, "the rows are not in the order of their numbers", "sort them by number; never renumber a row")
    for number, count in Counter(operator.number for operator in city.operators).items():
        if count > 1:
            yield error("operators.csv", f"number {number} stands there {count} times", "give each operator a number of its own")


def _ids(city: City) -> Iterable[Finding]:
    home = [("stations.csv", station.station_id) for station in city.stations]
    home += [("lines.csv", StationId(line.line_id)) for line in city.network.lines]
    for file, name in home:
        code, hyphen, rest = name.partition("-")
        if code != city.code or not hyphen or not rest or not name.isascii() or " " in name:
            yield error(file, f"{name!r} is not an id of {city.name_en}", f"write {city.code}-<name in ASCII without spaces>")


def _operators(city: City) -> Iterable[Finding]:
    known = {operator.number for operator in city.operators}
    for line in city.network.lines:
        if line.operator not in known:
            yield error(
                "lines.csv",
                f"{line.line_id} is run by operator {line.operator}, which operators.csv does not have",
                "add it or correct it",
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
            yield error(
                tariff.file, f"charge {charged[line].name!r} names {line}, which lines.csv does not have", "correct the line's id"
            )
        for link in city.network.links:
            charge = charged.get(link.line_id, tariff.charges[0])
            if charge.rate_classes and link.rate_class not in charge.rate_classes:
                yield error(
                    "links.csv",
                    f"{link.line_id} {link.from_id} - {link.to_id} has rate_class {link.rate_class!r}",
                    f"give one that {tariff.file} has a rate for: {', '.join(charge.rate_classes)}",
                )


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
        warning(tariff.file, "no ride time limit was found", "add [ride_time] once it is known")
        for tariff in city.tariffs
        if tariff.ride_time is None
    ]
    return [
        *(note("city.toml", remark, ask) for remark in city.remarks),
        *(note(file, f"{what} is {known.confidence}", ask) for file, what, known in _values(city) if not known.confidence.is_firm),
        *(note(file, f"{count} of {of} {what} are unconfirmed", ask) for file, what, count, of in _counts(city) if count),
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


def _counts(city: City) -> Iterable[tuple[str, str, int, int]]:
    """The values that come by the hundred: file, what they are, how many are unconfirmed, of how many."""
    network = city.network
    agreed = [(table.file, "agreed shares", [row.provenance.confidence for row in table.rows]) for table in city.agreed]
    for file, what, values in (
        *agreed,
        ("stations.csv", "English names", [station.name_en_confidence for station in network.stations]),
        ("stations.csv", "station positions", [station.position.confidence for station in network.stations]),
        ("lines.csv", "operators of lines", [line.operator_confidence for line in network.lines]),
        ("links.csv", "link lengths", [link.provenance.confidence for link in network.links]),
        ("transfers.csv", "transfers", [change.provenance.confidence for change in network.transfers]),
        ("gates.csv", "gates of one line", [row.provenance.confidence for row in city.gates]),
        ("calendar.csv", "days of the calendar", [day.provenance.confidence for day in city.calendar]),
    ):
        yield file, what, sum(not value.is_firm for value in values), len(values)
