"""Clear what the sequencer commits: fold, hold the laws, write in one transaction, and send each closed window to the ledger."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fare_chain.errors import Conflict
from fare_chain.events import EntryKind
from fare_chain.hashing import leaf_hash
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import VerifiedEntry
from settlement.core.books import Balances
from settlement.core.clearing import Cleared, clear
from settlement.core.laws import laws, window_laws
from settlement.core.replay import Closed, close_before, pinned_table, provisional_positions, tick_of
from settlement.core.rules import PinnedTable
from settlement.core.state import State
from settlement.core.windows import window_postings
from settlement.ports import CommittedTick
from settlement.sequencer import Control
from settlement.store import clearings
from settlement.store import ledger as ledger_store
from settlement.store.books import Totals, totals

SNAPSHOT_SECONDS = 60
_SLOWEST_MS = 60_000


class LawBroken(Conflict):
    """A result that breaks a law: nothing of it is written, and the second stops here until somebody looks."""


@dataclass(slots=True)
class Latencies:
    """How long taps took from the gate to cleared and durable, since this house started: counts by millisecond."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros(_SLOWEST_MS + 1, np.int64))

    def add(self, tapped_at_us: np.ndarray, now_us: int) -> None:
        """Count the taps of a tick that has just become durable."""
        waited_ms = np.clip((now_us - tapped_at_us) // 1000, 0, _SLOWEST_MS)
        self.counts += np.bincount(waited_ms, minlength=_SLOWEST_MS + 1)

    def percentile_ms(self, percent: int) -> int | None:
        """The latency that so many per cent of the taps did not exceed; None before the first."""
        total = int(self.counts.sum())
        if not total:
            return None
        return int(np.searchsorted(np.cumsum(self.counts), -(-total * percent // 100)))


@dataclass(frozen=True, slots=True)
class Folded:
    """One committed tick, folded and lawful, ready to be written."""

    state: State
    cleared: Cleared | None
    closed: list[Closed]
    positions: Balances


Ticks = asyncio.Queue[CommittedTick | None]
"""Committed ticks in their order; None says that no more will come."""
_Ahead = asyncio.Queue[tuple[CommittedTick, Folded | None] | None]
"""Ticks that are folded and not yet written, at most one besides the one that is being folded and the one being written."""


class ClearWindows:
    """The clearing of one ledger: a state in memory, and its results in the database."""

    def __init__(self, engine: AsyncEngine, stage: Callable[[Control], None], term: int) -> None:
        """Before `restore`, nothing is known; `stage` takes the WINDOW entries, `term` is the sequencer's."""
        self.engine = engine
        self.stage = stage
        self.term = term
        self.state: State | None = None
        self.positions: Balances = ()
        self.latencies = Latencies()
        self.totals = Totals()
        self._stored_ticks: dict[int, bytes] = {}
        self._stored_windows: dict[int, bytes] = {}
        self._on_ledger = -1
        self._snapshot_due = 0

    async def restore(self, size: int) -> None:
        """Come to the end of a ledger of `size` entries by the everyday path, from the last snapshot on."""
        async with self.engine.connect() as connection:
            held = await clearings.read_snapshot(connection)
            if held is not None:
                self.state = State.from_bytes(held, pinned_tables(await clearings.read_tables(connection)))
                self.positions = provisional_positions(self.state)
                self._snapshot_due = self.state.second + SNAPSHOT_SECONDS
            begin = 0 if self.state is None else self.state.next_index
            self._stored_ticks = await clearings.stored_ticks(connection, begin)
            self._on_ledger = await clearings.last_window_on_ledger(connection)
            open_second = 0 if self.state is None else self.state.second
            self._stored_windows = await clearings.stored_windows(connection, min(open_second, self._on_ledger + 1))
            self._stage_closed_before_snapshot()
            async for tick in committed_ticks(connection, begin, size):
                await self.take(tick)
            self.totals = await totals(connection)

    def _stage_closed_before_snapshot(self) -> None:
        """Stage the windows that the snapshot has behind it and the ledger does not have: no replay comes past them again."""
        open_second = 0 if self.state is None else self.state.second
        behind = [second for second in sorted(self._stored_windows) if self._on_ledger < second < open_second]
        for second in behind:
            self.stage(Control(EntryKind.WINDOW, self._stored_windows.pop(second)))

    async def take(self, tick: CommittedTick) -> None:
        """Clear the next tick, or only let time pass; returns once the results are durable. LawBroken stops everything."""
        folded = await asyncio.to_thread(fold, self.state, tick)
        if folded is not None:
            await self._keep(tick, folded)

    async def take_each(self, committed: Ticks, cleared: Callable[[CommittedTick], None]) -> None:
        """Clear ticks as they come, until None comes: each is folded while the one before it is written.

        `cleared` is told of each tick once it is durable. `state` is always what is durable; what is folded ahead of it is memory
        alone. A tick that fails stops everything, but those before it are written first.
        """
        ahead: _Ahead = asyncio.Queue(1)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fold_each(committed, ahead))
                tasks.create_task(self._keep_each(ahead, cleared))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _fold_each(self, committed: Ticks, ahead: _Ahead) -> None:
        state = self.state
        while (tick := await committed.get()) is not None:
            try:
                folded = await asyncio.to_thread(fold, state, tick)
            except Exception:
                await ahead.join()
                raise
            if folded is not None:
                state = folded.state
            await ahead.put((tick, folded))
        await ahead.put(None)

    async def _keep_each(self, ahead: _Ahead, cleared: Callable[[CommittedTick], None]) -> None:
        # Dead anywhere here: ticks are written whole and in their order, so the next house clears from the first that is missing.
        while (item := await ahead.get()) is not None:
            tick, folded = item
            if folded is not None:
                await self._keep(tick, folded)
            cleared(tick)
            ahead.task_done()

    async def _keep(self, tick: CommittedTick, folded: Folded) -> None:
        """Write what a tick came to, then let everybody see it."""
        await self._write(folded)
        self.state = folded.state
        for item in folded.closed:
            if item.window.second > self._on_ledger:
                # Died before this entry is appended: the window's row is there, and restore stages its entry again.
                self.stage(Control(EntryKind.WINDOW, item.window.to_bytes()))
        if folded.cleared is not None:
            self.positions = folded.positions
        self.totals = _added(self.totals, folded, sum(verified.entry.kind is EntryKind.BATCH for verified in tick.entries))

    def count_latency(self, tick: CommittedTick) -> None:
        """Count a live tick's taps as cleared now; replayed ones waited for the restart, not for clearing."""
        bodies = b"".join(verified.body for verified in tick.entries)
        if bodies:
            self.latencies.add(np.frombuffer(bodies, "<i8")[::10], time.time_ns() // 1000)

    async def _write(self, folded: Folded) -> None:
        """Write what is not there yet; what is there must be the same."""
        cleared = folded.cleared
        new_tick = cleared is not None and not self._is_stored(self._stored_ticks, cleared.to_index, cleared.delta_root)
        new_windows = [
            item for item in folded.closed if not self._is_stored(self._stored_windows, item.window.second, item.window.to_bytes())
        ]
        if not new_tick and not new_windows:
            return
        with_snapshot = new_tick and folded.state.second >= self._snapshot_due
        async with self.engine.begin() as connection:
            # Dead before this block ends: the tick is cleared again from the ledger. Dead after: it is there, once.
            if not new_tick:
                # Windows that time alone closes: a tick has the clearing's head to hold it, these have the term, so that a house
                # that was replaced cannot close a second in which the next one still appends.
                await ledger_store.hold_term(connection, self.term)
            for item in new_windows:
                await clearings.write_window(connection, item.window, item.before.window.sums, window_postings(item.before))
            if cleared is not None and new_tick:
                await clearings.write_tick(connection, cleared, [fen for _member, fen in folded.positions])
                if with_snapshot:
                    await clearings.write_snapshot(connection, cleared.to_index, folded.state.to_bytes())
        if with_snapshot:
            self._snapshot_due = folded.state.second + SNAPSHOT_SECONDS

    @staticmethod
    def _is_stored(stored: dict[int, bytes], key: int, value: bytes) -> bool:
        found = stored.pop(key, None)
        if found is not None and found != value:
            raise LawBroken(
                f"clearing {key} again gives {value.hex()[:64]}, stored is {found.hex()[:64]}: the database was changed"
            )
        return found is not None


def _added(so_far: Totals, folded: Folded, batches: int) -> Totals:
    """The totals once this tick and these windows are in."""
    windows, cleared = [item.window for item in folded.closed], folded.cleared
    sealed = [window.second + window.seconds - 1 for window in windows]
    return Totals(
        taps=so_far.taps + (0 if cleared is None else cleared.taps),
        journeys=so_far.journeys + (0 if cleared is None else len(cleared.journeys)),
        batches=so_far.batches + batches,
        exceptions=so_far.exceptions + (0 if cleared is None else len(cleared.exceptions)),
        windows=so_far.windows + len(windows),
        gross_fen=so_far.gross_fen + sum(window.gross_fen for window in windows),
        net_fen=so_far.net_fen + sum(window.net_fen for window in windows),
        sealed_second=max([so_far.sealed_second, *sealed]),
    )


def fold(state: State | None, tick: CommittedTick) -> Folded | None:
    """Fold one committed tick and hold the laws; None where there is nothing to fold. Pure: it may run on any thread."""
    second = tick.recorded_us // 1_000_000
    if state is None:
        if not tick.entries:
            return None
        state = State.genesis(second)
    state, closed = close_before(state, second, has_entries=bool(tick.entries))
    breaches = [breach for item in closed for breach in window_laws(item.before, item.window, item.after)]
    cleared = None
    if tick.entries:
        before = state
        state, cleared = clear(before, tick_of(tick.entries, tick.last_leaf))
        breaches += laws(before, cleared, state)
    if breaches:
        raise LawBroken(f"second {second} breaks {len(breaches)} laws, first: {breaches[0]}")
    if cleared is None and not closed:
        return None
    return Folded(state, cleared, closed, provisional_positions(state))


def pinned_tables(tables: dict[bytes, bytes]) -> list[PinnedTable]:
    """Tables held, as clearing takes them."""
    return [pinned_table(data, digest) for digest, data in tables.items()]


async def committed_ticks(connection: AsyncConnection, begin: int, size: int) -> AsyncIterator[CommittedTick]:
    """The committed ticks of entries [begin, size), as the sequencer gave them when they were new."""
    tables = await clearings.read_tables(connection)
    evidence = await clearings.read_evidence(connection)
    entries: list[VerifiedEntry] = []
    async for row in ledger_store.read_entries(connection, begin, size):
        entry = read_entry(row.data)
        if entries and entries[-1].entry.recorded_us != entry.recorded_us:
            yield _committed(entries)
            entries = []
        # A TARIFF payload ends with its table's hash; an EVIDENCE payload has its file's at offset 16.
        table = tables[entry.payload[-32:]] if entry.kind is EntryKind.TARIFF else b""
        file = evidence[entry.payload[16:48]] if entry.kind is EntryKind.EVIDENCE else b""
        entries.append(VerifiedEntry(entry, body=row.taps, table=table, evidence=file))
    if entries:
        yield _committed(entries)


def _committed(entries: list[VerifiedEntry]) -> CommittedTick:
    last = entries[-1].entry
    return CommittedTick(last.recorded_us, entries[0].entry.index, entries, leaf_hash(last.to_bytes()))
