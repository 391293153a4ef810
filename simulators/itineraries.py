"""Intended rides into legs: through which gates, and how long the ride takes.

Each ride is one leg for now: a change of trains happens inside the paid area and meets no gate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.clock import stream
from simulators.demand import Micros, RideColumns

GATES_PER_STATION = 4
"""Even, so that each gate has one beside it."""
assert GATES_PER_STATION % 2 == 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How ride time becomes run time. A demo compresses it; `speed_up=1` with open bounds is the real world."""

    speed_kmh: int = 35
    """Over track distance, stops included."""
    speed_up: int = 240
    """A ride of 20 minutes takes 5 seconds."""
    least_us: int = 1_200_000
    """No leg is quicker: the exit must not overtake the answer to its entry."""
    most_us: int = 15_000_000
    """No leg is slower, so that a run of a minute need not wait for the last rider across a province."""

    def riding_us(self, distance_m: NDArray[np.int32]) -> Micros:
        """Run time from entry to exit for each track distance."""
        real_us = distance_m.astype(np.int64) * 3_600_000 // self.speed_kmh
        return np.clip(real_us // self.speed_up, self.least_us, self.most_us)


@dataclass(frozen=True, slots=True, eq=False)
class LegColumns:
    """One leg for each ride, in the rides' order; times are microseconds after the run's start."""

    from_gate: NDArray[np.uint32]
    """Number of the entry gate within its host."""
    to_gate: NDArray[np.uint32]
    enter_us: Micros
    exit_us: Micros

    def __len__(self) -> int:
        return len(self.enter_us)


def legs_of(rides: RideColumns, pace: Pace, seed: int) -> LegColumns:
    """Give every ride its gates, drawn evenly, and its exit by track distance.

    The gates of a host are numbered by station: those of station s are `s * GATES_PER_STATION` and the following.
    """
    places = stream(seed, "gates").integers(0, GATES_PER_STATION, size=(len(rides), 2), dtype=np.uint32)
    return LegColumns(
        rides.from_station * np.uint32(GATES_PER_STATION) + places[:, 0],
        rides.to_station * np.uint32(GATES_PER_STATION) + places[:, 1],
        rides.depart_us,
        rides.depart_us + pace.riding_us(rides.distance_m),
    )


def gate_beside(gate: int) -> int:
    """Another gate of the same station: gates stand in pairs."""
    return gate ^ 1
