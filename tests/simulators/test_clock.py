"""Simulated time, and chance by seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.clock import DemoClock, actor_seed, stream

SEEDS = st.integers(0, 2**64 - 1)


def slots(clock, *seconds):
    return clock.slot(np.array(seconds, "<i8") * 1_000_000).tolist()


def test_a_minute_of_a_demo_is_four_hours_of_the_day():
    clock = DemoClock(starts_at_minute=7 * 60)
    assert slots(clock, 0, 2, 3, 59, 60) == [42, 42, 43, 65, 66]


def test_the_day_begins_again_after_midnight():
    clock = DemoClock(starts_at_minute=23 * 60 + 50)
    assert slots(clock, 0, 2, 3, 360) == [143, 143, 0, 143]


def test_at_real_speed_a_slot_lasts_ten_minutes():
    clock = DemoClock(starts_at_minute=0, speed_up=1)
    assert slots(clock, 599, 600, 86_399, 86_400) == [0, 1, 143, 0]


@given(SEEDS)
def test_an_actor_draws_the_same_from_the_same_seed(seed):
    assert stream(seed, "gates").integers(0, 2**62, 8).tolist() == stream(seed, "gates").integers(0, 2**62, 8).tolist()


@given(SEEDS)
def test_actors_and_seeds_have_unrelated_chance(seed):
    drawn = {
        tuple(stream(at, actor).integers(0, 2**62, 4).tolist()) for at in (seed, (seed + 1) % 2**64) for actor in ("gates", "tour")
    }
    assert len(drawn) == 4


@given(SEEDS, st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_numbered_actor_has_its_own_seed(seed, one, other):
    assert (actor_seed(seed, "rider", one) == actor_seed(seed, "rider", other)) == (one == other)


def test_seeds_of_riders_stay_as_they_are_so_that_old_runs_repeat():
    assert actor_seed(7, "rider", 3).hex() == "8ced710776bd54c762ba563bc9f6fadd6342a5cbcc6482ba9a8b2db0eab7ae33"
