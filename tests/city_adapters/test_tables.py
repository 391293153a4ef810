"""Compiled tables: every pair priced and earned, the same bytes everywhere, no other bytes accepted."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.catalogue import load_catalogue
from city_adapters.city_files import load_city
from city_adapters.table_compiler import compile_agreement, compile_city
from city_adapters.table_packing import pack_agreement, pack_city, unpack_agreement, unpack_city
from fare_chain.errors import Malformed


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture(scope="module")
def agreement(catalogue):
    return compile_agreement(catalogue.agreements[0], catalogue.member_numbers)


def read_or_refuse(unpack, data):
    """Read a table, or nothing where it is refused as Malformed; anything else raised is a fault."""
    try:
        return unpack(data)
    except Malformed:
        return None


def pair(table, first, second):
    """Fare, metres and weights of a pair of Testville's stations."""
    version = table.versions[-1]
    at = table.station_ids.index(f"TST-{first}"), table.station_ids.index(f"TST-{second}")
    return int(version.fare_fen[at]), int(version.distance_m[at]), version.weights[(0, *at)].tolist()


def test_a_ride_is_earned_by_metres_on_the_shortest_path(testville):
    table = compile_city(load_city(testville))
    assert pair(table, "a", "d") == pair(table, "d", "a") == (400, 4000, [1000, 3000, 0])
    assert pair(table, "a", "c") == (300, 3000, [3000, 0, 0])


def test_a_line_with_its_own_charge_stays_out_of_the_others_price_path(testville, spoil):
    spoil("links.csv", "TST-TX,TST-f,TST-g", "TST-TX,TST-f,TST-a,1,1,,slow,high,2026-01-01\nTST-TX,TST-f,TST-g")
    spoil("links.csv", "TST-d,TST-f,10000,10000", "TST-d,TST-f,1,1")
    assert pair(compile_city(load_city(testville)), "a", "d") == (400, 4000, [1000, 3000, 0])


def test_a_rate_per_kilometre_follows_the_class_of_each_link(testville):
    table = compile_city(load_city(testville))
    assert pair(table, "d", "f") == (400, 10_000, [0, 0, 10_000])  # 4.50 yuan, a half goes down
    assert pair(table, "d", "g") == (600, 14_000, [0, 0, 14_000])  # 4.50 + 1.20 = 5.70 yuan


def test_a_ride_under_two_charges_is_their_sum_cut_where_it_is_lowest(testville):
    table = compile_city(load_city(testville))
    fare_fen, distance_m, weights = pair(table, "a", "f")
    assert (fare_fen, distance_m) == (400 + 400, 4000 + 10_000)
    assert weights == [1_000_000, 3_000_000, 4_000_000], "400 fen by metres 1 to 3, and the express its own 400"
    assert pair(table, "f", "a") == (fare_fen, distance_m, weights)


def test_a_dearer_cut_is_not_taken(testville, spoil):
    spoil("links.csv", "TST-TX,TST-f,TST-g", "TST-TX,TST-c,TST-f,20000,20000,,fast,high,2026-01-01\nTST-TX,TST-f,TST-g")
    table = compile_city(load_city(testville))
    assert pair(table, "c", "f")[:2] == (900, 20_000), "9.00 yuan along the express alone"
    assert pair(table, "a", "f")[:2] == (400 + 400, 4000 + 10_000), "cut at d, not at c for 300 + 900"


def test_a_ride_to_its_own_station_costs_the_lowest_fare_for_whoever_stops_there(testville):
    table = compile_city(load_city(testville))
    assert pair(table, "b", "b") == (200, 0, [2, 2, 0])
    assert pair(table, "g", "g") == (400, 0, [0, 0, 2])


def test_track_that_two_lines_share_is_earned_in_equal_parts(testville, spoil):
    spoil("links.csv", "TST-T2,TST-b,TST-e", "TST-T2,TST-a,TST-b,1000,1000,,,high,2026-01-01\nTST-T2,TST-b,TST-e")
    assert pair(compile_city(load_city(testville)), "a", "c")[2] == [2500, 500, 0]


def test_the_longer_of_two_links_side_by_side_is_nobodys_path(testville, spoil):
    spoil("links.csv", "TST-T2,TST-b,TST-e", "TST-T2,TST-a,TST-b,999,999,,,high,2026-01-01\nTST-T2,TST-b,TST-e")
    assert pair(compile_city(load_city(testville)), "a", "c") == (300, 2999, [2000, 999, 0])


def test_a_walk_joins_fares_only_where_the_folder_says_so(testville, spoil):
    spoil(
        "transfers.csv",
        "TST-b,TST-b,TST-T1",
        "TST-c,TST-e,TST-T1,TST-T2,exit and re-enter,no,30,high,2026-01-01\nTST-b,TST-b,TST-T1",
    )
    assert pair(compile_city(load_city(testville)), "c", "e")[:2] == (300, 3500)
    spoil("transfers.csv", "re-enter,no", "re-enter,yes")
    fare_fen, distance_m, weights = pair(compile_city(load_city(testville)), "c", "e")
    assert (fare_fen, distance_m, weights) == (200, 0, [1, 1, 0])


def test_each_stretch_of_time_has_the_tariff_and_split_that_hold_in_it(testville, add_version):
    add_version("2026-07-01", ("fare_fen = 300", "fare_fen = 350"))
    city = load_city(testville)
    table = compile_city(city)
    cut = city.tariffs[1].validity.from_us
    assert [version.valid_from_us for version in table.versions] == [city.tariffs[0].validity.from_us, cut]
    assert table.version_at(cut - 1) is table.versions[0]
    assert table.version_at(cut) is table.versions[1]
    assert table.version_at(0) is None
    assert (table.versions[0].fare_fen.max(), table.versions[1].fare_fen.max()) == (400 + 600, 450 + 600)
    one, two = len(pack_city(compile_city(load_city(testville)))), 7 * 7 * 4
    add_version("2026-08-01")
    three = len(pack_city(compile_city(load_city(testville))))
    assert 0 < three - one < two, "a further version of known fares adds its head; every array stands there once"


def test_tariffs_and_splits_change_on_days_of_their_own(testville, add_version):
    add_version("2026-07-01")
    split = (testville / "split-2020-01-01.toml").read_text(encoding="utf-8").replace("2020-01-01", "2026-08-01")
    (testville / "split-2026-08-01.toml").write_text(split, encoding="utf-8")
    city = load_city(testville)
    begins = [version.valid_from_us for version in compile_city(city).versions]
    assert begins == [city.tariffs[0].validity.from_us, city.tariffs[1].validity.from_us, city.splits[1].validity.from_us]


def test_rows_are_found_by_number_and_strangers_are_minus_one(testville):
    table = compile_city(load_city(testville))
    assert table.rows([10, 70, 15, 0, 71, 2**32 - 1]).tolist() == [0, 6, -1, -1, -1, -1]
    assert table.rows(np.array([], dtype="<u4")).tolist() == []


def test_a_fare_too_large_for_a_table_is_refused(testville, spoil):
    spoil("tariff-2020-01-01.toml", "step_m = 1000", "step_m = 1")
    spoil("tariff-2020-01-01.toml", "step_fen = 100", "step_fen = 50000")
    with pytest.raises(Malformed, match="look for a wrong unit"):
        compile_city(load_city(testville))


@pytest.mark.parametrize("code", ["SHA", "HGH", "NGB", "WNZ", "HFE", "NKG", "SZV", "WUX", "XUZ"])
def test_every_pair_of_a_city_is_priced_alike_both_ways_and_earned(catalogue, code):
    for version in catalogue.table(code).versions:
        assert (version.fare_fen >= 200).all()
        assert (version.distance_m >= 0).all()
        assert np.array_equal(version.fare_fen, version.fare_fen.T)
        assert np.array_equal(version.weights, version.weights.transpose(0, 2, 1, 3))
        earned = version.weights.sum(axis=-1, dtype=np.int64) > 0
        proven = np.arange(len(earned)) == version.marker_set
        assert earned[~proven].all()
        if proven.any():
            unproven = ~earned[proven].any(axis=0) & (version.distance_m > 0)
            assert unproven.sum() <= 2, "metres, where there are any; a walk has none, though an earlier network charged for some"


def test_metres_of_all_operators_sum_to_the_ride(catalogue):
    table = catalogue.table("NKG")
    version = table.versions[0]
    ridden = version.distance_m > 0
    assert np.array_equal(version.weights[0].sum(axis=2)[ridden], version.distance_m[ridden])


@pytest.mark.parametrize("code", ["SHA", "XUZ"])
def test_a_table_survives_its_bytes(catalogue, code):
    table = catalogue.table(code)
    data = pack_city(table)
    again = unpack_city(data)
    assert pack_city(again) == data
    assert (again.city, again.slug, again.code, again.beneficiaries) == (table.city, table.slug, table.code, table.beneficiaries)
    assert again.station_ids == table.station_ids
    assert np.array_equal(again.versions[0].weights, table.versions[0].weights)
    assert not again.versions[0].fare_fen.flags.writeable


def test_one_folder_gives_one_table(catalogue):
    city = catalogue.city("XUZ")
    assert pack_city(compile_city(city)) == pack_city(compile_city(load_catalogue().city("XUZ")))


def test_the_bytes_of_a_small_table_never_change(testville):
    digest = hashlib.sha256(pack_city(compile_city(load_city(testville)))).hexdigest()
    known = "2bd0aa1ed2a91bb975c3dbb4d893e122f520b2fd597df7943a7abbc11c0acb40"
    assert digest == known, "the layout, a tie-break or a rule of pricing changed: old ledgers name tables by these bytes"


@given(st.data())
@settings(max_examples=60)
def test_a_table_that_was_touched_is_refused_or_says_something_else(catalogue, data):
    whole = pack_city(catalogue.table("WNZ"))
    at = data.draw(st.integers(0, len(whole) - 1))
    touched = bytearray(whole)
    touched[at] ^= 1 << data.draw(st.integers(0, 7))
    table = read_or_refuse(unpack_city, bytes(touched))
    assert table is None or pack_city(table) == touched


def test_a_table_that_is_written_in_another_way_is_refused(testville):
    data = pack_city(compile_city(load_city(testville)))
    metres, weights = 7 * 7 * 4 + 4, 7 * 7 * 3 * 4  # four bytes of padding between them
    counts = bytearray(data[: -metres - weights])
    assert counts[26] == 1
    counts[26] = 2  # a second array of distances, which no version names
    with pytest.raises(Malformed, match="not written as this program writes it"):
        unpack_city(bytes(counts) + data[-metres - weights : -weights] * 2 + data[-weights:])


@pytest.mark.parametrize("cut", [0, 7, 8, 20, 200, 5000, -1])
def test_a_table_cut_short_or_lengthened_is_refused(catalogue, cut):
    data = pack_city(catalogue.table("WNZ"))
    with pytest.raises(Malformed):
        unpack_city(data[:cut])
    with pytest.raises(Malformed, match="more bytes"):
        unpack_city(data + b"\x00")


def test_an_agreement_survives_its_bytes(agreement):
    data = pack_agreement(agreement)
    again = unpack_agreement(data)
    assert pack_agreement(again) == data
    assert again.members == tuple(range(1, 10))
    assert again.longest_ride_us == 24 * 3600 * 10**6
    assert not again.fee_fen.diagonal().any()
    assert set(again.commission_ppm.ravel().tolist()) == {0, 10_000}


def test_terms_for_one_pair_win_over_those_for_all(tmp_path, catalogue):
    from city_adapters.catalogue import PACKAGED
    from city_adapters.city_files import load_agreements

    text = (PACKAGED / "agreements" / "scheme-2015-01-01.toml").read_text(encoding="utf-8")
    text += (
        '\n[[terms]]\nissuer = "SHA"\nhost = "SZV"\ncommission_ppm = 500\nfee_fen = 0\nvisitors_earn = true\n'
        'confidence = "high"\nas_of = 2026-01-01\n'
    )
    (tmp_path / "scheme-2015-01-01.toml").write_text(text, encoding="utf-8")
    (agreement,) = load_agreements(tmp_path, catalogue.cities[0].days)
    table = compile_agreement(agreement, catalogue.member_numbers)
    sha, szv = table.members.index(1), table.members.index(7)
    assert (table.commission_ppm[sha, szv], table.fee_fen[sha, szv]) == (500, 0)
    assert (table.commission_ppm[szv, sha], table.fee_fen[szv, sha]) == (10_000, 1)
    assert (table.visitors_earn[sha, szv], table.visitors_earn[szv, sha], table.visitors_earn[sha, sha]) == (1, 0, 1)


@pytest.mark.parametrize(("offset", "value"), [(0, 0), (8, 255), (15, 255), (16, 0), (24, 0), (26, 9), (48, 1)])
def test_an_agreement_that_was_touched_is_refused_or_says_something_else(agreement, offset, value):
    touched = bytearray(pack_agreement(agreement))
    touched[offset] = value
    table = read_or_refuse(unpack_agreement, bytes(touched))
    assert table is None or pack_agreement(table) == touched
