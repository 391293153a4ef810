"""Apportion any amount over any weights, exact to the fen and without bias: by one drawn point for each journey."""

import numpy as np

from settlement.core.columns import SHARE_DTYPE, Fens, Int32, Int64, Keys, Records, Rows, join, pick
from settlement.core.journeys import Between
from settlement.core.pricing import Fares
from settlement.core.rules import Rules, Tariff

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


def apportion_fares(fares: Fares, amount_fen: Fens, between: Between, rules: Rules, draw: Int64) -> Records:
    """Split what each ride earned over the beneficiaries who carried it: SHARE_DTYPE, by journey row, then as the table lists them.

    Every fare has a tariff. A beneficiary with a weight has a row, of 0 fen where the draw gives it none; one without has none.
    """
    parts = []
    for number in np.flatnonzero(np.bincount(fares.tariff)):
        tariff = rules.tariffs[number]
        rows = np.flatnonzero(fares.tariff == number)
        weights = weights_of(fares, between, tariff, rows, rules)
        amount = apportion(amount_fen[rows], weights, draw[rows])
        ride, part = np.nonzero(weights)
        shares = np.zeros(len(ride), SHARE_DTYPE)
        shares["journey"], shares["beneficiary"], shares["amount_fen"] = rows[ride], tariff.beneficiaries[part], amount[ride, part]
        parts.append(shares)
    together = join(parts, SHARE_DTYPE)
    return pick(together, np.argsort(together["journey"], kind="stable"))


def weights_of(fares: Fares, between: Between, tariff: Tariff, rows: Rows, rules: Rules) -> Int64 | Int32:
    """The weights of these rides: of their pair and set, or added up along the path that their marker taps prove."""
    start, end, chosen = fares.from_row[rows], fares.to_row[rows], fares.weight_set[rows]
    version = tariff.version
    proven = np.flatnonzero(chosen == version.marker_set)
    if not len(proven):
        return version.weights[chosen, start, end]
    # A path that proves nothing (the markers of another network) leaves its ride to the pair's own weights.
    weights = version.weights[np.where(chosen == version.marker_set, 0, chosen), start, end].astype(np.int64)
    markers = between.markers()
    along = _along(fares, markers.ride, rules.area_rows(markers.taps), version.weights[version.marker_set], rows[proven])
    carried = along.sum(axis=1) > 0
    weights[proven[carried]] = along[carried]
    return weights


def _along(fares: Fares, marked: Rows, row: Rows, metres: Int32, rides: Rows) -> Int64:
    """Add up weights from the entry past every marker, in their order, to the exit: (rides, beneficiaries).

    `marked` is each marker's ride, ascending, and `row` the table row of its station: -1 where the station left the table while
    the tap waited, which is then passed over.
    """
    here = np.isin(marked, rides) & (row >= 0)
    ride, row = marked[here], row[here]
    first, last = np.diff(ride, prepend=-1) != 0, np.diff(ride, append=-1) != 0
    begin = np.where(first, fares.from_row[ride], np.roll(row, 1))
    at = np.searchsorted(rides, ride)
    along = np.zeros((len(rides), metres.shape[-1]), np.int64)
    np.add.at(along, at, metres[begin, row])
    np.add.at(along, at[last], metres[row[last], fares.to_row[ride[last]]])
    return along
