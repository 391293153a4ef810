"""Compiling the cities' tables, and taking them from the cache instead: what a start costs with new folders and with known ones."""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from city_adapters.catalogue import load_catalogue
from city_adapters.table_compiler import compile_city
from city_adapters.tables import CityTable
from simulators.figures import Figure, rate_of


def compile_figure(numbers: Collection[int], seconds: float) -> Figure:
    """Read the folders of these cities and price and split every pair, with nothing kept from before."""

    def work(_cache: Path) -> list[CityTable]:
        return [compile_city(city) for city in load_catalogue().cities if city.number in numbers]

    return _passes("tables-compile", work, seconds)


def cached_figure(numbers: Collection[int], seconds: float) -> Figure:
    """Read the same folders and take their tables from the cache."""

    def work(cache: Path) -> list[CityTable]:
        catalogue = load_catalogue(cache=cache)
        return [catalogue.table(city.slug) for city in catalogue.cities if city.number in numbers]

    return _passes("tables-cached", work, seconds, warm=True)


def _passes(name: str, work: Callable[[Path], list[CityTable]], seconds: float, *, warm: bool = False) -> Figure:
    """Pass after pass for so many seconds, at least one; `warm` fills the cache first."""
    with TemporaryDirectory(prefix="fare-chain-tables-") as folder:
        tables = work(Path(folder)) if warm else []
        spent: list[float] = []
        while sum(spent) < seconds:
            began = time.perf_counter()
            tables = work(Path(folder))
            spent.append(time.perf_counter() - began)
    stations = sum(len(table.station_ids) for table in tables)
    pairs = sum(len(table.station_ids) ** 2 for table in tables)
    rate = rate_of([stations / passed for passed in spent])
    facts = {"stations": stations, "pairs": pairs, "seconds_a_pass": round(stations / rate.per_second, 3), "passes": len(spent)}
    return Figure(name, "stations", rate, facts=facts)
