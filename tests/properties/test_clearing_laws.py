"""Clearing over generated days: it equals the plainest code row for row, keeps every law, and does not care how taps came."""

import os
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_adapters.tables import Funder
from fare_chain.tap import TapKind
from settlement.core.columns import ClearingReason, Level, ObligationKind, plain
from settlement.core.state import State
from settlement.core.windows import window_postings
from simulators.small_cities import CHANGE_US, DAY_US, HOUR_US, NEW_YEAR_US, OPENING_US, SECOND_US, small_tap
from simulators.truth import Truth
from tests.properties.days import BASES, SCHEME, Run, day, generated, patient_day, seed, shuffled, told_taps

EXAMPLES = int(os.environ.get("CLEARING_EXAMPLES", "60"))
laws_hold = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def folded(ticks, run=None):
    """Fold ticks, each held to its laws."""
    run = run or Run.fresh(ticks[0][0] - 1)
    for at_us, taps in ticks:
        run.tick(at_us, taps)
    return run


def assert_fold_equals_truth(ticks):
    """Clear the ticks in both ways; every row, hash and remembered thing is the same."""
    start_us = ticks[0][0] - 1
    run, truth = Run.fresh(start_us), Truth()
    truth.clear(start_us, seed(0), [], [(pin.table, pin.sha256) for pin in SCHEME])
    for at_us, taps in ticks:
        closed, number = len(run.windows), len(run.cleared)
        cleared = run.tick(at_us, taps)
        for window in run.windows[closed:]:
            assert truth.close(window.second, window.seconds) == window.state_root
        told = truth.clear(at_us, seed(number), [tap.to_bytes() for tap in taps])
        assert plain(cleared.journeys) == told.journeys
        assert plain(cleared.shares) == told.shares
        assert plain(cleared.sums) == told.sums
        assert sorted(plain(cleared.exceptions)) == told.exceptions
        assert plain(cleared.joins) == told.joins
        assert cleared.delta_root == told.delta_root
        assert sorted(tap.to_bytes() for tap in truth.waiting) == sorted(row.tobytes() for row in run.state.open_taps)
        assert sorted(plain(run.state.sides)) == sorted(tuple(side) for side in truth.sides)
    window = run.close()
    assert window.state_root == truth.close(window.second)
    assert dict(run.state.positions) == {member: truth.positions[member] for member in range(5)}
    assert dict(run.state.earned) == {beneficiary: fen for beneficiary, fen in truth.earned.items() if fen}
    return run


@given(generated(day))
@laws_hold
def test_the_fold_equals_the_plainest_code_row_for_row(ticks):
    assert_fold_equals_truth(ticks)


@given(generated(patient_day))
@laws_hold
def test_the_fold_equals_the_plainest_code_while_taps_come_one_by_one(ticks):
    if ticks:
        assert_fold_equals_truth(ticks)


@given(generated(lambda pick: two_orders(pick, pick(BASES))))
@laws_hold
def test_the_order_of_taps_inside_a_tick_changes_no_byte(told):
    base_us, *orders = told
    one, other = (folded([(base_us + SECOND_US, order)]) for order in orders)
    for first, second in zip(one.cleared, other.cleared, strict=True):
        for what in ("journeys", "shares", "exceptions", "joins"):
            assert getattr(first, what).tobytes() == getattr(second, what).tobytes()
        assert first.delta_root == second.delta_root
    assert one.state.to_bytes() == other.state.to_bytes()


def two_orders(pick, base_us):
    some = told_taps(pick, base_us)
    return base_us, some, shuffled(pick, some)


def comes_too_late(run, tap):
    """Whether a tap was made before the end of a ride of its medium that is over already: only a correction could mend that."""
    ended = [(row["medium"], row["exited_at_us"]) for row in run.rows("journeys")]
    unpaid = (ClearingReason.NO_FARE, ClearingReason.NO_AGREEMENT)
    ended += [(row["medium"], row["tapped_at_us"]) for row in run.rows("exceptions") if row["reason"] in unpaid]
    return any(medium.tobytes() == tap.medium and at_us >= tap.tapped_at_us for medium, at_us in ended)


def in_patience(ticks):
    """Fold days whose taps come in any order within the patience; None where one came after its journey had cleared."""
    run = Run.fresh(ticks[0][0] - 1)
    for at_us, taps in ticks:
        if any(comes_too_late(run, tap) for tap in taps):
            return None
        run.tick(at_us, taps)
    run.tick(ticks[-1][0] + 3 * DAY_US, [])
    assert (len(run.state.due), len(run.state.sides)) == (0, 0), "nothing is kept for ever"
    return run


def money(run):
    """What must not depend on ticks: journeys but for the drawn fen of a commission, joins, exceptions, waiting taps."""
    rows = run.rows("journeys")
    kept = [name for name in rows.dtype.names if name not in ("commission_fen", "reserved")]
    journeys = sorted(zip(*(rows[name].tolist() for name in kept), strict=True))
    torn, owner = in_two_places(rows), dict(zip(rows["journey_id"].tolist(), rows["medium"].tolist(), strict=True))
    joins = sorted(pair for pair in plain(run.rows("joins")) if owner[pair[0]] not in torn)
    return journeys, joins, sorted(plain(run.rows("exceptions"))), run.state.open_taps.tobytes()


def in_two_places(rows):
    """Media whose journeys overlap in time: which of them a border's other side meets depends on which is cleared first."""
    told = sorted(zip(*(rows[name].tolist() for name in ("medium", "entered_at_us", "exited_at_us")), strict=True))
    return {
        one
        for number, (one, _, until_us) in enumerate(told)
        for other, at_us, _ in told[number + 1 :]
        if one == other and at_us < until_us
    }


def drawn(run):
    """What a draw decides: (journey, beneficiary or 0 for the commission) to fen."""
    told = {}
    for cleared in run.cleared:
        ids = cleared.journeys["journey_id"].tolist()
        told |= {(name, 0): fen for name, fen in zip(ids, cleared.journeys["commission_fen"].tolist(), strict=True)}
        told |= {(ids[row], beneficiary): fen for beneficiary, row, fen in plain(cleared.shares)}
    return told


def assert_same_but_for_the_drawn_fen(one, other):
    assert money(one) == money(other)
    first, second = drawn(one), drawn(other)
    assert first.keys() == second.keys()
    assert all(abs(first[part] - second[part]) <= 1 for part in first)


@given(generated(patient_day))
@laws_hold
def test_any_order_within_the_patience_and_any_cut_into_ticks_give_the_same_money(ticks):
    cut = in_patience(ticks) if ticks else None
    if cut is not None:
        whole = in_patience([(ticks[-1][0], [tap for _, taps in ticks for tap in taps])])
        assert_same_but_for_the_drawn_fen(whole, cut)


@given(generated(day), st.data())
@laws_hold
def test_a_state_that_is_written_and_read_goes_on_to_the_same_bytes(ticks, data):
    at = data.draw(st.integers(0, len(ticks) - 1))
    run = folded(ticks[:at], Run.fresh(ticks[0][0] - 1))
    written = run.state.to_bytes()
    again = State.from_bytes(written, SCHEME)
    assert again.to_bytes() == written
    other = Run(again, list(run.cleared), list(run.windows))
    folded(ticks[at:], run)
    folded(ticks[at:], other)
    assert [cleared.delta_root for cleared in run.cleared] == [cleared.delta_root for cleared in other.cleared]
    assert run.close() == other.close()
    assert run.state.to_bytes() == other.state.to_bytes()


@given(generated(day))
@laws_hold
def test_books_balance_on_both_levels_and_every_fare_is_shared_whole(ticks):
    run = folded(ticks)
    for cleared in run.cleared:
        shared = Counter()
        for _beneficiary, row, fen in plain(cleared.shares):
            shared[row] += fen
        assert [shared[row] for row in range(len(cleared.journeys))] == cleared.journeys["fare_fen"].tolist()
    lines = window_postings(run.state)
    for level in Level:
        for reason in ObligationKind:
            assert lines["amount_fen"][(lines["level"] == level) & (lines["reason"] == reason)].sum() == 0
    assert sum(fen for _member, fen in run.close().positions) == 0
    assert len(run.state.window.sums) == 0


@given(generated(day))
@laws_hold
def test_a_join_names_two_cities_journeys_that_follow_each_other_in_time(ticks):
    run = folded(ticks)
    rows = {row["journey_id"].tobytes(): row for row in run.rows("journeys")}
    for first, second in plain(run.rows("joins")):
        before, after = rows[first], rows[second]
        assert before["medium"] == after["medium"]
        assert before["host"] != after["host"]
        assert 0 <= after["entered_at_us"] - before["exited_at_us"] <= HOUR_US // 2


@pytest.mark.parametrize("nested", [1, 2, 50, 1000])
def test_entries_and_exits_match_like_brackets_however_deep(nested):
    start_us = CHANGE_US + 12 * HOUR_US
    lane = [small_tap(1, TapKind.ENTRY, start_us - 5000 * SECOND_US + number) for number in range(nested)]
    lane += [small_tap(1, TapKind.EXIT, start_us - 2000 * SECOND_US + number, station=2) for number in range(nested)]
    journeys = folded([(start_us, lane)]).rows("journeys")
    assert len(journeys) == nested
    assert set((journeys["entered_at_us"] - start_us + 5000 * SECOND_US).tolist()) == set(range(nested))
    assert set((journeys["exited_at_us"] + journeys["entered_at_us"]).tolist()) == {2 * start_us - 7000 * SECOND_US + nested - 1}


def reached(run):
    """Which rules a run came to."""
    rows, waited = run.rows("journeys"), len(run.state.due)
    dogwood = rows["host"] == 4
    old, visitor = rows["tariff"] == 0, rows["issuer"] != rows["host"]
    told = {f"reason {ClearingReason(reason).name}": 1 for reason in run.rows("exceptions")["reason"].tolist()}
    told |= {f"funder {Funder(funder).name}": 1 for funder in rows["funder"].tolist()}
    rules = {
        "two legs": rows["legs"] == 2,
        "three legs": rows["legs"] == 3,
        "free at the same station": dogwood & (rows["nominal_fen"] == 0),
        "surcharge": dogwood & (rows["surcharge_fen"] > 0),
        "highest fare": (rows["host"] == 2) & (rows["surcharge_fen"] > 0),
        "lowest fare": (rows["host"] == 3) & (rows["surcharge_fen"] > 0),
        "own gates": dogwood & (rows["nominal_fen"] >= 1000),
        "path proved": dogwood & old & (rows["weight_set"] == 2),
        "markers that no split reads": dogwood & ~old & (rows["markers"] > 0),
        "period": dogwood & old & (rows["weight_set"] == 1),
        "holiday": dogwood & (rows["entered_at_us"] >= NEW_YEAR_US) & (rows["weight_set"] == 1),
        "visitor with a discount": visitor & (rows["discount_fen"] > 0),
        "visitor without": dogwood & visitor & (rows["issuer"] == 3) & (rows["entitlement"] > 0) & (rows["discount_fen"] == 0),
        "an old tariff at home": dogwood & (rows["entered_at_us"] < NEW_YEAR_US) & (rows["exited_at_us"] >= NEW_YEAR_US),
        "a visitor's fee": visitor & (rows["fee_fen"] > 0),
    }
    told |= {rule: 1 for rule, mask in rules.items() if mask.any()}
    remembered = {"due lane": waited, "border side": len(run.state.sides), "join": len(run.rows("joins"))}
    return Counter(told | {name: 1 for name, count in remembered.items() if count})


EVERY_RULE = [
    *(f"reason {reason.name}" for reason in ClearingReason if reason not in (ClearingReason.NONE, ClearingReason.OBJECTED)),
    *(f"funder {funder.name}" for funder in Funder),
    "two legs", "three legs", "free at the same station", "surcharge", "highest fare", "lowest fare", "own gates", "path proved",
    "markers that no split reads", "period", "holiday", "visitor with a discount", "visitor without", "an old tariff at home",
    "a visitor's fee", "due lane", "border side", "join",
]  # fmt: skip


def test_the_generated_days_come_to_every_reason_and_every_rule():
    pick, seen = Random(3).choice, Counter()
    for _ in range(250):
        seen.update(reached(folded(day(pick))))
    assert [rule for rule in EVERY_RULE if seen[rule] < 4] == []


def test_most_patient_days_are_compared_and_many_of_them_have_walks_and_joins():
    pick, seen = Random(3).choice, Counter()
    for _ in range(120):
        run = in_patience(patient_day(pick))
        if run is not None:
            seen["compared"] += 1
            seen["walked"] += bool((run.rows("journeys")["legs"] > 1).any())
            seen["joined"] += bool(len(run.rows("joins")))
    assert seen["compared"] > 50
    assert min(seen["walked"], seen["joined"]) > 5


def test_commissions_of_whole_fen_leave_no_position_to_a_draw():
    """Whole-yuan fares at one percent: positions are equal to the fen in whatever ticks."""
    start_us = OPENING_US + HOUR_US * 12
    lane = [
        replace(small_tap(medium, kind, start_us - (60 - at) * SECOND_US, station=station), issuer=1 + medium % 3)
        for medium in range(9)
        for at, kind, station in ((0, TapKind.ENTRY, 1), (30, TapKind.EXIT, 3))
    ]
    whole = folded([(start_us, lane)])
    cut = folded([(start_us + number * SECOND_US, [tap]) for number, tap in enumerate(lane)])
    one, other = (dict(run.close().positions) for run in (whole, cut))
    assert one == other
    assert any(one.values())
