"""Rides over a border: where two cities' networks meet, some riders go on in the other city, as one ride of two legs.

Riders of the two cities walk the passage between the paid areas; others go out and in again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from city_adapters.catalogue import Catalogue
from city_adapters.network import TransferKind
from simulators.clock import stream
from simulators.demand import WHOLE, RideColumns
from simulators.itineraries import GATES_PER_STATION, LegColumns

SHARE = 100
"""Rides over the border per 10,000 of the hosts that have one: illustrative."""
PASSAGE_US = 600_000
"""From gate to gate at the border."""


class Joint(NamedTuple):
    """A way from a host's border station into another host: where it leads, and to which stations rides go on there."""

    host: int
    station: int
    beyond: int
    beyond_station: int
    beyond_stations: NDArray[np.int32]


class Crossing(NamedTuple):
    """What a ride over the border adds to a ride of its first host: it ends at the border, and goes on to another station."""

    joint: Joint
    walks: bool
    """By the passage, with transfer taps; else out and in by ordinary gates."""
    out_us: int
    in_us: int
    to_station: int


def joints(catalogue: Catalogue) -> list[Joint]:
    """Every way over a border between the cities of a catalogue."""
    found = []
    for city in catalogue.cities:
        for change in city.network.transfers:
            if change.kind is TransferKind.BETWEEN_CITIES:
                beyond, station = catalogue.station(change.to_id)
                numbers = np.array([other.number for other in beyond.stations if other is not station], "<i4")
                here = city.network.station(change.from_id).number
                found.append(Joint(city.number, here, beyond.number, station.number, numbers))
    return found


def cross(
    rides: RideColumns, legs: LegColumns, ways: Sequence[Joint], seed: int, free: NDArray[np.bool_]
) -> tuple[Mapping[int, Crossing], LegColumns]:
    """Let some of the `free` rides go on over a border: what each adds, by ride, and the legs with their later exits."""
    crossings: dict[int, Crossing] = {}
    exit_us, to_gate = legs.exit_us.copy(), legs.to_gate.copy()
    chance = stream(seed, "crossings")
    for joint in ways:
        rows = chance.permutation(np.flatnonzero(free & (rides.host == joint.host) & (rides.from_station != joint.station)))
        for row in rows[: -(-SHARE * len(rows) // WHOLE)].tolist():
            out_us = int(legs.exit_us[row])
            in_us = out_us + PASSAGE_US
            end = int(chance.choice(joint.beyond_stations))
            walks = int(rides.issuer[row]) in (joint.host, joint.beyond)
            crossings[row] = Crossing(joint, walks, out_us, in_us, end)
            exit_us[row] = in_us + out_us - int(legs.enter_us[row])
            to_gate[row] = end * GATES_PER_STATION + int(legs.to_gate[row]) % GATES_PER_STATION
    return crossings, replace(legs, exit_us=exit_us, to_gate=to_gate)
