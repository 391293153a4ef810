"""A small world on a plane: nine cities of a few stations each, so that drawing rides takes milliseconds."""

import numpy as np
import pytest

from simulators.demand import CityDemand, DayKind, World, load_shape

DAILY_RIDERS = (10_000_000, 3_600_000, 1_000_000, 43_500, 1_290_000, 2_460_000, 1_435_000, 648_000, 300_000)


def city_on_a_line(number, stations, daily_riders):
    """Stations 1,200 m apart in a row; the city lies half a degree east of the one before."""
    place = np.arange(stations) * 1200
    numbers = np.arange(101, 101 + stations, dtype="<i4")
    distance_m = np.abs(place[:, None] - place[None, :]).astype("<i4")
    return CityDemand(number, daily_riders, (119_000 + 500 * number, 31_000), numbers, distance_m)


@pytest.fixture(scope="session")
def world():
    cities = tuple(city_on_a_line(n, 10 + 3 * n, riders) for n, riders in enumerate(DAILY_RIDERS, start=1))
    return World(cities, load_shape(DayKind.WEEKDAY))
