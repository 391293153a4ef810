"""Intended rides: the real day's shape, scaled to nine cities, the same for the same seed."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.tables import CityTable, TariffVersion
from fare_chain.errors import Malformed, Unknown
from simulators import demand
from simulators.clock import DemoClock
from simulators.demand import CityDemand, DayKind, StationKind, World

MORNING = 48
NINE = range(1, 10)
WEEKDAY = demand.load_shape(DayKind.WEEKDAY)


def run(world, *, seed=1, rides_per_second=100, seconds=60, starts_at_minute=7 * 60):
    departures = demand.steady_departures(
        DemoClock(starts_at_minute), rides_per_second=rides_per_second, seconds=seconds, seed=seed
    )
    return demand.intended_rides(world, departures, seed)


def pairs(rides):
    return list(zip(rides.issuer.tolist(), rides.host.tolist(), strict=True))


def rows(rides):
    return [getattr(rides, field.name).tolist() for field in fields(rides)]


def taps_by_slot(shape):
    return sum(kind.stations.sum() * (kind.entries + kind.exits) for kind in shape.kinds) / demand.WHOLE**2


def test_the_rounded_curve_keeps_the_figures_of_the_measured_weekday():
    shape = demand.load_shape(DayKind.WEEKDAY)
    taps = taps_by_slot(shape)
    assert taps.sum() == 1
    assert taps[47:53].sum() == pytest.approx(0.142, abs=0.001)  # 07:50-08:50
    assert taps.max() == pytest.approx(0.026, abs=0.0005)
    assert max(kind.stations.max() for kind in shape.kinds) == 736


def test_a_weekend_has_no_morning_peak():
    assert taps_by_slot(demand.load_shape(DayKind.WEEKEND))[47:53].sum() < 0.07


@pytest.mark.parametrize("day", DayKind)
def test_homes_are_left_in_the_morning_and_works_in_the_evening(day):
    works, homes = demand.load_shape(day).kinds
    assert homes.entries[42:54].sum() > homes.exits[42:54].sum()
    assert works.entries[42:54].sum() < works.exits[42:54].sum()
    assert works.entries[102:114].sum() > works.exits[102:114].sum()


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("  736, 386", "  386, 736", "busiest first"),
        ("  736, 386", "  737, 386", "10001"),
        ("entries = [\n  0, 0", "entries = [\n  0", "143 entries"),
        ("entries = [\n  0, 0", "entries = [\n  0, 1", "10001"),
        ("even_ride_m", "odd_ride_m", "odd_ride_m"),
        ("[weekday.homes]", "[weekday.houses]", "homes"),
    ],
)
def test_a_demand_file_that_contradicts_itself_is_refused(tmp_path, old, new, found):
    text = Path(demand.__file__).with_suffix(".toml").read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "demand.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Malformed, match=found):
        demand.load_shape(DayKind.WEEKDAY, broken)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64 - 1))
def test_all_72_pairs_of_different_cities_occur_in_the_first_72_rides(world, seed):
    rides = run(world, seed=seed, rides_per_second=10, seconds=8)
    assert sorted(pairs(rides)[:72]) == [(issuer, host) for issuer in NINE for host in NINE if issuer != host]
    assert rides.toured.tolist() == [True] * 72 + [False] * 8


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**64 - 1))
def test_the_tours_order_is_the_seeds(world, seed):
    assert pairs(run(world, seed=seed, seconds=1))[:72] != pairs(run(world, seed=(seed + 1) % 2**64, seconds=1))[:72]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**64 - 1))
def test_the_same_seed_gives_the_same_rides_and_another_seed_others(world, seed):
    assert rows(run(world, seed=seed, seconds=2)) == rows(run(world, seed=seed, seconds=2))
    assert rows(run(world, seed=seed, seconds=2)) != rows(run(world, seed=(seed + 1) % 2**64, seconds=2))


def test_a_longer_run_begins_with_the_rides_of_a_shorter_one(world):
    short, long = run(world, seconds=5), run(world, seconds=9)
    assert rows(short) == [column[: len(short)] for column in rows(long)]


def test_rides_set_out_in_order_at_the_rate_asked_for(world):
    rides = run(world, rides_per_second=170, seconds=10)
    assert (np.diff(rides.depart_us) >= 0).all()
    assert np.bincount(rides.depart_us // 1_000_000).tolist() == [170] * 10


def test_no_ride_goes_nowhere_or_where_no_fare_goes(world):
    city = world.cities[0]
    gap = city.distance_m.copy()
    gap[3, :] = gap[:, 3] = -1
    rides = run(World((replace(city, distance_m=gap), *world.cities[1:]), world.shape))
    assert (rides.from_station != rides.to_station).all()
    assert (rides.distance_m > 0).all()
    there = rides.host == city.number
    assert 104 not in rides.from_station[there]
    assert 104 not in rides.to_station[there]


def test_a_rides_distance_is_the_one_between_its_stations(world):
    rides = run(world, seconds=5)
    assert (rides.distance_m == np.abs(rides.from_station.astype(int) - rides.to_station.astype(int)) * 1200).all()


def test_most_rides_are_local_and_hosts_ride_in_proportion_to_their_riders(world):
    rides = run(world, rides_per_second=1000)
    drawn = ~rides.toured
    assert np.mean(rides.issuer[drawn] != rides.host[drawn]) == pytest.approx(0.08, abs=0.005)
    daily = sum(city.daily_riders for city in world.cities)
    for city in world.cities:
        assert np.mean(rides.host[drawn] == city.number) == pytest.approx(city.daily_riders / daily, abs=0.01)


def test_visitors_come_from_near_and_large_cities_but_some_from_everywhere(world):
    weights = demand.city_pair_weights(world)
    shares = weights / weights.sum(axis=0)
    least = world.shape.parameters.least_visitors_per_10000 * world.shape.parameters.visitors_per_10000_rides / demand.WHOLE**2
    assert np.allclose(np.diag(shares), 0.92, atol=0.0005)
    assert (shares >= least * 0.999).all()
    assert shares[0, 1] > shares[5, 1] > shares[3, 1]  # Shanghai's size next door; Nanjing's further off; Wenzhou's few


def test_riders_travel_from_homes_to_works_in_the_morning_and_back_in_the_evening(world):
    def to_works(starts_at_minute):
        rides = run(world, rides_per_second=300, seconds=5, starts_at_minute=starts_at_minute)
        city = world.cities[0]
        _, kind = demand.station_masses(city, world.shape)
        here = rides.host == city.number
        start, end = kind[rides.from_station[here] - 101], kind[rides.to_station[here] - 101]
        return np.mean((start == StationKind.HOMES) & (end == StationKind.WORKS)), np.mean(
            (start == StationKind.WORKS) & (end == StationKind.HOMES)
        )

    morning_in, morning_out = to_works(8 * 60)
    evening_in, evening_out = to_works(18 * 60)
    assert morning_in > 2 * morning_out
    assert evening_out > 1.5 * evening_in


@given(stations=st.integers(2, 420))
def test_a_city_of_any_size_has_both_kinds_and_its_busy_stations_are_central(stations):
    place = np.arange(stations)
    city = CityDemand(1, 1, (0, 0), place, np.abs(place[:, None] - place[None, :]) * 1000)
    mass, kind = demand.station_masses(city, WEEKDAY)
    assert kind[(stations - 1) // 2] == StationKind.WORKS
    assert kind[-1] == StationKind.HOMES
    assert (mass > 0).all()
    assert mass.sum() == pytest.approx(20_000, abs=2 * stations)
    assert mass[(stations - 1) // 2] == mass.max()


def test_eighty_stations_are_as_busy_as_the_eighty_that_were_counted(world):
    place = np.arange(80)
    city = CityDemand(1, 1, (0, 0), place, np.abs(place[:, None] - place[None, :]) * 1000)
    mass, _ = demand.station_masses(city, world.shape)
    counted = np.concatenate([kind.stations for kind in world.shape.kinds])
    assert sorted(mass.tolist()) == sorted((2 * counted + 1).tolist())


def test_a_city_lends_demand_its_stations_riders_and_the_pairs_that_have_a_fare():
    places = [SimpleNamespace(lon_e3=lon, lat_e3=lat) for lon, lat in ((121_300, 31_000), (121_400, 31_300), (121_900, 31_100))]
    city = SimpleNamespace(number=4, slug="here", daily_riders=43_500, stations=places)
    fare_fen = np.array([[200, 300, -1], [300, 200, 400], [-1, 400, 200]], "<i4")
    distance_m = np.array([[0, 5000, 9000], [5000, 0, 4000], [9000, 4000, 0]], "<i4")
    version = TariffVersion(1000, 2000, "plain", fare_fen, distance_m, np.ones((3, 3, 1), "<i4"))
    table = CityTable(4, "here", "HRE", np.array([3, 7, 9], "<i4"), ("HRE-a", "HRE-b", "HRE-c"), (1,), (version,))
    found = demand.city_demand(city, table, 1000)
    assert (found.number, found.daily_riders, found.centre_e3) == (4, 43_500, (121_400, 31_100))
    assert found.station_numbers.tolist() == [3, 7, 9]
    assert found.distance_m.tolist() == [[0, 5000, -1], [5000, 0, 4000], [-1, 4000, 0]]
    with pytest.raises(Unknown, match="no tariff in force at 2000"):
        demand.city_demand(city, table, 2000)


def test_a_city_with_one_station_has_no_rides(world):
    lonely = replace(world.cities[0], station_numbers=np.array([1]), distance_m=np.array([[0]]))
    with pytest.raises(Unknown, match="complete its folder"):
        demand.station_pair_weights(lonely, world.shape, MORNING)


def test_a_demo_may_run_at_night(world):
    assert len(run(world, starts_at_minute=3 * 60, seconds=1)) == 100


def test_short_rides_are_commoner_than_long_ones(world):
    rides = run(world, rides_per_second=500, seconds=4)
    assert np.mean(rides.distance_m < 12_000) > 0.5


def test_a_whole_day_follows_the_curve(world):
    departures = demand.day_departures(world.shape, rides=200_000, seed=3)
    assert (np.diff(departures.depart_us) >= 0).all()
    assert (departures.slot == departures.depart_us // 600_000_000).all()
    entries = sum(kind.stations.sum() * kind.entries for kind in world.shape.kinds)
    assert np.abs(np.bincount(departures.slot, minlength=144) / 200_000 - entries / entries.sum()).max() < 0.002
    assert np.bincount(departures.slot, minlength=144)[6:30].sum() == 0


def test_a_day_has_the_rides_of_those_riders_who_show_codes(world):
    trips = sum(city.daily_riders for city in world.cities)
    assert demand.rides_in_a_day(world) == pytest.approx(trips * 0.598 * 0.5, abs=1)
