"""What one charge of a tariff asks for every pair that its lines join, and where a fare of two charges is cut."""

from dataclasses import dataclass

import numpy as np

from city_adapters.network import Network
from city_adapters.paths import Int64s, Paths, shortest_paths, sums_along
from city_adapters.price_path import TrackPiece, lines_charged, price_metres, track_over, track_pieces
from city_adapters.tariff import Charge, Tariff


@dataclass(frozen=True)
class ChargePaths:
    """One charge, the lines that it is for, and today's shortest paths over them.

    Fare and metres (n, n) are those that the price is made from, -1 where the lines do not join a pair.
    """

    charge: Charge
    lines: frozenset[str]
    pieces: tuple[TrackPiece, ...]
    paths: Paths
    fare_fen: Int64s
    distance_m: Int64s


def charge_paths(network: Network, tariff: Tariff, charge: Charge) -> ChargePaths:
    """Find fare and metres of each pair along the shortest track of a charge's lines."""
    lines = lines_charged(network, tariff, charge)
    pieces = track_pieces(network, lines)
    paths = shortest_paths(track_over(network, pieces))
    price_m = price_metres(network, lines, paths.metres)
    fares = charge.fares(np.maximum(price_m, 0), sums_along(paths, _metres_by_class(pieces, charge.rate_classes)))
    served = np.array([not lines.isdisjoint(network.lines_at[station.station_id]) for station in network.stations])
    reached = (paths.metres >= 0) & np.logical_and.outer(served, served)
    return ChargePaths(charge, lines, tuple(pieces), paths, np.where(reached, fares, -1), np.where(reached, price_m, -1))


def cheapest_cut(fare_fen: Int64s, distance_m: Int64s, origin: int, end: int) -> int:
    """Find the station where two priced parts cost least together, -1 where there is none."""
    cuts = np.flatnonzero((fare_fen[origin] >= 0) & (fare_fen[:, end] >= 0))
    if not len(cuts):
        return -1
    fares = fare_fen[origin, cuts] + fare_fen[cuts, end]
    metres = distance_m[origin, cuts] + distance_m[cuts, end]
    return int(cuts[np.lexsort((cuts, metres, fares))[0]])


def _metres_by_class(pieces: list[TrackPiece], rate_classes: tuple[str, ...]) -> Int64s:
    metres = np.zeros((len(pieces), len(rate_classes)), dtype=np.int64)
    for at, piece in enumerate(pieces):
        if rate_classes and piece.links:
            metres[at, rate_classes.index(piece.links[0].rate_class)] = piece.metres
    return metres
