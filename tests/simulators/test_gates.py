"""Riders at gates over HTTP: a real decision behind a tiny server that also stalls, lies, and dies before it answers."""

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import numpy as np
import pytest

from city_adapters.deny_list import NOBODY_DENIED
from city_adapters.gate import GateState, Reason, Scan, decide
from fare_chain import rider_code
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.tap import TapKind
from simulators import demand, gates, riders
from simulators.clock import DemoClock, actor_seed
from simulators.gates import NO_ANSWER, Crowd, Diary, GateLine
from simulators.itineraries import LegColumns, Pace, legs_of
from simulators.phones import Phones
from simulators.riders import Misbehaviour

ISSUER_KEYS = {number: SigningKey(actor_seed(1, "issuer", number)) for number in range(1, 10)}
RING = KeyRing(PublicKey(number, KeyUse.ISSUER, key.public, 0, 2**62) for number, key in ISSUER_KEYS.items())
KINDS = {"entry": TapKind.ENTRY, "exit": TapKind.EXIT}
QUICKER = 5
"""So many times quicker than planned all is ridden, so that a test takes half a second."""
EVERY_KIND = dict.fromkeys(list(Misbehaviour)[1:], 500)


@pytest.fixture(autouse=True)
def _quick_riders(monkeypatch):
    monkeypatch.setattr(riders, "PAUSE_US", riders.PAUSE_US // QUICKER)
    monkeypatch.setattr(gates, "SHOW_AGAIN_S", 0.05)


class FakeGates:
    """One city's gates: the real decision, and a mood that says what becomes of each answer."""

    def __init__(self, city, mood=None):
        self.number = city.number
        self.state = GateState(city.number, city.station_numbers.tolist())
        self.mood = mood or (lambda _count: "answer")
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self.opened = []
        self.code_ages_us = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_error):
        self.server.close()
        await asyncio.sleep(0)

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(
                    next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1]
                )
                self.asked += 1
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                mood = self.mood(self.asked)
                if mood == "hold":
                    await asyncio.sleep(0.6)
                reason = self.decide(json.loads(await reader.readexactly(length)))
                if isinstance(mood, float):
                    await asyncio.sleep(mood)
                self.at_once -= 1
                if mood == "die":
                    return
                body = json.dumps({"reason": "OPEN" if mood == "lie" else reason.name}).encode()
                status = b"503 Busy" if mood == "busy" else b"200 OK"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def decide(self, asked):
        code, now_us = rider_code.from_symbol_text(asked["code"]), time.time_ns() // 1000
        scan = Scan(code, int(asked["station"][1:]), asked["gate"], 1, KINDS[asked["kind"]], self.number)
        decision = decide(scan, self.state, RING, NOBODY_DENIED, now_us)
        self.state.after(decision)
        self.code_ages_us.append(now_us - 1000 * int.from_bytes(code[114:120], "little"))
        if decision.opens:
            self.opened.append(decision.tap.code_digest)
        return decision.reason


def make_plan(world, *, rides=60, seconds=1, shares=EVERY_KIND, seed=1):
    departures = demand.steady_departures(DemoClock(), rides_per_second=rides // seconds, seconds=seconds, seed=seed)
    drawn = demand.intended_rides(world, departures, seed)
    legs = legs_of(drawn, Pace(least_us=1_000_000, most_us=1_300_000), seed)
    planned = riders.plan(drawn, legs, seed, shares)
    return replace(planned, legs=replace(legs, enter_us=legs.enter_us // QUICKER, exit_us=legs.exit_us // QUICKER))


def ride(world, plan, mood=None, at_most_s=30.0, **line_options):
    """Ride a plan at fake gates of all cities: the diary, the gates by number, and the crowd."""

    async def story():
        diary, now_s = Diary(), int(time.time())
        phones = Phones(plan.riders, ISSUER_KEYS, seed=1, not_before_s=now_s - 60, not_after_s=now_s + 600)
        async with AsyncExitStack() as stack:
            fakes, lines = {}, {}
            for city in world.cities:
                fake = fakes[city.number] = await stack.enter_async_context(FakeGates(city, mood))
                stations = {int(number): f"S{number}" for number in city.station_numbers}
                lines[city.number] = await stack.enter_async_context(GateLine(fake.url, stations, **line_options))
            crowd = Crowd(plan, phones, lines, diary)
            await crowd.ride(at_most_s=at_most_s)
        return diary, fakes, crowd

    return asyncio.run(story())


def on_the_taps_of(fakes):
    return Counter(digest for fake in fakes.values() for digest in fake.opened)


def test_every_scan_is_made_and_answered_as_planned(world):
    plan = make_plan(world, rides=200)
    diary, fakes, crowd = ride(world, plan)
    assert diary.surprises() == Counter()
    assert Counter({Reason[answer]: times for (_, answer), times in diary.answers.items()}) != Counter()
    expected = Counter({reason.name: times for reason, times in plan.expected().items()})
    answered = Counter()
    for (_, answer), times in diary.answers.items():
        answered[answer] += times
    assert answered == expected
    assert set(diary.refused) == {"STALE", "REPLAYED", "UNKNOWN_ISSUER", "FORGED_CREDENTIAL", "STRIPPED", "ALREADY_INSIDE"}
    assert on_the_taps_of(fakes) == Counter(diary.opened)
    assert (crowd.set_out, diary.unfinished) == (len(plan), 0)
    assert len(diary.waits_us) == sum(expected.values())


def test_no_scan_is_made_before_it_is_due(world):
    plan = make_plan(world, shares={})
    began = time.monotonic()
    diary, _, _ = ride(world, plan)
    assert time.monotonic() - began >= plan.legs.exit_us.max() / 1e6
    assert 0 <= diary.wait_ms(50) < 500


def test_a_gate_that_dies_before_it_answers_has_opened_once_and_the_rider_learns_of_it(world):
    plan = make_plan(world, shares={})
    diary, fakes, _ = ride(world, plan, mood=lambda asked: "die" if asked % 4 == 1 else "answer")
    assert diary.shown_again > 10
    assert diary.surprises() == Counter()
    assert on_the_taps_of(fakes) == Counter(diary.opened), "nobody went in twice, and no tap is lost from sight"
    assert len(diary.opened) == 2 * len(plan)
    assert not diary.unheard


def test_a_gate_that_cannot_work_just_now_is_asked_again(world):
    plan = make_plan(world, rides=20, shares={})
    diary, _, _ = ride(world, plan, mood=lambda asked: "busy" if asked == 1 else "answer")
    assert diary.shown_again > 0
    assert diary.surprises() == Counter()
    assert len(diary.opened) == 2 * len(plan)


def test_a_rider_loses_patience_with_a_dead_gate_and_the_ride_ends_there(world):
    plan = make_plan(world, rides=20, shares={})
    diary, fakes, _ = ride(world, plan, mood=lambda _asked: "die", patience_s=0.3)
    assert diary.answers == Counter({("OPEN", NO_ANSWER): len(plan)})
    assert not diary.opened
    assert diary.unheard == set(on_the_taps_of(fakes)), "what was never answered may be on the ledger all the same"
    assert diary.surprises() == Counter()
    assert not diary.waits_us


def test_riders_whom_no_gate_answers_are_not_waited_for_for_ever(world):
    plan = make_plan(world, rides=20, shares={})
    began = time.monotonic()
    diary, _, _ = ride(world, plan, mood=lambda _asked: "die", at_most_s=0.5)
    assert time.monotonic() - began < 5
    assert diary.unfinished == len(plan)


def test_an_answer_that_is_not_as_planned_is_a_surprise(world):
    diary, _, _ = ride(world, make_plan(world, rides=100), mood=lambda _asked: "lie")
    assert set(diary.surprises()) >= {("STALE", "OPEN"), ("UNKNOWN_ISSUER", "OPEN"), ("STRIPPED", "OPEN")}
    assert not any(expected == "OPEN" for expected, _ in diary.surprises())


def test_slow_gates_do_not_hold_back_who_sets_out_and_the_wait_counts_from_the_due_moment(world):
    plan = make_plan(world, shares={})
    diary, fakes, crowd = ride(world, plan, mood=lambda _asked: 0.4)
    assert crowd.set_out == len(plan)
    assert max(fake.most_at_once for fake in fakes.values()) > 1
    assert diary.wait_ms(50) >= 400


def test_behind_a_stalled_gate_riders_queue_and_make_their_codes_when_it_is_their_turn(world, monkeypatch):
    monkeypatch.setattr(gates, "SCANS_AT_ONCE", 2)
    plan = make_plan(world, rides=40, shares={})
    diary, fakes, _ = ride(world, plan, mood=lambda _asked: 0.2)
    assert max(fake.most_at_once for fake in fakes.values()) == 2
    assert max(age for fake in fakes.values() for age in fake.code_ages_us) < 150_000
    assert diary.wait_ms(99) > 350, "the queue counts"


def test_a_rider_who_is_held_up_at_an_exit_sets_out_late(world):
    plan = make_plan(world, rides=20, shares={})
    host = plan.rides.host[0]
    rides = demand.RideColumns(
        *(np.repeat(column[:1], 2) for column in (plan.rides.issuer, plan.rides.host, plan.rides.from_station)),
        *(np.repeat(column[:1], 2) for column in (plan.rides.to_station, plan.rides.distance_m)),
        np.array([0, 700_000]),
        np.array([True, True]),
    )
    legs = LegColumns(
        *(np.repeat(gate[:1], 2) for gate in (plan.legs.from_gate, plan.legs.to_gate)),
        rides.depart_us,
        np.array([500_000, 1_200_000]),
    )
    one_rider = riders.Plan(rides, legs, plan.riders, np.zeros(2, "<u4"), np.zeros(2, "u1"))
    diary, fakes, _ = ride(world, one_rider, mood=lambda asked: "hold" if asked == 2 else "answer")
    assert diary.surprises() == Counter()
    assert len(fakes[int(host)].opened) == 4


@pytest.mark.parametrize(
    ("expected", "heard", "waited_us", "surprise"),
    [
        (Reason.OPEN, "OPEN", 1, False),
        (Reason.OPEN, "NOT_INSIDE", 1, True),
        (Reason.REPLAYED, "STALE", 1, True),
        (Reason.REPLAYED, "STALE", 40_000_000, False),
        (Reason.OPEN, NO_ANSWER, 40_000_000, False),
        (Reason.OPEN, "HTTP_400", 1, True),
    ],
)
def test_what_counts_as_a_surprise(world, expected, heard, waited_us, surprise):
    scan = make_plan(world, rides=20, shares={}).scans(0)[0]
    planned = riders.PlannedScan(**{name: getattr(scan, name) for name in scan.__slots__} | {"expected": expected})
    diary = Diary()
    diary.note(planned, b"code", gates.Heard(heard, again=False), waited_us)
    assert bool(diary.surprises()) is surprise


def test_after_a_scan_without_an_answer_nobody_can_say_where_its_rider_is(world):
    enter, leave = make_plan(world, rides=20, shares={}).scans(0)
    diary = Diary()
    diary.note(enter, b"code", gates.Heard(NO_ANSWER, again=True), 1)
    diary.note(leave, b"other", gates.Heard("ALREADY_INSIDE", again=False), 1)
    assert diary.surprises() == Counter()
    assert diary.refused == Counter({"ALREADY_INSIDE": 1})
