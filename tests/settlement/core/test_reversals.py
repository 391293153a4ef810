"""What an objection brings down: the journey that its tap begins or ends, of the last hour, once; anything else is a lie."""

from dataclasses import replace

import pytest

from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import leaf_hash
from fare_chain.tap import TapKind
from fare_chain.window_proofs import Place
from settlement.core.objections import Objection, read_brought, write_brought
from settlement.core.reversals import CONTEST_SECONDS
from simulators.small_cities import CHANGE_US, HOUR_US, MINUTE_US, SECOND_US, small_tap
from tests.properties.days import Run

NOON_US = CHANGE_US + 12 * HOUR_US


def ride(medium, **place):
    sides = ((TapKind.ENTRY, 1, 30), (TapKind.EXIT, 3, 10))
    return [small_tap(medium, kind, NOON_US - at * MINUTE_US, station=station, **place) for kind, station, at in sides]


@pytest.fixture
def run():
    """Two riders' journeys in one tick, their window closed."""
    run = Run.fresh(NOON_US - SECOND_US)
    run.tick(NOON_US, [*ride(1, issuer=3), *ride(2)])
    run.close()
    return run


def brought_down(run, *objections):
    at_us = max(run.state.second * SECOND_US, run.state.recorded_us + 1)
    return run.tick(at_us, [], brought=objections).upheld.adjustments


@pytest.mark.parametrize("side", [0, 1])
def test_either_end_of_a_journey_brings_it_down_once(run, side):
    objection = run.objection(9, ride(1, issuer=3)[side])
    assert len(brought_down(run, objection, objection)) == 1
    assert len(brought_down(run, run.objection(11, ride(1, issuer=3)[1 - side]))) == 0


def test_an_objection_that_brings_no_journey_brings_none_down(run):
    assert len(brought_down(run, replace(run.objection(9, ride(1, issuer=3)[0]), leaf=None))) == 0


@pytest.mark.parametrize("late_s", [0, 1])
def test_an_hour_after_its_window_a_journey_stands(run, late_s):
    objection = run.objection(9, ride(2)[0])
    # One window more is remembered for each second with entries: the last of them decides what is too long ago.
    run.tick((objection.second + CONTEST_SECONDS - 1 + late_s) * SECOND_US, [])
    run.close()
    assert len(brought_down(run, objection)) == 1 - late_s


def test_another_journey_than_the_taps_is_refused(run):
    other = run.objection(9, ride(2)[0])
    with pytest.raises(Untrusted, match="neither begins nor ends"):
        brought_down(run, replace(run.objection(9, ride(1, issuer=3)[0]), leaf=other.leaf))


@pytest.mark.parametrize("change", [{"station": 2}, {"gate": 9}, {"at": 11}, {"kind": TapKind.ENTRY}, {"medium": 3}])
def test_a_tap_that_is_like_an_exit_is_not_it(run, change):
    told = {"medium": 2, "kind": TapKind.EXIT, "at": 10, "station": 3} | change
    like = small_tap(told.pop("medium"), told.pop("kind"), NOON_US - told.pop("at") * MINUTE_US, **told)
    with pytest.raises(Untrusted, match="neither begins nor ends"):
        brought_down(run, replace(run.objection(9, ride(2)[1]), tap=like.to_bytes()))


def test_every_flipped_bit_of_what_is_brought_is_refused(run):
    objection = run.objection(9, ride(1, issuer=3)[0])
    data, refused = write_brought(objection.second, objection.leaf), 0
    for at in range(8 * 8, len(data) * 8, 5):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        try:
            changed = Objection(9, objection.tap, *read_brought(bytes(flipped)))
            assert len(run.peek(changed).upheld.adjustments) == 1, (
                "only a place's number may change, as long as the path leads there"
            )
            assert changed.leaf.leaf == objection.leaf.leaf
        except (Untrusted, Malformed):
            refused += 1
    assert refused > (len(data) - 8) * 8 // 5 * 9 // 10


def test_a_window_that_is_not_remembered_is_too_long_ago_and_no_lie(run):
    objection = run.objection(9, ride(1, issuer=3)[0])
    assert len(brought_down(run, Objection(9, objection.tap, objection.second - 9, objection.leaf))) == 0


def test_a_made_up_journey_under_a_root_of_its_own_is_refused(run):
    """Whoever makes up a record can make up its tick's root too: only the window's root, as remembered, tells."""
    true = run.objection(9, ride(1, issuer=3)[0])
    dearer = bytearray(true.leaf.leaf)
    dearer[1 + 64] ^= 0xFF
    alone = replace(true.leaf, leaf=bytes(dearer), record=Place(0, 1, ()), tick_root=leaf_hash(bytes(dearer)))
    with pytest.raises(Untrusted):
        brought_down(run, replace(true, leaf=alone))
