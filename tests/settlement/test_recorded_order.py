"""A log's taps in order and counted gate by gate: as the plainest code does it, in whatever pieces they come, on disk or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.tap_feed import LOGGED_TAP
from settlement.import_taps import recorded_order
from settlement.import_taps.recorded_order import BUCKET_US, in_recorded_order
from settlement.import_taps.sealing import TICK_US, minutes

START_US = 1_772_409_600_000_000


def logged(rows):
    """Taps of (minutes after the start, gate, row, minutes late); two with one row number are the same row."""
    taps = np.zeros(len(rows), LOGGED_TAP)
    for at, (minute, gate, row, late) in enumerate(rows):
        taps["tapped_at_us"][at] = START_US + minute * TICK_US
        taps["recorded_at_us"][at] = START_US + (minute + late) * TICK_US
        taps["gate"][at], taps["host"][at] = gate, 1
        taps["code_digest"][at] = np.frombuffer(bytes([row, gate]) + minute.to_bytes(2, "little") + bytes(28), "V32")[0]
    return taps


def plainly(rows, counts):
    """Each row with its number, in the order in which they came in."""
    counts = dict(counts)
    numbered, before = {}, {}
    for minute, gate, row, _late in sorted(rows, key=lambda one: (one[0], digest(one))):
        if before.get(gate) != (minute, row):
            counts[1, gate] = counts.get((1, gate), 0) + 1
        before[gate] = (minute, row)
        numbered[minute, gate, row] = counts[1, gate]
    ordered = sorted(rows, key=lambda one: (one[0] + one[3], one[0], digest(one)))
    return [(minute, gate, row, numbered[minute, gate, row]) for minute, gate, row, _late in ordered], counts


def digest(one):
    minute, gate, row, _late = one
    return int.from_bytes(bytes([row, gate]) + minute.to_bytes(2, "little"), "little")


rows = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 3), st.integers(0, 2), st.integers(0, 500)), min_size=1, max_size=40)


@pytest.mark.parametrize("most_held", [0, 1 << 30])
@given(rows, st.integers(1, 40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_taps_are_ordered_and_counted_as_plainly(most_held, tmp_path_factory, some, width, replayed):
    if not replayed:
        some = [(minute, gate, row, 0) for minute, gate, row, _late in some]
    counts = {(1, 2): 7}
    expected, last = plainly(some, counts)
    runs = [logged(some[at : at + width]) for at in range(0, len(some), width)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded_order, "MOST_HELD", most_held)
        folder = tmp_path_factory.mktemp("spilled")
        buckets = list(in_recorded_order(runs, folder, counts, replayed=replayed))
    found = [
        ((int(tap["tapped_at_us"]) - START_US) // TICK_US, int(tap["gate"]), tap["code_digest"].tobytes()[0], int(tap["gate_seq"]))
        for bucket in buckets
        for tap in bucket
    ]
    assert found == expected
    assert counts == last
    assert not list(folder.iterdir()), "what was spilled is cleared away"
    ticks = list(minutes(buckets))
    assert sum(len(tick.taps) for tick in ticks) == len(some)
    assert [tick.recorded_us for tick in ticks] == sorted({tick.recorded_us for tick in ticks}), "a minute is one tick"
    for tick in ticks:
        assert (
            (tick.recorded_us - tick.taps["recorded_at_us"] > 0) & (tick.recorded_us - tick.taps["recorded_at_us"] <= TICK_US)
        ).all()


def test_what_is_sorted_at_a_time_is_whole_minutes():
    assert BUCKET_US % TICK_US == 0
