"""A ride with the tables and the folder that it is priced by: what a quote shows and an explanation takes apart."""

from dataclasses import dataclass, replace

from city_adapters.city import City
from city_adapters.network import Network, TransferKind
from city_adapters.overridden_rows import overridden_rows
from city_adapters.overrides import Override, Overrides
from city_adapters.price_parts import PricePart
from city_adapters.split_rule import SplitRule
from city_adapters.table_compiler import in_force
from city_adapters.tables import CityTable, TariffVersion
from city_adapters.tariff import Tariff
from fare_chain.errors import Conflict, Malformed, Unknown
from fare_chain.tap import Category, Tap, TapKind
from settlement.core.one_ride import NOTHING_BETWEEN, OneRide, two_taps, value
from settlement.core.rules import Rules
from settlement.pinned_cities import PinnedCities

MINUTE_US = 60_000_000
_NO_SEED = bytes(32)


@dataclass(frozen=True, slots=True)
class AskedRide:
    """What somebody wants to know the price of; `minutes` is how long each city's leg lasts, lines are those of the gates."""

    from_id: str
    to_id: str
    at_us: int
    issuer: str | None = None
    category: Category = Category.ADULT
    step: int = 0
    from_line: str = ""
    to_line: str = ""
    minutes: int = 0


@dataclass(frozen=True, slots=True)
class HostedRide:
    """One host's ride, valued. `city` is its folder, None where none is at hand.

    `is_folder_in_force` says whether that folder gives the very table by which the ride is priced: otherwise it only lends names.
    """

    city: City | None
    is_folder_in_force: bool
    issuer: str
    rules: Rules
    one: OneRide

    @property
    def table(self) -> CityTable:
        """The host's table."""
        return self.one.tariff.city

    @property
    def version(self) -> TariffVersion:
        """The dated version in force at entry."""
        return self.one.tariff.version

    @property
    def entered_at_us(self) -> int:
        """The moment of entry."""
        return int(self.one.rides.entries["tapped_at_us"][0])

    @property
    def rows(self) -> tuple[int, int]:
        """The rows of the table that its gates lie in."""
        return int(self.one.fares.from_row[0]), int(self.one.fares.to_row[0])

    @property
    def station_ids(self) -> tuple[str, str]:
        """Where it began and ended."""
        first, second = (self.table.station_ids[self.station_row(row)] for row in self.rows)
        return first, second

    def station_row(self, row: int) -> int:
        """The row of the station that a gate area belongs to; a station's own row as it is."""
        beyond = row - len(self.table.station_ids)
        return row if beyond < 0 else self.table.gate_areas[beyond].station_row

    def gate_line(self, row: int) -> str:
        """The line that has these gates for itself, or nothing."""
        beyond = row - len(self.table.station_ids)
        return "" if beyond < 0 else self.table.gate_areas[beyond].line_id

    @property
    def facts(self) -> City | None:
        """The folder, where it is the one in force."""
        return self.city if self.is_folder_in_force else None

    @property
    def tariff(self) -> Tariff | None:
        """The tariff that the version was compiled from, where the folder is at hand."""
        return in_force(self.facts.tariffs, self.entered_at_us) if self.facts else None

    @property
    def split(self) -> SplitRule | None:
        """The split rule that the version was compiled from, where the folder is at hand."""
        return in_force(self.facts.splits, self.entered_at_us) if self.facts else None

    def override(self) -> tuple[Overrides, Override] | None:
        """The official fare that stands in place of the rule's, with its file."""
        overrides = in_force(self.facts.overrides, self.entered_at_us) if self.facts else None
        if overrides is None or self.facts is None or self.tariff is None:
            return None
        placed = overridden_rows(self.facts.network, self.table.gate_areas, self.tariff, overrides)
        held = [row.override for row in placed if row.holds(*self.rows)]
        return (overrides, held[-1]) if held else None

    def price_parts(self, pinned: PinnedCities | None) -> tuple[PricePart, ...]:
        """The price path by the rule alone, where the folder is at hand."""
        if self.facts is None or self.tariff is None or pinned is None:
            return ()
        lines = {self.gate_line(row) for row in self.rows}
        alone = next((charge for charge in self.tariff.charges if lines <= set(charge.lines)), None)
        start, end = (self.facts.stations[self.station_row(row)].station_id for row in self.rows)
        return pinned.price_map(self.facts, self.tariff).parts(start, end, alone)


def hosted_rides(pinned: PinnedCities, asked: AskedRide) -> tuple[HostedRide, ...]:
    """Value what is asked: one ride of one host, or one of each of two neighbours, cut at the station where they meet.

    Unknown for what is not here, Malformed for what no tap could say, Conflict where two cities that do not meet would price it.
    """
    if not 0 <= asked.step < 256 or not 0 <= asked.minutes <= 7 * 1440:
        raise Malformed(f"step is {asked.step} and minutes {asked.minutes}: a step lies in 0..255, a ride lasts at most a week")
    catalogue = pinned.catalogue
    host, _ = catalogue.station(asked.from_id)
    other, _ = catalogue.station(asked.to_id)
    if host.number == other.number:
        return (_hosted(pinned, host, asked),)
    asked = replace(asked, issuer=asked.issuer or host.slug)
    ways = [
        _over(pinned, (host, other), asked, change.from_id, change.to_id)
        for change in host.network.transfers
        if change.kind is TransferKind.BETWEEN_CITIES and catalogue.station(change.to_id)[0].number == other.number
    ]
    if not ways:
        raise Conflict(
            f"{asked.from_id} is {host.slug}'s and {asked.to_id} {other.slug}'s, and their networks do not meet: "
            "each city prices its own ride, quote one city at a time"
        )
    return min(ways, key=lambda legs: sum(leg.one.fare_fen for leg in legs))


def _over(pinned: PinnedCities, cities: tuple[City, City], asked: AskedRide, near_id: str, far_id: str) -> tuple[HostedRide, ...]:
    """Both legs of a ride over one border; one leg where it begins or ends there."""
    legs = []
    if asked.from_id != near_id:
        legs.append(_hosted(pinned, cities[0], replace(asked, to_id=near_id, to_line="")))
    if asked.to_id != far_id:
        later = asked.at_us + asked.minutes * MINUTE_US * len(legs)
        legs.append(_hosted(pinned, cities[1], replace(asked, from_id=far_id, from_line="", at_us=later)))
    if not legs:
        raise Conflict(f"{near_id} and {far_id} are two sides of one station: each city prices its own ride, and none is ridden")
    return tuple(legs)


def _hosted(pinned: PinnedCities, host: City, asked: AskedRide) -> HostedRide:
    rules = pinned.rules(host)
    table = rules.cities[0]
    if table.version_at(asked.at_us) is None:
        raise Unknown(f"{host.slug} has no tariff in force at that moment")
    issuer = host if asked.issuer is None else pinned.catalogue.city(asked.issuer)
    sides = []
    for kind, name, line, at_us in (
        (TapKind.ENTRY, asked.from_id, asked.from_line, asked.at_us),
        (TapKind.EXIT, asked.to_id, asked.to_line, asked.at_us + asked.minutes * MINUTE_US),
    ):
        station = host.network.station(name)
        gate = _gate(table, host.network, host.network.rows[station.station_id], line)
        sides.append(
            Tap(
                at_us, bytes(16), bytes(32), 0, gate, station.number, host.number, issuer.number, kind,
                category=asked.category, entitlement=asked.step,
            )
        )  # fmt: skip
    one = value(two_taps(*sides), NOTHING_BETWEEN, rules, _NO_SEED)
    return HostedRide(city=host, is_folder_in_force=True, issuer=str(issuer.slug), rules=rules, one=one)


def _gate(table: CityTable, network: Network, row: int, line_id: str) -> int:
    """A gate of the line's own at a station, or, without a line, one that no line has for itself."""
    station_id = network.stations[row].station_id
    if line_id and line_id not in network.lines_at[station_id]:
        raise Unknown(f"{station_id} is no stop of {line_id}: give one of {', '.join(network.lines_at[station_id])}")
    own = [area for area in table.gate_areas if (area.station_row, area.line_id) == (row, line_id)]
    if own:
        return own[0].from_gate
    gate = 0
    for area in sorted(table.gate_areas, key=lambda area: area.from_gate):
        if area.from_gate <= gate <= area.to_gate:
            gate = area.to_gate + 1
    return gate
