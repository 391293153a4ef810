"""The price path of one pair, told so that anyone can recompute its fare: each charge's part, link by link."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from city_adapters.charge_paths import ChargePaths, Piece, charge_paths, cheapest_cut
from city_adapters.network import Link, Network
from city_adapters.paths import Int64s
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
    """A part of a price path that one charge prices; a fare cut at a station has several."""

    charge: Charge
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
        smaller, larger = min(start, end), max(start, end)
        rows = [larger]
        while rows[-1] != smaller:
            rows.append(int(held.paths.before[smaller, rows[-1]]))
        if start == smaller:
            rows.reverse()
        at = {piece.ends: piece for piece in held.pieces}
        ids = [station.station_id for station in self.network.stations]
        hops = tuple(_hop(at[min(one, other), max(one, other)], ids[one], ids[other]) for one, other in pairwise(rows))
        metres, fare_fen = int(held.distance_m[start, end]), int(held.fare_fen[start, end])
        return PricePart(held.charge, held.lines, ids[start], ids[end], hops, metres, fare_fen)


def _hop(piece: Piece, from_id: StationId, to_id: StationId) -> PricedHop:
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
