"""The price path: for one charge of a tariff, the shortest track of its lines between all stations, and what it costs.

It knows nothing of who earned the fare: that is the clearing path, which has rooms of its own.
"""

from dataclasses import dataclass

import numpy as np

from city_adapters.network import Link, Network, Transfer
from city_adapters.paths import Int64s, Paths, Track, shortest_paths, sums_along
from city_adapters.tariff import Charge, Tariff


@dataclass(frozen=True, slots=True)
class Piece:
    """Track between two neighbouring rows: its metres, and all links that have just these; none where riders walk."""

    ends: tuple[int, int]
    metres: int
    links: tuple[Link, ...]


@dataclass(frozen=True)
class ChargePaths:
    """One charge, the lines that it is for, their shortest paths; fare and metres (n, n), -1 where the lines do not join a pair."""

    charge: Charge
    lines: frozenset[str]
    pieces: tuple[Piece, ...]
    paths: Paths
    fare_fen: Int64s
    distance_m: Int64s


def charge_paths(network: Network, tariff: Tariff, charge: Charge) -> ChargePaths:
    """Find the shortest track of a charge's lines for every pair that they join, and price it."""
    lines = _lines_of(network, tariff, charge)
    pieces = _pieces(network, lines)
    ends = np.array([piece.ends for piece in pieces], dtype=np.int64).reshape(-1, 2)
    metres = np.array([piece.metres for piece in pieces], dtype=np.int64)
    paths = shortest_paths(Track(len(network.stations), ends, metres))
    fares = charge.fares(np.maximum(paths.metres, 0), sums_along(paths, _metres_by_class(pieces, charge.rate_classes)))
    served = np.array([not lines.isdisjoint(network.lines_at[station.station_id]) for station in network.stations])
    reached = (paths.metres >= 0) & np.logical_and.outer(served, served)
    return ChargePaths(charge, lines, tuple(pieces), paths, np.where(reached, fares, -1), np.where(reached, paths.metres, -1))


def cheapest_cut(fare_fen: Int64s, distance_m: Int64s, origin: int, end: int) -> int:
    """Find the station where two priced parts cost least together, -1 where there is none."""
    cuts = np.flatnonzero((fare_fen[origin] >= 0) & (fare_fen[:, end] >= 0))
    if not len(cuts):
        return -1
    fares = fare_fen[origin, cuts] + fare_fen[cuts, end]
    metres = distance_m[origin, cuts] + distance_m[cuts, end]
    return int(cuts[np.lexsort((cuts, metres, fares))[0]])


def _lines_of(network: Network, tariff: Tariff, charge: Charge) -> frozenset[str]:
    named = {line for other in tariff.charges for line in other.lines}
    return frozenset(charge.lines or (line.line_id for line in network.lines if line.line_id not in named))


def _pieces(network: Network, lines: frozenset[str]) -> list[Piece]:
    """Of links between the same two stations the shortest is the track; a walk that fares run through has no metres."""
    beside: dict[tuple[int, int], list[Link]] = {}
    for link in network.links:
        if link.line_id in lines:
            beside.setdefault(_ends(network, link), []).append(link)
    pieces = {}
    for ends, links in beside.items():
        metres = min(link.distance_m for link in links)
        pieces[ends] = Piece(ends, metres, tuple(link for link in links if link.distance_m == metres))
    for change in network.transfers:
        if change.joins_fares and change.from_id != change.to_id and {change.from_line, change.to_line} <= lines:
            ends = _ends(network, change)
            pieces[ends] = Piece(ends, 0, ())
    return [pieces[ends] for ends in sorted(pieces)]


def _ends(network: Network, between: Link | Transfer) -> tuple[int, int]:
    first, second = sorted((network.rows[between.from_id], network.rows[between.to_id]))
    return first, second


def _metres_by_class(pieces: list[Piece], rate_classes: tuple[str, ...]) -> Int64s:
    metres = np.zeros((len(pieces), len(rate_classes)), dtype=np.int64)
    for at, piece in enumerate(pieces):
        if rate_classes and piece.links:
            metres[at, rate_classes.index(piece.links[0].rate_class)] = piece.metres
    return metres
