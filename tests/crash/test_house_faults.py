"""Each durable step of a house fails, kept or not, or takes the process with it; the next house loses nothing that was told.

The steps are not listed here: one undisturbed telling over a wire that counts them gives the matrix, so that a new statement is
in it by itself. `make faults` runs every step; without it the first and the last of each kind are enough.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections import Counter

import pytest

from fare_chain.errors import FareChainError
from settlement.house import RECOVERABLE
from tests.crash.databases import Databases
from tests.crash.house_life import World, begin, judge, live, live_until_killed
from tests.crash.wire import Fault, Wire

pytestmark = pytest.mark.slow
EVERY_STEP = os.environ.get("FARE_CHAIN_FAULTS") == "all"


class Matrix:
    """The story's beginning, its durable steps in order, and what it comes to when nothing fails."""

    def __init__(self, databases, folder):
        self.databases, self.folder = databases, folder
        self.given = asyncio.run(databases.prepare(begin))
        self.steps, self.outcome = asyncio.run(self._undisturbed())

    async def _undisturbed(self):
        name, world = await self.databases.copy(), World()
        async with Wire(self.databases.url_of(name), self.folder) as wire:
            await live(wire.url, self.given, world.hear)
        outcome = await judge(self.databases.url_of(name), self.given, world)
        await self.databases.drop(name)
        return wire.steps, outcome

    async def judged(self, name, world):
        """How the next house stands on a database that was left, in words."""
        try:
            outcome = await judge(self.databases.url_of(name), self.given, world)
        except (AssertionError, FareChainError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            await self.databases.drop(name)
        return "recovered" if outcome == self.outcome else f"comes to {outcome}, undisturbed to {self.outcome}"

    def kinds(self):
        """Each kind of step with its places in the story."""
        found = {}
        for at, step in enumerate(self.steps):
            found.setdefault(step, []).append(at)
        return found

    def chosen(self):
        """The steps to fail: all, or of each kind the first and the last."""
        if EVERY_STEP:
            return list(range(len(self.steps)))
        return sorted({place for places in self.kinds().values() for place in (places[0], places[-1])})


@pytest.fixture(scope="module")
def matrix(postgres_url, tmp_path_factory):
    databases = Databases(postgres_url)
    yield Matrix(databases, tmp_path_factory.mktemp("wire"))
    asyncio.run(databases.drop(databases.template))


def test_the_matrix_has_every_durable_step_of_the_story(matrix):
    for kind, places in matrix.kinds().items():
        print(f"{kind:40} {len(places):3} times")
    counted = Counter(kind.split(",")[0] for kind in matrix.steps)
    told = {
        "UPDATE head",
        "COPY entry",
        "COPY body",
        "COPY codes",
        "INSERT INTO tile",
        "INSERT INTO checkpoint",
        "COMMIT of INSERT INTO checkpoint",
    }
    cleared = {"UPDATE clearing_head", "INSERT INTO cleared_tick", "INSERT INTO win", "INSERT INTO snapshot", "INSERT INTO account"}
    final = {"INSERT INTO cosignature", "INSERT INTO final_head", "INSERT INTO fork"}
    assert told | cleared | final <= counted.keys()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_lost_at_any_durable_step_loses_nothing_that_was_told(matrix, moment):
    failed = []
    for step in matrix.chosen():
        how = asyncio.run(cut(matrix, step, moment))
        print(f"{step:3} {matrix.steps[step]:40} {moment:6} {how}")
        if how != "recovered":
            failed.append((step, matrix.steps[step], how))
    assert failed == []


async def cut(matrix, step, moment):
    """Tell the story until the connection breaks at that step, and let the next house be judged; how it went in words."""
    name, world = await matrix.databases.copy(), World()
    async with Wire(matrix.databases.url_of(name), matrix.folder, Fault(step, moment)) as wire:
        with contextlib.suppress(*RECOVERABLE):  # anything else would end a house for good
            await live(wire.url, matrix.given, world.hear)
        assert wire.broken, "the story came to the step"
    return await matrix.judged(name, world)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_house_killed_at_any_durable_step_loses_nothing_that_was_told(matrix, moment):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.house_life"])
    steps = matrix.chosen() if EVERY_STEP else [at for at in matrix.chosen() if matrix.steps[at].startswith("COMMIT")]
    failed = []
    for step in steps:
        how = asyncio.run(kill(matrix, step, moment, context))
        print(f"{step:3} {matrix.steps[step]:40} {moment:6} SIGKILL: {how}")
        if how != "recovered":
            failed.append((step, matrix.steps[step], how))
    assert failed == []


async def kill(matrix, step, moment, context):
    """The same by SIGKILL of a process that tells the story."""
    name, world = await matrix.databases.copy(), World()
    receiving, sending = context.Pipe(duplex=False)
    wire = Wire(matrix.databases.url_of(name), matrix.folder, Fault(step, moment, lambda: os.kill(process.pid, signal.SIGKILL)))
    process = context.Process(target=live_until_killed, args=(wire.url, matrix.given, sending))
    async with wire:
        process.start()
        await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    sending.close()
    while receiving.poll():
        try:
            world.hear(*receiving.recv())
        except EOFError:
            break
    receiving.close()
    process.close()
    return await matrix.judged(name, world)
