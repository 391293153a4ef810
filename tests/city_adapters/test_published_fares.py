"""The packaged cities against a sample of published fares: all of them with overrides, nearly all of them by rule alone."""

from pathlib import Path

import pytest

from city_adapters.catalogue import load_catalogue
from city_adapters.fare_list import check_fares, read_fare_list

LISTED = read_fare_list((Path(__file__).parent / "published_fares.csv").read_bytes())
NOW_US = 1_795_000_000_000_000
"""A moment in November 2026."""
LAST_SUMMER_US = NOW_US - 180 * 86_400 * 1_000_000


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def test_every_published_fare_is_ours(catalogue):
    check = check_fares(LISTED, catalogue.table, NOW_US)
    assert (check.total.checked, check.total.mismatches) == (len(LISTED.fares), [])
    assert set(check.by_city) == {"shanghai", "hangzhou", "nanjing", "suzhou"}


def test_the_rule_alone_gives_nearly_all_and_none_more_than_two_yuan_off(catalogue):
    total = check_fares(LISTED, catalogue.by_rule.table, NOW_US).total
    assert total.exact >= 0.97 * total.checked
    assert all(abs(one.published_fen - one.ours_fen) <= 200 for one in total.mismatches)


def test_before_the_official_tables_were_read_the_rule_holds(catalogue):
    before = check_fares(LISTED, catalogue.table, LAST_SUMMER_US).total
    rule = check_fares(LISTED, catalogue.by_rule.table, NOW_US).total
    assert before.mismatches == rule.mismatches


def test_a_pair_whose_fare_depends_on_the_gate_has_both_its_fares(catalogue):
    text = "city,from_id,to_id,fare_yuan,from_line,to_line\n" + "".join(
        f"shanghai,SHA-dabaishu,SHA-hulanlu,{row}\n" for row in ("4,,", "5,,", "4,SHA-L3,SHA-L18", "5,SHA-L3,SHA-L1", "6,,")
    )
    check = check_fares(read_fare_list(text.encode()), catalogue.table, NOW_US)
    assert [one.line for one in check.total.mismatches] == [6]


def test_every_override_has_a_cause_of_the_known_kinds(catalogue):
    for city in catalogue.cities:
        for override in (row for overrides in city.overrides for row in overrides.rows):
            assert override.reason.startswith("official table: ")
            assert override.reason.endswith((" from a band edge", "by the line of the gate", "with no known cause"))


def test_a_length_that_is_not_its_sources_says_how_many_fares_it_rests_on(catalogue):
    moved = [link for city in catalogue.cities for link in city.network.links if link.distance_m != link.source_m]
    assert len(moved) > 100
    assert all(link.reason.startswith("calibrated: ") and int(link.reason.split()[1]) > 0 for link in moved)
