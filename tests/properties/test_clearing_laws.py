"""Clearing over generated taps: it equals the plainest code row for row, keeps every law, and does not care how taps came."""

import os
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_chain.tap import TapKind
from settlement.core.clearing import Tick, clear
from settlement.core.columns import Level, ObligationKind, plain
from settlement.core.laws import laws, window_laws
from settlement.core.state import State
from settlement.core.windows import close, window_postings
from simulators.small_cities import CHANGE_US, OPENING_US, SECOND_US, small_scheme, small_tap, tap_records
from simulators.truth import Truth

SCHEME = small_scheme()
EXAMPLES = int(os.environ.get("CLEARING_EXAMPLES", "60"))
START_US = CHANGE_US + 12 * 3600 * SECOND_US
"""Ticks are recorded from here: half a day into the second tariffs, so that entries fall on both sides of the change."""

# Media 0, 2^120 and 2^50 share their first 48 bits, and so their lane keys.
MEDIA = [1, 1, 1, 2, 2, 0, 1 << 120, 1 << 50]
RECENT = range(START_US - 3000 * SECOND_US, START_US, SECOND_US)
ODD_MOMENTS = [
    CHANGE_US - 1,
    CHANGE_US,
    START_US - 86_400 * SECOND_US,
    START_US + 299 * SECOND_US,
    START_US + 400 * SECOND_US,
    OPENING_US - SECOND_US,
    -(2**63),
    2**63 - 1,
]


def taps(moments, *, kinds=(TapKind.ENTRY, TapKind.EXIT), hosts=(1, 1, 1, 1, 2), stations=(1, 2, 3, 4), issuers=(1, 2, 3)):
    return st.builds(
        small_tap,
        st.sampled_from(MEDIA),
        st.sampled_from(kinds),
        st.sampled_from(moments),
        host=st.sampled_from(hosts),
        station=st.sampled_from(stations),
        issuer=st.sampled_from(issuers),
        gate=st.integers(1, 2),
        category=st.integers(0, 2),
    )


fair_taps = taps(RECENT[::100])
odd_taps = taps(ODD_MOMENTS, kinds=tuple(TapKind)[:5], hosts=(1, 2, 3, 9), stations=(0, 1, 4, 5), issuers=(1, 2, 3, 8))
ticks = st.lists(st.lists(fair_taps | fair_taps | odd_taps, min_size=5, max_size=16), min_size=1, max_size=6)


@dataclass
class Run:
    """A state and what its ticks came to."""

    state: State
    cleared: list
    windows: list

    @classmethod
    def fresh(cls):
        run = cls(State.genesis(START_US // SECOND_US), [], [])
        run.tick([], tables=SCHEME)
        return run

    def tick(self, some, tables=()):
        """Clear one more tick, a quarter of a second after the last, and close the second when it is over; laws are held."""
        at_us = START_US + len(self.cleared) * SECOND_US // 4
        while at_us // SECOND_US > self.state.second:
            self.close()
        tick = Tick(at_us, self.state.next_index, self.state.next_index + 2, seed(len(self.cleared)), tap_records(some), tables)
        after, cleared = clear(self.state, tick)
        assert laws(self.state, cleared, after) == []
        self.state = after
        self.cleared.append(cleared)
        return cleared

    def close(self):
        after, window = close(self.state, self.state.second)
        assert window_laws(self.state, window, after) == []
        self.state = after
        self.windows.append(window)
        return window


def seed(number):
    return sha256(number.to_bytes(4, "little")).digest()


@given(ticks)
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_fold_equals_the_plainest_code_row_for_row(many):
    run, truth = Run.fresh(), Truth()
    truth.clear(START_US, seed(0), [], [(pin.table, pin.sha256) for pin in SCHEME])
    for some in many:
        opened = run.state.second
        at = len(run.cleared)
        cleared = run.tick(some)
        if run.state.second != opened:
            assert truth.close(opened) == run.windows[-1].state_root
        told = truth.clear(cleared.recorded_us, seed(at), [tap.to_bytes() for tap in some])
        assert plain(cleared.journeys) == told.journeys
        assert plain(cleared.shares) == told.shares
        assert plain(cleared.sums) == told.sums
        assert sorted(plain(cleared.exceptions)) == told.exceptions
        assert cleared.delta_root == told.delta_root
        assert sorted(tap.to_bytes() for tap in truth.waiting) == sorted(row.tobytes() for row in run.state.open_taps)
    assert run.close().state_root == truth.close(run.windows[-1].second)
    assert dict(run.state.positions) == {member: truth.positions[member] for member in (0, 1, 2, 3)}
    assert dict(run.state.earned) == {beneficiary: fen for beneficiary, fen in truth.earned.items() if fen}


@given(st.lists(fair_taps | odd_taps, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_order_of_taps_inside_a_tick_changes_no_byte(some, chance):
    shuffled = chance.sample(some, len(some))
    one, other = Run.fresh(), Run.fresh()
    first, second = one.tick(some), other.tick(shuffled)
    assert first.journeys.tobytes() == second.journeys.tobytes()
    assert first.shares.tobytes() == second.shares.tobytes()
    assert first.exceptions.tobytes() == second.exceptions.tobytes()
    assert first.delta_root == second.delta_root
    assert one.state.to_bytes() == other.state.to_bytes()


@st.composite
def rides_in_time(draw):
    """Taps of a day of one tariff whose time order is their order in the list, each at a moment of its own."""
    some = draw(st.lists(taps(RECENT), max_size=40, unique_by=lambda tap: tap.tapped_at_us))
    return sorted(some, key=lambda tap: tap.tapped_at_us)


def parts(some, cuts):
    ends = sorted({min(cut, len(some)) for cut in cuts} | {len(some)})
    return [some[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def result(run):
    """What must not depend on ticks: journeys with fares, fees and commissions within a fen, waiting taps, level-1 positions."""
    run.close()
    journeys = np.concatenate([cleared.journeys for cleared in run.cleared])
    kept = [name for name in journeys.dtype.names if name != "commission_fen"]
    rows = sorted(zip(*(journeys[name].tolist() for name in kept), strict=True))
    return rows, run.state.open_taps.tobytes(), dict(run.state.positions), len(journeys)


@given(rides_in_time(), st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=EXAMPLES, deadline=None)
def test_taps_that_come_in_time_order_may_be_cut_into_ticks_anywhere(some, cuts):
    whole, cut = Run.fresh(), Run.fresh()
    whole.tick(some)
    for part in parts(some, cuts):
        cut.tick(part)
    assert_same_money(result(whole), result(cut))


@given(rides_in_time(), st.lists(st.integers(0, 40), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_lanes_may_come_in_any_order_as_long_as_each_is_in_time_order(some, cuts, chance):
    """A lane is one medium in one host: it alone must come in time order, as a gate's spool brings it."""
    lanes = {}
    for tap in some:
        lanes.setdefault((tap.host, tap.medium), []).append(tap)
    order = [lane for lane, held in lanes.items() for _tap in held]
    chance.shuffle(order)
    queues = {lane: iter(held) for lane, held in lanes.items()}
    whole, cut = Run.fresh(), Run.fresh()
    whole.tick(some)
    for part in parts([next(queues[lane]) for lane in order], cuts):
        cut.tick(part)
    assert_same_money(result(whole), result(cut))


@given(rides_in_time(), st.lists(st.integers(0, 40), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_late_taps_change_nothing_unless_they_fall_inside_a_journey_already_cleared(some, cuts, chance):
    """Any order at all: where no tap came late between the two taps of a cleared journey of its lane, the ticks do not show."""
    shuffled = chance.sample(some, len(some))
    whole, cut = Run.fresh(), Run.fresh()
    whole.tick(some)
    spans = []
    for part in parts(shuffled, cuts):
        fits = [tap for tap in part if tap.kind in (TapKind.ENTRY, TapKind.EXIT)]
        if any(lane == (tap.host, tap.medium) and begin < tap.tapped_at_us < end for tap in fits for lane, begin, end in spans):
            return
        journeys = cut.tick(part).journeys
        lanes = zip(journeys["host"].tolist(), journeys["medium"].tolist(), strict=True)
        spans += zip(lanes, journeys["entered_at_us"].tolist(), journeys["exited_at_us"].tolist(), strict=True)
    assert_same_money(result(whole), result(cut))


def assert_same_money(one, other):
    """Same journeys, fares, fees, waiting taps; a commission with a fraction of a fen may fall either way, and nothing else."""
    assert one[:2] == other[:2]
    assert one[2].keys() == other[2].keys()
    assert one[2].get(0) == other[2].get(0)
    assert all(abs(one[2][member] - other[2][member]) <= one[3] for member in one[2])


@given(rides_in_time(), st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=EXAMPLES, deadline=None)
def test_positions_do_not_depend_on_ticks_where_commissions_are_whole_fen(some, cuts):
    """Whole-yuan fares at one percent: no draw decides anything between members."""
    yesterday = [
        replace(tap, tapped_at_us=tap.tapped_at_us - 86_400 * SECOND_US, host=1, station=1 if tap.kind == TapKind.ENTRY else 3)
        for tap in some
    ]
    whole, cut = Run.fresh(), Run.fresh()
    whole.tick(yesterday)
    for part in parts(yesterday, cuts):
        cut.tick(part)
    assert {int(fare) for cleared in whole.cleared for fare in cleared.journeys["fare_fen"]} <= {400}
    assert result(whole) == result(cut)


@given(ticks)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_state_that_is_written_and_read_goes_on_to_the_same_bytes(many):
    run = Run.fresh()
    for some in many[:-1]:
        run.tick(some)
    data = run.state.to_bytes()
    again = State.from_bytes(data, SCHEME)
    assert again.to_bytes() == data
    other = Run(again, list(run.cleared), list(run.windows))
    assert run.tick(many[-1]).delta_root == other.tick(many[-1]).delta_root
    assert run.close() == other.close()
    assert run.state.to_bytes() == other.state.to_bytes()


@given(ticks)
@settings(max_examples=EXAMPLES, deadline=None)
def test_books_balance_on_both_levels_and_visitors_are_equal_on_both(many):
    run = Run.fresh()
    for some in many:
        run.tick(some)
    lines = window_postings(run.state)
    for level in Level:
        for reason in ObligationKind:
            assert lines["amount_fen"][(lines["level"] == level) & (lines["reason"] == reason)].sum() == 0
    window = run.close()
    assert sum(fen for _member, fen in window.positions) == 0
    sums = run.state.window.sums
    assert len(sums) == 0


@pytest.mark.parametrize("nested", [1, 2, 50, 1000])
def test_entries_and_exits_match_like_brackets_however_deep(nested):
    lane = [small_tap(1, TapKind.ENTRY, START_US - 5000 * SECOND_US + number) for number in range(nested)]
    lane += [small_tap(1, TapKind.EXIT, START_US - 2000 * SECOND_US + number, station=2) for number in range(nested)]
    run = Run.fresh()
    journeys = run.tick(lane).journeys
    assert len(journeys) == nested
    assert set((journeys["entered_at_us"] - START_US + 5000 * SECOND_US).tolist()) == set(range(nested))
    assert set((journeys["exited_at_us"] + journeys["entered_at_us"]).tolist()) == {2 * START_US - 7000 * SECOND_US + nested - 1}
