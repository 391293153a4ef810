"""The order of taps is total, and the fast way to it equals the plain one."""

import random
from dataclasses import astuple, replace

import numpy as np
import pytest

from fare_chain.tap import TapKind
from settlement.core.columns import pick
from settlement.core.tap_order import is_ordered, lane_keys, order, repeats, starts_of_lanes
from simulators.small_cities import small_tap, tap_records

COLLIDING = [0, 1 << 120, 1 << 50, 3 << 100]
"""Media whose first 48 bits are equal."""


def plain_order(taps):
    return sorted(
        taps,
        key=lambda tap: (
            *(tap.host, tap.medium, tap.tapped_at_us, tap.kind, tap.gate, tap.gate_seq, tap.issuer, tap.station),
            *(tap.entitlement, tap.flags, tap.category, tap.mode, tap.code_digest),
        ),
    )


def ordered(taps):
    records = tap_records(taps)
    return pick(records, order(records, lane_keys(records)))


def random_taps(chance, media, moments, count=60):
    return [
        replace(
            small_tap(chance.choice(media), chance.choice(list(TapKind)[:5]), chance.choice(moments)),
            host=chance.choice([1, 2, 300]),
            gate=chance.choice([1, 2]),
            gate_seq=chance.choice([1, 2]),
            station=chance.choice([1, 2]),
            flags=chance.choice([0, 1]),
            entitlement=chance.choice([0, 1, 255]),
            category=chance.choice([0, 2]),
            code_digest=chance.choice([bytes(32), bytes(31) + b"\1", b"\1" + bytes(31)]),
        )
        for _ in range(count)
    ]


def test_the_fast_order_equals_sorting_by_the_stated_key():
    chance = random.Random(1)
    for media in ([1, 2, 3], COLLIDING, range(40)):
        for moments in ([5], [1, 2, -9], [-(2**63), 2**63 - 1, 0]):
            taps = random_taps(chance, media, moments)
            assert ordered(taps).tobytes() == b"".join(tap.to_bytes() for tap in plain_order(taps))


@pytest.mark.parametrize("media", [[0, 1 << 120], [0, 1 << 50]])
def test_media_that_begin_alike_stay_apart_even_where_every_time_differs(media):
    taps = [small_tap(media[at % 2], TapKind.ENTRY, at) for at in range(8)]
    assert ordered(taps).tobytes() == b"".join(tap.to_bytes() for tap in plain_order(taps))


def test_lane_keys_rise_with_the_order_and_are_shared_by_media_that_begin_alike():
    taps = plain_order(random_taps(random.Random(2), [*COLLIDING, 1, 2], [1, 2]))
    keys = lane_keys(tap_records(taps))
    assert (keys[1:] >= keys[:-1]).all()
    first, second = (lane_keys(tap_records([small_tap(medium, TapKind.ENTRY, 0)])) for medium in COLLIDING[:2])
    assert first == second


def test_lanes_start_where_host_or_medium_changes_even_if_their_keys_do_not():
    taps = plain_order(random_taps(random.Random(3), COLLIDING, [1, 2, 3]))
    lanes = [(tap.host, tap.medium) for tap in taps]
    expected = [number == 0 or lanes[number] != lanes[number - 1] for number in range(len(lanes))]
    assert starts_of_lanes(tap_records(taps)).tolist() == expected


def test_a_repeat_is_a_tap_that_equals_the_one_before_it_in_every_byte():
    tap = small_tap(1, TapKind.ENTRY, 5)
    other = replace(tap, code_digest=bytes(32))
    taps = plain_order([tap, other, tap, tap])
    expected = [number > 0 and astuple(taps[number]) == astuple(taps[number - 1]) for number in range(4)]
    assert sum(expected) == 2
    assert repeats(tap_records(taps)).tolist() == expected


def test_ordered_taps_are_known_as_such_and_others_are_not():
    taps = plain_order([small_tap(medium, TapKind.ENTRY, at) for medium in (1, 2) for at in (3, 4)])
    assert is_ordered(tap_records(taps))
    assert not is_ordered(tap_records(reversed(taps)))
    assert not is_ordered(tap_records([taps[0], taps[0]]))
    assert is_ordered(tap_records([]))
    assert order(tap_records([]), np.zeros(0, np.uint64)).tolist() == []
