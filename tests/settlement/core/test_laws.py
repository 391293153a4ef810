"""Each law can be broken: a result that was tampered with is named by the law it breaks, and by that alone."""

from dataclasses import replace

import numpy as np
import pytest

from fare_chain.tap import TapKind
from settlement.core import laws as law_room
from settlement.core.clearing import Tick, clear
from settlement.core.laws import Law, laws, window_laws
from settlement.core.state import State
from settlement.core.windows import close, window_postings
from simulators.small_cities import CHANGE_US, MINUTE_US, SECOND_US, small_scheme, small_tap, tap_records

NOON = CHANGE_US // SECOND_US + 12 * 3600
NOON_US = NOON * SECOND_US


@pytest.fixture
def tick():
    """A state, what one tick of visitors and locals came to, and the state after it.

    Six in alder; two over the border between birch and cedar; in dogwood one with two legs, one past a marker, one with a discount
    that the host funds, one with one that the issuer funds, one that waits at a walk.
    """
    taps = [
        small_tap(medium, kind, NOON_US - at, station=station, issuer=1 + medium % 3)
        for medium in range(6)
        for kind, station, at in ((TapKind.ENTRY, 1, 60), (TapKind.EXIT, 3, 30))
    ]
    for medium in (6, 7):
        taps += ride(medium, 2, (1, 3), minutes=(50, 40)) + ride(medium, 3, (1, 2), minutes=(30, 20))
    taps += ride(8, 4, (1, 3), minutes=(90, 80)) + ride(8, 4, (5, 4), minutes=(60, 50))
    taps += [*ride(9, 4, (1, 2), minutes=(50, 40)), small_tap(9, TapKind.MARKER, NOON_US - 45 * MINUTE_US, host=4, station=4)]
    taps += ride(10, 4, (1, 2), minutes=(50, 40), category=1) + ride(11, 4, (1, 2), minutes=(50, 40), entitlement=2)
    taps += ride(12, 4, (1, 3), minutes=(10, 5))
    before = State.genesis(NOON)
    after, cleared = clear(before, Tick(NOON_US, 0, 7, bytes(32), tap_records([*taps, taps[0]]), small_scheme()))
    return before, cleared, after


def ride(medium, host, stations, minutes, **rider):
    """In at the first station, out at the second, so many minutes before noon."""
    return [
        small_tap(medium, kind, NOON_US - minute * MINUTE_US, host=host, station=station, **rider)
        for kind, station, minute in zip((TapKind.ENTRY, TapKind.EXIT), stations, minutes, strict=True)
    ]


@pytest.fixture
def window(tick):
    _, _, before = tick
    after, window = close(before, NOON)
    return before, window, after


def altered(records, name, change):
    copy = records.copy()
    copy[name] = change(copy[name])
    return copy


def add_to_first(amount):
    def change(column):
        column[0] += amount
        return column

    return change


def test_what_clearing_makes_breaks_no_law(tick, window):
    _, cleared, after = tick
    assert sorted(cleared.journeys["legs"].tolist())[-2:] == [1, 2]
    assert cleared.journeys["markers"].sum() == 1
    assert set(cleared.journeys["funder"].tolist()) == {0, 1, 2}
    assert (len(cleared.joins), len(after.waiting)) == (2, 2)
    assert laws(*tick) == []
    assert window_laws(*window) == []


@pytest.mark.parametrize(
    ("name", "field", "change", "law"),
    [
        ("shares", "amount_fen", add_to_first(1), Law.SHARES_SUM_TO_THE_FARE),
        ("sums", "amount_fen", add_to_first(-1), Law.OBLIGATIONS_EQUAL_THE_JOURNEYS),
        ("journeys", "commission_fen", add_to_first(1), Law.OBLIGATIONS_EQUAL_THE_JOURNEYS),
        ("journeys", "nominal_fen", add_to_first(1), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "surcharge_fen", add_to_first(1), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "discount_fen", add_to_first(1), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "funder", lambda column: np.where(column == 1, 2, column), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "funder", lambda column: np.where(column == 2, 1, column), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "funder", lambda column: np.where(column == 1, 0, column), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "funder", lambda column: np.where(column == 0, 1, column), Law.FARE_IS_WHAT_WAS_EARNED),
        ("journeys", "legs", add_to_first(1), Law.EACH_TAP_ONCE),
        ("journeys", "markers", add_to_first(1), Law.EACH_TAP_ONCE),
        ("joins", "first", lambda column: np.repeat(column[:1], 2), Law.JOINS_NAME_JOURNEYS_ONCE),
        ("joins", "second", lambda column: np.repeat(column[:1], 2), Law.JOINS_NAME_JOURNEYS_ONCE),
        ("journeys", "exited_at_us", add_to_first(-120 * MINUTE_US), Law.JOURNEYS_IN_ORDER),
        ("journeys", "journey_id", lambda column: column[::-1].copy(), Law.JOURNEYS_IN_ORDER),
    ],
)
def test_an_altered_column_breaks_its_law(tick, name, field, change, law):
    before, cleared, after = tick
    broken = laws(before, replace(cleared, **{name: altered(getattr(cleared, name), field, change)}), after)
    assert {breach.law for breach in broken} == {law}
    assert all(str(breach).startswith(f"{breach.law.name}: found ") for breach in broken)


@pytest.mark.parametrize(("ends", "in_order"), [((0, 1), True), ((1, 0), False), ((1, 1), False)])
def test_journeys_whose_ids_begin_alike_are_still_in_order_and_each_once(tick, ends, in_order):
    before, cleared, after = tick

    def alike(column):
        column[:2] = np.frombuffer(b"".join(bytes(15) + bytes([end]) for end in ends), "V16")
        return column

    broken = laws(before, replace(cleared, journeys=altered(cleared.journeys, "journey_id", alike)), after)
    assert (broken == []) is in_order


def test_a_share_below_zero_is_named_even_where_the_sum_is_right(tick):
    before, cleared, after = tick

    own = cleared.shares["journey"]
    at = int(np.flatnonzero(own[1:] == own[:-1])[0])

    def move(column):
        column[at], column[at + 1] = column[at] + 1000, column[at + 1] - 1000
        return column

    broken = laws(before, replace(cleared, shares=altered(cleared.shares, "amount_fen", move)), after)
    assert [breach.law for breach in broken] == [Law.SHARES_SUM_TO_THE_FARE]
    assert "no share below 0" in str(broken[0])


def test_a_discount_beyond_the_fare_is_named_even_where_the_sum_is_right(tick):
    before, cleared, after = tick
    rows = cleared.journeys.copy()
    host_funded = np.flatnonzero(rows["funder"] == 2)[0]
    rows["discount_fen"][host_funded] = rows["nominal_fen"][host_funded] + 1
    rows["surcharge_fen"][host_funded] = rows["fare_fen"][host_funded] + 1
    assert [breach.law for breach in laws(before, replace(cleared, journeys=rows), after)] == [Law.FARE_IS_WHAT_WAS_EARNED]


@pytest.mark.parametrize("pair", [(b"1" * 16, b"2" * 16), None])
def test_a_join_of_journeys_that_are_not_there_or_of_one_with_itself_is_named(tick, pair):
    before, cleared, after = tick
    joins = cleared.joins[:1].copy()
    first = joins["first"][0]
    joins["first"], joins["second"] = (first, first) if pair is None else np.frombuffer(b"".join(pair), "V16")
    assert [breach.law for breach in laws(before, replace(cleared, joins=joins), after)] == [Law.JOINS_NAME_JOURNEYS_ONCE]


def test_a_tap_that_vanishes_is_missed(tick):
    before, cleared, after = tick
    for changed in (replace(cleared, exceptions=cleared.exceptions[:0]), replace(cleared, taps=cleared.taps + 1)):
        assert [breach.law for breach in laws(before, changed, after)] == [Law.EACH_TAP_ONCE]


def test_a_ledger_that_does_not_advance_is_named(tick):
    before, cleared, after = tick
    for changed in (replace(cleared, from_index=1), replace(cleared, recorded_us=NOON_US + 1)):
        assert [breach.law for breach in laws(before, changed, after)] == [Law.LEDGER_ADVANCES]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"gross_fen": 1}, {Law.WINDOW_EQUALS_ITS_TICKS}),
        ({"net_fen": 10**9}, {Law.WINDOW_EQUALS_ITS_TICKS}),
        ({"journeys": 5}, {Law.WINDOW_EQUALS_ITS_TICKS}),
        ({"state_root": bytes(32)}, {Law.STATE_ROOT_FOLLOWS}),
        ({"delta_root": bytes(32)}, {Law.STATE_ROOT_FOLLOWS}),
        ({"positions": ((0, 1),)}, {Law.POSITIONS_SUM_TO_ZERO, Law.STATE_ROOT_FOLLOWS}),
    ],
)
def test_an_altered_window_breaks_its_law(window, changes, broken):
    before, made, after = window
    assert {breach.law for breach in window_laws(before, replace(made, **changes), after)} == broken


def test_books_that_do_not_follow_from_the_postings_are_named(window):
    before, made, after = window
    (member, fen), *rest = after.positions
    moved, forgotten = replace(after, positions=((member, fen + 1), *rest)), replace(after, earned=after.earned[1:])
    assert [breach.law for breach in window_laws(before, made, moved)] == [Law.POSTINGS_REACH_THE_BALANCES]
    broken = {breach.law for breach in window_laws(before, made, forgotten)}
    assert broken == {Law.POSTINGS_REACH_THE_BALANCES, Law.STATE_ROOT_FOLLOWS}


def test_a_window_that_is_not_emptied_is_named(window):
    before, made, after = window
    broken = window_laws(before, made, replace(after, window=before.window))
    assert [breach.law for breach in broken] == [Law.WINDOW_EQUALS_ITS_TICKS]


def test_a_host_that_owes_inside_what_no_visitor_owed_it_is_named(window):
    before, _, _ = window
    sums = before.window.sums
    inside = (sums["level"] == 2) & (sums["kind"] == 1)
    tampered = sums.copy()
    tampered["amount_fen"][inside] += 1
    state = replace(before, window=replace(before.window, sums=tampered))
    after, made = close(state, NOON)
    assert {breach.law for breach in window_laws(state, made, after)} == {Law.VISITORS_EQUAL_ON_BOTH_LEVELS}


def test_lines_that_do_not_balance_are_named(window, monkeypatch):
    before, made, after = window
    for field in ("amount_fen", "after_fen"):
        lines = altered(window_postings(before), field, add_to_first(1))
        monkeypatch.setattr(law_room, "window_postings", lambda _state, lines=lines: lines)
        assert Law.POSTINGS_BALANCE in {breach.law for breach in window_laws(before, made, after)}
