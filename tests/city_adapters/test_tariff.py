"""Bands to the metre, rates to the half yuan, and tariffs that are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_adapters.catalogue import load_catalogue
from city_adapters.city_files import read_city
from city_adapters.tariff import Bands, Flat, PerKilometre

EDGES_KM = {
    "SHA": (3, (6, 16, 26, 36, 46)),
    "HGH": (2, (4, 8, 12, 18, 24, 32)),
    "NKG": (2, (4, 9, 14, 21, 28, 37, 48, 61, 76)),
    "SZV": (2, (6, 11, 16, 23, 30, 39, 48)),
    "HFE": (2, (8, 14, 21, 29, 38, 47)),
}


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.mark.parametrize("code", EDGES_KM)
def test_a_band_closes_on_its_last_metre(catalogue, code):
    lowest, edges = EDGES_KM[code]
    rule = catalogue.city(code).tariffs[-1].charges[0].rule
    for yuan, edge in enumerate(edges, lowest):
        below, above = rule.fares(np.array([edge * 1000, edge * 1000 + 1]))
        assert (below, above) == (yuan * 100, yuan * 100 + 100), f"{edge} km"


def test_the_shortest_ride_costs_the_lowest_fare():
    assert Bands((4000, 8000), (200, 300), 8000, 100).fares(np.array([0, 1, 4000])).tolist() == [200, 200, 200]


def plain_band(metres, rule):
    for edge, fare in zip(rule.up_to_m, rule.fare_fen, strict=True):
        if metres <= edge:
            return fare
    fare, edge = rule.fare_fen[-1], rule.up_to_m[-1]
    while edge < metres:
        edge, fare = edge + rule.step_m, fare + rule.step_fen
    return fare


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6, unique=True), st.integers(1, 9), st.lists(st.integers(0, 99), min_size=1)
)
def test_bands_agree_with_counting_them_off(edges, step, metres):
    rule = Bands(tuple(sorted(edges)), tuple(range(2, len(edges) + 2)), step, 3)
    assert rule.fares(np.array(metres)).tolist() == [plain_band(at, rule) for at in metres]


def test_a_flat_fare_does_not_look_at_the_metres():
    assert Flat(5000).fares(np.array([[1, 24788], [0, 9]])).tolist() == [[5000, 5000], [5000, 5000]]


@pytest.mark.parametrize(
    ("fast_m", "slow_m", "fen"),
    [
        (10_000, 0, 400),  # 4.50 yuan: a half rounds down
        (10_001, 0, 500),  # 4.50045 yuan: more than a half rounds up
        (12_222, 0, 500),  # 5.4999 yuan
        (1, 0, 400),  # never less than the minimum
        (10_000, 10_000, 800),  # 4.50 + 3.70 = 8.20 yuan
        (58_000, 0, 2600),  # 26.10 yuan
    ],
)
def test_a_rate_per_kilometre_rounds_halves_down(fast_m, slow_m, fen):
    rule = PerKilometre((("fast", 45), ("slow", 37)), 100, 400)
    assert rule.fares(np.array([fast_m, slow_m])) == fen


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("up_to_m = 3500", "up_to_m = 1000", "tariff-2020-01-01.toml:10: error: charge[0].bands[1].up_to_m is 1000 after 1000"),
        ("fare_fen = 300", "fare_fen = 200", "tariff-2020-01-01.toml:10: error: charge[0].bands[1].fare_fen is 200 after 200"),
        ("fare_fen = 300", "fare_fen = 3.0", "charge[0].bands[1].fare_fen is 3.0"),
        ("fare_fen = 300", 'fare_fen = "300"', "charge[0].bands[1].fare_fen is '300'"),
        ("fare_fen = 300", "fare_fen = true", "charge[0].bands[1].fare_fen is True"),
        ("step_m = 1000", "step_m = 0", "charge[0].step_m is 0"),
        ("step_fen = 100", "", "charge[0].step_fen is missing"),
        ('kind = "bands"', 'kind = "zones"', "charge[0].kind is 'zones'"),
        ('lines = ["TST-TX"]', "", "charge has 2 entries without `lines`"),
        ('lines = ["TST-TX"]', 'lines = ["TST-TX", "TST-T9"]', "charge 'express' names TST-T9"),
        ("slow = 30", "", "has rate_class 'slow'"),
        ("minimum_fen = 400", "minimum_fen = 400\ncap_fen = 900", "charge[1].cap_fen is not a field"),
        ("[same_station]", "[same_place]", "same_station is missing"),
        ("valid_from = 2020-01-01", "valid_from = 2020-01-02", "valid_from is 2020-01-02, which the file's name does not say"),
        ("valid_from = 2020-01-01", "valid_from = 2020-01-01\nvalid_to = 2019-12-31", "valid_to is 2019-12-31, not after"),
        ("step_m = 1000", "step_m == 1000", "is not TOML"),
    ],
)
def test_a_tariff_that_cannot_be_meant_is_refused_by_field(testville, spoil, old, new, found):
    spoil("tariff-2020-01-01.toml", old, new)
    city, findings = read_city(testville)
    assert city is None
    assert any(found in str(finding) for finding in findings), "\n".join(map(str, findings))


def test_a_later_tariff_ends_the_one_before_it(testville, add_version):
    add_version("2026-07-01")
    city, findings = read_city(testville)
    assert not findings
    first, second = city.tariffs
    assert first.validity.to_us == second.validity.from_us == city.days.start_us(second.provenance.as_of.replace(month=7))


@pytest.mark.parametrize(
    ("end", "found"),
    [("2026-08-01", "overlaps tariff-2026-07-01.toml"), ("2026-06-01", "nothing holds until tariff-2026-07-01.toml")],
)
def test_tariffs_that_overlap_or_leave_a_gap_are_refused(testville, spoil, add_version, end, found):
    add_version("2026-07-01")
    spoil("tariff-2020-01-01.toml", "valid_from = 2020-01-01", f"valid_from = 2020-01-01\nvalid_to = {end}")
    city, findings = read_city(testville)
    assert city is None
    assert any(found in finding.message and finding.file == "tariff-2020-01-01.toml" for finding in findings)
