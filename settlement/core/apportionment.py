"""Apportion any amount over any weights, exact to the fen and without bias: by one drawn point for each journey."""

import numpy as np

from settlement.core.columns import SHARE_DTYPE, Fens, Int32, Int64, Keys, Records, join, pick
from settlement.core.pricing import Fares
from settlement.core.rules import Rules

_LARGEST = 2**63 - 1


def draws(seed: bytes, journey: Keys) -> Int64:
    """One point in 0..2^63-1 for each journey: its id's number (itself a hash) turned by the seed, which nobody chooses alone."""
    turned = journey + np.uint64(int.from_bytes(seed[:8], "little"))  # wraps around, as it should
    return (turned >> np.uint64(1)).astype(np.int64)  # uint64 with int64 would become a float


def apportion(amount: Fens, weights: Int64 | Int32, draw: Int64) -> Int64:
    """Split each amount by its row of weights: exact in sum, within one fen, over all draws exactly fair.

    Args:
        amount: fen, not negative, shape (n,).
        weights: not negative, each row summing to more than 0, shape (n, k).
        draw: one point for each row, shape (n,).

    Returns:
        Fen, shape (n, k). The weights' cumulative edges, scaled to the amount, are all shifted by the same drawn fraction of a
        fen and cut down; whatever passes a whole fen goes to who owns that edge.

    """
    edge = np.cumsum(weights, axis=1, dtype=np.int64)
    total = edge[:, -1:]
    if (int(amount.max(initial=0)) + 1) * int(total.max(initial=0)) > _LARGEST:
        raise OverflowError("an amount times its total weight passes 2^63: such tables are refused when they come into force")
    edge = (amount[:, None] * edge + draw[:, None] % total) // total
    return np.diff(edge, axis=1, prepend=0)


def apportion_fares(fares: Fares, rules: Rules, draw: Int64) -> Records:
    """Split every fare over the beneficiaries who carried the ride: SHARE_DTYPE, by journey row, then as the table lists them.

    Every fare has a tariff. A beneficiary with a weight has a row, of 0 fen where the draw gives it none; one without has none.
    """
    parts = []
    for number in np.flatnonzero(np.bincount(fares.tariff)):
        tariff = rules.tariffs[number]
        rows = np.flatnonzero(fares.tariff == number)
        weights = tariff.version.weights[fares.from_row[rows], fares.to_row[rows]]
        amount = apportion(fares.fare_fen[rows], weights, draw[rows])
        ride, part = np.nonzero(weights)
        shares = np.zeros(len(ride), SHARE_DTYPE)
        shares["journey"], shares["beneficiary"], shares["amount_fen"] = rows[ride], tariff.beneficiaries[part], amount[ride, part]
        parts.append(shares)
    together = join(parts, SHARE_DTYPE)
    return pick(together, np.argsort(together["journey"], kind="stable"))
