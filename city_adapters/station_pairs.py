"""Every pair of a city's stations under one tariff and one split rule: metres, fare, and what each operator earned of it.

A pair costs what the tariff's first charge says wherever the lines of that charge join it, whatever the rider rode. A pair that
they do not join costs the charge whose lines do, and a pair that no charge joins alone is cut at the station where the sum of
the parts is lowest (then the metres, then the station's number). Metres are those of the earlier networks that fares were made
on, where there are such; who earned a fare goes by today's network.
"""

from dataclasses import dataclass

import numpy as np

from city_adapters.network import Network
from city_adapters.paths import Int32s, Int64s, shortest_paths, sums_along
from city_adapters.price_path import TrackPiece, lines_charged, price_metres, track_over, track_pieces
from city_adapters.split_rule import SplitModel, SplitRule
from city_adapters.tariff import Charge, Tariff
from fare_chain.errors import Malformed

POINTS_PER_FEN = 10_000
"""A fare cut in parts is weighed in points, so that each part is earned by those who carried it."""


@dataclass(frozen=True)
class StationPairs:
    """Fare and metres (n, n), -1 where there is none, and weights (n, n, k) that sum to more than 0 where there is a fare."""

    fare_fen: Int64s
    distance_m: Int64s
    weights: Int64s


def station_pairs(network: Network, operators: tuple[int, ...], tariff: Tariff, split: SplitRule) -> StationPairs:
    """Price every pair and weigh who earned it; `operators` orders the last axis of the weights."""
    assert split.model is SplitModel.SHORTEST_PATH_METRES, "the only model yet"
    first, *others = (
        _under_one_charge(network, operators, charge, lines_charged(network, tariff, charge)) for charge in tariff.charges
    )
    pairs = first
    for other in others:
        pairs = _filled(pairs, other)
    while (pairs.fare_fen < 0).any():
        joined = _joined(pairs)
        if (joined.fare_fen < 0).sum() == (pairs.fare_fen < 0).sum():
            break
        pairs = joined
    return pairs


def charge_pairs(network: Network, operators: tuple[int, ...], tariff: Tariff, split: SplitRule, charge: Charge) -> StationPairs:
    """Price the pairs that the lines of one charge join, by that charge alone: what gates of their own ask for."""
    assert split.model is SplitModel.SHORTEST_PATH_METRES, "the only model yet"
    return _under_one_charge(network, operators, charge, lines_charged(network, tariff, charge))


def narrow(values: Int64s) -> Int32s:
    """Keep whole numbers in 32 bits, read-only, or refuse a city of absurd fares as Malformed."""
    if values.size and (values.min() < -1 or values.max() >= 2**31):
        raise Malformed(f"a fare, distance or weight is {values.max()}, too large for a table: look for a wrong unit in the tariff")
    kept = np.ascontiguousarray(values, dtype="<i4")
    kept.flags.writeable = False
    return kept


def _under_one_charge(network: Network, operators: tuple[int, ...], charge: Charge, lines: frozenset[str]) -> StationPairs:
    pieces = track_pieces(network, lines)
    paths = shortest_paths(track_over(network, pieces))
    price_m = price_metres(network, lines, paths.metres)
    fares = charge.fares(np.maximum(price_m, 0), sums_along(paths, _metres_by_class(pieces, charge.rate_classes)))
    earned = sums_along(paths, _metres_by_operator(pieces, network, operators))
    stops = _stops_by_operator(network, operators, lines)
    unmoved = np.nonzero(paths.metres == 0)
    earned[unmoved] = stops[unmoved[0]] + stops[unmoved[1]]
    served = stops.any(axis=1)
    reached = (paths.metres >= 0) & np.logical_and.outer(served, served)
    return StationPairs(np.where(reached, fares, -1), np.where(reached, price_m, -1), np.where(reached[:, :, None], earned, 0))


def _metres_by_class(pieces: list[TrackPiece], rate_classes: tuple[str, ...]) -> Int64s:
    metres = np.zeros((len(pieces), len(rate_classes)), dtype=np.int64)
    for at, piece in enumerate(pieces):
        if rate_classes and piece.links:
            metres[at, rate_classes.index(piece.links[0].rate_class)] = piece.metres
    return metres


def _metres_by_operator(pieces: list[TrackPiece], network: Network, operators: tuple[int, ...]) -> Int64s:
    """Metres of each piece by operator: in equal parts between the lines, odd metres to the lines named first."""
    operator_of = {line.line_id: line.operator for line in network.lines}
    metres = np.zeros((len(pieces), len(operators)), dtype=np.int64)
    for at, piece in enumerate(pieces):
        for place, link in enumerate(piece.links):
            part = (piece.metres + len(piece.links) - 1 - place) // len(piece.links)
            metres[at, operators.index(operator_of[link.line_id])] += part
    return metres


def _stops_by_operator(network: Network, operators: tuple[int, ...], lines: frozenset[str]) -> Int64s:
    """How many of the lines that stop at each station an operator runs: the weights of a ride that covers no metres."""
    operator_of = {line.line_id: line.operator for line in network.lines}
    stops = np.zeros((len(network.stations), len(operators)), dtype=np.int64)
    for row, station in enumerate(network.stations):
        for line_id in network.lines_at[station.station_id]:
            if line_id in lines:
                stops[row, operators.index(operator_of[line_id])] += 1
    return stops


def _filled(pairs: StationPairs, other: StationPairs) -> StationPairs:
    """Take from `other` the pairs that have no fare yet."""
    lacks = pairs.fare_fen < 0
    return StationPairs(
        np.where(lacks, other.fare_fen, pairs.fare_fen),
        np.where(lacks, other.distance_m, pairs.distance_m),
        np.where(lacks[:, :, None], other.weights, pairs.weights),
    )


def _joined(pairs: StationPairs) -> StationPairs:
    """Price each pair without a fare as two priced parts, cut where their sum is lowest; weigh each part by its fare."""
    fare_fen, distance_m, weights = pairs.fare_fen.copy(), pairs.distance_m.copy(), pairs.weights.copy()
    for origin, end in np.argwhere(pairs.fare_fen < 0):
        if origin > end:
            continue
        cuts = np.flatnonzero((pairs.fare_fen[origin] >= 0) & (pairs.fare_fen[:, end] >= 0))
        if not len(cuts):
            continue
        fares = pairs.fare_fen[origin, cuts] + pairs.fare_fen[cuts, end]
        metres = pairs.distance_m[origin, cuts] + pairs.distance_m[cuts, end]
        best = np.lexsort((cuts, metres, fares))[0]
        cut = cuts[best]
        points = _points(pairs, origin, cut) + _points(pairs, cut, end)
        for way in ((origin, end), (end, origin)):
            fare_fen[way], distance_m[way], weights[way] = fares[best], metres[best], points
    return StationPairs(fare_fen, distance_m, weights)


def _points(pairs: StationPairs, origin: int, end: int) -> Int64s:
    """Share the fare of one part over its operators, in points that sum to it exactly."""
    summed = np.cumsum(pairs.weights[origin, end])
    edges = pairs.fare_fen[origin, end] * POINTS_PER_FEN * summed // summed[-1]
    points: Int64s = np.diff(edges, prepend=0)
    return points
