"""An issuer's month: what owners of changing pseudonyms have spent, and the step that is attested for the next ride."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_adapters.catalogue import load_catalogue
from city_adapters.month_accounts import MonthAccounts
from fare_chain.tap import Category


@pytest.fixture(scope="module")
def cities():
    return load_catalogue()


def at(text):
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp()) * 1_000_000


NOON = at("2026-10-20T12:00")


def spent(city, *fares, moment=NOON):
    accounts = MonthAccounts(city)
    for fare in fares:
        accounts.add("li", entered_at_us=moment, nominal_fen=fare, paid_fen=fare // 2)
    return accounts


@pytest.mark.parametrize(("prior", "step"), [(0, 1), (4_900, 1), (4_999, 1), (5_000, 2), (9_999, 2), (10_000, 3), (90_000, 3)])
def test_hangzhou_attests_by_what_was_spent_before_the_ride(cities, prior, step):
    assert spent(cities.city("hangzhou"), prior).attest("li", NOON).step == step


@pytest.mark.parametrize(("prior", "step"), [(0, 0), (6_999, 0), (7_000, 1)])
def test_shanghai_attests_from_seventy_yuan_on(cities, prior, step):
    assert spent(cities.city("shanghai"), prior).attest("li", NOON).step == step


def test_a_city_or_category_without_tiers_attests_nothing(cities):
    assert spent(cities.city("nanjing"), 50_000).attest("li", NOON).step == 0
    assert spent(cities.city("hangzhou"), 50_000).attest("li", NOON, Category.SENIOR).step == 0


def test_owners_do_not_share_a_month_and_pseudonyms_of_one_owner_do(cities):
    accounts = spent(cities.city("hangzhou"), 3_000, 3_000)
    assert accounts.attest("li", NOON).step == 2
    assert accounts.attest("wang", NOON).step == 1


def test_a_month_ends_with_its_last_service_day_and_so_does_the_attestation(cities):
    accounts = spent(cities.city("hangzhou"), 12_000, moment=at("2026-11-01T02:59"))
    assert accounts.attest("li", at("2026-10-31T23:00")).step == 3
    assert accounts.attest("li", at("2026-11-01T02:59")).step == 3, "the night belongs to October's last service day"
    assert accounts.attest("li", at("2026-11-01T03:00")).step == 1
    assert accounts.attest("li", at("2026-10-05T08:00")).until_us == at("2026-11-01T03:00")
    assert accounts.attest("li", at("2026-12-05T08:00")).until_us == at("2027-01-01T03:00")


def test_a_late_ride_counts_in_its_own_month(cities):
    accounts = spent(cities.city("hangzhou"), 6_000, moment=at("2026-09-30T20:00"))
    assert accounts.spent_fen("li", at("2026-09-15T08:00")) == 6_000
    assert accounts.spent_fen("li", NOON) == 0


@given(fares=st.permutations([100, 2_500, 300, 4_000, 900]))
def test_the_order_of_rides_does_not_matter(cities, fares):
    assert spent(cities.city("hangzhou"), *fares).spent_fen("li", NOON) == 7_800


def test_what_was_paid_counts_where_the_tariff_says_so(cities):
    hangzhou = cities.city("hangzhou")
    (tariff,) = hangzhou.tariffs
    tiers, *others = tariff.discounts
    paid = replace(hangzhou, tariffs=(replace(tariff, discounts=(replace(tiers, counts_paid=True), *others)),))
    assert spent(paid, 9_000).spent_fen("li", NOON) == 4_500
    assert spent(hangzhou, 9_000).spent_fen("li", NOON) == 9_000
