"""The catalogue's cities with their tables pinned as the ledger would pin them, each once: what quotes are priced by."""

from dataclasses import dataclass, field

from city_adapters.catalogue import Catalogue
from city_adapters.city import City
from city_adapters.price_parts import PriceMap
from city_adapters.table_compiler import compile_agreement
from city_adapters.table_packing import pack_agreement, pack_city
from city_adapters.tariff import Tariff
from fare_chain.hashing import sha256
from settlement.core.rules import PinnedTable, Rules


@dataclass(frozen=True, slots=True)
class PinnedCities:
    """A catalogue, and what was made of it so far: every city on first use."""

    catalogue: Catalogue
    _rules: dict[int, Rules] = field(default_factory=dict)
    _maps: dict[tuple[int, str], PriceMap] = field(default_factory=dict)

    def rules(self, city: City) -> Rules:
        """One host's table and all agreements, in force as its folder tells them."""
        if city.number not in self._rules:
            table = self.catalogue.table(city.slug)
            pins = [PinnedTable(table, sha256(pack_city(table))), *self._agreements()]
            self._rules[city.number] = Rules().including(pins)
        return self._rules[city.number]

    def price_map(self, city: City, tariff: Tariff) -> PriceMap:
        """The price paths of a city under one of its tariffs."""
        key = city.number, tariff.file
        if key not in self._maps:
            self._maps[key] = PriceMap(city.network, tariff)
        return self._maps[key]

    def _agreements(self) -> list[PinnedTable]:
        members = {code: int(number) for code, number in self.catalogue.member_numbers.items()}
        tables = [compile_agreement(dated, members) for dated in self.catalogue.agreements]
        return [PinnedTable(table, sha256(pack_agreement(table))) for table in tables]
