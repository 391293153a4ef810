"""A journey is named by the tap that opened it, and journeys stand in the order of their names."""

import numpy as np

from fare_chain.hashing import tagged_hash
from fare_chain.tap import TapKind
from settlement.core import journeys
from settlement.core.journeys import id_numbers, identify, journey_ids
from settlement.core.pairing import Legs
from simulators.small_cities import small_tap, tap_records

ENTRIES = [small_tap(medium, TapKind.ENTRY, medium) for medium in range(50)]
EXITS = [small_tap(medium, TapKind.EXIT, medium + 1) for medium in range(50)]


def test_a_journeys_id_is_the_tagged_hash_of_its_entry_tap():
    ids = journey_ids(tap_records(ENTRIES))
    assert [row.tobytes() for row in ids] == [tagged_hash("journey", [tap.to_bytes()])[:16] for tap in ENTRIES]
    assert id_numbers(ids).tolist() == [int.from_bytes(row.tobytes()[:8], "little") for row in ids]
    assert len(journey_ids(tap_records([]))) == 0


def test_rides_stand_in_the_order_of_their_ids_with_their_own_taps():
    rides = identify(Legs(tap_records(ENTRIES), tap_records(EXITS)))
    ids = [row.tobytes() for row in rides.journey_id]
    assert ids == sorted(ids)
    assert (rides.entries["medium"] == rides.exits["medium"]).all()
    assert [tagged_hash("journey", [row.tobytes()])[:16] for row in rides.entries] == ids


def test_ids_that_begin_alike_are_ordered_by_the_rest(monkeypatch):
    """Two of 2^64 begin alike by chance; the order must hold for them as well."""
    names = [b"\1" * 8 + bytes([number]) * 8 for number in (3, 0, 2)]
    monkeypatch.setattr(journeys, "journey_ids", lambda _entries: np.frombuffer(b"".join(names), "V16"))
    rides = identify(Legs(tap_records(ENTRIES[:3]), tap_records(EXITS[:3])))
    assert [row.tobytes() for row in rides.journey_id] == sorted(names)
