"""The price path of one pair, told so that anyone can recompute its fare: each charge's part, link by link."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from city_adapters.charge_paths import ChargePaths, charge_paths, cheapest_cut
from city_adapters.earlier_networks import earlier_networks
from city_adapters.network import Link, Network
from city_adapters.paths import Int64s, Paths, shortest_paths
from city_adapters.price_path import TrackPiece, track_over, track_pieces
from city_adapters.tariff import Charge, Tariff
from fare_chain.identifiers import StationId


@dataclass(frozen=True, slots=True)
class PricedHop:
    """From one station to the next: its metres, and the links that have just these; none where riders walk outside."""

    from_id: StationId
    to_id: StationId
    metres: int
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class PricePart:
    """A part of a price path that one charge prices; a fare cut at a station has several.

    `network` numbers the earlier network whose least metres the price is made from, 0 for today's.
    """

    charge: Charge
    network: int
    lines: frozenset[str]
    from_id: StationId
    to_id: StationId
    hops: tuple[PricedHop, ...]
    metres: int
    fare_fen: int


@dataclass(frozen=True)
class PriceMap:
    """The price paths of a network under one tariff; overrides are not its business."""

    network: Network
    tariff: Tariff

    def parts(self, from_id: StationId, to_id: StationId, alone: Charge | None = None) -> tuple[PricePart, ...]:
        """Tell the path from one station to another; by one charge `alone` where both gates are its lines' own."""
        start, end = self.network.rows[from_id], self.network.rows[to_id]
        if alone is not None:
            held = next(paths for paths in self._charges if paths.charge == alone)
            return (self._part(held, start, end),) if held.fare_fen[start, end] >= 0 else ()
        return self._joined(start, end, len(self._rounds) - 1)

    @cached_property
    def _charges(self) -> tuple[ChargePaths, ...]:
        return tuple(charge_paths(self.network, self.tariff, charge) for charge in self.tariff.charges)

    @cached_property
    def _rounds(self) -> list[tuple[Int64s, Int64s]]:
        """Fare and metres of all pairs: of those that one charge joins, then with the pairs cut in two, in four ..."""
        fare_fen, distance_m = self._charges[0].fare_fen, self._charges[0].distance_m
        for other in self._charges[1:]:
            lacks = fare_fen < 0
            fare_fen, distance_m = np.where(lacks, other.fare_fen, fare_fen), np.where(lacks, other.distance_m, distance_m)
        rounds = [(fare_fen, distance_m)]
        while (rounds[-1][0] < 0).any():
            joined = _cut_once(*rounds[-1])
            if (joined[0] < 0).sum() == (rounds[-1][0] < 0).sum():
                break
            rounds.append(joined)
        return rounds

    def _joined(self, start: int, end: int, last: int) -> tuple[PricePart, ...]:
        """The parts of a pair as of a round: those of its two halves in the round before, if it was cut in this one."""
        first = next((at for at in range(last + 1) if self._rounds[at][0][start, end] >= 0), None)
        if first is None:
            return ()
        if first == 0:
            held = next(paths for paths in self._charges if paths.fare_fen[start, end] >= 0)
            return (self._part(held, start, end),)
        before = self._rounds[first - 1]
        # A pair is cut from its smaller row, so that both directions are cut at one station.
        cut = cheapest_cut(*before, min(start, end), max(start, end))
        return (*self._joined(start, cut, first - 1), *self._joined(cut, end, first - 1))

    def _part(self, held: ChargePaths, start: int, end: int) -> PricePart:
        number, pieces, paths = self._made_on(held, start, end)
        smaller, larger = min(start, end), max(start, end)
        rows = [larger]
        while rows[-1] != smaller:
            rows.append(int(paths.before[smaller, rows[-1]]))
        if start == smaller:
            rows.reverse()
        ids = [station.station_id for station in self.network.stations]
        hops = tuple(_hop(pieces[min(one, other), max(one, other)], ids[one], ids[other]) for one, other in pairwise(rows))
        metres, fare_fen = int(held.distance_m[start, end]), int(held.fare_fen[start, end])
        return PricePart(held.charge, number, held.lines, ids[start], ids[end], hops, metres, fare_fen)

    def _made_on(self, held: ChargePaths, start: int, end: int) -> "_Searched":
        """The network whose path the price is made from: the earlier one of least metres; rates by class go by today's."""
        today = _Searched(0, {piece.ends: piece for piece in held.pieces}, held.paths)
        if held.charge.rate_classes:
            return today
        least_m = held.distance_m[start, end]
        return next((earlier for earlier in self._earlier(held) if earlier.paths.metres[start, end] == least_m), today)

    def _earlier(self, held: ChargePaths) -> "list[_Searched]":
        """The earlier networks with their shortest paths over a charge's lines, searched once."""
        if held.charge.name not in self._searched:
            self._searched[held.charge.name] = [
                _Searched(number, {piece.ends: piece for piece in pieces}, shortest_paths(track_over(earlier, pieces)))
                for number, earlier in zip(self._numbers, earlier_networks(self.network), strict=True)
                for pieces in [track_pieces(earlier, held.lines)]
            ]
        return self._searched[held.charge.name]

    @cached_property
    def _searched(self) -> "dict[str, list[_Searched]]":
        return {}

    @cached_property
    def _numbers(self) -> list[int]:
        return sorted({row.network for row in self.network.earlier})


class _Searched(NamedTuple):
    """A network by its number, its track over some lines, and the shortest paths over that."""

    number: int
    pieces: dict[tuple[int, int], TrackPiece]
    paths: Paths


def _hop(piece: TrackPiece, from_id: StationId, to_id: StationId) -> PricedHop:
    return PricedHop(from_id, to_id, piece.metres, piece.links)


def _cut_once(fare_fen: Int64s, distance_m: Int64s) -> tuple[Int64s, Int64s]:
    """Price each pair without a fare as two priced parts."""
    fares, metres = fare_fen.copy(), distance_m.copy()
    for start, end in np.argwhere(fare_fen < 0).tolist():
        cut = cheapest_cut(fare_fen, distance_m, start, end) if start < end else -1
        if cut >= 0:
            fares[start, end] = fares[end, start] = fare_fen[start, cut] + fare_fen[cut, end]
            metres[start, end] = metres[end, start] = distance_m[start, cut] + distance_m[cut, end]
    return fares, metres
