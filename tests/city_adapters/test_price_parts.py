"""The price path of a pair, held to the fare and the metres that the city's table has for it."""

import numpy as np
import pytest

from city_adapters.catalogue import load_catalogue
from city_adapters.price_parts import PriceMap


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return load_catalogue(cache=tmp_path_factory.mktemp("tables"))


@pytest.mark.parametrize("slug", ["shanghai", "hangzhou", "wenzhou"])
def test_parts_add_up_to_the_table(catalogue, slug):
    city, table = catalogue.city(slug), catalogue.table(slug)
    paths, version = PriceMap(city.network, city.tariffs[0]), table.versions[0]
    pairs = np.random.default_rng(3).integers(0, len(table.station_ids), (150, 2)).tolist()
    for one, other in pairs:
        parts = paths.parts(table.station_ids[one], table.station_ids[other])
        assert sum(part.fare_fen for part in parts) == version.fare_fen[one, other]
        assert sum(part.metres for part in parts) == version.distance_m[one, other]
        assert all(sum(hop.metres for hop in part.hops) == part.metres for part in parts)
        stations = [table.station_ids[one], *(hop.to_id for part in parts for hop in part.hops)]
        assert stations[-1] == table.station_ids[other]
        assert [hop.from_id for part in parts for hop in part.hops] == stations[:-1]


def test_both_directions_take_one_path(catalogue):
    city = catalogue.city("shanghai")
    paths = PriceMap(city.network, city.tariffs[0])
    for one, other in (("SHA-xinchang", "SHA-dabaishu"), ("SHA-sanlinnan", "SHA-xujiahui")):
        there = [(hop.from_id, hop.to_id) for part in paths.parts(one, other) for hop in part.hops]
        back = [(hop.to_id, hop.from_id) for part in paths.parts(other, one) for hop in part.hops]
        assert there == back[::-1]


def test_a_charge_alone_prices_only_what_its_lines_join(catalogue):
    city = catalogue.city("shanghai")
    paths = PriceMap(city.network, city.tariffs[0])
    maglev = next(charge for charge in city.tariffs[0].charges if charge.name == "maglev")
    (part,) = paths.parts("SHA-longyanglu", "SHA-pudong1hao2haohangzhanlou", maglev)
    assert (part.fare_fen, part.lines) == (5000, {"SHA-LMAGLEV"})
    assert paths.parts("SHA-longyanglu", "SHA-xujiahui", maglev) == ()
