"""Every city folder and the agreements between them, loaded and checked against each other."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from city_adapters.agreement import Agreement
from city_adapters.city import City
from city_adapters.city_files import load_agreements, load_city
from city_adapters.findings import Finding, MalformedFolder, error
from city_adapters.network import Station, Transfer, TransferKind
from city_adapters.table_cache import cached_table
from city_adapters.table_compiler import compile_city
from city_adapters.tables import CityTable
from fare_chain.errors import Unknown
from fare_chain.identifiers import MemberNumber

PACKAGED = Path(__file__).parent
"""Where the cities that come with the program stand: `cities/<slug>/` and `agreements/` below it."""


@dataclass(frozen=True)
class Catalogue:
    """The member cities by number, and the agreements by date; `home` is the folder they were read from.

    Compiled tables are kept in `cache`, where there is one.
    """

    cities: tuple[City, ...]
    agreements: tuple[Agreement, ...]
    home: Path
    cache: Path | None = None

    @cached_property
    def by_number(self) -> dict[MemberNumber, City]:
        """The cities by member number."""
        return {city.number: city for city in self.cities}

    @cached_property
    def by_code(self) -> dict[str, City]:
        """The cities by code, as the ids of their stations begin."""
        return {city.code: city for city in self.cities}

    @cached_property
    def _by_name(self) -> dict[str, City]:
        return {name.casefold(): city for city in self.cities for name in (city.slug, city.code)}

    @cached_property
    def member_numbers(self) -> dict[str, int]:
        """The member number of each city code, as an agreement's table needs them."""
        return {city.code: city.number for city in self.cities}

    @cached_property
    def _tables(self) -> dict[MemberNumber, CityTable]:
        return {}

    def table(self, name: str) -> CityTable:
        """Compile a city's table, found by slug or code; the second time it is at hand."""
        city = self.city(name)
        if city.number not in self._tables:
            self._tables[city.number] = (
                compile_city(city)
                if self.cache is None
                else cached_table(self.home / "cities" / city.slug, city.slug, self.cache, lambda: compile_city(city))
            )
        return self._tables[city.number]

    @cached_property
    def by_rule(self) -> "Catalogue":
        """The same cities as their rules alone have it, without official fares in their place."""
        # Kept tables are named for the whole folder, overrides among it.
        return replace(self, cities=tuple(replace(city, overrides=()) for city in self.cities), cache=None)

    def city(self, name: str) -> City:
        """Find a city by slug or code, in any case."""
        found = self._by_name.get(name.strip().casefold())
        if found is None:
            known = ", ".join(f"{city.slug} ({city.code})" for city in self.cities)
            raise Unknown(f"there is no city {name!r}; there are {known}")
        return found

    def passages(self, city: City) -> dict[int, frozenset[int]]:
        """The stations of a city with a paid-area passage into another city, and the members whose riders may walk it: the two."""
        found: dict[int, frozenset[int]] = {}
        for change in city.network.transfers:
            if change.kind is TransferKind.BETWEEN_CITIES:
                beyond, _station = self.station(change.to_id)
                found[city.network.station(change.from_id).number] = frozenset({city.number, beyond.number})
        return found

    def station(self, station_id: str) -> tuple[City, Station]:
        """Find a station and its city by the station's id: the city's code, a hyphen, a name."""
        city = self.by_code.get(station_id.partition("-")[0])
        if city is None:
            known = ", ".join(self.by_code)
            raise Unknown(f"no city has a station {station_id!r}; a station's id begins with its city's code, one of {known}")
        return city, city.network.station(station_id)


def load_catalogue(folder: Path | None = None, cache: Path | None = None) -> Catalogue:
    """Load all cities and agreements below a folder (default: those that come with the program), or raise MalformedFolder.

    Tables that are asked for later are taken from `cache`, or kept there; without one they are compiled each time.
    """
    home = folder or PACKAGED
    cities = sorted((load_city(path.parent) for path in sorted(home.glob("cities/*/city.toml"))), key=lambda city: city.number)
    if not cities:
        missing = error("cities/<slug>/city.toml", "no city was found", "give a folder that holds cities/<slug>/")
        raise MalformedFolder(str(home), [missing])
    catalogue = Catalogue(tuple(cities), load_agreements(home / "agreements", cities[0].days), home, cache)
    findings = _contradictions(catalogue)
    if findings:
        raise MalformedFolder(str(home), findings)
    return catalogue


def _contradictions(catalogue: Catalogue) -> list[Finding]:
    findings = []
    for what, names in (
        ("number", [city.number for city in catalogue.cities]),
        ("code", [city.code for city in catalogue.cities]),
        ("slug", [city.slug for city in catalogue.cities]),
    ):
        if len(set(names)) < len(names):
            findings.append(error("city.toml", f"two cities have one {what}", f"give each city a {what} of its own"))
    for agreement in catalogue.agreements:
        findings += [
            error(
                agreement.file,
                f"the member {code} has no folder",
                "add its folder or correct the code",
                line=agreement.provenance.line,
            )
            for code in agreement.members
            if code not in catalogue.by_code
        ]
    for city in catalogue.cities:
        for change in city.network.transfers:
            if change.kind is TransferKind.BETWEEN_CITIES and not _is_told_twice(catalogue, change):
                found = f"{change.from_id} - {change.to_id} is not told by the other city"
                place, line = f"{city.slug}/transfers.csv", change.provenance.line
                findings.append(error(place, found, "add it to both folders", line=line))
    return findings


def _is_told_twice(catalogue: Catalogue, change: Transfer) -> bool:
    other = catalogue.by_code.get(change.to_id.partition("-")[0])
    return other is not None and any(
        (back.from_id, back.from_line, back.to_id, back.to_line) == (change.to_id, change.to_line, change.from_id, change.from_line)
        for back in other.network.transfers
    )
