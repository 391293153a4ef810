"""Where riders change: lines that share a station, and walks between stations that the feed tells as transfers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from city_adapters.findings import Severity, warning
from city_adapters.gtfs.feed import Feed
from city_adapters.gtfs.lengths import Pair
from city_adapters.gtfs.stops import Places
from city_adapters.network import TransferKind, pieces
from fare_chain.identifiers import StationId

NOT_POSSIBLE, SHORTEST, IN_SEAT = 3, 2, (4, 5)
"""The transfer types that say more than that there is a transfer."""


@dataclass(frozen=True, slots=True)
class Change:
    """A way to change between two lines, at one place or by a walk between two."""

    places: Pair
    lines: tuple[str, str]
    kind: TransferKind
    joins_fares: bool


def read_walks(feed: Feed, places: Places) -> list[Pair]:
    """Read the transfers between different places, each pair once."""
    walks: dict[Pair, None] = {}
    for row in feed.rows("transfers.txt", "transfer_type"):
        kind = row.whole("transfer_type", blank=0)
        ends = [places.root_of.get(row[end], "") for end in ("from_stop_id", "to_stop_id")]
        if kind in IN_SEAT:
            feed.left(row, "riders stay seated: this is no transfer and is not carried", "nothing to do", Severity.NOTE)
        elif not all(ends):
            feed.left(row, "the transfer names a stop that is not there and is passed over", "correct it in the feed")
        elif kind == NOT_POSSIBLE:
            feed.left(row, "a transfer that is not possible has no place in a city folder", "nothing to do", Severity.NOTE)
        else:
            if kind == SHORTEST:
                found = "how long a transfer takes is not carried: time_limit_min would be the longest time, which is not known"
                feed.left(row, found, "add the limit to transfers.csv once it is known", Severity.NOTE)
            if ends[0] != ends[1]:
                first, second = sorted(ends)
                walks[first, second] = None
    return list(walks)


def changes(feed: Feed, lines_at: Mapping[str, Sequence[str]], track: Iterable[Pair], walks: Sequence[Pair]) -> list[Change]:
    """List the ways to change; fares run through a walk exactly where nothing else joins its two ends."""
    shared = [
        Change((place, place), both, TransferKind.SAME_STATION, joins_fares=True)
        for place, lines in lines_at.items()
        for both in combinations(lines, 2)
    ]
    joints = list(track)
    walked = []
    for one, other in walks:
        if one not in lines_at or other not in lines_at:
            continue
        joins = not _is_joined(lines_at, joints, one, other)
        if joins:
            joints.append((one, other))
            found = f"only a walk joins {one} and {other}: fares are taken to run through it"
            feed.found(warning("transfers.txt", found, "correct joins_fares in transfers.csv if a new fare begins there"))
        walked += [
            Change((one, other), both, TransferKind.EXIT_AND_REENTER, joins)
            for both in product(lines_at[one], lines_at[other])
            if both[0] != both[1]
        ]
    return [*shared, *walked]


def _is_joined(lines_at: Iterable[str], joints: Iterable[Pair], one: str, other: str) -> bool:
    ends = [(StationId(first), StationId(second)) for first, second in joints]
    return any({one, other} <= set(piece) for piece in pieces([StationId(place) for place in lines_at], ends))
