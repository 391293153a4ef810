"""What a folder can say of a feed's fares is carried to the hundredth; everything else is named with file and line."""

import pytest

from city_adapters.city_files import lint, load_city
from city_adapters.findings import errors
from city_adapters.gtfs.city_import import Asked, import_feed
from city_adapters.table_compiler import compile_city
from tests.city_adapters.gtfs_feeds import NAMES, feed

ASKED = Asked(10, "RVM", "rivermouth", "河口", "Rivermouth")
IDS = {place: f"RVM-{name.lower().replace(' ', '-')}" for place, name in NAMES.items()}
PRODUCTS = "fare_product_id,amount,currency\n"
LEGS = "network_id,from_area_id,to_area_id,fare_product_id\n"
AREAS = "area_id\nwest\neast\n"
STOP_AREAS = "area_id,stop_id\nwest,A\nwest,B1\nwest,F1\neast,C\neast,D1\neast,E\neast,G2\n"


@pytest.fixture
def priced(tmp_path):
    """Import a feed with these files; its fares by pair of places, and what was found."""

    def priced(**files):
        imported = import_feed(feed(**files), ASKED)
        assert imported.files, "\n".join(map(str, imported.findings))
        folder = tmp_path / "rivermouth"
        folder.mkdir()
        for name, text in imported.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        found = lint(folder)
        assert errors(found) == ()
        assert not any("needless" in finding.message for finding in found)
        city = load_city(folder)
        fares = compile_city(city).versions[0].fare_fen
        row = city.network.rows
        in_feed = [str(finding) for finding in imported.findings if finding.severity != "note"]
        return city, lambda pair: int(fares[row[IDS[pair[0]]], row[IDS[pair[1]]]]), in_feed

    return priced


def test_a_feed_without_fares_gets_a_placeholder_that_nobody_takes_for_a_fare(priced):
    city, fare, found = priced()
    assert fare("AD") == 1
    assert city.tariffs[0].charges[0].name == "placeholder"
    assert "charge 'placeholder' is unconfirmed" in city.unconfirmed
    assert any(line.startswith("fare_attributes.txt: warning: the feed has no fares") for line in found)


def test_one_product_for_all_is_a_flat_charge(priced):
    city, fare, found = priced(fare_products=PRODUCTS + "single,2.50,CNY\n", fare_leg_rules=LEGS + ",,,single\n")
    assert (fare("AD"), fare("FE"), found) == (250, 250, [])
    assert city.overrides == ()


def test_fares_between_areas_become_official_fares_of_pairs(priced):
    city, fare, found = priced(
        fare_products=PRODUCTS + "near,2,CNY\nfar,3.00,CNY\n",
        areas=AREAS,
        stop_areas=STOP_AREAS,
        fare_leg_rules=LEGS + ",west,west,near\n,east,east,near\n,west,east,far\n,east,west,far\n",
    )
    assert [fare(pair) for pair in ("AB", "AF", "CD", "EG", "AC", "FE", "BG")] == [200, 200, 200, 200, 300, 300, 300]
    assert city.tariffs[0].charges[0].rule.fare_fen == 300, "the commonest fare, of twelve pairs"
    assert len(city.overrides[0].rows) == 9
    assert {row.reason for row in city.overrides[0].rows} == {"fare near of the feed"}
    assert found == []


DEARER = (
    "fare_leg_rules.txt:3: warning: a fare differs by direction: the dearer one is carried both ways (2 rows, this is the first)"
)


def test_a_fare_given_one_way_or_differing_by_direction_is_said(priced):
    _, fare, found = priced(
        fare_products=PRODUCTS + "base,2,CNY\nout,4,CNY\nback,5,CNY\n",
        areas="area_id\na\nd\ne\n",
        stop_areas="area_id,stop_id\na,A\nd,D\ne,E\n",
        fare_leg_rules=LEGS + ",,,base\n,a,d,out\n,d,a,back\n,a,e,out\n",
    )
    assert (fare("AD"), fare("DA"), fare("AE"), fare("EA"), fare("AB")) == (500, 500, 400, 400, 200)
    assert [line.split(";")[0] for line in found] == [
        DEARER,
        "fare_leg_rules.txt:5: warning: a fare is given one way only: it is carried both ways",
    ]


def test_a_fare_of_a_network_is_a_charge_of_its_lines(priced):
    city, fare, _ = priced(
        fare_products=PRODUCTS + "red,2,CNY\nblue,3,CNY\n",
        networks="network_id,network_name\nr,red\nb,blue\n",
        route_networks="network_id,route_id\nr,R\nb,B\n",
        fare_leg_rules=LEGS + "r,,,red\nb,,,blue\n",
    )
    assert (fare("AD"), fare("FG")) == (200, 300)
    assert fare("AF") == 500, "no charge joins the two alone: cut where both stop"
    assert [charge.lines for charge in city.tariffs[0].charges] == [(), ("RVM-Lblue",)]


def test_the_higher_priority_wins(priced):
    legs = "from_area_id,to_area_id,fare_product_id,rule_priority\n"
    products = PRODUCTS + "base,2,CNY\nlow,3,CNY\nhigh,4,CNY\n"
    areas = {"areas": "area_id\na\nd\n", "stop_areas": "area_id,stop_id\na,A\nd,D\n"}
    _, fare, _ = priced(
        fare_products=products, **areas, fare_leg_rules=legs + ",,base,1\na,d,low,0\nd,a,low,0\na,,high,2\n,a,high,2\n"
    )
    assert (fare("AD"), fare("AB"), fare("BD")) == (400, 400, 200)


def test_without_priorities_an_open_end_means_the_areas_that_no_rule_lists(priced):
    _, fare, _ = priced(
        fare_products=PRODUCTS + "base,2,CNY\nother,3,CNY\nown,4,CNY\n",
        areas="area_id\na\nd\ne\n",
        stop_areas="area_id,stop_id\na,A\nd,D\ne,E\n",
        fare_leg_rules=LEGS + ",,,base\n,a,d,own\n,a,,other\n",
    )
    assert (fare("AD"), fare("AE"), fare("AB")) == (400, 300, 200)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {"fare_leg_rules": "from_timeframe_group_id,fare_product_id\n,p\npeak,p\npeak,p\n"},
            "fare_leg_rules.txt:3: warning: the fare holds at certain times only (timeframes): it is not carried (2 rows",
        ),
        (
            {"fare_transfer_rules": "from_leg_group_id,fare_transfer_type\na,0\n"},
            "fare_transfer_rules.txt:2: warning: rules between legs are not carried",
        ),
        (
            {"fare_products": "fare_product_id,amount,currency,rider_category_id\np,2,CNY,adult\np,1,CNY,child\n",
             "rider_categories": "rider_category_id,is_default_fare_category\nadult,1\nchild,0\n"},
            "fare_products.txt:3: warning: the fare is for a category of riders: it is not carried",
        ),
        (
            {"fare_products": "fare_product_id,amount,currency,fare_media_id\np,1.80,CNY,app\np,2,CNY,cash\n"},
            "fare_products.txt:3: warning: the product has several amounts (fare media): the highest is carried",
        ),
        ({"fare_products": PRODUCTS + "p,2,EUR\n"}, "fare_products.txt:2: warning: amounts are in EUR: their hundredths are"),
        ({"fare_products": PRODUCTS + "p,2,CNY\nfree,0,CNY\n"}, "fare_products.txt:3: warning: amount '0' is no amount"),
        ({"fare_products": PRODUCTS + "p,2,CNY\nq,1.005,CNY\n"}, "fare_products.txt:3: warning: amount '1.005' is no amount"),
        ({"fare_leg_rules": LEGS + ",,,p\n,,,gone\n"}, "fare_leg_rules.txt:3: warning: the fare's product has no amount"),
        ({"fare_leg_rules": LEGS + ",,,p\nbuses,,,p\n"}, "fare_leg_rules.txt:3: warning: the fare names a network that"),
        ({"fare_leg_rules": LEGS + ",,,p\n,x,y,p\n"}, "fare_leg_rules.txt:3: warning: the fare names an area that areas.txt"),
        (
            {"fare_products": PRODUCTS + "p,2,CNY\nq,3,CNY\n", "fare_leg_rules": LEGS + ",,,q\n,,,p\n"},
            "fare_leg_rules.txt:2: warning: another fare holds on all lines as well: the cheaper one is carried",
        ),
    ],
)  # fmt: skip
def test_what_a_folder_cannot_say_is_named_with_its_line(priced, files, found):
    _, fare, told = priced(**{"fare_products": PRODUCTS + "p,2,CNY\n", "fare_leg_rules": LEGS + ",,,p\n", **files})
    assert fare("AD") == 200
    assert any(line.startswith(found) for line in told), "\n".join(told)


def test_pairs_without_a_fare_of_their_own_are_counted(priced):
    _, fare, found = priced(
        fare_products=PRODUCTS + "near,2,CNY\n", areas=AREAS, stop_areas=STOP_AREAS, fare_leg_rules=LEGS + ",west,west,near\n"
    )
    assert fare("AD") == 200
    assert "fare_leg_rules.txt:1: warning: 18 pairs of stations have no fare of their own" in "\n".join(found)


FARES = "fare_id,price,currency_type,payment_method,transfers\n"
RULES = "fare_id,route_id,origin_id,destination_id,contains_id\n"


def test_the_first_versions_zones_become_official_fares_too(priced):
    _, fare, found = priced(
        fare_attributes=FARES + "base,2.00,CNY,1,\nlong,3.50,CNY,1,\nvia,9,CNY,1,\n",
        fare_rules=RULES + "long,,z0,z3,\nlong,,z3,z0,\nbase,,,,\nvia,,,,z1\n",
    )
    assert (fare("AD"), fare("AE"), fare("AC"), fare("CD")) == (350, 350, 200, 200)
    assert [line.split(";")[0] for line in found] == [
        "fare_rules.txt:5: warning: the fare depends on the zones passed (contains_id): it is not carried",
    ]


def test_the_first_versions_transfers_and_currency_are_said(priced):
    _, fare, found = priced(fare_attributes=FARES.replace("transfers", "transfers,transfer_duration") + "base,2,USD,1,0,5400\n")
    assert fare("AD") == 200
    assert [line.split(":")[0:2] for line in found] == [["fare_attributes.txt", "2"]] * 2


def test_a_route_with_a_fare_between_zones_narrows_it_to_its_gates(priced):
    city, fare, _ = priced(
        fare_attributes=FARES + "base,2,CNY,1,\nblue,4,CNY,1,\n", fare_rules=RULES + "base,,,,\nblue,B,z1,z2,\nblue,B,z2,z1,\n"
    )
    rows = {(row.from_id, row.to_id): (row.from_line, row.to_line) for row in city.overrides[0].rows}
    assert rows[IDS["F"], IDS["G"]] == ("", ""), "only the blue line stops there"
    assert rows[IDS["B"], IDS["C"]] == ("RVM-Lblue", "RVM-Lblue")
    assert (fare("BC"), fare("AD")) == (200, 200)


def test_the_second_version_is_taken_where_both_are_there():
    files = {"fare_products": PRODUCTS + "p,2,CNY\n", "fare_leg_rules": LEGS + ",,,p\n", "fare_attributes": FARES + "x,9,CNY,1,\n"}
    imported = import_feed(feed(**files), ASKED)
    assert "fare_fen = 200" in imported.files["tariff-2026-03-01.toml"]
    assert any(finding.file == "fare_attributes.txt" and "is not used" in finding.message for finding in imported.findings)
