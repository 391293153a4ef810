"""Waiting taps are a set: whatever was taken and put, in whatever portions."""

import random

import numpy as np

from fare_chain.tap import TapKind
from settlement.core.columns import pick
from settlement.core.tap_order import is_ordered, lane_keys, order
from settlement.core.waiting import WaitingTaps, put_all
from simulators.small_cities import small_tap, tap_records


def put(waiting, taps):
    records = tap_records(taps)
    return waiting.put(pick(records, order(records, lane_keys(records))))


def keys_of(taps):
    return np.unique(lane_keys(tap_records(taps)))


def as_set(records):
    return sorted(row.tobytes() for row in records)


def test_many_portions_hold_what_a_plain_dict_holds():
    chance = random.Random(4)
    waiting, held = WaitingTaps(), {}
    for turn in range(120):
        media = chance.sample(range(300), chance.randrange(1, 40))
        taps = [small_tap(medium, TapKind.ENTRY, turn * 10 + copy) for medium in media for copy in range(chance.randrange(1, 3))]
        waiting, taken = waiting.take(keys_of(taps))
        assert as_set(taken) == sorted(tap.to_bytes() for medium in media for tap in held.pop(medium, []))
        if turn % 3:
            waiting = put(waiting, taps)
            for tap in taps:
                held.setdefault(int.from_bytes(tap.medium, "little"), []).append(tap)
        assert len(waiting) == sum(len(taps) for taps in held.values())
        assert as_set(waiting.all()) == sorted(tap.to_bytes() for taps in held.values() for tap in taps)
        assert is_ordered(waiting.all())
    assert len(waiting._runs) < 6


def test_taking_leaves_the_value_it_was_taken_from_as_it_was():
    taps = [small_tap(medium, TapKind.ENTRY, 1) for medium in range(9)]
    waiting = put(WaitingTaps(), taps)
    rest, taken = waiting.take(keys_of(taps[:4]))
    assert (len(waiting), len(rest), len(taken)) == (9, 5, 4)
    assert as_set(waiting.all()) == sorted(tap.to_bytes() for tap in taps)
    assert as_set(waiting.take(keys_of(taps[2:6]))[1]) == sorted(tap.to_bytes() for tap in taps[2:6])


def test_media_that_share_a_lane_key_are_taken_together():
    taps = [small_tap(medium, TapKind.ENTRY, 1) for medium in (0, 1 << 120, 5)]
    rest, taken = put(WaitingTaps(), taps).take(keys_of(taps[:1]))
    assert (len(rest), len(taken)) == (1, 2)


def test_two_sets_are_equal_where_they_hold_the_same_taps_however_they_came():
    taps = [small_tap(medium, TapKind.ENTRY, 1) for medium in range(30)]
    one, other = put_all(tap_records(reversed(taps))), WaitingTaps()
    for tap in taps:
        other = put(other, [tap])
    assert one == other
    assert one != put(WaitingTaps(), taps[:-1])
    assert one != 3


def test_nothing_waits_at_first():
    rest, taken = WaitingTaps().take(np.zeros(0, np.uint64))
    assert len(rest) == len(taken) == len(rest.all()) == 0
