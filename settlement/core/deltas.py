"""What a tick changed, as one hash: an RFC 6962 tree over its records, so that one journey is proved without its neighbours.

A leaf is one type byte and one record; the leaves stand in the order of their bytes.
    1 ‖ journey (128 B) ‖ each of its shares (beneficiary u16, 6 zero bytes, amount_fen i64)
    2 ‖ sum of obligations (24 B)
    3 ‖ exception (48 B)
    4 ‖ join of two journeys (32 B)
    5 ‖ adjustment (72 B) ‖ each share that is owed back, as in 1
A window's tree has the roots of its ticks as entries, in their order: closing costs the same on the busiest day.
"""

from collections.abc import Sequence

import numpy as np

from fare_chain.hashing import HASH_BYTES, leaf_hash
from fare_chain.merkle import root, root_of_hashes
from fare_chain.row_hashing import hash_rows
from settlement.core.columns import Records, in_byte_order, pick, raw
from settlement.core.objections import NOTHING_FALLS, Upheld

JOURNEY_LEAF, SUM_LEAF, EXCEPTION_LEAF, JOIN_LEAF, ADJUSTMENT_LEAF = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
_LEAF = b"\x00"  # before every leaf (RFC 6962)
_SHARE_BYTES = 16


def delta_root(
    journeys: Records, shares: Records, sums: Records, exceptions: Records, joins: Records, upheld: Upheld = NOTHING_FALLS
) -> bytes:
    """The root over a tick's records; journeys and adjustments ordered by id, their shares grouped in the same order."""
    return root_of_hashes(_leaf_run(journeys, shares, sums, exceptions, joins, upheld))


def delta_leaves(
    journeys: Records, shares: Records, sums: Records, exceptions: Records, joins: Records, upheld: Upheld = NOTHING_FALLS
) -> list[bytes]:
    """The leaf hashes under a tick's root, in order: each journey's in its row, then those of the other kinds."""
    run = _leaf_run(journeys, shares, sums, exceptions, joins, upheld)
    return [run[at : at + HASH_BYTES] for at in range(0, len(run), HASH_BYTES)]


def _leaf_run(journeys: Records, shares: Records, sums: Records, exceptions: Records, joins: Records, upheld: Upheld) -> bytes:
    """The leaf hashes one behind the other."""
    hashes = _journey_leaf_hashes(journeys, shares)
    for kind, records in ((SUM_LEAF, sums), (EXCEPTION_LEAF, exceptions), (JOIN_LEAF, joins)):
        hashes += hash_rows(_LEAF + kind, in_byte_order(records).tobytes(), records.dtype.itemsize)
    return hashes + b"".join([leaf_hash(leaf) for leaf in _adjustment_leaves(upheld)])


def window_delta_root(tick_roots: Sequence[bytes]) -> bytes:
    """The root over the roots of a window's ticks; the empty tree's for a second without ticks."""
    return root([leaf_hash(tick_root) for tick_root in tick_roots])


def _adjustment_leaves(upheld: Upheld) -> list[bytes]:
    parts = raw(upheld.shares).copy()
    parts[:, 2:8] = 0
    own = [parts[upheld.shares["journey"] == row].tobytes() for row in range(len(upheld.adjustments))]
    return [ADJUSTMENT_LEAF + row.tobytes() + shares for row, shares in zip(upheld.adjustments, own, strict=True)]


def _journey_leaf_hashes(journeys: Records, shares: Records) -> bytes:
    """The leaf hash of each journey; those with equally many shares are laid out together, as one matrix of leaves."""
    count = np.bincount(shares["journey"], minlength=len(journeys))
    first = np.cumsum(count) - count
    parts = raw(shares).copy()
    parts[:, 2:8] = 0
    hashes = np.zeros(len(journeys), "V32")
    record_bytes = journeys.dtype.itemsize
    for many in np.flatnonzero(np.bincount(count)):
        rows = np.flatnonzero(count == many)
        block = np.empty((len(rows), record_bytes + int(many) * _SHARE_BYTES), np.uint8)
        block[:, :record_bytes] = raw(pick(journeys, rows))
        block[:, record_bytes:] = parts[first[rows, None] + np.arange(many)].reshape(len(rows), -1)
        hashes[rows] = np.frombuffer(hash_rows(_LEAF + JOURNEY_LEAF, block.tobytes(), block.shape[1]), "V32")
    return hashes.tobytes()
