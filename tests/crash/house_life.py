"""Some seconds in the life of a house, told the same way every time: what it is given, and what the world hears from it.

Whoever tells the story may be cut off or killed at any moment; `World` is what is known outside then, and the judge asks a house
that starts on what is left to keep all of it.
"""

import asyncio
import os
from dataclasses import dataclass, field

import sqlalchemy as sa

from fare_chain.audit import audit
from fare_chain.batch import SealedBatch, read_header
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.note import Note, cosign, read_note
from fare_chain.proofs import read_proof_file
from fare_chain.tap import TapKind
from settlement.core.replay import Rederiving
from settlement.finality import Finality
from settlement.publishing import ring_on_ledger
from settlement.sequencer import Control
from settlement.store import finality as final_store
from settlement.store.database import fork, make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_cities import SECOND_US
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallAdapter, SmallHouse, SmallRider, small_key
from tests.conftest import AppLog
from tests.settlement.mirror.mirror_world import POLICY, SLUGS

LATER = PublicKey(9, KeyUse.BATCH, small_key(9, KeyUse.BATCH).public, 0, 2**60)


@dataclass(frozen=True, slots=True)
class Given:
    """What the story needs: when it begins, the cities' batches by round, and a second batch of one sequence number."""

    now_us: int
    rounds: tuple[tuple[bytes, ...], ...]
    second: bytes


@dataclass(slots=True)
class World:
    """What has been heard: receipts by batch, checkpoints by size, the final one, and forks that were refused."""

    receipts: dict[bytes, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    final: str = ""
    forks: list[bytes] = field(default_factory=list)

    def hear(self, what: str, *told: bytes | str) -> None:
        """Take one thing that a house said."""
        if what == "receipt":
            batch, receipt = told
            self.receipts[batch] = receipt
            self._note(read_proof_file(receipt).checkpoint)
        elif what == "final":
            (self.final,) = told
        else:
            self.forks += told

    def _note(self, text: str) -> None:
        size = int(text.split("\n")[1])
        assert self.notes.setdefault(size, text) == text, "one size, one note"


async def begin(url: str) -> Given:
    """Make the ledger on which every telling begins: some rides, a window, and what the cities will send then."""
    engine = make_engine(url)
    await migrate(engine)
    house = SmallHouse(engine)
    await house.start()
    adapters = {city: SmallAdapter(city) for city in (1, 2)}
    riders = [SmallRider(number, 1 + number % 3) for number in range(4)]
    early_us = house.now_us - 1800 * SECOND_US

    def ride(kind: TapKind, station: int, late_us: int) -> list[SealedBatch]:
        return [
            adapter.seal([rider.scan(city, station, kind, early_us + late_us + 9 * at) for at, rider in enumerate(riders)])
            for city, adapter in adapters.items()
        ]

    await _take(house, [batch.to_bytes() for batch in ride(TapKind.ENTRY, 1, 0)], lambda *_told: None)
    await house.seal_windows()
    rounds = [ride(TapKind.EXIT, 2, 900 * SECOND_US), ride(TapKind.ENTRY, 2, 1000 * SECOND_US)]
    tail = SmallAdapter(1, house.sequencer.tail(1))
    second = tail.seal([SmallRider(77, 1).scan(1, 1, TapKind.ENTRY, early_us)])
    told = tuple(tuple(batch.to_bytes() for batch in batches) for batches in rounds)
    given = Given(house.now_us, told, second.to_bytes())
    await engine.dispose()
    return given


async def live(url: str, given: Given, hear) -> None:
    """The story: start, take two rounds of batches, a control entry, windows, a snapshot, a final checkpoint, a fork."""
    engine = make_engine(url)
    try:
        house = SmallHouse(engine, given.now_us + 61 * SECOND_US)  # so long that a snapshot is due
        await house.start()
        finality = await _finality(house)
        for batches in given.rounds:
            await _take(house, batches, hear)
            await _make_final(house, finality, hear)
        await _register(house)
        await house.seal_windows()
        await _make_final(house, finality, hear)
        try:
            await house.intake.accept(given.second)
        except Conflict:
            hear("fork", given.second)
    finally:
        await engine.dispose()


async def judge(url: str, given: Given, world: World) -> dict[str, int]:
    """Start on what is left: all that was heard still holds, and all that was not is made up for. What it comes to is returned."""
    engine = make_engine(url)
    try:
        house = SmallHouse(engine, given.now_us + 130 * SECOND_US)
        await house.start()
        finality = await _finality(house)
        await _hold_to(world, house, finality)
        await _make_up_for(given, world, house)
        await _make_final(house, finality, lambda *_told: None)
        await _audit(house, finality)
        totals = house.clearing.totals
        return {"taps": totals.taps, "journeys": totals.journeys, "batches": totals.batches, "gross_fen": totals.gross_fen}
    finally:
        await engine.dispose()


async def _hold_to(world: World, house: SmallHouse, finality: Finality) -> None:
    """Every note, fork and final checkpoint that was heard is there, to the byte."""
    async with house.engine.connect() as connection:
        for size, note in world.notes.items():
            assert await final_store.checkpoint_at(connection, size) == note, f"the note of size {size} is published as it was"
        head = house.sequencer.head
        assert await final_store.checkpoint_at(connection, head.head.size) == head.note, "the head's note is a checkpoint's"
        kept = set((await connection.execute(sa.select(fork.c.header_hash))).scalars())
    assert {read_header(data).hash() for data in world.forks} <= kept, "a fork that was refused is kept"
    if world.final:
        heard = POLICY.open_final(world.final).checkpoint
        assert finality.size >= heard.size, "final stays final"
        assert finality.size > heard.size or finality.note == world.final, "the same bytes are final"


async def _make_up_for(given: Given, world: World, house: SmallHouse) -> None:
    """Let the cities send everything again, and append what is not there; all of it is cleared."""
    told = World()
    for batches in given.rounds:
        await _take(house, batches, told.hear)
    for batch, receipt in told.receipts.items():
        assert world.receipts.get(batch, receipt) == receipt, "sent again, it has the place that the receipt told"
    async with house.engine.connect() as connection:
        ring = await ring_on_ledger(connection)
    if ring.find(owner=9, use=KeyUse.BATCH, key_id=LATER.key_id) is None:
        await _register(house)
    await house.seal_windows()
    assert house.clearing.state.next_index == house.sequencer.head.head.size, "all of the ledger is cleared"
    assert sum(fen for _member, fen in house.clearing.positions) == 0


async def _take(house: SmallHouse, batches, hear) -> None:
    """Post batches at once and tick until they have their receipts; a tick that fails leaves nobody waiting."""

    async def post(data: bytes) -> None:
        hear("receipt", data, await house.intake.accept(data))

    posted = [asyncio.create_task(post(data)) for data in batches]
    try:
        while not all(task.done() for task in posted):
            await asyncio.sleep(0)
            if house.sequencer.staging.batches:
                await house.tick()
    except BaseException:
        house.sequencer.abandon()
        raise
    finally:
        await asyncio.gather(*posted, return_exceptions=True)
    for task in posted:
        task.result()


async def _register(house: SmallHouse) -> None:
    """Put a key on the ledger."""
    house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(LATER, small_key(9, KeyUse.BATCH)).to_bytes()))
    await house.tick()


async def _finality(house: SmallHouse) -> Finality:
    finality = Finality(house.engine, POLICY, ORIGIN)
    await finality.restore()
    return finality


async def _make_final(house: SmallHouse, finality: Finality, hear) -> None:
    """Two of the three cities cosign the head, one after the other."""
    text = read_note(house.sequencer.head.note)
    for city in (1, 2):
        name = f"{SLUGS[city]}.{ORIGIN.partition('/')[0]}/clearing"
        line = cosign(text.text, name, small_key(city, KeyUse.CLEARING), house.now_us // SECOND_US)
        await finality.take([Note(text.text, (*text.lines, line)).to_text()])
    hear("final", finality.note)


async def _audit(house: SmallHouse, finality: Finality) -> None:
    """The whole log over HTTP, with the quorum, cleared again from zero."""
    names = {0: "scheme"} | SLUGS
    parts = Parts(house.engine, house.intake, house.sequencer, house.clearing, LOG_VERIFIER.to_vkey(), names, None, finality)
    source = AppLog(make_app(Running(parts)), asyncio.get_running_loop())
    told = await asyncio.to_thread(lambda: audit(source, [], policy=POLICY, followers=[Rederiving()]))
    assert told.size == house.sequencer.head.head.size


def live_until_killed(url: str, given: Given, pipe) -> None:
    """The story in a process of its own, whose every word goes down a pipe before the next step is taken."""
    asyncio.run(live(url, given, lambda *told: pipe.send(told)))
    pipe.send(("end",))
    os._exit(0)
