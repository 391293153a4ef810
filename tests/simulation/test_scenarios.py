"""Scenarios as text: each file of `scenarios` is a story of nine mirrors and a house, in the words that are explained here.

    seed N                        where chance begins
    run 2s | wait 2s              time passes, with riders and without
    rest                          time passes until every window is on the ledger and everybody has caught up
    kill X.. | start X..          a city's mirror, or the house, dies; comes back on its files
    drop X N feeds|lines          the next N answers to a mirror are lost; or its next N posts of cosignatures
    delay X 1.5s                  what a mirror is given reaches it so much later
    partition X.. | heal          these reach neither house nor the others, only each other; all reach each other
    fork X.. | lie WHAT X..       these are shown another history from now on; or one whose windows lie (root, fen)
    step-clock X N                a city's clock jumps by N seconds
    change-term X..               these sign for the standby, and it takes over
    old-house appends             the replaced sequencer wakes up with something to append
    race X                        a witness stalls between its check and its journal, another submission overtakes it
    mark                          remember how far everybody is

    assert final | provisional | stands | verified      all is final; not all; nothing since the mark; and the audit holds
    assert going X.. | stopped X.. WORDS.. | waiting X WORDS.. | evidence X.. KIND
    assert silent X..             these have cosigned nothing since the mark
    assert refused WORDS..        the last step was refused, and said so

Whatever the scenario, final never goes back, no two trees of one size are final, and a house that starts publishes the same bytes.
"""

import asyncio
import random
from pathlib import Path

import pytest

from fare_chain.errors import FareChainError
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.evidence import read_evidence
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind
from fare_chain.keys import KeyUse, PublicKey
from settlement.mirror.journal import KeyRole
from settlement.sequencer import Control
from simulators.small_house import small_key
from tests.crash.databases import Databases
from tests.simulation import nine_mirrors
from tests.simulation.nine_mirrors import CITIES, POLICY, QUORUM, World
from tests.simulation.other_history import OtherHistory, a_fen_moved, another_root

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
LIES = {"root": another_root, "fen": a_fen_moved}
LATER = PublicKey(9, KeyUse.BATCH, small_key(9, KeyUse.BATCH).public, 0, 2**60)


class Scenario:
    """A world, and the words that move it."""

    def __init__(self, world):
        self.world = world
        self.refusal = ""
        self.marked, self.marked_cities = "", {}

    async def play(self, text):
        """Play a scenario, line by line; whatever fails names its line."""
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split("#", 1)[0].split()
            if not words:
                continue
            try:
                await getattr(self, f"do_{words[0].replace('-', '_')}")(*words[1:])
            except Exception as error:
                error.add_note(f"in line {number}: {line}; final at {self.final_size()} of {self.size()}")
                raise
        self.one_history()

    def size(self):
        return 0 if self.world.house is None else self.world.house.sequencer.head.head.size

    def final_size(self):
        return POLICY.open_final(self.world.finals[-1]).checkpoint.size if self.world.finals else 0

    def one_history(self):
        """No two trees of one size were ever both final."""
        trees = [POLICY.open_final(note).checkpoint for note in self.world.finals]
        assert len({tree.size for tree in trees}) == len(set(trees))

    async def do_seed(self, number):
        self.world.chance = random.Random(int(number))

    async def do_run(self, seconds):
        await self.world.run(float(seconds.removesuffix("s")))

    async def do_wait(self, seconds):
        await self.world.run(float(seconds.removesuffix("s")), riding=False)

    async def do_rest(self):
        await self.world.run(3.5, riding=False)

    async def do_kill(self, *names):
        for name in names:
            if name == "house":
                await self.world.kill_house()
            else:
                self.world.kill(name)

    async def do_start(self, *names):
        for name in names:
            if name == "house":
                await self.world.start_house()
            else:
                self.world.start(name)

    async def do_drop(self, name, count, what):
        city = self.world.cities[name]
        if what == "feeds":
            city.lost_feeds = int(count)
        else:
            city.lost_lines = int(count)

    async def do_delay(self, name, seconds):
        self.world.cities[name].delay_us = int(float(seconds.removesuffix("s")) * 1_000_000)

    async def do_partition(self, *names):
        for name in names:
            self.world.cities[name].side = 1

    async def do_heal(self):
        for city in self.world.cities.values():
            city.side = 0

    async def do_fork(self, *names, bend=None):
        history = OtherHistory(self.world.house, self.world.key, bend, late_us=0 if bend else 1)
        for name in names:
            self.world.cities[name].history = history

    async def do_lie(self, what, *names):
        await self.do_fork(*names, bend=LIES[what])

    async def do_step_clock(self, name, seconds):
        self.world.cities[name].clock_s += int(seconds)

    async def do_change_term(self, *names):
        await self.refusable(self.world.change_term(list(names)))

    async def do_old_house(self, _appends):
        old = self.world.old.sequencer
        old.stage_control(Control(EntryKind.KEY, KeyEntry.of(LATER, small_key(9, KeyUse.BATCH)).to_bytes()))
        await self.refusable(old.tick())

    async def refusable(self, step):
        self.refusal = ""
        try:
            await step
        except FareChainError as error:
            self.refusal = f"{type(error).__name__}: {error}"

    async def do_race(self, name):
        """The witness cosigns a tree; then a larger one overtakes the stalled submission, and a smaller one."""
        world, mirror = self.world, self.world.cities[name].mirror
        first, second, third, last = sorted({POLICY.open(note).checkpoint.size for note in world.finals})[-4:]
        assert isinstance(mirror.witness(await world.submission(mirror.journal.last(KeyRole.WITNESS).size, first)), str)
        for old, stalled, overtaking in ((first, last, second), (second, third, last)):
            self.refusal = overtaken(mirror, await world.submission(old, stalled), await world.submission(old, overtaking))
            assert self.refusal == f"409 {overtaking}\n"

    async def do_mark(self):
        self.marked = self.world.finals[-1] if self.world.finals else ""
        self.marked_cities = {name: self.cosigned(name) for name in CITIES}

    def cosigned(self, name):
        mirror = self.world.cities[name].mirror
        return None if mirror is None else mirror.journal.last(KeyRole.CLEARING).size

    async def do_assert(self, what, *words):
        await getattr(self, f"is_{what}")(*words)

    async def is_final(self):
        assert self.final_size() == self.size() > 0
        assert len(POLICY.open_final(self.world.finals[-1]).cosigned) >= QUORUM

    async def is_stands(self):
        assert (self.world.finals[-1] if self.world.finals else "") == self.marked, "the published bytes have not changed"

    async def is_provisional(self):
        assert self.final_size() < self.size()

    async def is_verified(self):
        assert await self.world.verify() == self.final_size()

    async def is_going(self, *names):
        for name in names:
            assert (name, self.world.cities[name].mirror.stopped) == (name, None)

    async def is_stopped(self, *words):
        names = [word for word in words if word in CITIES]
        for name in names:
            assert " ".join(words[len(names) :]) in (self.world.cities[name].mirror.stopped or ""), name

    async def is_waiting(self, name, *words):
        assert " ".join(words) in (self.world.cities[name].mirror.waiting or "")

    async def is_evidence(self, *words):
        *names, kind = words
        for name in names:
            shelf = self.world.cities[name].mirror.shelf
            found = [read_evidence((shelf.folder / "evidence" / file).read_text()) for file in shelf.evidence()]
            assert [each.kind for each in found] == [EvidenceKind[kind.upper().replace("-", "_")]], name
            assert check_evidence(found[0], POLICY) is not None

    async def is_silent(self, *names):
        assert {name: self.cosigned(name) for name in names} == {name: self.marked_cities[name] for name in names}

    async def is_refused(self, *words):
        assert " ".join(words) in self.refusal
        assert self.refusal


def overtaken(mirror, stalled, overtaking):
    """What a submission is answered that stalls between check and journal while another is cosigned."""
    journal, real = mirror.journal, mirror.journal.commit

    def commit(*given, **named):
        journal.commit = real
        assert isinstance(mirror.witness(overtaking), str)
        return real(*given, **named)

    journal.commit = commit
    answer = mirror.witness(stalled)
    return answer if isinstance(answer, str) else f"{answer.status} {answer.body}"


@pytest.fixture(scope="module")
def beginning(postgres_url):
    databases = Databases(postgres_url)
    yield databases, asyncio.run(databases.prepare(nine_mirrors.begin))
    asyncio.run(databases.drop(databases.template))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(beginning, tmp_path, scenario):
    databases, now_us = beginning

    async def main():
        name = await databases.copy()
        world = World(databases.url_of(name), tmp_path, now_us, random.Random(1))
        try:
            await world.start_house()
            for city in CITIES:
                world.start(city)
            await Scenario(world).play(scenario.read_text(encoding="utf-8"))
        finally:
            await world.end()
            await databases.drop(name)

    asyncio.run(main())


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 10
