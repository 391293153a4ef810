"""Quotes on the real cities, and the commands that give them."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import datetime

import pytest

from city_adapters.catalogue import load_catalogue
from fare_chain.errors import Conflict, Malformed, Unknown
from fare_chain.tap import Category
from settlement.hosted_rides import AskedRide
from settlement.pinned_cities import PinnedCities
from settlement.quotes import quote, yuan

AT_US = 1_790_000_000_000_000
MAGLEV = {"from_line": "SHA-LMAGLEV", "to_line": "SHA-LMAGLEV"}


@pytest.fixture(scope="module")
def cities(tmp_path_factory):
    return PinnedCities(load_catalogue(cache=tmp_path_factory.mktemp("tables")))


@pytest.fixture(scope="module")
def ask(cities):
    return lambda start, end, at_us=AT_US, **known: quote(cities, AskedRide(start, end, at_us, **known))


def at(text):
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp()) * 1_000_000


def run(*words):
    program = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
    return subprocess.run([*program, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("origin", "destination", "fare_fen"),
    [
        ("SHA-xinzhuang", "SHA-huaqiao", 900),
        ("SHA-huaqiao", "SHA-anting", 300),
        ("SHA-huaqiao", "SHA-xinzhuang", 900),
        ("SHA-xujiahui", "SHA-huaqiao", 700),
    ],
)
def test_published_fares_are_quoted(ask, origin, destination, fare_fen):
    told = ask(origin, destination)
    assert told.fare_fen == told.rider_pays_fen == told.nominal_fen == fare_fen


def test_shares_and_what_is_drawn_make_up_the_fare(ask):
    told = ask("SHA-xinzhuang", "SHA-huaqiao")
    assert len(told.shares) > 1
    assert sum(share.floor_fen for share in told.shares) + told.drawn_fen == told.fare_fen
    assert 0 <= told.drawn_fen < len(told.shares)
    total = sum(share.weight for share in told.shares)
    assert all(share.floor_fen == told.fare_fen * share.weight // total for share in told.shares)


def test_a_visitor_adds_commission_and_fee_and_a_local_does_not(ask):
    visitor = ask("SHA-xinzhuang", "SHA-huaqiao", issuer="hangzhou")
    local = ask("SHA-xinzhuang", "SHA-huaqiao", issuer="SHA")
    assert (visitor.commission_fen, visitor.fee_fen) == (9, 1)
    assert (local.commission_fen, local.fee_fen) == (0, 0)
    assert visitor.fare_fen == local.fare_fen


@pytest.mark.parametrize(
    ("origin", "destination", "legs"),
    [
        ("SHA-guangminglu", "SZV-huaxigongyuan", [300, 200]),
        ("SZV-huaxigongyuan", "SHA-guangminglu", [200, 300]),
        ("SHA-xujiahui", "SZV-huaxigongyuan", [700, 200]),
    ],
)
def test_a_ride_over_the_border_costs_the_sum_of_both_tariffs(ask, origin, destination, legs):
    told = ask(origin, destination)
    assert [leg.fare_fen for leg in told.legs] == legs
    assert told.fare_fen == told.rider_pays_fen == sum(legs)
    assert {leg.issuer for leg in told.legs} == {told.legs[0].host}, "without an issuer, the city of the first station"


def test_a_ride_that_begins_at_the_border_has_the_other_citys_leg_alone(ask):
    told = ask("SHA-huaqiao", "SZV-huaxigongyuan")
    assert (told.host, told.from_id, told.fare_fen, told.issuer) == ("suzhou", "SZV-huaqiao", 200, "shanghai")


def test_two_sides_of_one_station_and_networks_that_do_not_meet_have_no_fare(ask):
    with pytest.raises(Conflict, match="each city prices its own ride"):
        ask("SHA-huaqiao", "SZV-huaqiao")
    with pytest.raises(Conflict, match="their networks do not meet"):
        ask("SHA-huaqiao", "HGH-fenghuaxilu")


def test_the_maglev_has_its_fare_between_its_own_gates_and_the_metro_its_own(ask):
    maglev = ask("SHA-longyanglu", "SHA-pudong1hao2haohangzhanlou", **MAGLEV)
    metro = ask("SHA-longyanglu", "SHA-pudong1hao2haohangzhanlou")
    assert (maglev.fare_fen, metro.fare_fen) == (5000, maglev.fare_fen - 4400)
    assert [share.name for share in maglev.shares] != [share.name for share in metro.shares]


@pytest.mark.parametrize(
    ("known", "at_us", "pays_fen", "discount_fen", "funder"),
    [
        ({"step": 1}, AT_US, 450, 50, "host"),
        ({"step": 2}, AT_US, 350, 150, "host"),
        ({"step": 3}, AT_US, 250, 250, "host"),
        ({"step": 0}, AT_US, 500, 0, "nobody"),
        ({"category": Category.SENIOR}, at("2026-09-21T08:00"), 250, 250, "third party"),
        ({"category": Category.SENIOR}, at("2026-09-21T09:00"), 0, 500, "third party"),
        ({"category": Category.SENIOR}, at("2026-09-20T08:00"), 0, 500, "third party"),
        ({"category": Category.SENIOR, "issuer": "shanghai"}, at("2026-09-21T08:00"), 500, 0, "nobody"),
        ({"step": 3, "issuer": "shanghai"}, AT_US, 500, 0, "nobody"),
    ],
)
def test_hangzhou_takes_off_what_the_riders_month_category_and_hour_give(ask, known, at_us, pays_fen, discount_fen, funder):
    told = ask("HGH-xianghu", "HGH-wulinguangchang", at_us, **known)
    assert told.nominal_fen == 500
    assert (told.rider_pays_fen, told.discount_fen, told.funder) == (pays_fen, discount_fen, funder)
    assert told.fare_fen == pays_fen, "who funds it is not the issuer, so the host earns that much less"


def test_a_ride_that_lasts_too_long_owes_what_its_city_says(ask):
    assert ask("SHA-xujiahui", "SHA-huaqiao", minutes=240).surcharge_fen == 0
    assert ask("SHA-xujiahui", "SHA-huaqiao", minutes=241).surcharge_fen == 300
    over = ask("SZV-huaqiao", "SZV-huaxigongyuan", minutes=121)
    assert over.nominal_fen == 200
    assert over.rider_pays_fen > 1000, "the highest fare of the city"


def test_a_slow_ride_over_the_border_has_a_clock_in_each_city(ask):
    told = ask("SHA-guangminglu", "SZV-huaxigongyuan", minutes=130)
    assert [leg.surcharge_fen > 0 for leg in told.legs] == [False, True]
    assert told.legs[1].at > told.legs[0].at


@pytest.mark.parametrize("station", ["SHA-nowhere", "XXX-xinzhuang", ""])
def test_unknown_stations_are_refused(ask, station):
    with pytest.raises(Unknown):
        ask(station, "SHA-huaqiao")


def test_what_no_tap_could_say_is_refused(ask):
    with pytest.raises(Malformed, match=r"0\.\.255"):
        ask("SHA-xujiahui", "SHA-huaqiao", step=256)
    with pytest.raises(Malformed, match="a week"):
        ask("SHA-xujiahui", "SHA-huaqiao", minutes=-1)
    with pytest.raises(Unknown, match="is no stop of SHA-LMAGLEV"):
        ask("SHA-xujiahui", "SHA-huaqiao", from_line="SHA-LMAGLEV")


def test_before_the_first_tariff_there_is_no_quote(ask):
    with pytest.raises(Unknown, match="no tariff"):
        ask("SHA-xinzhuang", "SHA-huaqiao", 0)


@pytest.mark.parametrize(("fen", "text"), [(0, "0.00"), (5, "0.05"), (900, "9.00"), (123_456, "1234.56")])
def test_fen_are_shown_as_yuan(fen, text):
    assert yuan(fen) == text


def test_the_fare_command_answers_in_json_and_refuses_by_name():
    good = run("fare", "SHA-xinzhuang", "SHA-huaqiao", "--issuer", "HGH", "--at", "2026-10-01T08:30:00+08:00", "--json")
    told = json.loads(good.stdout)
    assert (good.returncode, told["fare_fen"], told["fare_yuan"], told["host"]) == (0, 900, "9.00", "shanghai")
    assert told["from"] == "SHA-xinzhuang"
    assert told["unconfirmed"]
    for words, refusal in (
        (("SHA-xinzhuang", "SHA-nowhere"), "Unknown"),
        (("SHA-xinzhuang", "SHA-huaqiao", "--at", "yesterday"), "Malformed"),
        (("SHA-xinzhuang", "SHA-huaqiao", "--at", "2026-10-01T08:30:00"), "Malformed"),
        (("SHA-xinzhuang", "SHA-huaqiao", "--category", "dog"), "Malformed"),
    ):
        bad = run("fare", *words)
        assert bad.returncode == 1
        assert bad.stderr.startswith(f"{refusal}: ")
        assert "Traceback" not in bad.stderr


def test_the_fare_command_explains_and_draws(tmp_path):
    answer = run("fare", "SHA-guangminglu", "SZV-huaxigongyuan", "--explain", "--json", "--svg", str(tmp_path / "map.svg"))
    told = json.loads(answer.stdout)
    assert (told["kind"], told["fare_fen"], [leg["fare_fen"] for leg in told["legs"]]) == ("joined ride", 500, [300, 200])
    assert ET.parse(tmp_path / "map.svg").getroot().tag.endswith("svg")
    words = run("fare", "SHA-guangminglu", "SZV-huaxigongyuan", "--explain").stdout
    assert "5.00 yuan = 3.00 (shanghai) + 2.00 (suzhou)" in words
    assert "花桥" in words


def test_fares_check_counts_and_lists_what_differs(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(
        "city,from_id,to_id,fare_yuan,as_of\n"
        "shanghai,SHA-xinzhuang,SHA-huaqiao,9,2026-08-20\n"
        "shanghai,SHA-huaqiao,SHA-anting,4,2026-08-20\n"
        "shanghai,SHA-huaqiao,SHA-nowhere,4,2026-08-20\n"
        "shanghai,SHA-guangminglu,SZV-huaxigongyuan,5,2026-08-20\n"
    )
    answer = run("fares", "check", str(published), "--json")
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["checked"], told["exact"], told["within_one_yuan"]) == (0, 3, 2, 3)
    assert [(row["line"], row["published_fen"], row["ours_fen"]) for row in told["mismatches"]] == [(3, 400, 300)]
    assert [row["line"] for row in told["not_compared"]] == [4]
    assert run("fares", "check", str(published), "--at-least", "0.7").returncode == 1
    assert run("fares", "check", str(published), "--at-least", "0.6").returncode == 0
    assert run("fares", "check", str(tmp_path / "none.csv")).returncode == 1


def test_fares_check_can_leave_official_fares_aside(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text("city,from_id,to_id,fare_yuan\nshanghai,SHA-caobaolu,SHA-waihuanlu,3\n")
    exact = [json.loads(run("fares", "check", str(published), "--json", *more).stdout)["exact"] for more in ((), ("--rule-only",))]
    assert exact == [1, 0]
