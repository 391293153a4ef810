"""Objections at any moment of random days: the fold equals the plainest code, and what falls leaves nothing owed."""

import os
from random import Random

from hypothesis import HealthCheck, given, settings

from settlement.core.columns import ClearingReason, plain
from simulators.small_cities import SECOND_US
from simulators.truth import Truth
from tests.properties.days import SCHEME, Run, day, generated, seed

EXAMPLES = int(os.environ.get("CLEARING_EXAMPLES", "60"))
laws_hold = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def contested_day(pick):
    """(recorded_us, taps, taps objected to) for each tick: some that came with it or before, some of them again and again."""
    ticks, came = [], []
    for at_us, taps in day(pick):
        came += taps
        ticks.append((at_us, taps, [pick(came) for _ in range(pick((0, 0, 1, 2, 5)))] if came else []))
    at_us = ticks[-1][0]
    for _ in range(pick(range(4))):
        at_us += pick((250_000, SECOND_US, 600 * SECOND_US, 3600 * SECOND_US))
        ticks.append((at_us, [], [pick(came) for _ in range(pick((0, 1, 2, 5)))] if came else []))
    return ticks


def assert_contested_fold_equals_truth(ticks):
    start_us = ticks[0][0] - 1
    run, truth = Run.fresh(start_us), Truth()
    truth.clear(start_us, seed(0), [], [(pin.table, pin.sha256) for pin in SCHEME])
    for at_us, taps, objected in ticks:
        closed, number = len(run.windows), len(run.cleared)
        run.close_before(at_us)
        brought = [run.objection(run.state.next_index, tap) for tap in objected]
        cleared = run.tick(at_us, taps, objections=objected)
        for window in run.windows[closed:]:
            assert truth.close(window.second, window.seconds) == window.state_root
        objections = [(each.index, each.tap, each.leaf is not None) for each in brought]
        told = truth.clear(at_us, seed(number), [tap.to_bytes() for tap in taps], objections=objections)
        assert plain(cleared.journeys) == told.journeys
        assert plain(cleared.sums) == told.sums
        assert sorted(plain(cleared.exceptions)) == told.exceptions
        assert plain(cleared.upheld.adjustments) == told.adjustments
        assert cleared.delta_root == told.delta_root
        assert sorted(tap.to_bytes() for tap in truth.waiting) == sorted(row.tobytes() for row in run.state.open_taps)
    window = run.close()
    assert window.state_root == truth.close(window.second)
    assert dict(run.state.earned) == {beneficiary: truth.earned[beneficiary] for beneficiary in dict(run.state.earned)}
    return run


@given(generated(contested_day))
@laws_hold
def test_the_fold_equals_the_plainest_code_whatever_is_objected_to(ticks):
    assert_contested_fold_equals_truth(ticks)


@given(generated(day))
@laws_hold
def test_where_every_journey_falls_nobody_owes_anybody(ticks):
    run = Run.fresh(ticks[0][0] - 1)
    came = []
    for at_us, taps in ticks:
        at_us = max(at_us, run.state.second * SECOND_US, run.state.recorded_us + 1)  # noqa: PLW2901  what was objected to took a second
        came += taps
        run.tick(at_us, taps)
        run.close()
        run.tick(run.state.second * SECOND_US, [], objections=came)
    run.close()
    assert {row["journey_id"].tobytes() for row in run.rows("journeys")} == fallen(run)
    assert not any(fen for _member, fen in run.state.positions)
    assert not any(fen for _beneficiary, fen in run.state.earned)


def fallen(run):
    return {row["journey_id"].tobytes() for cleared in run.cleared for row in cleared.upheld.adjustments}


def test_many_generated_objections_meet_waiting_taps_cleared_journeys_and_what_fell_before():
    pick, waiting, down, again = Random(5).choice, 0, 0, 0
    for _ in range(120):
        ticks = contested_day(pick)
        run = assert_contested_fold_equals_truth(ticks)
        waiting += int((run.rows("exceptions")["reason"] == ClearingReason.OBJECTED).sum())
        down += len(fallen(run))
        again += sum(len(objected) - len(set(objected)) for _at_us, _taps, objected in ticks)
    assert min(waiting, down, again) > 20
