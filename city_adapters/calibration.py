"""Link lengths that agree with published fares: a linear program, solved again until the shortest paths stay the same.

A published fare bounds the shortest distance of its pair to a band: more than `above_m`, at most `up_to_m`. Each link may move
from the metres of its source at a price per metre; each pair may miss its band, drawn in by a margin on both sides, at a price of
one per metre missed. A pair that stays far from its band is no matter of lengths: it is left out, so that it drags no link along.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from city_adapters.paths import Int64s

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
STEP_M = 1 / 2**14
"""What each link is longer when paths are sought, so that a walk of no metres is an edge; no path has so many that it shows."""


@dataclass(frozen=True)
class TrackLengths:
    """Pieces of track (e,): their ends (e, 2), the metres of their source, how short and how long they may become.

    `networks` are the pieces of each network that fares were made on, in the order of time, today's last. A pair is priced by the
    least metres of the earlier ones; where none has it, by today's.
    """

    stations: int
    ends: Int64s
    source_m: Int64s
    least_m: Int64s
    most_m: Int64s
    networks: tuple[Int64s, ...]


@dataclass(frozen=True)
class PublishedBands:
    """Pairs of rows (p, 2), and the band of each one's metres: more than `above_m`, at most `up_to_m`."""

    pairs: Int64s
    above_m: Int64s
    up_to_m: Int64s

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def taken(self, which: Int64s) -> "PublishedBands":
        """Keep some of the pairs."""
        return PublishedBands(self.pairs[which], self.above_m[which], self.up_to_m[which])

    def hold(self, metres: Int64s) -> NDArray[np.bool_]:
        """Whether each pair's metres lie in its band."""
        return (self.above_m < metres) & (metres <= self.up_to_m)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is weighed against what; the defaults did best on fares that were kept apart."""

    metre_price: float = 1.5
    """Of a metre that a link moves, where a metre that one pair misses costs 1."""
    margin_m: int = 40
    """How far inside its band a pair should lie."""
    hopeless_m: int = 400
    """A pair further from its band than this after `settling` rounds is left out."""
    settling: int = 3
    rounds: int = 12


@dataclass(frozen=True)
class Calibrated:
    """Whole metres of each piece, and the number of pairs whose price path runs over it."""

    metres: Int64s
    fares: Int64s


class PricePaths:
    """The path that prices each pair: its metres (p,), -1 where there is none, and which pieces it runs over (p, e)."""

    def __init__(self, track: TrackLengths, metres: Floats | Int64s, pairs: Int64s) -> None:
        *earlier, today = (_Routes(track, pieces, metres, pairs) for pieces in track.networks)
        chosen = np.full(len(pairs), len(earlier))
        total = today.total
        if earlier:
            least = np.array([routes.total for routes in earlier])
            there = np.isfinite(least.min(axis=0))
            chosen = np.where(there, least.argmin(axis=0), chosen)
            total = np.where(there, least.min(axis=0), total)
        self.metres = np.floor(np.where(np.isfinite(total), total, -1)).astype(np.int64)
        self.exact = np.where(np.isfinite(total), total, -1.0)
        self._parts = [(routes, np.flatnonzero(chosen == at)) for at, routes in enumerate((*earlier, today))]
        self._shape = len(pairs), len(track.ends)

    def pieces(self) -> "csr_array":
        """Which pieces each path runs over, as ones in a sparse matrix."""
        from scipy.sparse import csr_array  # noqa: PLC0415

        found = [routes.walked(which) for routes, which in self._parts]
        rows, columns = (np.concatenate([one[at] for one in found]) for at in (0, 1))
        return csr_array((np.ones(len(rows)), (rows, columns)), shape=self._shape)


def calibrate(track: TrackLengths, bands: PublishedBands, terms: Terms | None = None) -> Calibrated:
    """Move lengths until fares agree as well as they can at the price; keep the latest round with the most exact pairs."""
    terms = terms or Terms()
    best = track.source_m
    most = int(bands.hold(PricePaths(track, best, bands.pairs).metres).sum())
    metres: Floats = track.source_m.astype(np.float64)
    settling = terms.settling
    for _ in range(terms.rounds):
        moved = _solved(track, bands, PricePaths(track, metres, bands.pairs), terms, may_drop=settling <= 0)
        whole = np.clip(np.rint(moved).astype(np.int64), track.least_m, track.most_m)
        exact = int(bands.hold(PricePaths(track, whole, bands.pairs).metres).sum())
        if exact > most or (exact == most and best is not track.source_m):
            best, most = whole, exact
        step_m = float(np.abs(moved - metres).max(initial=0.0))
        metres = moved
        if step_m < 1 / 2 and settling <= 0:
            break
        settling = 0 if step_m < 1 / 2 else settling - 1
    return Calibrated(best, PricePaths(track, best, bands.pairs).pieces().sum(axis=0).astype(np.int64))


def _solved(track: TrackLengths, bands: PublishedBands, paths: PricePaths, terms: Terms, *, may_drop: bool) -> Floats:
    """Solve one linear program over paths that stay as they are."""
    from scipy.optimize import linprog  # noqa: PLC0415
    from scipy.sparse import eye_array, hstack, vstack  # noqa: PLC0415

    over = paths.pieces()
    high, low = bands.up_to_m - terms.margin_m, bands.above_m + 1 + terms.margin_m
    near = 2 * terms.hopeless_m
    far = terms.hopeless_m if may_drop else np.inf
    above, below = paths.exact - high, low - paths.exact
    too_long = np.flatnonzero((above > -near) & (above < far) & (paths.metres >= 0))
    too_short = np.flatnonzero((below > -near) & (below < far) & (paths.metres >= 0) & (bands.above_m > 0))
    sides = vstack([over[too_long], -over[too_short]]).tocsr()
    bounds = np.concatenate([high[too_long], -low[too_short]]) - sides @ track.source_m
    pieces, count = len(track.ends), sides.shape[0]
    # Unknowns: metres up, metres down, metres missed; all at least 0.
    answer = linprog(
        np.concatenate([np.full(2 * pieces, terms.metre_price), np.ones(count)]),
        A_ub=hstack([sides, -sides, -eye_array(count)]).tocsc(),
        b_ub=bounds,
        bounds=np.stack([np.zeros(2 * pieces + count), np.concatenate([*_reach(track), np.full(count, np.inf)])], axis=1),
        method="highs",
    )
    assert answer.x is not None, "moving nothing and missing much is always a solution"
    up, down = answer.x[:pieces], answer.x[pieces : 2 * pieces]
    moved: Floats = track.source_m + up - down
    return moved


def _reach(track: TrackLengths) -> tuple[Int64s, Int64s]:
    return track.most_m - track.source_m, track.source_m - track.least_m


class _Routes:
    """The shortest paths of one network between given pairs."""

    def __init__(self, track: TrackLengths, pieces: Int64s, metres: Floats | Int64s, pairs: Int64s) -> None:
        from scipy.sparse import csr_array  # noqa: PLC0415
        from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415

        first, second = track.ends[pieces, 0], track.ends[pieces, 1]
        graph = csr_array((metres[pieces] + STEP_M, (first, second)), shape=(track.stations, track.stations))
        distance, self._before = dijkstra(graph, directed=False, return_predecessors=True)
        self.total = distance[pairs[:, 0], pairs[:, 1]]
        self._piece = np.full((track.stations, track.stations), -1, dtype=np.int64)
        self._piece[first, second] = self._piece[second, first] = pieces
        self._pairs = pairs

    def walked(self, which: Int64s) -> tuple[Int64s, Int64s]:
        """Go back from the end of each of these pairs to its origin: pair and piece of every step."""
        rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        active = which[np.isfinite(self.total[which])]
        here = self._pairs[active, 1]
        while len(active := active[(going := here != self._pairs[active, 0])]):
            here = here[going]
            before = self._before[self._pairs[active, 0], here].astype(np.int64)
            rows.append(active)
            columns.append(self._piece[before, here])
            here = before
        return np.concatenate(rows), np.concatenate(columns)
