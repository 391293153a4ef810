"""Tables come into force by entry, dated versions by the moment of the entry tap; what cannot be used is refused."""

from dataclasses import replace

import numpy as np
import pytest

from city_adapters.table_packing import pack_agreement, pack_city
from fare_chain.errors import Malformed
from fare_chain.hashing import sha256
from fare_chain.tap import TapKind
from settlement.core.rules import PinnedTable, Rules, pin, place_keys
from simulators.small_cities import (
    CHANGE_US,
    FOREVER_US,
    OPENING_US,
    pinned,
    small_agreement,
    small_city,
    small_scheme,
    small_tap,
    tap_records,
)

ALDER = small_city(1, "alder", [(OPENING_US, FOREVER_US, 300)], kilometres=(1.3, 2.2), beneficiaries=(1, 2))


MARKED = np.stack([ALDER.versions[0].weights[0], np.full((3, 3, 2), 2**31 - 1, "<i4")])
"""A second set, for markers, whose weights are each as large as a table can hold."""


def with_version(**changes):
    return replace(ALDER, versions=(replace(ALDER.versions[0], **changes),))


def unusable(table):
    return Rules().including([PinnedTable(table, bytes(32))])


def test_a_table_is_pinned_by_its_bytes_whichever_it_is():
    for table, pack in ((ALDER, pack_city), (small_agreement(0, ppm=1, fee_fen=2), pack_agreement)):
        assert type(pin(pack(table)).table) is type(table)
        assert pin(pack(table)).sha256 == sha256(pack(table))
        assert pack(pin(pack(table)).table) == pack(table)


def test_a_new_table_of_a_city_replaces_its_last_and_an_agreement_the_one_of_its_date():
    rules = Rules().including(small_scheme())
    changed = small_city(1, "alder", [(OPENING_US, FOREVER_US, 999)], kilometres=(1.0,), beneficiaries=(1,))
    after = rules.including([pinned(changed), pinned(small_agreement(CHANGE_US, ppm=5, fee_fen=0, members=(1, 2)))])
    assert [city.versions[0].fare_fen[0, 1] for city in after.cities] == [999, 200, 250, 275]
    assert [agreement.commission_ppm[0, 1] for agreement in after.agreements] == [10_000, 5]
    assert rules.cities[0].versions[0].fare_fen[0, 1] == 300, "rules are values"


def test_the_rules_hash_names_every_table_and_not_the_order_in_which_they_came():
    tables = small_scheme()
    rules = Rules().including(tables)
    assert rules.rules_hash == Rules().including(reversed(tables)).rules_hash
    hashes = {rules.rules_hash, Rules().rules_hash, *(Rules().including(tables[:count]).rules_hash for count in range(1, 5))}
    assert len(hashes) == 6
    assert rules.including([]) is rules


def test_members_are_the_scheme_and_whoever_an_agreement_names():
    assert Rules().members == (0,)
    assert Rules().including(small_scheme()).members == (0, 1, 2, 3, 4)


def test_an_agreement_holds_from_its_date_until_the_next():
    rules = Rules().including(small_scheme())
    moments = np.array([OPENING_US - 1, OPENING_US, CHANGE_US - 1, CHANGE_US])
    assert rules.agreement_at(moments).tolist() == [-1, 0, 0, 1]
    assert rules.longest_ride_us(moments).tolist() == [-1] + [86_400_000_000] * 3


def test_stations_are_found_by_number_in_their_host_only():
    rules = Rules().including([pinned(replace(ALDER, station_numbers=np.array([2, 5, 9], "<i4")))])
    host, station = np.array([1, 1, 1, 1, 2, 1], np.uint16), np.array([2, 9, 3, 10, 2, 2**32 - 1], np.uint32)
    assert rules.station_rows(host, station).tolist() == [0, 2, -1, -1, -1, -1]


def test_a_tap_stands_in_the_area_of_its_gate_where_a_line_has_gates_of_its_own():
    """Dogwood: gates 50 to 59 of station 4 are row 6, gates 40 to 44 of station 1 row 7; those numbers mean nothing elsewhere."""
    rules = Rules().including(small_scheme())
    places = {
        (4, 4, 49): 3, (4, 4, 50): 6, (4, 4, 59): 6, (4, 4, 60): 3, (4, 4, 41): 3, (4, 1, 40): 7, (4, 1, 44): 7, (4, 1, 45): 0,
        (4, 1, 55): 0, (4, 4, 0): 3, (4, 4, 2**32 - 1): 3, (1, 4, 55): 3, (4, 7, 55): -1, (9, 4, 55): -1,
    }  # fmt: skip
    taps = [small_tap(1, TapKind.ENTRY, 1, host=host, station=station, gate=gate, issuer=1) for host, station, gate in places]
    assert rules.area_rows(tap_records(taps)).tolist() == list(places.values())


def test_ways_are_the_walks_inside_a_city_and_the_borders_whose_other_side_is_known():
    rules = Rules().including(small_scheme())
    minute = 60_000_000
    stations = np.array([3, 5, 6, 1], np.uint32)
    keys = place_keys(np.full(4, 4, np.uint16), stations)
    assert (rules.walks.longest_us(keys) // minute).tolist() == [30, 30, 20, 0]
    assert (rules.walks.limit_between(keys[[0, 1, 0, 2]], keys[[1, 0, 2, 0]]) // minute).tolist() == [30, 30, 10, 0]
    assert len(rules.borders.from_key) == 2
    alone = Rules().including(small_scheme()[:2])
    assert len(alone.borders.from_key) == 0, "cedar's table is not in force"
    assert alone.walks.longest_us(keys).tolist() == [0] * 4


def test_marker_taps_are_read_by_cities_with_a_split_that_adds_them_up():
    taps = tap_records([small_tap(1, TapKind.MARKER, 1, host=host, issuer=1) for host in (1, 4, 9)])
    assert Rules().including(small_scheme()).takes_marker(taps).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (replace(ALDER, city=256), "fit one byte"),
        (replace(ALDER, beneficiaries=(1, 256)), "fit one byte"),
        (replace(ALDER, station_numbers=np.array([0, 1, 2], "<i4")), "run from 1"),
        (replace(ALDER, station_numbers=np.array([1, 2, 2**24], "<i4")), "run from 1"),
        (with_version(weights=np.zeros((3, 3, 2), "<i4")), "sum to more than 0"),
        (with_version(weights=ALDER.versions[0].weights - 1), "sum to more than 0"),
        (with_version(fare_fen=np.full((3, 3), 2**31 - 1, "<i4"), weights=np.full((3, 3, 3), 2**31 - 1, "<i4")), "passes 2\\^63"),
        (with_version(fare_fen=np.full((3, 3), 10_000, "<i4"), weights=MARKED, marker_set=1), "along a path"),
        (replace(small_agreement(0, ppm=0, fee_fen=0), visitors_earn=np.full((3, 3), 2)), "or not, 1 or 0"),
        (small_agreement(0, ppm=1_000_001, fee_fen=0), "0..1,000,000 ppm"),
        (small_agreement(0, ppm=-1, fee_fen=0), "0..1,000,000 ppm"),
        (small_agreement(0, ppm=0, fee_fen=-1), "no fee is negative"),
        (small_agreement(0, ppm=0, fee_fen=0, members=(2, 1)), "in order"),
        (replace(small_agreement(0, ppm=0, fee_fen=0), longest_ride_us=2**62), "longest ride"),
    ],
)
def test_a_table_that_clearing_cannot_use_is_refused_with_the_reason(table, says):
    with pytest.raises(Malformed, match=says):
        unusable(table)


def test_a_pin_is_a_whole_hash():
    with pytest.raises(Malformed, match="32 bytes"):
        Rules().including([PinnedTable(ALDER, b"short")])
