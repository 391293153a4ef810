"""The spool under death: at each durable step, at random moments of a long life, and by kill -9 of a real adapter under load."""

import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from city_adapters import journal as journals
from city_adapters.open_taps import open_entries
from city_adapters.spool import Spool, open_spool
from fare_chain import tap
from fare_chain.batch import unseal
from fare_chain.tap import TapKind
from tests.city_adapters.gate_world import CITY_KEY, RING, FakeHouse, GateProcess, Rider, code_of, make_tap, serving, wait_until

STEPS = ("write", "fsync", "rename", "unlink", "ftruncate")


class Died(BaseException):
    """The process ends here."""


class Death:
    """The operating system as a process sees it whose last durable step is given; a last write may be cut in half."""

    def __init__(self) -> None:
        self.real = {name: getattr(os, name) for name in STEPS}
        self.left: int | None = None
        self.halves = False
        for name in STEPS:
            setattr(os, name, self._step(name))

    def after(self, steps: int, *, halves: bool = False) -> None:
        self.left, self.halves = steps, halves

    def never(self) -> None:
        self.left = None

    def undo(self) -> None:
        for name, real in self.real.items():
            setattr(os, name, real)

    def _step(self, name):
        def step(*arguments, **named):
            if self.left == 0:
                if name == "write" and self.halves:
                    self.halves = False
                    self.real["write"](arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Died
            if self.left is not None:
                self.left -= 1
            return self.real[name](*arguments, **named)

        return step


class Life:
    """One spool through its deaths, with a house that checks the chain, and what must be true of both."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spool"))
        self.death = Death()
        self.house = FakeHouse()
        self.opened: list[bytes] = []
        self.unsure: bytes | None = None
        self.number = 0
        self.spool: Spool = open_spool(self.folder, CITY_KEY)

    def end(self) -> None:
        self.death.undo()
        self.spool.close()
        shutil.rmtree(self.folder)

    def restart(self) -> None:
        self.death.never()
        self.spool.close()
        self.spool = open_spool(self.folder, CITY_KEY)

    def pass_gate(self, rider: int, kind: TapKind) -> None:
        reading = make_tap(self.number, kind=kind, rider=rider)
        self.number += 1
        self.unsure = reading.to_bytes()
        self.spool.append(reading, code_of(self.number - 1))
        self.opened.append(self.unsure)
        self.unsure = None

    def seal(self) -> None:
        self.spool.turn()
        while self.spool.turned:
            self.spool.seal(self.spool.turned[0])
            self.spool.turned.popleft()

    def send(self) -> None:
        """The house takes the oldest batch; whether the spool hears of it is another thing."""
        if self.spool.waiting:
            oldest = self.spool.waiting[0]
            assert self.house.accept(oldest.path.read_bytes())[0] == 200
            self.spool.acknowledge(oldest.seq)

    def remove(self, share: float) -> None:
        self.spool.let_go(10**15 + int(self.number * share), 0)

    def check(self) -> None:
        """Every tap whose gate opened is at the house, in a batch or in a journal: exactly once, in order."""
        at_house = len(self.house.batches)
        waiting = [spooled.path.read_bytes() for spooled in self.spool.waiting if spooled.seq >= at_house]
        sealed = [record for data in waiting for record in tap.records(unseal(data, RING).body)]
        written = [record for journal in self.spool.unsealed for record in journals.read(journal.path).taps]
        found = self.house.taps + sealed + written
        if self.unsure is not None and self.unsure in found:
            self.opened.append(self.unsure)
        self.unsure = None
        assert found == self.opened
        counted = max((tap.read(record).gate_seq for record in self.opened), default=0)
        assert self.spool.gates.get(7, 0) == counted
        told = self.spool.told_so_far() + b"".join(written)
        assert open_entries(told, since_us=0) == open_entries(b"".join(self.opened), since_us=0)


@pytest.fixture
def life():
    life = Life()
    yield life
    life.end()


def a_day(life: Life) -> None:
    for number in range(3):
        life.pass_gate(number, TapKind.ENTRY)
    life.seal()
    life.pass_gate(1, TapKind.EXIT)
    life.send()
    life.seal()
    life.send()
    life.remove(1.0)
    life.pass_gate(4, TapKind.ENTRY)


def steps_of_a_day() -> int:
    life = Life()
    try:
        life.death.after(10**6)
        a_day(life)
        return 10**6 - life.death.left
    finally:
        life.end()


@pytest.mark.parametrize("halves", [False, True], ids=["before-the-step", "in-the-middle-of-a-write"])
def test_a_death_at_each_durable_step_loses_nothing_and_doubles_nothing(halves):
    steps = steps_of_a_day()
    assert steps > 25
    for step in range(steps):
        life = Life()
        try:
            life.death.after(step, halves=halves)
            with pytest.raises(Died):
                a_day(life)
            life.restart()
            life.check()
            a_day(life)
            life.seal()
            while life.spool.waiting:
                life.send()
            life.check()
        finally:
            life.end()


def test_a_death_at_each_step_of_the_recovery_loses_nothing_and_doubles_nothing(life):
    """The folder with the most to finish: journals, the first one taken whole by a power cut, the last one torn, and a draft."""
    for number in range(4):
        life.spool.turn()
        life.pass_gate(number, TapKind.ENTRY)
    life.death.after(0, halves=True)
    with pytest.raises(Died):
        life.pass_gate(10, TapKind.ENTRY)
    life.death.never()
    life.spool.close()
    left = life.folder
    (left / "tail.tmp").write_bytes(b"half")
    (left / "000000000000.journal").write_bytes(b"")
    life.opened.pop(0)
    finished = False
    for step in range(100):
        life.folder = left.with_name(f"{left.name}-{step}")
        shutil.copytree(left, life.folder)
        life.death.after(step)
        try:
            life.spool = open_spool(life.folder, CITY_KEY)
            finished = True
        except Died:
            pass
        life.restart()
        life.check()
        life.spool.close()
        shutil.rmtree(life.folder)
        if finished:
            break
    assert step > 15
    life.folder = left
    life.restart()


class SpoolLives(RuleBasedStateMachine):
    """Any order of tapping, sealing, sending, removing and dying."""

    @initialize()
    def begin(self):
        self.life = Life()

    def teardown(self):
        self.life.end()

    @rule(rider=st.integers(0, 3), kind=st.sampled_from([TapKind.ENTRY, TapKind.EXIT]), count=st.integers(1, 3))
    def pass_gates(self, rider, kind, count):
        for _ in range(count):
            self.attempt(lambda: self.life.pass_gate(rider, kind))

    @rule()
    def turn(self):
        self.attempt(self.life.spool.turn)

    @rule()
    def seal(self):
        self.attempt(self.life.seal)

    @rule()
    def send(self):
        self.attempt(self.life.send)

    @rule(share=st.floats(0, 1))
    def remove(self, share):
        self.attempt(lambda: self.life.remove(share))

    @rule(steps=st.integers(0, 8), halves=st.booleans())
    def arm(self, steps, halves):
        self.life.death.after(steps, halves=halves)

    @rule()
    def stop_and_start(self):
        self.life.restart()
        self.life.check()

    def attempt(self, work):
        try:
            work()
        except Died:
            self.life.restart()
            self.life.check()

    @invariant()
    def the_house_has_a_prefix_of_what_opened(self):
        taps = self.life.house.taps
        assert taps == self.life.opened[: len(taps)]


SpoolLives.TestCase.settings = settings(
    max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_no_order_of_events_and_deaths_loses_or_doubles_a_tap = SpoolLives.TestCase


def scan_for_a_while(gates: GateProcess, first_rider: int, opened: list, unsure: list) -> None:
    """One gate line: riders go in and out until the process is gone."""
    with httpx2.Client(base_url=gates.url, trust_env=False, timeout=5.0) as client:
        for number in range(10_000):
            scan = Rider(first_rider + number).scan(gate=first_rider)
            try:
                answer = client.post("/v1/scans", json=scan).json()
            except httpx2.TransportError:
                unsure.append(scan["code"])
                return
            assert answer["decision"] == "open", answer
            opened.append((answer["medium"], answer["tapped_at_us"], first_rider, answer["gate_seq"]))


def test_kill_9_under_load_keeps_every_opened_tap_exactly_once(tmp_path):
    house, opened, unsure = FakeHouse(), [], []
    with serving(house) as url:
        house.delay_s = 0.1
        gates = GateProcess(tmp_path, url)
        lines = [threading.Thread(target=scan_for_a_while, args=(gates, 10_000 * line, opened, unsure)) for line in range(1, 5)]
        for line in lines:
            line.start()
        wait_until(lambda: len(house.batches) > 3)
        gates.stop(signal.SIGKILL)
        for line in lines:
            line.join()
        gates = GateProcess(tmp_path, url)
        wait_until(lambda: gates.status()["spooled_batches"] == 0)
        assert gates.stop() == 0
    readings = [tap.read(record) for record in house.taps]
    seen = [(one.medium.hex(), one.tapped_at_us, one.gate, one.gate_seq) for one in readings]
    assert len(seen) == len(set(seen))
    assert set(opened) <= set(seen)
    assert len(seen) - len(opened) <= len(unsure) == 4
    for gate in {one.gate for one in readings}:
        assert [one.gate_seq for one in readings if one.gate == gate] == list(
            range(1, 1 + sum(one.gate == gate for one in readings))
        )
