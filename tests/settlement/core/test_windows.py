"""Each second is closed once, in order; empty ones may be one run; the roots form a chain."""

import pytest

from fare_chain.errors import Conflict
from fare_chain.hashing import EMPTY_ROOT
from fare_chain.tap import TapKind
from settlement.core.clearing import Tick, clear
from settlement.core.deltas import window_delta_root
from settlement.core.laws import window_laws
from settlement.core.state import State
from settlement.core.windows import close, window_postings
from simulators.small_cities import CHANGE_US, SECOND_US, small_scheme, small_tap, tap_records

NOON = CHANGE_US // SECOND_US + 12 * 3600
NOON_US = NOON * SECOND_US


def cleared(*, riders=3):
    """A second with two ticks: entries, then exits; issuer cedar (3) in host alder (1), 400 fen each."""
    lane = [[small_tap(medium, kind, NOON_US - at, station=station, issuer=3) for medium in range(riders)]
            for kind, station, at in ((TapKind.ENTRY, 1, 60), (TapKind.EXIT, 3, 30))]  # fmt: skip
    state, one = clear(State.genesis(NOON), Tick(NOON_US, 0, 7, bytes(32), tap_records(lane[0]), small_scheme()))
    state, two = clear(state, Tick(NOON_US + 250_000, 7, 9, bytes(32), tap_records(lane[1])))
    return state, one, two


def test_a_window_adds_up_its_ticks():
    state, one, two = cleared()
    after, window = close(state, NOON)
    assert window_laws(state, window, after) == []
    assert (window.second, window.seconds, window.from_index, window.to_index) == (NOON, 1, 0, 9)
    assert (window.taps, window.journeys, window.gross_fen) == (6, 3, 1200)
    assert window.delta_root == window_delta_root([one.delta_root, two.delta_root])
    assert window.rules_hash == state.rules.rules_hash
    assert window.state_root == after.state_root
    commission = int(two.journeys["commission_fen"].sum())
    assert window.positions == ((0, 6), (1, 1200 - commission), (2, 0), (3, commission - 1206), (4, 0))
    assert window.net_fen == 1206 - commission
    assert dict(after.earned)[257] + dict(after.earned)[258] == 1200


def test_a_run_of_empty_seconds_is_one_window_and_changes_no_position():
    state, _, _ = cleared()
    state, first = close(state, NOON)
    after, window = close(state, NOON + 1, 3600)
    assert window_laws(state, window, after) == []
    assert (window.seconds, window.from_index, window.to_index, window.taps) == (3600, 9, 9, 0)
    assert (window.delta_root, window.gross_fen, window.net_fen) == (EMPTY_ROOT, 0, 0)
    assert window.positions == first.positions
    assert window.state_root != first.state_root
    assert after.second == NOON + 3601
    assert len(window_postings(state)) == 0


def test_the_state_root_names_the_window_before():
    state, _, _ = cleared()
    other, _, _ = cleared(riders=2)
    (state, _), (other, _) = close(state, NOON), close(other, NOON)
    assert close(state, NOON + 1)[1].state_root != close(other, NOON + 1)[1].state_root


@pytest.mark.parametrize(
    ("second", "seconds", "says"),
    [
        (NOON - 1, 1, "is the open one"),
        (NOON + 1, 1, "is the open one"),
        (NOON, 0, "covers 1 to"),
        (NOON, 2**32, "covers 1 to"),
        (NOON, 2, "is closed by itself"),
    ],
)
def test_a_second_that_is_not_the_open_one_or_a_run_over_entries_is_refused(second, seconds, says):
    with pytest.raises(Conflict, match=says):
        close(cleared()[0], second, seconds)


def test_a_closed_second_takes_no_more_ticks():
    state, _ = close(cleared()[0], NOON)
    with pytest.raises(Conflict, match="is open"):
        clear(state, Tick(NOON_US + 500_000, 9, 10, bytes(32), tap_records([])))
