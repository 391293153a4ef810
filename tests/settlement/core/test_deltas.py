"""The hash over what changed: stated leaves, in byte order, each byte of them counted."""

import numpy as np

from fare_chain.hashing import EMPTY_ROOT, leaf_hash
from fare_chain.merkle import root
from settlement.core.columns import EXCEPTION_DTYPE, JOIN_DTYPE, JOURNEY_DTYPE, SHARE_DTYPE, SUM_DTYPE, no_rows
from settlement.core.deltas import delta_root, window_delta_root

NOTHING = [no_rows(dtype) for dtype in (JOURNEY_DTYPE, SHARE_DTYPE, SUM_DTYPE, EXCEPTION_DTYPE, JOIN_DTYPE)]


def changes():
    """Three journeys with two, one and no shares, two sums, one exception, two joins."""
    chance = np.random.default_rng(6)
    made = [
        np.frombuffer(chance.integers(0, 256, count * dtype.itemsize, dtype=np.uint8).tobytes(), dtype).copy()
        for count, dtype in ((3, JOURNEY_DTYPE), (3, SHARE_DTYPE), (2, SUM_DTYPE), (1, EXCEPTION_DTYPE), (2, JOIN_DTYPE))
    ]
    made[0].sort(order="fare_fen")
    ids = sorted(row.tobytes() for row in made[0]["journey_id"])
    for row, name in zip(made[0], ids, strict=True):
        row["journey_id"] = np.frombuffer(name, "V16")[0]
    made[1]["journey"], made[1]["reserved"] = [0, 0, 1], 0
    return made


def test_the_root_is_that_of_the_stated_leaves_in_byte_order():
    journeys, shares, sums, exceptions, joins = changes()
    parts = [share["beneficiary"].tobytes() + bytes(6) + share["amount_fen"].tobytes() for share in shares]
    leaves = [
        b"\x01" + journeys[0].tobytes() + parts[0] + parts[1],
        b"\x01" + journeys[1].tobytes() + parts[2],
        b"\x01" + journeys[2].tobytes(),
        *(b"\x02" + row.tobytes() for row in sums),
        b"\x03" + exceptions[0].tobytes(),
        *(b"\x04" + row.tobytes() for row in joins),
    ]
    assert delta_root(journeys, shares, sums, exceptions, joins) == root([leaf_hash(leaf) for leaf in sorted(leaves)])


def test_any_change_of_any_record_changes_the_root():
    roots = {delta_root(*changes())}
    altered = [(0, "category"), (0, "fee_fen"), (0, "weight_set"), (0, "entitlement"), (1, "amount_fen"), (1, "beneficiary")]
    for which, name in (*altered, (2, "n"), (3, "reason")):
        changed = changes()
        changed[which][name][-1] ^= 1
        roots.add(delta_root(*changed))
    changed = changes()
    changed[4][["first", "second"]] = changed[4][["second", "first"]]
    roots.add(delta_root(*changed))
    assert len(roots) == 10


def test_no_change_has_the_root_of_the_empty_tree():
    assert delta_root(*NOTHING) == EMPTY_ROOT
    assert window_delta_root([]) == EMPTY_ROOT


def test_a_window_has_its_ticks_roots_as_entries_in_their_order():
    ticks = [bytes([number]) * 32 for number in range(3)]
    assert window_delta_root(ticks) == root([leaf_hash(tick) for tick in ticks])
    assert window_delta_root(ticks) != window_delta_root(ticks[::-1])
    assert window_delta_root([EMPTY_ROOT]) != window_delta_root([])
