"""A clearing house of the nine cities in this process, on an empty database, fed with sealed batches as fast as it takes them.

Its parts are those that `fare-chain house` runs, at its pace: a tick every 250 ms, clearing beside it. Only HTTP is left out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain.access_files import Access
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind, KeyEntry, TariffEntry
from fare_chain.hashing import sha256
from fare_chain.identifiers import SCHEME
from fare_chain.keys import KeyUse
from fare_chain.log_export import export
from fare_chain.log_reader import HttpLog
from fare_chain.note import NoteVerifier
from fare_chain.tap import TAP_BYTES
from settlement.clear_windows import ClearWindows, Ticks
from settlement.house import MOST_UNCLEARED_TICKS, boot, clock_us
from settlement.intake import Intake
from settlement.ports import CommittedTick
from settlement.sequencer import TICK_S, Control, Sequencer, ticks
from settlement.store.database import make_engine
from settlement.store.ledger import keep_table
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.figures import Fact, memory_mb, percentile
from simulators.nine_cities import NineCities, member_key, public_key

ORIGIN = "bench.example/clearing"
MOST_IN_FLIGHT = 64
"""Batches without a receipt at one time, some 262,000 taps: fewer would hold up a ledger that takes a tick's worth every 300 ms,
more only make ticks longer and receipts later."""
VERIFIER = NoteVerifier(ORIGIN, public_key(int(SCHEME), KeyUse.LOG).public)


@dataclass(frozen=True, slots=True)
class Fed:
    """What a house was fed: from the first batch posted to the last receipt, and to the last tick cleared where it clears."""

    taps: int
    journeys: int
    seconds: float
    cpu_s: float
    """Seconds that this process took of the processor, all threads; PostgreSQL's are not among them."""
    ticks: int
    receipts_ms: list[float]
    memory_mb: list[int]
    """Of this process: at the first batch, after every tick, and at the end."""

    def facts(self) -> dict[str, Fact]:
        """What stands beside the figure."""
        return {
            "taps": self.taps,
            "journeys": self.journeys,
            "batches": len(self.receipts_ms),
            "seconds": round(self.seconds, 2),
            "cpu_ns_a_tap": round(self.cpu_s / self.taps * 1e9),
            "ticks": self.ticks,
            "receipt_p50_ms": round(percentile(self.receipts_ms, 50), 1),
            "receipt_p99_ms": round(percentile(self.receipts_ms, 99), 1),
            "memory_begin_mb": self.memory_mb[0],
            "memory_middle_mb": self.memory_mb[len(self.memory_mb) // 2],
            "memory_end_mb": self.memory_mb[-1],
            "memory_peak_mb": max(self.memory_mb),
        }


@dataclass(slots=True)
class _Tally:
    """What one feeding has come to so far."""

    taps: int = 0
    ticks: int = 0
    receipts_ms: list[float] = field(default_factory=list)
    memory_mb: list[int] = field(default_factory=lambda: [memory_mb()])


@dataclass(slots=True)
class BenchHouse:
    """The parts; `clears` says whether what the sequencer commits is cleared too."""

    engine: AsyncEngine
    sequencer: Sequencer
    clearing: ClearWindows
    intake: Intake
    clears: bool

    async def feed(self, batches: Iterable[bytes], seconds: float) -> Fed:
        """Post batches as they travel, in each city's order, until they end or time is up; then come to rest.

        Conflict where what was cleared is not what has receipts, or positions do not sum to zero.
        """
        tally, stopping, before = _Tally(), asyncio.Event(), self.clearing.totals
        committed: Ticks = asyncio.Queue(MOST_UNCLEARED_TICKS)
        began, cpu_began = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sequence(committed, stopping))
            tasks.create_task(self._clear(committed, tally))
            await self._post(batches, began + seconds, tally)
            stopping.set()
        passed, cpu_s, after = time.perf_counter() - began, time.process_time() - cpu_began, self.clearing.totals
        if self.clears and (after.taps - before.taps, after.batches - before.batches) != (tally.taps, len(tally.receipts_ms)):
            raise Conflict(f"{tally.taps} taps have receipts, but {before} became {after}: this figure would be of another ledger")
        if sum(fen for _member, fen in self.clearing.positions):
            raise Conflict(f"positions do not sum to zero: {self.clearing.positions}")
        journeys = after.journeys - before.journeys
        return Fed(tally.taps, journeys, passed, cpu_s, tally.ticks, tally.receipts_ms, [*tally.memory_mb, memory_mb()])

    async def seal_windows(self) -> None:
        """Let time pass until every second with taps is in a window on the ledger."""
        while self.clearing.state is None or self.clearing.state.window.taps:
            await asyncio.sleep(TICK_S)
            await self.clearing.take(await self.sequencer.tick())
        await self.clearing.take(await self.sequencer.tick())

    async def export(self, folder: Path) -> None:
        """Write the log as `fare-chain export-log` does, over the house's own routes."""
        parts = Parts(self.engine, self.intake, self.sequencer, self.clearing, VERIFIER.to_vkey(), {})
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=make_app(Running(parts))), base_url="http://house"
        ) as client:
            access = Access(member_key(int(SCHEME), KeyUse.ACCESS), public_key(int(SCHEME), KeyUse.ACCESS), "audit")
            log = HttpLog("http://house", access, whole=True, client=RoutesClient(client, asyncio.get_running_loop()))
            exported = asyncio.create_task(asyncio.to_thread(export, log, folder))
            while not exported.done():
                await asyncio.sleep(TICK_S)
                await self.clearing.take(await self.sequencer.tick())
            await exported

    async def _post(self, batches: Iterable[bytes], until: float, tally: _Tally) -> None:
        places = asyncio.Semaphore(MOST_IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            for data in batches:
                if time.perf_counter() >= until:
                    return
                await places.acquire()
                tasks.create_task(self._accept(data, places, tally))
                await asyncio.sleep(0)  # one batch, then whoever else waits for the loop: as if each came in a request

    async def _accept(self, data: bytes, places: asyncio.Semaphore, tally: _Tally) -> None:
        asked = time.perf_counter()
        await self.intake.accept(data)
        tally.receipts_ms.append((time.perf_counter() - asked) * 1000)
        places.release()

    async def _sequence(self, committed: Ticks, stopping: asyncio.Event) -> None:
        async for tick in ticks(self.sequencer, stopping):
            await committed.put(tick)
        await committed.put(None)

    async def _clear(self, committed: Ticks, tally: _Tally) -> None:
        def count(tick: CommittedTick) -> None:
            tally.taps += sum(len(verified.body) for verified in tick.entries) // TAP_BYTES
            tally.ticks += bool(tick.entries)
            tally.memory_mb.append(memory_mb())

        if self.clears:
            await self.clearing.take_each(committed, count)
            return
        while (tick := await committed.get()) is not None:
            count(tick)


class RoutesClient:
    """Asks an app's routes from another thread than theirs."""

    def __init__(self, client: httpx2.AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self.client = client
        self.loop = loop

    def request(self, method: str, url: str, *, params: dict[str, str], headers: dict[str, str]) -> httpx2.Response:
        """The answer to one request."""
        asked = self.client.request(method, url, params=params, headers=headers)
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result()


@asynccontextmanager
async def open_database(server_url: str) -> AsyncIterator[AsyncEngine]:
    """A new database on a server, with the house's tables and nothing in them; dropped in the end.

    Making it by copying files has PostgreSQL write a checkpoint first: no figure pays for what an earlier one left unwritten.
    """
    name = f"bench_{uuid4().hex}"
    server = make_engine(server_url)
    try:
        await _execute_alone(server, f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        engine = make_engine(server.url.set(database=name).render_as_string(hide_password=False))
        try:
            await migrate(engine)
            yield engine
        finally:
            await engine.dispose()
            await _execute_alone(server, f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.dispose()


@asynccontextmanager
async def open_house(server_url: str, cities: NineCities, *, clears: bool = True) -> AsyncIterator[BenchHouse]:
    """A house whose ledger holds the members' keys and tables and nothing else yet."""
    async with open_database(server_url) as engine:
        sequencer, clearing = await boot(engine, key=member_key(int(SCHEME), KeyUse.LOG), origin=ORIGIN, clock=clock_us)
        ring = cities.ring()
        async with engine.begin() as connection:
            for _member, data in cities.packed:
                await keep_table(connection, sha256(data), data)
        for control in _genesis(cities):
            sequencer.stage_control(control)
        await clearing.take(await sequencer.tick())
        yield BenchHouse(engine, sequencer, clearing, Intake(engine, sequencer, ring), clears)


async def _execute_alone(engine: AsyncEngine, statement: str) -> None:
    """Execute a statement that PostgreSQL allows in no transaction."""
    async with engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.exec_driver_sql(statement)


def _genesis(cities: NineCities) -> Iterator[Control]:
    for key in cities.ring():
        yield Control(EntryKind.KEY, KeyEntry.of(key, member_key(key.owner, key.use)).to_bytes())
    for member, data in cities.packed:
        yield Control(EntryKind.TARIFF, TariffEntry(member, len(data), sha256(data)).to_bytes(), data)
