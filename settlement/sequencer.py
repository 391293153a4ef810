"""Give everything that is staged one order: every 250 ms a tick of entries, chained, in the tree, signed, in one commit.

Staged batches live in memory alone: until the commit a city has no receipt and keeps its spool, so a death loses nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain import ledger
from fare_chain.batch import CityTail, SealedBatch
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Malformed, Overloaded
from fare_chain.events import EntryKind
from fare_chain.governance import ErasureLevel, read_erasure_entry, read_retention_entry
from fare_chain.keys import SigningKey
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import VerifiedEntry
from fare_chain.merkle import recent_nodes
from fare_chain.mirror_feed import FeedEntry, FeedTick, without_codes
from fare_chain.ml_dsa import MlDsaKey
from fare_chain.note import Note, cosign_ml_dsa, read_note
from fare_chain.proofs import ProofFile, prove_inclusion
from fare_chain.tiles import grow_tiles
from settlement.ports import CommittedTick
from settlement.store import ledger as store
from settlement.store.ledger import EntryRow, StoredHead

TICK_S = 0.25
MOST_RECENT_BYTES = 64 << 20
"""How much of what was just committed stays in memory for the mirrors; who is further behind reads from the database."""
MOST_STAGED_BYTES = 256 << 20
"""What may wait for a tick: beyond it a city is told to come back, and keeps its spool."""
MOST_AWAITED = 4096
"""How many entries of the house's own may be waited for at a time: beyond it whoever asks is told to come back."""


@dataclass(slots=True)
class Staged:
    """A batch that waits for its tick, and those who wait for its receipt."""

    batch: SealedBatch
    receipt: asyncio.Future[str]


@dataclass(frozen=True, slots=True)
class Control:
    """An entry of the house's own, the table that a TARIFF entry names, and who waits for its index."""

    kind: EntryKind
    payload: bytes
    table: bytes = b""
    recorded: asyncio.Future[int] | None = None


@dataclass(slots=True)
class Staging:
    """What waits for the next tick, and where each city's chain ends with it."""

    tails: dict[int, CityTail]
    batches: list[Staged] = field(default_factory=list)
    control: list[Control] = field(default_factory=list)
    waiting_bytes: int = 0


class Sequencer:
    """The one writer of the ledger in its term."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        key: SigningKey,
        head: StoredHead,
        tails: dict[int, CityTail],
        right_edge: dict[int, bytes],
        clock: Callable[[], int],
        ml_dsa: MlDsaKey | None = None,
    ) -> None:
        """Start from what the database has; `clock` gives microseconds; with a second key every checkpoint has its line too."""
        self.ml_dsa = ml_dsa
        self.engine = engine
        self.key = key
        self.head = head
        self.staging = Staging(dict(tails))
        self.right_edge = dict(right_edge)
        self.clock = clock
        self.last_us = head.head.recorded_us
        self.in_flight: dict[tuple[int, int], Staged] = {}
        self.awaited: set[asyncio.Future[int]] = set()
        self.moved = asyncio.Condition()
        self.recent: deque[tuple[int, FeedTick]] = deque()
        """The last ticks with the size before each: what followers ask for is mostly here."""
        self.recent_bytes = 0
        self.appended = asyncio.Condition()
        self.abandoned = False

    def tail(self, city: int) -> CityTail:
        """The end of a city's chain with everything that is staged."""
        return self.staging.tails.get(city, CityTail())

    async def stage(self, batch: SealedBatch) -> str:
        """Let a batch, checked to be its city's next, wait for its tick; its receipt once that is durable."""
        waiting = self.staging.waiting_bytes + len(batch.body) + len(batch.codes)
        if waiting > MOST_STAGED_BYTES:
            raise Overloaded(
                f"{self.staging.waiting_bytes >> 20} MiB wait for the ledger already: keep the batch and send it again"
            )
        self.staging.waiting_bytes = waiting
        staged = Staged(batch, asyncio.get_running_loop().create_future())
        self.staging.batches.append(staged)
        self.staging.tails[batch.header.city] = self.tail(batch.header.city).after(batch.header)
        self.in_flight[batch.header.city, batch.header.city_seq] = staged
        async with self.moved:
            self.moved.notify_all()
        return await asyncio.shield(staged.receipt)

    def stage_control(self, control: Control) -> None:
        """Let an entry of the house's own wait for the next tick; Malformed where it says what this version cannot do."""
        if self.abandoned:
            raise Overloaded("the clearing house restarts: ask again in a moment, nothing was written")
        check_buildable(control.kind, control.payload)
        self.staging.control.append(control)

    async def record(self, kind: EntryKind, payload: bytes) -> int:
        """Let an entry of the house's own wait for the next tick; its index once it is durable.

        Dead before that commit: nobody was told. Dead after: it stands, and whoever asked asks again.
        """
        if len(self.awaited) >= MOST_AWAITED:
            raise Overloaded(f"{MOST_AWAITED} entries wait for the ledger already: try again in a moment")
        recorded: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.awaited.add(recorded)
        recorded.add_done_callback(self.awaited.discard)
        self.stage_control(Control(kind, payload, recorded=recorded))
        return await recorded

    def abandon(self) -> None:
        """Tell everybody who waits for a receipt to send again: this sequencer appends no more."""
        self.abandoned = True
        for staged in self.in_flight.values():
            if not staged.receipt.done():
                staged.receipt.set_exception(Overloaded("the clearing house restarts: keep the batch and send it again"))
                staged.receipt.exception()
        for recorded in list(self.awaited):
            if not recorded.done():
                recorded.set_exception(Overloaded("the clearing house restarts: ask again in a moment"))
                recorded.exception()

    async def tick(self) -> CommittedTick:
        """Append what is staged and answer for it; with nothing staged, say how far time has come."""
        recorded_us = max(self.last_us + 1, self.clock())
        batches, control = self.staging.batches, self.staging.control
        self.staging.batches, self.staging.control, self.staging.waiting_bytes = [], [], 0
        if not batches and not control:
            self.last_us = recorded_us
            return CommittedTick(recorded_us, self.head.head.size, (), self.head.head.last_leaf)
        # If this fails it is unknown whether the commit arrived: the house abandons this sequencer, reads the head and goes on
        # from there; the cities send again and get the receipts of what did arrive.
        return await self._append(recorded_us, batches, control)

    async def _append(self, recorded_us: int, batches: Sequence[Staged], control: Sequence[Control]) -> CommittedTick:
        before = self.head
        payloads = [(EntryKind.BATCH, staged.batch.signed_header) for staged in batches]
        payloads += [(item.kind, item.payload) for item in control]
        head, entries, leaves = ledger.append(before.head, recorded_us, payloads)
        right_edge = dict(self.right_edge)
        tiles = grow_tiles(before.head.size, leaves, right_edge)
        note = self._sign(Checkpoint(before.origin, head.size, head.root()), recorded_us)
        after = replace(before, head=head, note=note)
        async with self.engine.begin() as connection:
            # Dead before this block ends: nothing of the tick exists. Dead after: all of it does, with the note as signed.
            await store.append_tick(connection, before=before, after=after, rows=_rows(entries, batches), tiles=tiles)
        self.head, self.right_edge, self.last_us = after, right_edge, recorded_us
        self._answer(before, leaves, entries, batches)
        for index, item in enumerate(control, start=before.head.size + len(batches)):
            if item.recorded is not None and not item.recorded.done():
                item.recorded.set_result(index)
        await self._remember(before.head.size, FeedTick(note, _given(entries, batches, control)))
        verified = [
            VerifiedEntry(read_entry(data), body=staged.batch.body) for data, staged in zip(entries, batches, strict=False)
        ] + [_verified(data, item) for data, item in zip(entries[len(batches) :], control, strict=True)]
        return CommittedTick(recorded_us, before.head.size, verified, head.last_leaf)

    def _sign(self, checkpoint: Checkpoint, recorded_us: int) -> str:
        """The log's note; the ML-DSA-44 line differs each time it is made, so that these bytes are stored and never made again."""
        note = checkpoint.sign(self.key)
        if self.ml_dsa is None:
            return note
        line = cosign_ml_dsa(checkpoint.to_text(), checkpoint.origin, self.ml_dsa, recorded_us // 1_000_000)
        return note + line.to_text()

    def receipt_note(self, note: str) -> str:
        """The checkpoint of a receipt: with its first line alone, the log's by Ed25519, so that a receipt stays small."""
        read = read_note(note)
        return Note(read.text, read.lines[:1]).to_text()

    async def _remember(self, size: int, tick: FeedTick) -> None:
        """Keep a tick for followers and wake them; the oldest give way."""
        self.recent.append((size, tick))
        self.recent_bytes += tick.bytes()
        while self.recent_bytes > MOST_RECENT_BYTES and len(self.recent) > 1:
            self.recent_bytes -= self.recent.popleft()[1].bytes()
        async with self.appended:
            self.appended.notify_all()

    def ticks_after(self, size: int, most_bytes: int) -> list[FeedTick] | None:
        """The ticks after that size as far as they fit; None where the first is not remembered, or there is no such size."""
        if size == self.head.head.size:
            return []
        found: list[FeedTick] = []
        for before, tick in self.recent:
            if before == size or found:
                if found and most_bytes < tick.bytes():
                    break
                found.append(tick)
                most_bytes -= tick.bytes()
        return found or None

    def _answer(self, before: StoredHead, leaves: Sequence[bytes], entries: Sequence[bytes], batches: Sequence[Staged]) -> None:
        """Give every city its receipt: durable now, so nobody can be told of what is not there."""
        nodes = recent_nodes(before.head.frontier, leaves)
        size, note = self.head.head.size, self.receipt_note(self.head.note)
        for at, staged in enumerate(batches):
            index = before.head.size + at
            path = prove_inclusion(index=index, size=size, read_node=lambda level, place: nodes[level, place])
            if not staged.receipt.done():
                staged.receipt.set_result(ProofFile(index, tuple(path), note, entries[at]).to_text())
            self.in_flight.pop((staged.batch.header.city, staged.batch.header.city_seq), None)

    def forget_codes(self, below: int, erased: Mapping[int, Collection[int]]) -> None:
        """Let what is remembered for followers lose the codes of batches below an entry, and of these taps by entry."""
        for at, (size, tick) in enumerate(self.recent):
            if size < below or any(size <= index < size + len(tick.entries) for index in erased):
                left = FeedTick(tick.note, without_codes(tick.entries, size, below, erased))
                self.recent[at] = size, left
                self.recent_bytes += left.bytes() - tick.bytes()


def check_buildable(kind: EntryKind, payload: bytes) -> None:
    """Malformed where an entry promises what this version cannot do: drop bodies, or take taps out of them."""
    if kind is EntryKind.RETENTION and read_retention_entry(payload).bodies_from:
        raise Malformed(
            "retention entry: bodies_from is not 0, but a replay from a snapshot is not built: bodies are kept for good (offset 16)"
        )
    if kind is EntryKind.ERASURE and read_erasure_entry(payload).level is ErasureLevel.TAPS:
        raise Malformed(
            "erasure entry: level 3, taken out of its body a tap could not be cleared again, is not built: ask for level 1 or 2"
        )


async def ticks(sequencer: Sequencer, stopping: asyncio.Event) -> AsyncIterator[CommittedTick]:
    """A tick every 250 ms until told to stop, and one more for what came in meanwhile; a late one delays those after it."""
    next_at = time.monotonic()
    while not stopping.is_set():
        next_at = max(next_at + TICK_S, time.monotonic())
        await asyncio.sleep(next_at - time.monotonic())
        yield await sequencer.tick()
    yield await sequencer.tick()


def _verified(data: bytes, item: Control) -> VerifiedEntry:
    if item.kind is EntryKind.EVIDENCE:
        return VerifiedEntry(read_entry(data), evidence=item.table)
    return VerifiedEntry(read_entry(data), table=item.table)


def _given(entries: Sequence[bytes], batches: Sequence[Staged], control: Sequence[Control]) -> tuple[FeedEntry, ...]:
    """The entries of a tick with what travels beside them, codes and all: who follows gets those that it may see."""
    given = [FeedEntry(data, staged.batch.body, staged.batch.codes) for data, staged in zip(entries, batches, strict=False)]
    return (*given, *(FeedEntry(data, item.table) for data, item in zip(entries[len(batches) :], control, strict=True)))


def _rows(entries: Sequence[bytes], batches: Sequence[Staged]) -> list[EntryRow]:
    """The rows of a tick: its batches first, then the house's own entries."""
    rows = []
    for at, data in enumerate(entries):
        entry = read_entry(data)
        row = EntryRow(data, entry.kind, entry.index, entry.recorded_us)
        if at < len(batches):
            batch = batches[at].batch
            header = batch.header
            row = replace(
                row, city=header.city, city_seq=header.city_seq, body_hash=header.body_hash, taps=batch.body, codes=batch.codes
            )
        rows.append(row)
    return rows
