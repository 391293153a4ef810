"""What a tick changed, as one hash: an RFC 6962 tree over its records, so that one journey is proved without its neighbours.

A leaf is one type byte and one record; the leaves stand in the order of their bytes.
    1 ‖ journey (128 B) ‖ each of its shares (beneficiary u16, 6 zero bytes, amount_fen i64)
    2 ‖ sum of obligations (24 B)
    3 ‖ exception (48 B)
    4 ‖ join of two journeys (32 B)
    5 ‖ adjustment (72 B) ‖ each share that is owed back, as in 1
A window's tree has the roots of its ticks as entries, in their order: closing costs the same on the busiest day.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from fare_chain.hashing import leaf_hash
from fare_chain.merkle import root
from settlement.core.columns import Records, pick, raw
from settlement.core.objections import NOTHING_FALLS, Upheld

JOURNEY_LEAF, SUM_LEAF, EXCEPTION_LEAF, JOIN_LEAF, ADJUSTMENT_LEAF = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
_SHARE_BYTES = 16


def delta_root(
    journeys: Records, shares: Records, sums: Records, exceptions: Records, joins: Records, upheld: Upheld = NOTHING_FALLS
) -> bytes:
    """The root over a tick's records; journeys and adjustments ordered by id, their shares grouped in the same order."""
    return root(delta_leaves(journeys, shares, sums, exceptions, joins, upheld))


def delta_leaves(
    journeys: Records, shares: Records, sums: Records, exceptions: Records, joins: Records, upheld: Upheld = NOTHING_FALLS
) -> list[bytes]:
    """The leaf hashes under a tick's root, in order: each journey's in its row, then those of the other kinds."""
    hashes = _journey_leaf_hashes(journeys, shares)
    for kind, records in ((SUM_LEAF, sums), (EXCEPTION_LEAF, exceptions), (JOIN_LEAF, joins)):
        hashes += [leaf_hash(leaf) for leaf in sorted(kind + record.tobytes() for record in records)]
    return hashes + [leaf_hash(leaf) for leaf in _adjustment_leaves(upheld)]


def window_delta_root(tick_roots: Sequence[bytes]) -> bytes:
    """The root over the roots of a window's ticks; the empty tree's for a second without ticks."""
    return root([leaf_hash(tick_root) for tick_root in tick_roots])


def _adjustment_leaves(upheld: Upheld) -> list[bytes]:
    parts = raw(upheld.shares).copy()
    parts[:, 2:8] = 0
    own = [parts[upheld.shares["journey"] == row].tobytes() for row in range(len(upheld.adjustments))]
    return [ADJUSTMENT_LEAF + row.tobytes() + shares for row, shares in zip(upheld.adjustments, own, strict=True)]


def _journey_leaf_hashes(journeys: Records, shares: Records) -> list[bytes]:
    """The leaf hash of each journey; those with equally many shares are laid out together, as one matrix of leaves."""
    sha256 = hashlib.sha256
    count = np.bincount(shares["journey"], minlength=len(journeys))
    first = np.cumsum(count) - count
    parts = raw(shares).copy()
    parts[:, 2:8] = 0
    hashes = np.zeros(len(journeys), "V32")
    for many in np.flatnonzero(np.bincount(count)):
        rows = np.flatnonzero(count == many)
        width = 2 + journeys.dtype.itemsize + int(many) * _SHARE_BYTES
        block = np.zeros((len(rows), width), np.uint8)
        block[:, 1] = JOURNEY_LEAF[0]  # after the zero byte of an RFC 6962 leaf
        block[:, 2 : 2 + journeys.dtype.itemsize] = raw(pick(journeys, rows))
        block[:, 2 + journeys.dtype.itemsize :] = parts[first[rows, None] + np.arange(many)].reshape(len(rows), -1)
        run = block.tobytes()
        digests = b"".join([sha256(run[at : at + width]).digest() for at in range(0, len(run), width)])
        hashes[rows] = np.frombuffer(digests, "V32")
    return hashes.tolist()
