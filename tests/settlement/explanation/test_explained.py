"""Explanations of quotes: everything that is needed to recompute them, from the JSON alone, and what they say of unusual rides."""

import json
import shutil
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

import pytest

from city_adapters.catalogue import PACKAGED, load_catalogue
from city_adapters.tariff import Bands
from fare_chain.hashing import sha256
from settlement.explanation.explained import explain, explain_all
from settlement.explanation.price import band_of
from settlement.explanation.words import in_words
from settlement.hosted_rides import AskedRide, hosted_rides
from settlement.pinned_cities import PinnedCities

PEAK_US = int(datetime.fromisoformat("2026-09-21T08:00:00+08:00").timestamp()) * 1_000_000
NIGHT_US = int(datetime.fromisoformat("2026-09-21T22:00:00+08:00").timestamp()) * 1_000_000


EARLY_US = int(datetime.fromisoformat("2020-09-21T08:00:00+08:00").timestamp()) * 1_000_000
"""Before any packaged file of official fares."""


@pytest.fixture(scope="module")
def cities(tmp_path_factory):
    return PinnedCities(load_catalogue(cache=tmp_path_factory.mktemp("tables")))


@pytest.fixture(scope="module")
def told(cities):
    """Explain a ride and read it back from its JSON."""

    def tell(start, end, at_us=PEAK_US, **known):
        explained = explain_all(hosted_rides(cities, AskedRide(start, end, at_us, **known)), cities)
        return json.loads(json.dumps(explained.to_json()))

    return tell


@pytest.mark.parametrize(
    ("metres", "over_m", "up_to_m", "fen"),
    [
        (0, 0, 6000, 300),
        (6000, 0, 6000, 300),
        (6001, 6000, 16000, 400),
        (16000, 6000, 16000, 400),
        (16001, 16000, 26000, 500),
        (26000, 16000, 26000, 500),
        (26001, 26000, 36000, 600),
    ],
)
def test_a_band_is_told_with_its_edges(metres, over_m, up_to_m, fen):
    band = band_of(Bands((6000, 16000), (300, 400), 10000, 100), metres)
    assert (band.over_m, band.up_to_m, band.base_fen + band.steps * band.step_fen) == (over_m, up_to_m, fen)


@pytest.mark.parametrize(
    "pair", [("SHA-xinchang", "SHA-dabaishu"), ("SHA-xujiahui", "SHA-huaqiao"), ("HGH-xianghu", "HGH-wulinmen")]
)
def test_the_price_is_recomputed_from_links_and_band_alone(told, pair):
    ride = told(*pair)
    (part,) = ride["price"]["parts"]
    stations = [part["from_station"]["station_id"], *(link["to_station"] for link in part["links"])]
    assert [link["from_station"] for link in part["links"]] == stations[:-1]
    assert (stations[0], stations[-1]) == pair
    metres = sum(link["metres"] for link in part["links"])
    band = part["band"]
    assert metres == part["metres"] == ride["price"]["distance_m"]
    assert band["over_m"] < metres <= band["up_to_m"]
    assert band["base_fen"] + band["steps"] * band["step_fen"] == ride["price"]["table_fen"] == ride["price"]["rule_fen"]


def test_a_charge_per_kilometre_tells_its_rates(told):
    gates = {"from_line": "SHA-LAIRPORTLINK", "to_line": "SHA-LAIRPORTLINK"}
    ride = told("SHA-hongqiao2haohangzhanlou", "SHA-pudong1hao2haohangzhanlou", **gates)
    (part,) = ride["price"]["parts"]
    thousandths = sum(rate["metres"] * rate["fen_per_km"] for rate in part["rates"])
    unit = 1000 * part["rounds_to_fen"]
    assert (
        max(-(-(2 * thousandths - unit) // (2 * unit)) * part["rounds_to_fen"], part["minimum_fen"]) == ride["price"]["table_fen"]
    )


def test_a_fare_cut_at_a_station_has_a_part_for_each_charge(told):
    ride = told("SHA-sanlinnan", "SHA-xujiahui")
    parts = ride["price"]["parts"]
    assert {part["charge"] for part in parts} == {"metro", "airport link"}
    assert parts[0]["to_station"] == parts[1]["from_station"]
    assert sum(part["fare_fen"] for part in parts) == ride["price"]["table_fen"]
    assert {path["part"] for path in ride["split"]["paths"]} == {0, 1}


@pytest.mark.parametrize(("at_us", "period"), [(PEAK_US, "weekday peaks"), (NIGHT_US, "")])
def test_the_weights_are_recomputed_from_the_paths_alone(told, at_us, period):
    ride = told("SHA-yunjinlu", "SHA-langaolu", at_us)
    split = ride["split"]
    assert (split["period"], split["basis"]) == (period, "the model of the period" if period else "the model")
    assert sum(path["probability"] for path in split["paths"]) + split["untold_probability"] == 100_000_000
    assert len(split["paths"]) > 3
    expected = {}
    for path in split["paths"]:
        assert sum(part["metres"] for part in path["operator_metres"]) == path["metres"]
        for part in path["operator_metres"]:
            share = Fraction(path["probability"] * part["metres"], path["metres"])
            expected[part["beneficiary"]] = expected.get(part["beneficiary"], 0) + share
    for share in ride["shares"]:
        assert abs(expected[share["beneficiary"]] - share["weight"]) <= len(split["paths"]), "but for the last decimal of each path"
        assert Fraction(share["expected_fen"]) == Fraction(ride["fare_fen"] * share["weight"], split["weights_total"])


def test_the_tables_are_named_by_the_hashes_of_their_bytes(told, cities):
    ride = told("SHA-xujiahui", "SHA-huaqiao")
    version = cities.catalogue.table("shanghai").version_at(PEAK_US)
    tables = ride["tables"]
    assert tables["fare_array"] == sha256(version.fare_fen.tobytes()).hex()
    assert tables["weight_array"] == sha256(version.weights[ride["split"]["weight_set"]].tobytes()).hex()
    hashes = {pin.sha256.hex() for pin in cities.rules(cities.catalogue.city("shanghai")).pins}
    assert {tables["city_table"], tables["agreement"]} == hashes


def test_a_discount_says_which_row_it_is_and_why_the_others_are_not(told):
    senior = told("HGH-xianghu", "HGH-wulinmen", category=2)["discount"]
    assert [row["why_not"] == "" for row in senior["rows"]].count(True) == 1
    taken = next(row for row in senior["rows"] if not row["why_not"])
    assert (taken["name"], taken["pays_ppm"]) == ("seniors at peak hours", 500_000)
    assert (senior["day"], senior["minute"]) == ("weekday", 480)
    reasons = {row["name"]: row["why_not"] for row in senior["rows"]}
    assert reasons["month tiers"] == "it is for other categories or a higher step"
    assert reasons["seniors at all other times"] == "a row before it is the one"
    night = told("HGH-xianghu", "HGH-wulinmen", NIGHT_US, category=2)["discount"]["rows"]
    assert "it does not hold at the hour of entry" in {row["why_not"] for row in night}
    visitor = told("HGH-xianghu", "HGH-wulinmen", step=3, issuer="shanghai")["discount"]
    assert {row["why_not"] for row in visitor["rows"]} == {"the agreement gives visitors no discount here"}


def test_an_overstay_and_a_ride_to_its_own_station_are_told(told):
    late = told("SHA-xujiahui", "SHA-huaqiao", minutes=241)
    assert (late["time"]["is_overstayed"], late["time"]["beyond"], late["surcharge_fen"]) == (True, "surcharge", 300)
    around = told("SHA-xujiahui", "SHA-xujiahui", minutes=10)
    assert (around["time"]["is_same_station"], around["time"]["is_free"], around["price"]["table_fen"]) == (True, False, 300)
    assert around["shares"], "whoever runs a line there earns it"


def test_a_joined_ride_has_two_explanations(told):
    ride = told("SHA-guangminglu", "SZV-huaxigongyuan", issuer="hangzhou")
    assert (ride["kind"], ride["fare_fen"]) == ("joined ride", 500)
    assert [(leg["host"], leg["fare_fen"], leg["commission"]["fee_fen"]) for leg in ride["legs"]] == [
        ("shanghai", 300, 1),
        ("suzhou", 200, 1),
    ]


def test_an_explanation_in_words_names_everything(cities):
    ride = AskedRide("SHA-yunjinlu", "SHA-langaolu", PEAK_US, issuer="hangzhou")
    words = "\n".join(in_words(explain_all(hosted_rides(cities, ride), cities)))
    for word in (
        "云锦路",
        "band over",
        "path 1",
        "costs",
        "one more at points",
        "commission of 10000 ppm",
        "discount",
        "fares ",
        "SHA-L11",
    ):
        assert word in words, word


def test_a_folder_that_gives_another_table_lends_names_alone(cities):
    (ride,) = hosted_rides(cities, AskedRide("SHA-yunjinlu", "SHA-langaolu", PEAK_US))
    other = explain(replace(ride, is_folder_in_force=False), cities)
    assert (other.price.parts, other.split.paths, other.price.rule_fen) == ((), (), None)
    assert other.from_station.name_zh == "云锦路"
    assert "gives another table" in other.remarks[0]
    alone = explain(replace(ride, city=None), None)
    assert "is not at hand" in alone.remarks[0]
    assert [share.weight for share in alone.shares] == [share.weight for share in explain(ride, cities).shares]
    assert in_words(alone)


@pytest.fixture(scope="module")
def amended(tmp_path_factory):
    """The packaged cities, with an official fare and an agreed pair in Suzhou."""
    home = tmp_path_factory.mktemp("cities")
    shutil.copytree(PACKAGED / "cities", home / "cities")
    shutil.copytree(PACKAGED / "agreements", home / "agreements")
    (home / "cities" / "suzhou" / "overrides-2015-01-01.csv").write_text(
        "from_id,to_id,from_line,to_line,fare_fen,reason,confidence,as_of\n"
        "SZV-huaxigongyuan,SZV-leqiao,,,1100,as published,high,2026-09-20\n"
        "SZV-huaqiao,SZV-huaxigongyuan,,,250,as published,high,2026-09-20\n"
    )
    (home / "cities" / "suzhou" / "shares-2015-01-01.csv").write_text(
        "from_id,to_id,operator,share,confidence,as_of\nSZV-huaqiao,SZV-huaxigongyuan,1,1,high,2026-09-20\n"
    )
    return PinnedCities(load_catalogue(home))


def test_an_official_fare_stands_beside_the_rules_with_its_place(amended):
    ride = AskedRide("SZV-huaxigongyuan", "SZV-huaqiao", EARLY_US)
    told = explain_all(hosted_rides(amended, ride), amended)
    official = told.price.override
    assert (told.price.table_fen, told.price.rule_fen, official.fare_fen) == (250, 200, 250)
    assert (official.reason, official.file, official.line) == ("as published", "overrides-2015-01-01.csv", 3)
    assert "in place of the rule's 2.00" in "\n".join(in_words(told))
    plain = explain_all(hosted_rides(amended, AskedRide("SZV-huaqiao", "SZV-leqiao", EARLY_US)), amended)
    assert plain.price.override is None


def test_an_official_fare_of_the_packaged_cities_is_told(told):
    price = told("SHA-caobaolu", "SHA-waihuanlu")["price"]
    assert (price["table_fen"], price["rule_fen"]) == (300, 400)
    assert price["override"]["file"] == "overrides-2026-08-20.csv"


def test_an_agreed_pair_is_the_basis_of_its_split(amended):
    told = explain_all(hosted_rides(amended, AskedRide("SZV-huaxigongyuan", "SZV-huaqiao", EARLY_US)), amended)
    assert (told.split.basis, told.split.agreed_file, told.split.paths) == ("agreed pair", "shares-2015-01-01.csv", ())
