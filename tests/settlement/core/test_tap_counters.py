"""A gate's numbers are taken once, whatever comes in which order: runs against a plain set of numbers."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.core.columns import COUNTED_DTYPE, TAP_DTYPE
from settlement.core.tap_counters import CountedTaps

EDGES = [0, 1, 2, 3, 4, 5, 7, 2**32 - 2, 2**32 - 1]
NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(0, 12))
COMING = st.lists(
    st.lists(st.tuples(st.sampled_from([1, 2, 700]), st.sampled_from([0, 1, 2**32 - 1]), NUMBERS, st.integers(0, 2)), max_size=24),
    max_size=6,
)
"""Ticks of (host, gate, gate_seq, station): the station makes two taps of one number differ."""


def records(rows):
    taps = np.zeros(len(rows), TAP_DTYPE)
    for place, name in enumerate(("host", "gate", "gate_seq", "station")):
        taps[name] = [row[place] for row in rows]
    return taps


@given(COMING)
@settings(max_examples=300, deadline=None)
def test_each_number_is_taken_once(ticks):
    counted, seen = CountedTaps(), set()
    for rows in ticks:
        taps = records(rows)
        counted, repeated = counted.take(taps)
        first = {}
        for at, row in sorted(enumerate(rows), key=lambda item: (taps[item[0]].tobytes(), item[0])):
            first.setdefault(row[:3], at)
        assert repeated.tolist() == [row[:3] in seen or first[row[:3]] != at for at, row in enumerate(rows)]
        seen |= {row[:3] for row in rows}
        assert numbers(counted) == seen


@given(COMING)
@settings(max_examples=100, deadline=None)
def test_what_is_written_depends_on_the_numbers_alone_and_is_as_short_as_can_be(ticks):
    counted = CountedTaps()
    for rows in ticks:
        counted, _ = counted.take(records(rows))
    at_once, _ = CountedTaps().take(records(sorted({row for rows in ticks for row in rows})))
    rows = counted.to_rows()
    assert rows.tobytes() == at_once.to_rows().tobytes() == CountedTaps.from_rows(rows).to_rows().tobytes()
    told = sorted({(host, gate << 32 | number) for host, gate, number in (row[:3] for tick in ticks for row in tick)})
    gaps = [one for one, two in pairwise(told) if (one[0], one[1] + 1) != two]
    assert len(rows) == len(gaps) + bool(told)


def test_gates_that_count_on_need_no_more_room_whatever_the_day_holds():
    counted = CountedTaps()
    for tick in range(50):
        rows = [(host, gate, tick * 10 + number, 0) for host in (1, 2) for gate in range(20) for number in range(10)]
        counted, repeated = counted.take(records(rows))
        assert not repeated.any()
    assert len(counted.to_rows()) == 40
    late, _ = counted.take(records([(1, 3, 502, 0)]))
    assert len(late.to_rows()) == 41, "a gap is a run more"
    filled, _ = late.take(records([(1, 3, 500, 0), (1, 3, 501, 0)]))
    assert len(filled.to_rows()) == 40


def test_taking_changes_no_earlier_value():
    before, _ = CountedTaps().take(records([(1, 1, 5, 0)]))
    written = before.to_rows().tobytes()
    before.take(records([(1, 1, 6, 0)]))
    before.take(records([(1, 1, 8, 0)]))
    assert before.to_rows().tobytes() == written
    assert COUNTED_DTYPE.itemsize == 24


def numbers(counted):
    return {
        (int(row["host"]), int(number) >> 32, int(number) & 0xFFFFFFFF)
        for row in counted.to_rows()
        for number in range(int(row["first"]), int(row["last"]) + 1)
    }
