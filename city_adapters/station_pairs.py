"""Every pair of a city's stations under one tariff and one split rule: metres, fare, and what each operator earned of it.

A pair costs what the tariff's first charge says wherever the lines of that charge join it, whatever the rider rode. A pair that
they do not join costs the charge whose lines do, and a pair that no charge joins alone is cut at the station where the sum of
the parts is lowest (then the metres, then the station's number). Metres are those of the earlier networks that fares were made
on, where there are such; who earned a fare goes by today's network.
"""

from dataclasses import dataclass

import numpy as np

from city_adapters.agreed_shares import AgreedShares, with_agreed
from city_adapters.network import Network
from city_adapters.paths import Int32s, Int64s, shortest_paths, sums_along
from city_adapters.price_path import TrackPiece, lines_charged, price_metres, track_over, track_pieces
from city_adapters.split_rule import SplitRule
from city_adapters.split_weights import split_weights
from city_adapters.tariff import Charge, Tariff
from fare_chain.errors import Malformed

POINTS_PER_FEN = 10_000
"""A fare cut in parts is weighed in points, so that each part is earned by those who carried it."""


@dataclass(frozen=True)
class StationPairs:
    """Fare and metres (n, n), -1 where there is none, and who earned it.

    `weights` (n, n, k) sum to more than 0 where there is a fare; `period_weights` are the same for each period of the split rule.
    `marked_metres` (n, n, k) are the metres of each operator on the shortest path: added up from marker to marker they are the
    weights of a ride whose path is proven.
    """

    fare_fen: Int64s
    distance_m: Int64s
    weights: Int64s
    period_weights: tuple[Int64s, ...]
    marked_metres: Int64s


def station_pairs(
    network: Network, operators: tuple[int, ...], tariff: Tariff, split: SplitRule, agreed: AgreedShares | None = None
) -> StationPairs:
    """Price every pair and weigh who earned it; `operators` orders the last axis of the weights."""
    pairs, *others = (charge_pairs(network, operators, tariff, split, charge, agreed) for charge in tariff.charges)
    for other in others:
        pairs = _filled(pairs, other)
    while (pairs.fare_fen < 0).any():
        joined = _joined(pairs)
        if (joined.fare_fen < 0).sum() == (pairs.fare_fen < 0).sum():
            break
        pairs = joined
    weights, *of_periods = (
        with_agreed(weights, agreed, network.rows, operators) for weights in (pairs.weights, *pairs.period_weights)
    )
    return StationPairs(pairs.fare_fen, pairs.distance_m, weights, tuple(of_periods), pairs.marked_metres)


def charge_pairs(
    network: Network,
    operators: tuple[int, ...],
    tariff: Tariff,
    split: SplitRule,
    charge: Charge,
    agreed: AgreedShares | None = None,
) -> StationPairs:
    """Price the pairs that the lines of one charge join, by that charge alone, and weigh who earned them."""
    lines = lines_charged(network, tariff, charge)
    fare_fen, distance_m = _priced(network, charge, lines)
    earned = split_weights(network, operators, split, lines)
    weights, *of_periods = (
        np.where((fare_fen >= 0)[:, :, None], with_agreed(weights, agreed, network.rows, operators), 0)
        for weights in earned.of_periods
    )
    return StationPairs(fare_fen, distance_m, weights, tuple(of_periods), earned.metres)


def narrow(values: Int64s) -> Int32s:
    """Keep whole numbers in 32 bits, read-only, or refuse a city of absurd fares as Malformed."""
    if values.size and (values.min() < -1 or values.max() >= 2**31):
        raise Malformed(f"a fare, distance or weight is {values.max()}, too large for a table: look for a wrong unit in the tariff")
    kept = np.ascontiguousarray(values, dtype="<i4")
    kept.flags.writeable = False
    return kept


def _priced(network: Network, charge: Charge, lines: frozenset[str]) -> tuple[Int64s, Int64s]:
    """Fare and metres of each pair along the shortest track of these lines, -1 where they do not join it."""
    pieces = track_pieces(network, lines)
    paths = shortest_paths(track_over(network, pieces))
    price_m = price_metres(network, lines, paths.metres)
    fares = charge.fares(np.maximum(price_m, 0), sums_along(paths, _metres_by_class(pieces, charge.rate_classes)))
    served = np.array([not lines.isdisjoint(network.lines_at[station.station_id]) for station in network.stations])
    reached = (paths.metres >= 0) & np.logical_and.outer(served, served)
    return np.where(reached, fares, -1), np.where(reached, price_m, -1)


def _metres_by_class(pieces: list[TrackPiece], rate_classes: tuple[str, ...]) -> Int64s:
    metres = np.zeros((len(pieces), len(rate_classes)), dtype=np.int64)
    for at, piece in enumerate(pieces):
        if rate_classes and piece.links:
            metres[at, rate_classes.index(piece.links[0].rate_class)] = piece.metres
    return metres


def _filled(pairs: StationPairs, other: StationPairs) -> StationPairs:
    """Take from `other` the pairs that have no fare yet."""
    lacks = pairs.fare_fen < 0

    def earned(held: Int64s, new: Int64s) -> Int64s:
        return np.where(lacks[:, :, None], new, held)

    return StationPairs(
        np.where(lacks, other.fare_fen, pairs.fare_fen),
        np.where(lacks, other.distance_m, pairs.distance_m),
        earned(pairs.weights, other.weights),
        tuple(map(earned, pairs.period_weights, other.period_weights)),
        earned(pairs.marked_metres, other.marked_metres),
    )


def _joined(pairs: StationPairs) -> StationPairs:
    """Price each pair without a fare as two priced parts, cut where their sum is lowest; weigh each part by its fare."""
    fare_fen, distance_m, marked = pairs.fare_fen.copy(), pairs.distance_m.copy(), pairs.marked_metres.copy()
    before = (pairs.weights, *pairs.period_weights)
    weights = [held.copy() for held in before]
    for origin, end in np.argwhere(pairs.fare_fen < 0):
        cut = _cut(pairs, origin, end) if origin < end else -1
        if cut < 0:
            continue
        for start, stop in ((origin, end), (end, origin)):
            fare_fen[start, stop] = pairs.fare_fen[start, cut] + pairs.fare_fen[cut, stop]
            distance_m[start, stop] = pairs.distance_m[start, cut] + pairs.distance_m[cut, stop]
            marked[start, stop] = pairs.marked_metres[start, cut] + pairs.marked_metres[cut, stop]
            for held, new in zip(before, weights, strict=True):
                new[start, stop] = _points(pairs.fare_fen, held, start, cut) + _points(pairs.fare_fen, held, cut, stop)
    return StationPairs(fare_fen, distance_m, weights[0], tuple(weights[1:]), marked)


def _cut(pairs: StationPairs, origin: int, end: int) -> int:
    """Find the station where two priced parts cost least together, -1 where there is none."""
    cuts = np.flatnonzero((pairs.fare_fen[origin] >= 0) & (pairs.fare_fen[:, end] >= 0))
    if not len(cuts):
        return -1
    fares = pairs.fare_fen[origin, cuts] + pairs.fare_fen[cuts, end]
    metres = pairs.distance_m[origin, cuts] + pairs.distance_m[cuts, end]
    return int(cuts[np.lexsort((cuts, metres, fares))[0]])


def _points(fare_fen: Int64s, weights: Int64s, origin: int, end: int) -> Int64s:
    """Share the fare of one part over its operators, in points that sum to it exactly."""
    summed = np.cumsum(weights[origin, end])
    edges = fare_fen[origin, end] * POINTS_PER_FEN * summed // summed[-1]
    points: Int64s = np.diff(edges, prepend=0)
    return points
