"""Uphold an objection to a ride that is cleared: find its journey, and put the objection on record again with that journey's proof.

The fold takes out by itself what still waits. Of a cleared journey it knows nothing, so the second entry brings the journey.
"""

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fare_chain.errors import Unknown
from fare_chain.events import EntryKind
from fare_chain.evidence import entry_for, read_evidence
from fare_chain.governance import EvidenceEntry, EvidenceKind, read_evidence_entry
from fare_chain.window_proofs import read_journey
from settlement.core.inner_paths import ClearedWindow, journey_inside
from settlement.core.objections import read_objection, write_brought
from settlement.core.reversals import CONTEST_SECONDS
from settlement.evidence_intake import EvidenceIntake
from settlement.ports import CommittedTick
from settlement.store import evidence as evidence_store
from settlement.store import objections as store
from settlement.store import proofs
from settlement.store.evidence import KeptEvidence
from settlement.store.objections import ObjectedJourney

_MARGIN_S = 60
"""So long before the fold would find a proof too late, it is not brought any more: its entry needs a moment."""


@dataclass(frozen=True, slots=True)
class _Open:
    """An objection on the ledger, and the cleared journey that it is about, whose window may not stand there yet."""

    entry: EvidenceEntry
    file: bytes
    journey: ObjectedJourney


class Upholding:
    """What the house does for the objections on record, once their ticks are cleared."""

    def __init__(self, engine: AsyncEngine, intake: EvidenceIntake) -> None:
        """Nothing is open before `restore`."""
        self.engine = engine
        self.intake = intake
        self._open: list[_Open] = []
        self._cleared: asyncio.Queue[CommittedTick] = asyncio.Queue()

    async def restore(self) -> None:
        """Open again what is on the ledger and not settled: its house died before the window stood there, or before it looked."""
        async with self.engine.connect() as connection:
            standing = await evidence_store.evidence_on_ledger(connection)
            kept = [each for each in await evidence_store.all_evidence(connection) if _is_objection(each.entry)]
            settled = {(each.entry.index, each.entry.tap) for each in kept if each.settles}
            for each in kept:
                at = standing.get(each.entry.file_hash)
                if not each.settles and at is not None and (each.entry.index, each.entry.tap) not in settled:
                    await self._find(connection, each.entry, each.file, at)
        await self._settle()

    def notice(self, tick: CommittedTick) -> None:
        """Hear of a tick that is cleared and durable; `work` follows it up."""
        if tick.entries and (self._open or any(verified.evidence for verified in tick.entries)):
            self._cleared.put_nowait(tick)

    async def work(self) -> None:
        """Follow up what was noticed, until cancelled. Dead anywhere: the next start opens again what is not settled."""
        while True:
            await self.follow(await self._cleared.get())

    async def follow(self, tick: CommittedTick) -> None:
        """Look at a tick that is cleared: its objections are about journeys that earlier ticks cleared, or settled by it."""
        objections = [verified for verified in tick.entries if verified.entry.kind is EntryKind.EVIDENCE and verified.evidence]
        if objections:
            async with self.engine.connect() as connection:
                for verified in objections:
                    told = read_evidence_entry(verified.entry.payload)
                    if _is_objection(told) and not read_evidence(verified.evidence.decode()).journey():
                        await self._find(connection, told, verified.evidence, verified.entry.index)
        if self._open and tick.entries:
            await self._settle()

    async def _find(self, connection: AsyncConnection, told: EvidenceEntry, file: bytes, at: int) -> None:
        """Find the journey that the tap made between its batch and the objection; where there is none, nothing is taken back."""
        tap = read_objection(at, read_evidence(file.decode())).tap
        found = await store.journey_of_tap(connection, tap, told.index, at)
        if found is None or found.journey_id in {each.journey.journey_id for each in self._open}:
            return
        if await store.fall_of(connection, found.journey_id, told.index) is None:
            self._open.append(_Open(told, file, found))

    async def _settle(self) -> None:
        """Put on record what can be proved now; the rest waits for its WINDOW entry, or is too late and left to a dispute."""
        still_open = []
        for each in self._open:
            if self._is_too_late(each.journey.second):
                continue
            async with self.engine.connect() as connection:
                brought = await self._brought(connection, each.journey)
            if brought is None:
                still_open.append(each)
                continue
            file = read_evidence(each.file.decode()).with_journey(brought).encode()
            told = entry_for(file, accused=each.entry.accused, index=each.entry.index, tap=each.entry.tap)
            await self.intake.keep_and_stage(KeptEvidence(told, file, settles=True))
        self._open = still_open

    def _is_too_late(self, second: int) -> bool:
        return self.intake.sequencer.clock() // 1_000_000 > second + CONTEST_SECONDS - _MARGIN_S

    async def _brought(self, connection: AsyncConnection, journey: ObjectedJourney) -> bytes | None:
        """The journey with its paths to its window's delta root; None while the window has no entry."""
        try:
            index, window = await proofs.window_over(connection, journey.second)
        except Unknown:
            return None
        ticks = await proofs.ticks_of(connection, window)
        inside = await asyncio.to_thread(journey_inside, ClearedWindow(index, window, b"", ticks), journey.journey_id)
        assert inside is not None, "the journey was found in this window"
        return write_brought(window.second, read_journey(inside))


def _is_objection(told: EvidenceEntry) -> bool:
    return told.kind is EvidenceKind.BAD_RIDER_SIGNATURE
