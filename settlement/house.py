"""Run the clearing house: its database, its HTTP face, and the loop from staged batches to cleared windows.

Recovery is the everyday path: after any failure of the database the insides are thrown away and made again from what is stored.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx2
import structlog
import uvicorn
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from city_adapters.catalogue import load_catalogue
from fare_chain.commands import DEFAULT_ORIGIN
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind
from fare_chain.evidence_folder import keep_evidence
from fare_chain.governance import TermEntry, read_term_entry
from fare_chain.key_files import read_signing_key
from fare_chain.keys import KeyRing, SigningKey
from fare_chain.listening import check_address
from fare_chain.log_reader import read_text
from fare_chain.ml_dsa import MlDsaKey
from fare_chain.note import NoteVerifier
from fare_chain.policy import read_policy
from settlement.anchoring import ANCHOR_EVERY_S, Anchoring
from settlement.clear_windows import ClearWindows, LawBroken
from settlement.finality import Finality
from settlement.intake import Intake
from settlement.pinned_cities import PinnedCities
from settlement.ports import CommittedTick
from settlement.publishing import log_key, publish, ring_on_ledger
from settlement.retention import SCHEME_CODES_DAYS, Retention
from settlement.sequencer import Control, Sequencer, ticks
from settlement.store import clearings
from settlement.store import ledger as store
from settlement.store.starting import FAILURES, Database
from settlement.terms.admission import admit
from settlement.terms.standby import Standby
from settlement.upholding import Upholding
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from settlement.web.roles_file import read_roles

LOG_KEY_NAME = "house-log"
REPORTS_KEY_NAME = "house-reports"
MOST_UNCLEARED_TICKS = 16
"""How far clearing may fall behind the sequencer before batches have to wait for it."""
MOST_RESTARTS = 20
"""How often in a row the insides may fail before a tick succeeds; then somebody has to look."""

RECOVERABLE: tuple[type[Exception], ...] = (*FAILURES, store.TermLost)
"""After these the insides are made again from what is stored."""

log = structlog.get_logger("house")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the house finds its things and where it listens."""

    data: Path
    members: Path
    keys: Path
    host: str = "127.0.0.1"
    port: int = 8700
    origin: str = DEFAULT_ORIGIN
    database_url: str | None = None
    programs: Path | None = None
    cities: Path | None = None
    cache: Path | None = None
    public: bool = False
    parent: int | None = None
    policy: Path | None = None
    term: Path | None = None
    anchor_every_s: float = ANCHOR_EVERY_S
    codes_days: int = SCHEME_CODES_DAYS
    standby: bool = False


def clock_us() -> int:
    """The wall clock in microseconds since 1970."""
    return time.time_ns() // 1000


class _Server(uvicorn.Server):
    """A server that leaves signals to the house: uvicorn would end the process before PostgreSQL is stopped."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield

    def leave(self) -> None:
        """Take no new connection, answer those that are open, and end."""
        self.should_exit = True


class House:
    """The clearing house as one process."""

    def __init__(self, settings: Settings) -> None:
        """Conflict where it would listen on a public address without saying so, or stand by with a term in hand."""
        check_address(settings.host, public=settings.public)
        if settings.standby and settings.term is not None:
            raise Conflict("with --term a house sequences, with --standby it does not: give one of them")
        self.settings = settings
        self.key: SigningKey = read_signing_key(settings.keys / f"{LOG_KEY_NAME}.key")
        second = settings.keys / f"{LOG_KEY_NAME}-mldsa.key"
        self.ml_dsa = MlDsaKey(read_signing_key(second).seed) if second.exists() else None
        reports = settings.keys / f"{REPORTS_KEY_NAME}.key"
        self.reports_key = read_signing_key(reports) if reports.exists() else None
        self.database = Database(settings.data / "postgres", settings.database_url, settings.programs)
        self.policy = None if settings.policy is None else read_policy(read_text(settings.policy))
        self.term = None if settings.term is None else read_term_entry(settings.term.read_bytes())
        self.running = Running()
        self.retention: Retention
        self.stopping = asyncio.Event()
        self.failures = 0

    async def run(self) -> None:
        """Serve until told to stop; what is staged then is still appended and cleared, and what was started is stopped."""
        server = _Server(
            uvicorn.Config(make_app(self.running), log_config=None, access_log=False, http="httptools", timeout_graceful_shutdown=5)
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.leave)
        serving = asyncio.create_task(server.serve(sockets=[_listen(self.settings.host, self.settings.port)]))
        serving.add_done_callback(lambda _task: self.stopping.set())
        watching = asyncio.create_task(_watch_parent(self.settings.parent, server))
        try:
            while not self.stopping.is_set():
                await self._run_insides()
        finally:
            server.leave()
            await asyncio.wait([serving])
            watching.cancel()
            await asyncio.to_thread(self.database.close)

    async def _run_insides(self) -> None:
        """Make the parts from what is stored and work until told to stop, or until the database fails."""
        failed: Exception | None = None
        broken: Exception | None = None
        try:
            parts = await self._boot()
            self.running.parts = parts
            log.info("serving", port=self.settings.port, entries=parts.sequencer.head.head.size, term=parts.sequencer.head.term)
            await self._work(parts)
        except* LawBroken as group:
            broken = group.exceptions[0]
        except* RECOVERABLE as group:
            failed = group.exceptions[0]
        finally:
            if self.running.parts is not None:
                parts, self.running.parts = self.running.parts, None
                parts.sequencer.abandon()
                await parts.engine.dispose()
        if broken is not None:
            log.critical("a law is broken: nothing of this tick is cleared", why=str(broken))
            raise broken
        if failed is not None:
            self.failures += 1
            log.warning("restarting the insides", why=str(failed), failures=self.failures)
            if self.failures > MOST_RESTARTS:
                raise Conflict(f"the database failed {self.failures} times in a row, last: {failed}")
            await asyncio.sleep(min(0.1 * self.failures, 2.0))

    async def _boot(self) -> Parts:
        """Come to the state in which the last house stopped or died, and stage what is new in the folders."""
        engine = await self.database.open()
        sequencer, clearing, ring = await (self._stand_by if self.settings.standby else self._take_the_term)(engine)
        log_key(ring, self.key.public, clock_us())
        vkey = NoteVerifier(sequencer.head.origin, self.key.public).to_vkey()
        catalogue = load_catalogue(self.settings.cities, self.settings.cache)
        names = {0: "scheme"} | {int(city.number): str(city.slug) for city in catalogue.cities}
        finality = None if self.policy is None else Finality(engine, self.policy, sequencer.head.origin)
        if finality is not None:
            await finality.restore()
        intake = Intake(engine, sequencer, ring, self.policy, keep=partial(keep_evidence, self.settings.data / "evidence"))
        self.upholding = Upholding(engine, intake.evidence)
        if not self.settings.standby:
            await intake.evidence.restore()
            await self.upholding.restore()
        self.retention = Retention(engine, sequencer, intake, finality, codes_days=self.settings.codes_days)
        await self.retention.restore()
        roles = read_roles(self.settings.members)
        return Parts(
            engine, intake, sequencer, clearing, vkey, names, PinnedCities(catalogue), finality, roles, reports_key=self.reports_key
        )

    async def _take_the_term(self, engine: AsyncEngine) -> tuple[Sequencer, ClearWindows, KeyRing]:
        sequencer, clearing = await boot(
            engine, key=self.key, origin=self.settings.origin, clock=clock_us, term=self.term, ml_dsa=self.ml_dsa
        )
        controls, ring = await publish(engine, self.settings.members, self.settings.cities, self.settings.cache, self.key.public)
        for control in controls:
            sequencer.stage_control(control)
        if controls:
            # Before anybody is served: a batch in the same tick would stand before the key that signed it.
            await clearing.take(await sequencer.tick())
        return sequencer, clearing, ring

    async def _stand_by(self, engine: AsyncEngine) -> tuple[Sequencer, ClearWindows, KeyRing]:
        """Read alone: nothing is cleared here, and nothing of the folders is staged."""
        standby = await Standby.open(engine, key=self.key, origin=self.settings.origin, clock=clock_us)
        async with engine.connect() as connection:
            ring = await ring_on_ledger(connection)
        return standby, ClearWindows(engine, standby.stage_control, standby.head.term), ring

    async def _work(self, parts: Parts) -> None:
        """Sequence and clear side by side: while a tick is gathered, one is folded and one is written. A standby only looks."""
        if isinstance(parts.sequencer, Standby):
            await parts.sequencer.watch(self.stopping)
            return
        committed: asyncio.Queue[CommittedTick | None] = asyncio.Queue(MOST_UNCLEARED_TICKS)
        async with httpx2.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sequence(parts, committed))
            clearing = tasks.create_task(parts.clearing.take_each(committed, partial(self._cleared, parts)))
            upholding = tasks.create_task(self.upholding.work())
            clearing.add_done_callback(lambda _task: upholding.cancel())
            if parts.finality is not None and self.settings.anchor_every_s:
                anchoring = Anchoring(parts.engine, parts.finality, client, self.settings.anchor_every_s)
                submitting = tasks.create_task(anchoring.run())
                clearing.add_done_callback(lambda _task: submitting.cancel())
            retaining = tasks.create_task(self.retention.work())
            # Once nothing is sequenced any more, an entry that it waits for will not come; where it is cut off, a start goes on.
            clearing.add_done_callback(lambda _task: retaining.cancel())

    def _cleared(self, parts: Parts, tick: CommittedTick) -> None:
        parts.clearing.count_latency(tick)
        self.upholding.notice(tick)

    async def _sequence(self, parts: Parts, committed: asyncio.Queue[CommittedTick | None]) -> None:
        async for tick in ticks(parts.sequencer, self.stopping):
            if parts.finality is not None:
                parts.finality.expect(tick)
            await committed.put(tick)
            self.failures = 0
        await committed.put(None)


def _listen(host: str, port: int) -> socket.socket:
    """A socket on the address; Conflict where another program has it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Conflict(f"port {port} of {host} cannot be had: {error.strerror}; choose another with --port") from error
    return listener


async def boot(
    engine: AsyncEngine,
    *,
    key: SigningKey,
    origin: str,
    clock: Callable[[], int],
    term: TermEntry | None = None,
    ml_dsa: MlDsaKey | None = None,
) -> tuple[Sequencer, ClearWindows]:
    """Take a new term and come to the end of what is stored, ledger and clearing alike, by the everyday path.

    `term` is what the cities signed for a standby: it is appended first, where the ledger does not have it. Conflict where the key
    may not sequence.
    """
    async with engine.begin() as connection:
        stored = await store.open_head(connection, origin)
        # Before anybody is fenced: whoever may not sequence must not stop the one who does.
        due = await admit(connection, stored, key.public, term)
        # From here on nobody of an earlier term can append: its update of the head row finds another term.
        stored = replace(stored, term=await store.take_term(connection))
        tails = await store.read_tails(connection)
        right_edge = await store.read_right_edge(connection, stored.head.size)
        closed_us = await clearings.closed_until(connection) * 1_000_000
    sequencer = Sequencer(engine, key=key, head=stored, tails=tails, right_edge=right_edge, clock=clock, ml_dsa=ml_dsa)
    # A window may be closed whose entry never came: with a clock that stands before its end, that second would be written to again.
    sequencer.last_us = max(sequencer.last_us, closed_us - 1)
    if due is not None:
        # Alone in its tick, at the size that the cities signed. Dead before its commit: the next start does it again. Dead after:
        # the ledger has the term, and this key may go on.
        sequencer.stage_control(Control(EntryKind.TERM, due.to_bytes()))
        await sequencer.tick()
    clearing = ClearWindows(engine, sequencer.stage_control, stored.term)
    await clearing.restore(sequencer.head.head.size)
    return sequencer, clearing


async def _watch_parent(parent: int | None, server: _Server) -> None:
    """Stop when the process that started us is gone: nobody would stop us later."""
    while parent is not None and os.getppid() == parent:  # noqa: ASYNC110  the system tells nobody that a parent died
        await asyncio.sleep(1.0)
    if parent is not None:
        server.leave()


def run_house(settings: Settings) -> None:
    """Run the house until it is told to stop."""
    uvloop.run(House(settings).run())
