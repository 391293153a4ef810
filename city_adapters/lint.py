"""A city that can be loaded, looked through: what is wrong with its fares, what is worth a look, what nobody has confirmed."""

from dataclasses import replace

from city_adapters.city import City, unconfirmed
from city_adapters.findings import Finding
from city_adapters.network_shape import bent_lines, odd_lengths
from city_adapters.override_findings import overrides_beside_rule
from city_adapters.same_names import same_names
from city_adapters.split_rule import SharedTrack, SplitModel, SplitRule
from city_adapters.table_compiler import compile_city
from city_adapters.tables import CityTable
from city_adapters.unpriced_pairs import unpriced_pairs
from city_adapters.worked_examples import differing_examples


def look_through(city: City) -> list[Finding]:
    """Say everything about a city that has no error so far."""
    table = compile_city(city)
    return [
        *unpriced_pairs(city, table),
        *differing_examples(city, table),
        *same_names(city),
        *odd_lengths(city.network),
        *bent_lines(city.network),
        *(overrides_beside_rule(city, fares_by_rule(city)) if city.overrides else ()),
        *unconfirmed(city),
    ]


def fares_by_rule(city: City) -> CityTable:
    """Compile the fares that the tariffs alone give; who earns them does not matter, so they are split in the quickest way."""
    return compile_city(replace(city, overrides=(), agreed=(), splits=tuple(map(_quickest, city.splits))))


def _quickest(split: SplitRule) -> SplitRule:
    terms = replace(split.terms, model=SplitModel.SHORTEST_PATH_METRES, shared=())
    plain = replace(split, terms=terms, shared_track=SharedTrack.EQUAL_PARTS)
    return replace(plain, station_weights=None, periods=(), markers=False)
