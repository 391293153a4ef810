"""A city's network and published fares as the arrays that calibration takes, and its answer back in the network's own rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from city_adapters.calibration import Calibrated, PublishedBands, TrackLengths
from city_adapters.city import City
from city_adapters.earlier_networks import earlier_networks
from city_adapters.fare_list import ListedFare, RowProblem
from city_adapters.network import EarlierLink, Link, Network
from city_adapters.price_path import TrackPiece, lines_charged, track_pieces
from city_adapters.provenance import Confidence
from city_adapters.tariff import Bands
from fare_chain.errors import Malformed

CALIBRATED = "calibrated"
"""How the reason of a length begins that calibration gave; a link with another reason stays as it is."""
REACH_PERCENT = {
    Confidence.HIGH: 40,
    Confidence.MEDIUM: 75,
    Confidence.LOW: 90,
    Confidence.UNCONFIRMED: 90,
    Confidence.ILLUSTRATIVE: 90,
}
"""How far a length may move from its source, by how far the source can be relied on."""

LEAST_REACH_M = 40

LinkKey = tuple[str, int, int]
"""A link by line and rows of its ends; of an earlier network's own length the line has its number before it."""


@dataclass(frozen=True)
class LengthProblem:
    """The lengths that may move, and the links that take the metres of each."""

    track: TrackLengths
    links: tuple[tuple[LinkKey, ...], ...]


@dataclass(frozen=True)
class BandList:
    """Published fares as the bands that the rule has for them.

    `rows` are their rows of the list, in step; `skipped` are those that no band can tell.
    """

    rule: Bands
    bands: PublishedBands
    rows: tuple[ListedFare, ...]
    skipped: tuple[RowProblem, ...]


def length_problem(city: City, reach_percent: int = 100) -> LengthProblem:
    """Lay out every length that prices a ride under the charge for all other lines.

    A length may move as far as its source's confidence lets it, and no more than `reach_percent` of it; 40 m it always may.
    """
    network = _as_sourced(city.network)
    lines = lines_charged(network, city.tariffs[-1], city.tariffs[-1].charges[0])
    numbers: dict[LinkKey, int] = {}
    pieces: list[TrackPiece] = []
    names: list[tuple[LinkKey, ...]] = []
    networks = []
    for number, one in enumerate((*earlier_networks(network), network), 1):
        then = {_key(network, row) for row in network.earlier if row.network == number and row.distance_m is not None}
        here = []
        for piece in track_pieces(one, lines):
            keys = [_own(number, key) if key in then else key for key in _keys(network, piece)]
            if keys[0] not in numbers:
                numbers[keys[0]] = len(pieces)
                pieces.append(piece)
                names.append(tuple(keys))
            here.append(numbers[keys[0]])
        networks.append(np.array(here, dtype=np.int64))
    today = {piece.ends: piece.metres for piece in track_pieces(network, lines)}
    bounds = [
        _bounds(piece, today.get(piece.ends), reach_percent, is_earlier=":" in keys[0][0])
        for piece, keys in zip(pieces, names, strict=True)
    ]
    track = TrackLengths(
        stations=len(network.stations),
        ends=np.array([piece.ends for piece in pieces], dtype=np.int64).reshape(-1, 2),
        source_m=np.array([piece.metres for piece in pieces], dtype=np.int64),
        least_m=np.array([least for least, _ in bounds], dtype=np.int64),
        most_m=np.array([most for _, most in bounds], dtype=np.int64),
        networks=tuple(networks),
    )
    return LengthProblem(track, tuple(names))


def bands_of(city: City, listed: Iterable[ListedFare]) -> BandList:
    """Turn published fares into bands of metres, by the charge for all other lines; pairs with two fares are left out."""
    rule = city.tariffs[-1].charges[0].rule
    if not isinstance(rule, Bands):
        raise Malformed(f"{city.slug}'s charge for all other lines has no bands: there is no distance to learn from its fares")
    rows_of = {name.casefold(): row for name, row in city.network.rows.items()}
    fares: dict[tuple[int, int], set[int]] = {}
    found: list[tuple[ListedFare, tuple[int, int], tuple[int, int]]] = []
    skipped = []
    for fare in listed:
        first, second = rows_of.get(fare.from_id.casefold(), -1), rows_of.get(fare.to_id.casefold(), -1)
        span = rule.metres_of(fare.fare_fen)
        if min(first, second) < 0:
            skipped.append(RowProblem(fare.line, f"{fare.from_id} or {fare.to_id} is no station of {city.slug}"))
        elif span is None:
            skipped.append(RowProblem(fare.line, f"{fare.fare_fen} fen is the fare of no band"))
        else:
            pair = min(first, second), max(first, second)
            fares.setdefault(pair, set()).add(fare.fare_fen)
            found.append((fare, pair, span))
    kept = [one for one in found if len(fares[one[1]]) == 1]
    skipped += [RowProblem(one.line, "the pair has two fares") for one, pair, _ in found if len(fares[pair]) > 1]
    pairs = np.array([pair for _, pair, _ in kept], dtype=np.int64).reshape(-1, 2)
    above, up_to = (np.array([span[at] for _, _, span in kept], dtype=np.int64) for at in (0, 1))
    return BandList(rule, PublishedBands(pairs, above, up_to), tuple(fare for fare, _, _ in kept), tuple(skipped))


def calibrated_network(network: Network, problem: LengthProblem, answer: Calibrated) -> Network:
    """Give the links the metres of an answer; rows, order and sources stay, and the reason says what the metres rest on."""
    told = {
        key: (int(metres), int(fares))
        for keys, metres, fares in zip(problem.links, answer.metres, answer.fares, strict=True)
        for key in keys
    }

    def moved(row: Link | EarlierLink, key: LinkKey) -> tuple[int, str] | None:
        """What the row is to say of its metres and their reason, or nothing where it stays."""
        if key not in told or row.distance_m is None or not _may_move(row):
            return None
        metres, fares = told[key]
        unmoved = "as today" if isinstance(row, EarlierLink) else ""
        return metres, unmoved if metres == row.source_m else f"{CALIBRATED}: {fares} published fares"

    links = tuple(
        replace(link, distance_m=new[0], reason=new[1]) if (new := moved(link, _key(network, link))) else link
        for link in network.links
    )
    earlier = []
    for row in network.earlier:
        new = moved(row, _own(row.network, _key(network, row)))
        earlier.append(replace(row, distance_m=new[0], reason=new[1]) if new else row)
    return replace(network, links=links, earlier=tuple(earlier))


def _as_sourced(network: Network) -> Network:
    """Undo an earlier calibration: every length that it gave is its source's again."""
    links = tuple(replace(link, distance_m=link.source_m) if _may_move(link) else link for link in network.links)
    earlier = tuple(replace(row, distance_m=row.source_m) if _may_move(row) else row for row in network.earlier)
    return replace(network, links=links, earlier=earlier)


def _may_move(row: Link | EarlierLink) -> bool:
    if isinstance(row, EarlierLink):
        return row.distance_m is not None
    return not row.reason or row.reason.startswith(CALIBRATED)


def _bounds(piece: TrackPiece, today_m: int | None, reach_percent: int, *, is_earlier: bool) -> tuple[int, int]:
    """How short and how long a piece may become: walks, lengths set by hand and links beside a shorter one stay as they are."""
    stays = not piece.links or not (is_earlier or all(map(_may_move, piece.links)))
    if stays or not (is_earlier or piece.metres == today_m):
        return piece.metres, piece.metres
    percent = min(reach_percent, *(REACH_PERCENT[link.provenance.confidence] for link in piece.links))
    reach = max(percent * piece.metres // 100, LEAST_REACH_M)
    return max(piece.metres - reach, 1), min(piece.metres + reach, piece.beside_m or piece.metres + reach)


def _own(number: int, key: LinkKey) -> LinkKey:
    """The key of a length that an earlier network has for itself."""
    line_id, first, second = key
    return f"{number}:{line_id}", first, second


def _keys(network: Network, piece: TrackPiece) -> Sequence[LinkKey]:
    return [_key(network, link) for link in piece.links] or [("", *piece.ends)]


def _key(network: Network, link: Link | EarlierLink) -> LinkKey:
    first, second = sorted((network.rows.get(link.from_id, -1), network.rows.get(link.to_id, -1)))
    return link.line_id, first, second
