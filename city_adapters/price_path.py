"""The path that a price is made from: track between neighbouring stations, and the least metres of every pair over it.

It has nothing to do with who earned the fare. Metres are those of the earlier networks that fares were made on, where there are
such (city_adapters/earlier_networks.py), else today's.
"""

from dataclasses import dataclass

import numpy as np

from city_adapters.earlier_networks import earlier_networks
from city_adapters.network import Link, Network, Transfer
from city_adapters.paths import Int64s, Track, shortest_metres
from city_adapters.tariff import Charge, Tariff


@dataclass(frozen=True, slots=True)
class TrackPiece:
    """Track between two neighbouring rows: its metres, and all links that have just these; none where riders walk.

    `beside_m` are the metres of the next longer link between the same two, None where there is none.
    """

    ends: tuple[int, int]
    metres: int
    links: tuple[Link, ...]
    beside_m: int | None = None


def lines_charged(network: Network, tariff: Tariff, charge: Charge) -> frozenset[str]:
    """The lines that a charge is for."""
    named = {line for other in tariff.charges for line in other.lines}
    return frozenset(charge.lines or (line.line_id for line in network.lines if line.line_id not in named))


def track_pieces(network: Network, lines: frozenset[str]) -> list[TrackPiece]:
    """Of links between the same two stations the shortest is the track; a walk that fares run through has no metres."""
    beside: dict[tuple[int, int], list[Link]] = {}
    for link in network.links:
        if link.line_id in lines:
            beside.setdefault(_ends(network, link), []).append(link)
    pieces = {}
    for ends, links in beside.items():
        metres = min(link.distance_m for link in links)
        longer = [link.distance_m for link in links if link.distance_m > metres]
        pieces[ends] = TrackPiece(
            ends, metres, tuple(link for link in links if link.distance_m == metres), min(longer, default=None)
        )
    for change in network.transfers:
        if change.joins_fares and change.from_id != change.to_id and {change.from_line, change.to_line} <= lines:
            ends = _ends(network, change)
            pieces[ends] = TrackPiece(ends, 0, ())
    return [pieces[ends] for ends in sorted(pieces)]


def track_over(network: Network, pieces: list[TrackPiece]) -> Track:
    """Lay out pieces for a search of paths."""
    ends = np.array([piece.ends for piece in pieces], dtype=np.int64).reshape(-1, 2)
    return Track(len(network.stations), ends, np.array([piece.metres for piece in pieces], dtype=np.int64))


def price_metres(network: Network, lines: frozenset[str], today_m: Int64s) -> Int64s:
    """Take the least metres of the earlier networks that have both stations; today's where none has."""
    unknown = np.iinfo(np.int64).max
    least = np.full_like(today_m, unknown)
    for earlier in earlier_networks(network):
        metres = shortest_metres(track_over(earlier, track_pieces(earlier, lines)))
        least = np.minimum(least, np.where(metres >= 0, metres, unknown))
    return np.where(least < unknown, least, today_m)


def _ends(network: Network, between: Link | Transfer) -> tuple[int, int]:
    first, second = sorted((network.rows[between.from_id], network.rows[between.to_id]))
    return first, second
