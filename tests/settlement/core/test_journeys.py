"""A journey is named by the tap that opened it, and journeys stand in the order of their names."""

import numpy as np

from fare_chain.hashing import tagged_hash
from fare_chain.tap import TapKind
from settlement.core import journeys
from settlement.core.journeys import Between, Ridden, id_numbers, identify, journey_ids, kept
from simulators.small_cities import small_tap, tap_records

ENTRIES = [small_tap(medium, TapKind.ENTRY, medium) for medium in range(50)]
EXITS = [small_tap(medium, TapKind.EXIT, medium + 1) for medium in range(50)]
MARKERS = [small_tap(medium, TapKind.MARKER, medium + 1) for medium in range(0, 50, 5) for _ in range(2)]


def ridden(count=50):
    """Journeys of one leg more than their medium, every fifth past two markers."""
    legs = np.arange(1, count + 1)
    markers = np.where(np.arange(count) % 5 == 0, 2, 0)
    return Ridden(tap_records(ENTRIES[:count]), tap_records(EXITS[:count]), legs, markers)


def between():
    return Between(np.repeat(np.arange(0, 50, 5), 2), tap_records(MARKERS))


def test_a_journeys_id_is_the_tagged_hash_of_its_entry_tap():
    ids = journey_ids(tap_records(ENTRIES))
    assert [row.tobytes() for row in ids] == [tagged_hash("journey", [tap.to_bytes()])[:16] for tap in ENTRIES]
    assert id_numbers(ids).tolist() == [int.from_bytes(row.tobytes()[:8], "little") for row in ids]
    assert len(journey_ids(tap_records([]))) == 0


def test_rides_stand_in_the_order_of_their_ids_with_their_own_taps():
    rides, inner = identify(ridden(), between())
    ids = [row.tobytes() for row in rides.journey_id]
    assert ids == sorted(ids)
    assert (rides.entries["medium"] == rides.exits["medium"]).all()
    assert [tagged_hash("journey", [row.tobytes()])[:16] for row in rides.entries] == ids
    assert [int.from_bytes(row.tobytes(), "little") + 1 for row in rides.entries["medium"]] == rides.legs.tolist()
    assert (rides.entries["medium"][inner.ride] == inner.taps["medium"]).all(), "markers follow their journeys"
    assert (np.diff(inner.ride) >= 0).all()
    assert np.bincount(inner.ride, minlength=50).tolist() == rides.markers.tolist()


def test_the_taps_of_journeys_that_are_dropped_go_and_the_others_are_renumbered():
    keep = np.array([1, 5, 7, 20])
    inner = kept(between(), keep, 50)
    assert inner.ride.tolist() == [1, 1, 3, 3]
    assert (inner.taps["medium"] == tap_records(ENTRIES)["medium"][keep[inner.ride]]).all()
    assert len(kept(between(), np.array([1, 2]), 50).ride) == 0


def test_taps_between_are_found_by_journey_and_by_kind():
    taps = tap_records([small_tap(1, TapKind.EXIT, 1), small_tap(1, TapKind.MARKER, 2), small_tap(2, TapKind.MARKER, 3)])
    inner = Between(np.array([0, 0, 3]), taps)
    assert inner.markers().ride.tolist() == [0, 3]
    assert inner.of(np.array([True, False, False, False])).taps["tapped_at_us"].tolist() == [1, 2]


def test_ids_that_begin_alike_are_ordered_by_the_rest(monkeypatch):
    """Two of 2^64 begin alike by chance; the order must hold for them as well."""
    names = [b"\1" * 8 + bytes([number]) * 8 for number in (3, 0, 2)]
    monkeypatch.setattr(journeys, "journey_ids", lambda _entries: np.frombuffer(b"".join(names), "V16"))
    rides, _ = identify(ridden(3), Between(np.zeros(0, np.int64), tap_records([])))
    assert [row.tobytes() for row in rides.journey_id] == sorted(names)
