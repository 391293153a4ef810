"""Run the clearing house: its database, its HTTP face, and the loop from staged batches to cleared windows.

Recovery is the everyday path: after any failure of the database the insides are thrown away and made again from what is stored.
"""

import asyncio
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import uvicorn
import uvloop

from city_adapters.catalogue import load_catalogue
from fare_chain.errors import Conflict
from fare_chain.key_files import read_signing_key
from fare_chain.keys import SigningKey
from fare_chain.note import NoteVerifier
from settlement.clear_windows import ClearWindows
from settlement.intake import Intake
from settlement.ports import CommittedTick
from settlement.publishing import log_key, publish
from settlement.sequencer import TICK_S, Sequencer
from settlement.store import ledger as store
from settlement.store.database import FAILURES
from settlement.store.starting import Database
from settlement.web.access import check_address
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running

LOG_KEY_NAME = "house-log"
MOST_UNCLEARED_TICKS = 16
"""How far clearing may fall behind the sequencer before batches have to wait for it."""
MOST_RESTARTS = 20
"""How often in a row the insides may fail before a tick succeeds; then somebody has to look."""

log = structlog.get_logger("house")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the house finds its things and where it listens."""

    data: Path
    members: Path
    keys: Path
    host: str = "127.0.0.1"
    port: int = 8700
    origin: str = "fare-chain.example/clearing"
    database_url: str | None = None
    programs: Path | None = None
    cities: Path | None = None
    public: bool = False
    parent: int | None = None


def clock_us() -> int:
    """The wall clock in microseconds since 1970."""
    return time.time_ns() // 1000


class House:
    """The clearing house as one process."""

    def __init__(self, settings: Settings) -> None:
        """Conflict where it would listen on a public address without saying so."""
        check_address(settings.host, public=settings.public)
        self.settings = settings
        self.key: SigningKey = read_signing_key(settings.keys / f"{LOG_KEY_NAME}.key")
        self.database = Database(settings.data / "postgres", settings.database_url, settings.programs)
        self.running = Running()
        self.stopping = asyncio.Event()
        self.failures = 0

    async def run(self) -> None:
        """Serve until told to stop; what is staged then is still appended and cleared."""
        config = uvicorn.Config(
            make_app(self.running), host=self.settings.host, port=self.settings.port, log_config=None, access_log=False,
            loop="uvloop", http="httptools", timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        serving.add_done_callback(lambda _task: self.stopping.set())
        watching = asyncio.create_task(_watch_parent(self.settings.parent, server))
        try:
            while not self.stopping.is_set():
                await self._run_insides()
        finally:
            server.should_exit = True
            await serving
            watching.cancel()
            await asyncio.to_thread(self.database.close)

    async def _run_insides(self) -> None:
        """Make the parts from what is stored and work until told to stop, or until the database fails."""
        failed: BaseException | None = None
        try:
            parts = await self._boot()
            self.running.parts = parts
            log.info("serving", port=self.settings.port, entries=parts.sequencer.head.head.size, term=parts.sequencer.head.term)
            await self._work(parts)
        except* FAILURES as group:
            failed = group.exceptions[0]
        except* store.TermLost as group:
            failed = group.exceptions[0]
        finally:
            if self.running.parts is not None:
                parts, self.running.parts = self.running.parts, None
                parts.sequencer.abandon()
                await parts.engine.dispose()
        if failed is not None:
            self.failures += 1
            log.warning("restarting the insides", why=str(failed), failures=self.failures)
            if self.failures > MOST_RESTARTS:
                raise Conflict(f"the database failed {self.failures} times in a row, last: {failed}")
            await asyncio.sleep(min(0.1 * self.failures, 2.0))

    async def _boot(self) -> Parts:
        """Come to the state in which the last house stopped or died, and take a new term."""
        engine = await self.database.open()
        async with engine.begin() as connection:
            stored = await store.open_head(connection, self.settings.origin)
            # From here on nobody of an earlier term can append: its update of the head row finds another term.
            stored = replace(stored, term=await store.take_term(connection))
            tails = await store.read_tails(connection)
            right_edge = await store.read_right_edge(connection, stored.head.size)
        sequencer = Sequencer(engine, key=self.key, head=stored, tails=tails, right_edge=right_edge, clock=clock_us)
        clearing = ClearWindows(engine, sequencer.stage_control)
        await clearing.restore(stored.head.size)
        controls, ring = await publish(engine, self.settings.members, self.settings.cities)
        log_key(ring, self.key.public, clock_us())
        for control in controls:
            sequencer.stage_control(control)
        vkey = NoteVerifier(stored.origin, self.key.public).to_vkey()
        catalogue = load_catalogue(self.settings.cities)
        names = {0: "scheme"} | {int(city.number): str(city.slug) for city in catalogue.cities}
        return Parts(engine, Intake(engine, sequencer, ring), sequencer, clearing, vkey, names)

    async def _work(self, parts: Parts) -> None:
        """Sequence and clear side by side: a tick is cleared while the next one is gathered."""
        committed: asyncio.Queue[CommittedTick | None] = asyncio.Queue(MOST_UNCLEARED_TICKS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sequence(parts.sequencer, committed))
            tasks.create_task(self._clear(parts.clearing, committed))

    async def _sequence(self, sequencer: Sequencer, committed: asyncio.Queue[CommittedTick | None]) -> None:
        next_at = time.monotonic()
        while not self.stopping.is_set():
            next_at = max(next_at + TICK_S, time.monotonic())
            await asyncio.sleep(next_at - time.monotonic())
            await committed.put(await sequencer.tick())
            self.failures = 0
        await committed.put(await sequencer.tick())
        await committed.put(None)

    async def _clear(self, clearing: ClearWindows, committed: asyncio.Queue[CommittedTick | None]) -> None:
        while (tick := await committed.get()) is not None:
            await clearing.take(tick)
            clearing.count_latency(tick)


async def _watch_parent(parent: int | None, server: uvicorn.Server) -> None:
    """Stop when the process that started us is gone: nobody would stop us later."""
    while parent is not None and os.getppid() == parent:  # noqa: ASYNC110  the system tells nobody that a parent died
        await asyncio.sleep(1.0)
    if parent is not None:
        server.should_exit = True


def run_house(settings: Settings) -> None:
    """Run the house until it is told to stop."""
    uvloop.run(House(settings).run())
