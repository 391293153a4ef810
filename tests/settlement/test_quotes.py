"""Quotes on the real cities, and the commands that give them."""

import json
import subprocess
import sys

import pytest

from city_adapters.catalogue import load_catalogue
from fare_chain.errors import Conflict, Unknown
from settlement.quotes import quote, yuan

AT_US = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


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
def test_published_fares_are_quoted(catalogue, origin, destination, fare_fen):
    assert quote(catalogue, origin, destination, at_us=AT_US).fare_fen == fare_fen


def test_shares_and_what_is_drawn_make_up_the_fare(catalogue):
    told = quote(catalogue, "SHA-xinzhuang", "SHA-huaqiao", at_us=AT_US)
    assert len(told.shares) > 1
    assert sum(share.floor_fen for share in told.shares) + told.drawn_fen == told.fare_fen
    assert 0 <= told.drawn_fen < len(told.shares)
    total = sum(share.weight for share in told.shares)
    assert all(share.floor_fen == told.fare_fen * share.weight // total for share in told.shares)


def test_a_visitor_adds_commission_and_fee_and_a_local_does_not(catalogue):
    visitor = quote(catalogue, "SHA-xinzhuang", "SHA-huaqiao", at_us=AT_US, issuer="hangzhou")
    local = quote(catalogue, "SHA-xinzhuang", "SHA-huaqiao", at_us=AT_US, issuer="SHA")
    assert (visitor.commission_fen, visitor.fee_fen) == (9, 1)
    assert (local.commission_fen, local.fee_fen) == (0, 0)
    assert visitor.fare_fen == local.fare_fen


def test_two_cities_do_not_price_one_ride(catalogue):
    with pytest.raises(Conflict, match="each city prices its own ride"):
        quote(catalogue, "SHA-huaqiao", "SZV-huaqiao", at_us=AT_US)


@pytest.mark.parametrize("station", ["SHA-nowhere", "XXX-xinzhuang", ""])
def test_unknown_stations_are_refused(catalogue, station):
    with pytest.raises(Unknown):
        quote(catalogue, station, "SHA-huaqiao", at_us=AT_US)


def test_before_the_first_tariff_there_is_no_quote(catalogue):
    with pytest.raises(Unknown, match="no tariff"):
        quote(catalogue, "SHA-xinzhuang", "SHA-huaqiao", at_us=0)


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
    ):
        bad = run("fare", *words)
        assert bad.returncode == 1
        assert bad.stderr.startswith(f"{refusal}: ")
        assert "Traceback" not in bad.stderr


def test_fares_check_counts_and_lists_what_differs(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(
        "city,from_id,to_id,fare_yuan,as_of\n"
        "shanghai,SHA-xinzhuang,SHA-huaqiao,9,2026-08-20\n"
        "shanghai,SHA-huaqiao,SHA-anting,4,2026-08-20\n"
        "shanghai,SHA-huaqiao,SHA-nowhere,4,2026-08-20\n"
    )
    answer = run("fares", "check", str(published), "--json")
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["checked"], told["exact"], told["within_one_yuan"]) == (0, 2, 1, 2)
    assert [(row["line"], row["published_fen"], row["ours_fen"]) for row in told["mismatches"]] == [(3, 400, 300)]
    assert [row["line"] for row in told["not_compared"]] == [4]
    assert run("fares", "check", str(published), "--at-least", "0.6").returncode == 1
    assert run("fares", "check", str(published), "--at-least", "0.5").returncode == 0
    assert run("fares", "check", str(tmp_path / "none.csv")).returncode == 1


def test_fares_check_can_leave_official_fares_aside(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text("city,from_id,to_id,fare_yuan\nshanghai,SHA-caobaolu,SHA-waihuanlu,3\n")
    exact = [json.loads(run("fares", "check", str(published), "--json", *more).stdout)["exact"] for more in ((), ("--rule-only",))]
    assert exact == [1, 0]
