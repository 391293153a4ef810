"""Riders, their phones and the plan: what they show, and that the real gate answers as the plan expects."""

import heapq
from collections import Counter
from dataclasses import fields
from datetime import timedelta

import numpy as np
import pytest

from city_adapters.deny_list import NOBODY_DENIED
from city_adapters.gate import GateState, Reason, Scan, decide
from city_adapters.service_day import ServiceDays
from fare_chain import rider_code
from fare_chain.errors import Unknown
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.rider_code import CodeReason, CodeRefused
from fare_chain.tap import TapKind
from simulators import demand, riders
from simulators.clock import DemoClock, actor_seed
from simulators.crossings import Joint
from simulators.itineraries import LegColumns, Pace, legs_of
from simulators.phones import Phones
from simulators.riders import Misbehaviour, Showing

NOW_US = 1_790_000_000_000_000
DAY_S = (NOW_US // 1_000_000 - 3600, NOW_US // 1_000_000 + 86_400)
ISSUER_KEYS = {number: SigningKey(actor_seed(1, "issuer", number)) for number in range(1, 10)}
RING = KeyRing(PublicKey(number, KeyUse.ISSUER, key.public, 0, 2**62) for number, key in ISSUER_KEYS.items())
EVERY_KIND = dict.fromkeys(list(Misbehaviour)[1:], 300)


def make_plan(world, *, seed=1, rides_per_second=60, seconds=10, shares=EVERY_KIND):
    departures = demand.steady_departures(DemoClock(), rides_per_second=rides_per_second, seconds=seconds, seed=seed)
    rides = demand.intended_rides(world, departures, seed)
    return riders.plan(rides, legs_of(rides, Pace(), seed), seed, shares)


def make_phones(plan, seed=1):
    return Phones(plan.riders, ISSUER_KEYS, seed=seed, not_before_s=DAY_S[0], not_after_s=DAY_S[1])


@pytest.fixture(scope="module")
def plan(world):
    return make_plan(world)


@pytest.fixture(scope="module")
def answers(world, plan):
    """Ride the whole plan in simulated time against the real gate decision: every scan with its decision, in order of time."""
    phones = make_phones(plan)
    states = {city.number: GateState(city.number, city.station_numbers.tolist()) for city in world.cities}
    due = [(scans[0].due_us, ride, 0, scans) for ride, scans in enumerate(plan)]
    heapq.heapify(due)
    made, inside = [], set()
    while due:
        at_us, ride, number, scans = heapq.heappop(due)
        scan = scans[number]
        if scan.needs_inside and ride not in inside:
            continue
        now_us = NOW_US + at_us
        code = phones.show(scan, now_us)
        decision = decide(
            Scan(code, scan.station, scan.gate, 0, scan.kind, scan.host), states[scan.host], RING, NOBODY_DENIED, now_us
        )
        states[scan.host].after(decision)
        made.append((scan, decision))
        if decision.opens:
            phones.passed(scan, now_us)
            inside.add(ride) if scan.kind is TapKind.ENTRY else inside.discard(ride)
        if number + 1 < len(scans):
            heapq.heappush(due, (scans[number + 1].due_us, ride, number + 1, scans))
    return made


def test_the_gate_answers_every_scan_as_the_plan_expects(plan, answers):
    assert [(scan.misbehaviour, scan.expected) for scan, decision in answers if decision.reason != scan.expected] == []
    assert Counter(decision.reason for _, decision in answers) == plan.expected()


def test_every_kind_of_misbehaviour_is_met(answers):
    assert {scan.misbehaviour for scan, _ in answers} == set(Misbehaviour)
    reasons = {decision.reason.name for _, decision in answers}
    assert reasons == {"OPEN", "STALE", "REPLAYED", "UNKNOWN_ISSUER", "FORGED_CREDENTIAL", "STRIPPED", "ALREADY_INSIDE"}


def test_only_forgetful_riders_stay_inside(plan, answers):
    entries = Counter(scan.rider for scan, decision in answers if decision.opens and scan.kind is TapKind.ENTRY)
    exits = Counter(scan.rider for scan, decision in answers if decision.opens and scan.kind is TapKind.EXIT)
    assert set(entries - exits) == set(plan.rider[plan.misbehaviour == Misbehaviour.FORGOTTEN_EXIT].tolist())


def test_the_tour_is_ridden_honestly_by_riders_of_the_issuer(plan):
    assert (plan.misbehaviour[plan.rides.toured] == Misbehaviour.NONE).all()
    assert (plan.riders.issuer[plan.rider] == plan.rides.issuer).all()


def test_a_kind_with_a_share_occurs_even_in_a_short_run(world):
    short = make_plan(world, rides_per_second=10, seconds=9, shares=riders.SHARES)
    assert set(short.misbehaviour.tolist()) == {int(kind) for kind in Misbehaviour}


def test_shares_are_kept(world):
    rides = make_plan(world, rides_per_second=1000, seconds=10, shares=riders.SHARES)
    found = np.bincount(rides.misbehaviour[~rides.rides.toured]) / (10_000 - 72) * 10_000
    for kind, share in riders.SHARES.items():
        assert share <= found[kind] < share + 2


def test_nobody_rides_again_before_they_left_and_rested(plan):
    free_at = {}
    for ride in range(len(plan)):
        rider = int(plan.rider[ride])
        assert free_at.get(rider, 0) <= plan.legs.enter_us[ride]
        free_at[rider] = plan.legs.exit_us[ride] + riders.REST_US


def test_riders_take_turns(world):
    plan = make_plan(world, seconds=60, shares={})
    assert len(plan.riders) < len(plan) / 2
    assert set(plan.rider.tolist()) == set(range(len(plan.riders)))


def test_turns_by_example():
    issuer = np.array([1, 2, 1, 1, 1, 2], "<u2")
    enter_us = np.array([0, 10, 20, 30, 40, 50], "<i8")
    exit_us = np.array([25, 45, 45, 55, 65, 75], "<i8")
    gates = np.zeros(6, "<u4")
    alone = np.array([False, False, False, True, False, False])
    issuers, rider = riders.take_turns(issuer, LegColumns(gates, gates, enter_us, exit_us), alone, rest_us=5)
    assert issuers.tolist() == [1, 1, 2, 1]
    assert rider.tolist() == [0, 2, 1, 3, 0, 2]


def test_whoever_stays_inside_or_forges_never_rides_again(plan):
    ends = [kind for kind in Misbehaviour if kind.name.startswith(("FOR", "STRIPPED"))]
    assert len(ends) == 4
    last = np.isin(plan.misbehaviour, ends)
    assert not set(plan.rider[last].tolist()) & set(plan.rider[~last].tolist())
    assert len(set(plan.rider[last].tolist())) == np.count_nonzero(last)


def test_scans_of_a_ride_come_in_order_and_all_but_the_first_entry_need_one(plan):
    for scans in plan:
        assert [scan.due_us for scan in scans] == sorted({scan.due_us for scan in scans})
        opened = False
        for scan in scans:
            assert scan.needs_inside == opened
            opened = opened or scan.expected is Reason.OPEN


@pytest.mark.parametrize(
    ("misbehaviour", "kinds", "expected"),
    [
        (Misbehaviour.NONE, "ENTRY EXIT", "OPEN OPEN"),
        (Misbehaviour.STALE_CODE, "ENTRY ENTRY EXIT", "STALE OPEN OPEN"),
        (Misbehaviour.REPLAY, "ENTRY ENTRY EXIT", "OPEN REPLAYED OPEN"),
        (Misbehaviour.REPLAY_ELSEWHERE, "ENTRY ENTRY EXIT", "OPEN REPLAYED OPEN"),
        (Misbehaviour.FORGED_ISSUER, "ENTRY", "UNKNOWN_ISSUER"),
        (Misbehaviour.FORGED_CREDENTIAL, "ENTRY", "FORGED_CREDENTIAL"),
        (Misbehaviour.STRIPPED_SIGNATURE, "ENTRY", "STRIPPED"),
        (Misbehaviour.FORGOTTEN_EXIT, "ENTRY", "OPEN"),
        (Misbehaviour.SECOND_ENTRY, "ENTRY ENTRY EXIT", "OPEN ALREADY_INSIDE OPEN"),
    ],
)
def test_the_scans_of_each_kind_of_ride(plan, misbehaviour, kinds, expected):
    ride = int(np.flatnonzero(plan.misbehaviour == misbehaviour)[0])
    scans = plan.scans(ride)
    assert " ".join(scan.kind.name for scan in scans) == kinds
    assert " ".join(scan.expected.name for scan in scans) == expected
    for scan in scans:
        leaves = scan.kind is TapKind.EXIT
        assert scan.station == (plan.rides.to_station if leaves else plan.rides.from_station)[ride]
        assert scan.gate // 4 == scan.station


def test_a_code_replayed_elsewhere_is_shown_at_another_gate_of_the_station(plan):
    ride = int(np.flatnonzero(plan.misbehaviour == Misbehaviour.REPLAY_ELSEWHERE)[0])
    first, again, _ = plan.scans(ride)
    assert (again.station, again.showing) == (first.station, Showing.AGAIN)
    assert again.gate != first.gate


def scan_of(plan, showing):
    return next(scan for scans in plan for scan in scans if scan.showing is showing)


def test_a_fresh_code_verifies_and_carries_the_journey_while_inside(plan):
    enter, leave = plan.scans(0)
    phones = make_phones(plan)
    entry_code = rider_code.read(phones.show(enter, NOW_US))
    rider_code.verify(entry_code, RING, NOW_US)
    assert entry_code.journey is None
    phones.passed(enter, NOW_US)
    assert phones.is_inside(enter.rider)
    exit_code = rider_code.read(phones.show(leave, NOW_US + 5_000_000))
    rider_code.verify(exit_code, RING, NOW_US + 5_000_000)
    assert (exit_code.journey.host, exit_code.journey.station) == (enter.host, enter.station)
    assert exit_code.journey.entered_at_s == NOW_US // 1_000_000
    assert exit_code.counter == entry_code.counter + 1
    assert exit_code.medium == entry_code.medium
    phones.passed(leave, NOW_US + 5_000_000)
    assert not phones.is_inside(enter.rider)


@pytest.mark.parametrize(
    ("showing", "reason"),
    [
        (Showing.STALE, CodeReason.STALE),
        (Showing.UNKNOWN_KEY, CodeReason.UNKNOWN_ISSUER),
        (Showing.FALSE_SIGNATURE, CodeReason.FORGED_CREDENTIAL),
        (Showing.STRIPPED, CodeReason.STRIPPED),
    ],
)
def test_a_bad_code_is_bad_for_its_own_reason(plan, showing, reason):
    code = make_phones(plan).show(scan_of(plan, showing), NOW_US)
    with pytest.raises(CodeRefused) as refused:
        rider_code.verify(rider_code.read(code), RING, NOW_US)
    assert refused.value.reason is reason


def test_a_code_shown_again_is_the_same_bytes_later(plan):
    again = scan_of(plan, Showing.AGAIN)
    phones = make_phones(plan)
    first = phones.show(plan.scans(again.ride)[0], NOW_US)
    assert phones.show(again, NOW_US + 400_000) == first


def test_the_same_seed_gives_the_same_plan_and_the_same_codes(world, plan):
    twin = make_plan(world)
    assert list(twin) == list(plan)
    assert all((getattr(twin.riders, field.name) == getattr(plan.riders, field.name)).all() for field in fields(plan.riders))
    scan = plan.scans(5)[0]
    assert make_phones(twin).show(scan, NOW_US) == make_phones(plan).show(scan, NOW_US)
    assert make_phones(plan, seed=2).show(scan, NOW_US) != make_phones(plan).show(scan, NOW_US)


def test_a_phone_makes_a_new_key_at_the_service_day_cut_but_not_inside(plan):
    enter, leave = next(
        plan.scans(ride) for ride in np.flatnonzero(plan.misbehaviour == Misbehaviour.NONE) if ride not in plan.crossings
    )
    days = ServiceDays("Asia/Shanghai", 3)
    cut_us = days.start_us(days.day_of(NOW_US) + timedelta(days=1))
    phones = Phones(
        plan.riders,
        ISSUER_KEYS,
        seed=1,
        not_before_s=DAY_S[0],
        not_after_s=DAY_S[1] + 86_400,
        days=dict.fromkeys(ISSUER_KEYS, days),
    )

    def medium_at(scan, moment_us):
        return rider_code.read(phones.show(scan, moment_us)).medium

    first = medium_at(enter, cut_us - 60_000_000)
    phones.passed(enter, cut_us - 60_000_000)
    assert medium_at(leave, cut_us + 60_000_000) == first, "inside, the old key opens the exit"
    phones.passed(leave, cut_us + 60_000_000)
    second = medium_at(enter, cut_us + 120_000_000)
    assert second != first
    assert medium_at(enter, cut_us + 180_000_000) == second


def test_riders_without_an_issuer_key_are_refused(plan):
    with pytest.raises(Unknown, match="member 1 have no issuer key"):
        Phones(plan.riders, {}, seed=1, not_before_s=DAY_S[0], not_after_s=DAY_S[1])


def test_some_rides_go_on_over_a_border_by_the_passage_or_by_ordinary_gates(world):
    hosts = [city for city in world.cities if city.number in (1, 7)]
    ways = [
        Joint(one.number, int(one.station_numbers[0]), other.number, int(other.station_numbers[0]), other.station_numbers[1:])
        for one, other in (hosts, hosts[::-1])
    ]
    departures = demand.steady_departures(DemoClock(), rides_per_second=200, seconds=30, seed=1)
    rides = demand.intended_rides(world, departures, 1)
    crossing = riders.plan(rides, legs_of(rides, Pace(), 1), 1, {}, joints=ways)
    assert len(crossing.crossings) > 20
    kinds = set()
    for ride in crossing.crossings:
        enter, out, into, leave = crossing.scans(ride)
        kinds.add((out.kind, into.kind))
        walks = int(crossing.rides.issuer[ride]) in (1, 7)
        assert (out.kind is TapKind.TRANSFER_EXIT) == (into.kind is TapKind.TRANSFER_ENTRY) == walks
        assert (enter.kind, leave.kind) == (TapKind.ENTRY, TapKind.EXIT)
        assert (enter.host, into.host) == (out.host, leave.host)
        assert out.host != into.host
        assert enter.due_us < out.due_us < into.due_us < leave.due_us == crossing.legs.exit_us[ride]
        assert {out.station, into.station} == {int(city.station_numbers[0]) for city in hosts}
    assert len(kinds) == 2
    assert sum(crossing.expected().values()) == sum(len(scans) for scans in crossing)


def test_steps_are_attested_by_the_tiers_of_the_home_city(world):
    departures = demand.steady_departures(DemoClock(), rides_per_second=100, seconds=10, seed=1)
    rides = demand.intended_rides(world, departures, 1)
    stepped = riders.plan(rides, legs_of(rides, Pace(), 1), 1, {}, tiers={2: (0, 5_000, 10_000)})
    home = stepped.riders.issuer == 2
    assert set(stepped.riders.step[home].tolist()) == {1, 2, 3}
    assert not stepped.riders.step[~home].any()
    phones = make_phones(stepped)
    scan = next(scans[0] for scans in stepped if home[scans[0].rider])
    assert rider_code.read(phones.show(scan, NOW_US)).credential.entitlement == stepped.riders.step[scan.rider]
