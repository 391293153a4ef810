"""Which taps are one journey, in the plainest code: brackets, then walks from leg to leg, then how long a ride is waited for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from city_adapters.tables import CityTable
from fare_chain.tap import GOING_IN, GOING_OUT, Tap, TapKind

PATIENCE_US = 300_000_000
"""How long a late tap is waited for, and how far a gate's clock may run ahead."""

Longest = Callable[[int], int]
"""How long a ride may last that was entered at a moment."""


@dataclass(frozen=True)
class Leg:
    """One ride from an entry tap to an exit tap, past markers."""

    entry: Tap
    leave: Tap
    markers: tuple[Tap, ...]


@dataclass(frozen=True)
class Ride:
    """Legs that one fare covers."""

    legs: tuple[Leg, ...]

    @property
    def entry(self) -> Tap:
        """Where and when it began."""
        return self.legs[0].entry

    @property
    def leave(self) -> Tap:
        """Where and when it ended."""
        return self.legs[-1].leave

    @property
    def markers(self) -> list[Tap]:
        """All marker taps, in order."""
        return [marker for leg in self.legs for marker in leg.markers]

    @property
    def taps(self) -> list[Tap]:
        """Every tap of it."""
        return [tap for leg in self.legs for tap in (leg.entry, *leg.markers, leg.leave)]

    @property
    def journey_id(self) -> bytes:
        """The first 16 bytes of the tagged hash of the first entry tap."""
        return sha256(b"fare-chain/journey/v1\n" + self.entry.to_bytes()).digest()[:16]


def rides_of(lane: Iterable[Tap], table: CityTable, longest: Longest, recorded_us: int) -> tuple[list[Ride], list[Ride]]:
    """Find a lane's rides: those that are over, and those that wait."""
    taps = sorted(lane, key=place)
    legs = legs_of(taps, longest)
    begun = {leg.entry: leg for leg in legs}
    gone_on = {leg: onward(leg, taps, legs, table) for leg in legs}
    chains = []
    for leg in legs:
        if leg.entry not in gone_on.values():
            chains.append([leg])
            while (entry := gone_on[chains[-1][-1]]) in begun:
                chains[-1].append(begun[entry])
    rides = [Ride(tuple(chain)) for chain in chains]
    watched = [ride.leave for ride in rides if watched_until(ride.leave, table) >= recorded_us]
    waits = []
    for ride in rides:
        entry = gone_on[ride.legs[-1]]
        inside_until = -1 if entry is None else entry.tapped_at_us + longest(entry.tapped_at_us) + PATIENCE_US
        later = any(place(leave) < place(ride.leave) for leave in watched)
        if ride.leave in watched or later or inside_until >= recorded_us:
            waits.append(ride)
    return [ride for ride in rides if ride not in waits], waits


def legs_of(taps: list[Tap], longest: Longest) -> list[Leg]:
    """Match a lane's taps, in order, as brackets; a marker goes with the innermost around it. Legs stand by entry."""
    open_places: list[int] = []
    brackets: list[tuple[int, int]] = []
    for at, tap in enumerate(taps):
        if tap.kind in GOING_IN:
            open_places.append(at)
        elif tap.kind in GOING_OUT and open_places:
            brackets.append((open_places.pop(), at))
    passed: dict[tuple[int, int], list[Tap]] = {bracket: [] for bracket in brackets}
    for at, tap in enumerate(taps):
        around = [(begin, end) for begin, end in brackets if begin < at < end]
        if tap.kind == TapKind.MARKER and around:
            passed[max(around)].append(tap)
    return [
        Leg(taps[begin], taps[end], tuple(passed[begin, end]))
        for begin, end in sorted(brackets)
        if taps[end].tapped_at_us - taps[begin].tapped_at_us <= longest(taps[begin].tapped_at_us)
    ]


def onward(leg: Leg, taps: list[Tap], legs: list[Leg], table: CityTable) -> Tap | None:
    """The tap by which the rider next goes in after a leg, where a walk leads there in time and no leg ends on the way."""
    exits = [other.leave for other in legs]
    for tap in taps[taps.index(leg.leave) + 1 :]:
        if tap in exits:
            return None
        if tap.kind in GOING_IN:
            return tap if leads(leg.leave, tap, table) else None
    return None


def leads(leave: Tap, entry: Tap, table: CityTable) -> bool:
    """Tell whether a walk leads from this exit to this entry, in time."""
    return any(
        (begin, end) == (leave.station, entry.station) and entry.tapped_at_us - leave.tapped_at_us <= limit_us
        for begin, end, limit_us in walks_of(table)
    )


def watched_until(leave: Tap, table: CityTable) -> int:
    """Until when a tap may come by which a ride that ended here goes on; before all time where no walk begins."""
    limits = [limit_us for begin, _end, limit_us in walks_of(table) if begin == leave.station]
    return leave.tapped_at_us + max(limits) + PATIENCE_US if limits else -(2**63)


def walks_of(table: CityTable) -> list[tuple[int, int, int]]:
    """A city's virtual transfers: from station, to station, limit."""
    numbers = table.station_numbers.tolist()
    return [(numbers[walk.from_row], numbers[walk.to_row], walk.limit_us) for walk in table.walks]


def place(tap: Tap) -> tuple[int | bytes, ...]:
    """Where a tap stands among those of its medium in its host."""
    return (
        tap.tapped_at_us, tap.kind, tap.gate, tap.gate_seq, tap.issuer, tap.station, tap.entitlement, tap.flags, tap.category,
        tap.mode, tap.code_digest,
    )  # fmt: skip
