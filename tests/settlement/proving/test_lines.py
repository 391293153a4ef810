"""A line over several ticks of one second: each tick counts once, whatever is claimed about the tree, and lines do not mix."""

import pytest

from fare_chain.errors import Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import ZERO_HASH
from fare_chain.ledger import Entry
from fare_chain.tap import TapKind
from fare_chain.window_proofs import Cut, DeltaLeaf, Place, verify, write_line
from settlement.core.inner_paths import ClearedWindow, Line, line_inside
from simulators.small_cities import MINUTE_US, OPENING_US, SECOND_US, small_tap
from tests.properties.days import Run

NOON_US = OPENING_US + 12 * 60 * MINUTE_US
FARE, COMMISSION = Line(1, 1, 2, 1), Line(1, 2, 1, 2)


@pytest.fixture(scope="module")
def second():
    """A second of four ticks: birch's riders leave alder's gates in the first, third and fourth."""
    run = Run.fresh(NOON_US - 1)
    for number, riders in enumerate((1, 0, 2, 1)):
        taps = []
        for rider in range(riders):
            medium, at_us = 10 * number + rider + 1, NOON_US - 30 * MINUTE_US + 10 * number + rider
            taps.append(small_tap(medium, TapKind.ENTRY, at_us, issuer=2))
            taps.append(small_tap(medium, TapKind.EXIT, at_us + 20 * MINUTE_US, station=2, issuer=2))
        run.tick(NOON_US + number * 250_000, taps)
    run.tick(NOON_US + SECOND_US, [])
    window = run.windows[-1]
    return ClearedWindow(0, window, ZERO_HASH, tuple(run.cleared[1:5]))


def entry_of(cleared):
    return Entry(EntryKind.WINDOW, cleared.index, 0, ZERO_HASH, cleared.window.to_bytes())


def shown(cleared, inside):
    return verify(entry_of(cleared), inside, lambda *_given: None)


def parts(inside):
    cut = Cut(inside[3:])
    return [DeltaLeaf(cut.take(32), cut.place(), cut.place(), cut.take(25)) for _ in range(int.from_bytes(inside[1:3], "little"))]


def test_a_line_adds_up_over_the_ticks_that_have_it(second):
    proved = shown(second, line_inside(second, FARE))
    assert [each.n for each in proved.sums] == [1, 2, 1]
    assert proved.amount_fen == 4 * 300 == second.window.gross_fen


def test_some_of_a_line_is_a_smaller_line(second):
    some = parts(line_inside(second, FARE))[1:]
    assert shown(second, write_line(some)).amount_fen == 900


def test_no_tick_counts_twice_by_a_place_that_folds_alike(second):
    leaves = parts(line_inside(second, FARE))
    third = leaves[1]
    assert (third.tick.number, third.tick.size) == (2, 4)
    # Leaf 4 of 6 folds as leaf 2 of 4 does: by a sibling at its right, then by one at its left.
    alike = DeltaLeaf(third.tick_root, Place(4, 6, third.tick.path), third.record, third.leaf)
    assert shown(second, write_line([alike])).amount_fen == 600
    for many in ([third, alike], [*leaves, alike], [third, third], leaves[::-1]):
        with pytest.raises(Untrusted, match="one sum of each of its ticks"):
            shown(second, write_line(many))


def test_sums_of_two_lines_are_no_line(second):
    fares, commissions = parts(line_inside(second, FARE)), parts(line_inside(second, COMMISSION))
    with pytest.raises(Untrusted, match="all of one level, kind, debtor and creditor"):
        shown(second, write_line([fares[0], commissions[1]]))
