"""Rides into legs: gates and riding times."""

import numpy as np
import pytest

from simulators import demand
from simulators.clock import DemoClock
from simulators.itineraries import GATES_PER_STATION, Pace, gate_beside, legs_of


@pytest.fixture(scope="module")
def rides(world):
    departures = demand.steady_departures(DemoClock(), rides_per_second=200, seconds=5, seed=1)
    return demand.intended_rides(world, departures, seed=1)


@pytest.mark.parametrize(
    ("distance_m", "riding_us"),
    [
        (11_667, 5_000_142),  # twenty minutes at 35 km/h are five seconds of a demo
        (700, 1_200_000),
        (2_800, 1_200_000),
        (2_801, 1_200_428),
        (35_000, 15_000_000),
        (102_000, 15_000_000),
    ],
)
def test_a_demo_shortens_rides_but_not_below_what_answers_take(distance_m, riding_us):
    assert Pace().riding_us(np.array([distance_m], "<i4")).tolist() == [riding_us]


def test_at_real_speed_an_hour_takes_an_hour():
    pace = Pace(speed_up=1, least_us=0, most_us=2**62)
    assert pace.riding_us(np.array([35_000, 200_000], "<i4")).tolist() == [3_600_000_000, 20_571_428_571]


def test_every_leg_ends_after_it_begins_at_gates_of_its_stations(rides):
    legs = legs_of(rides, Pace(), seed=1)
    assert (legs.enter_us == rides.depart_us).all()
    assert (legs.exit_us - legs.enter_us == Pace().riding_us(rides.distance_m)).all()
    assert (legs.from_gate // GATES_PER_STATION == rides.from_station).all()
    assert (legs.to_gate // GATES_PER_STATION == rides.to_station).all()


def test_all_gates_of_a_station_are_used(rides):
    legs = legs_of(rides, Pace(), seed=1)
    assert set((legs.from_gate % GATES_PER_STATION).tolist()) == set(range(GATES_PER_STATION))


def test_gates_are_drawn_by_seed(rides):
    assert (legs_of(rides, Pace(), seed=1).to_gate == legs_of(rides, Pace(), seed=1).to_gate).all()
    assert (legs_of(rides, Pace(), seed=1).to_gate != legs_of(rides, Pace(), seed=2).to_gate).any()


@pytest.mark.parametrize("gate", range(4 * GATES_PER_STATION))
def test_the_gate_beside_is_another_one_of_the_same_station(gate):
    assert gate_beside(gate) != gate
    assert gate_beside(gate) // GATES_PER_STATION == gate // GATES_PER_STATION
    assert gate_beside(gate_beside(gate)) == gate
