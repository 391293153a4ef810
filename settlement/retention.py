"""Let scanned codes go when their time is over: the ledger says so first, and only then are they deleted."""

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain.errors import Malformed
from fare_chain.events import EntryKind
from fare_chain.governance import RetentionEntry
from fare_chain.hashing import ZERO_HASH
from fare_chain.kept_codes import DAY_US, day_of
from settlement.finality import Finality
from settlement.intake import Intake
from settlement.sequencer import Sequencer
from settlement.store import retention as store

SCHEME_CODES_DAYS = 90
"""For how many days the scheme keeps scanned codes where the house is told nothing else: objections come within weeks."""
MOST_CODES_DAYS = 3_650
SLICE = 500
"""Batches whose codes go in one transaction: clearing never waits for long."""
LOOK_EVERY_S = 600.0
PENDING_EVERY_S = 1.0
"""How long the house waits before it looks again whether a RETENTION entry has become final."""

log = structlog.get_logger("retention")


class Retention:
    """The rule of one house, and how far it is carried out."""

    def __init__(
        self, engine: AsyncEngine, sequencer: Sequencer, intake: Intake, finality: Finality | None = None, *, codes_days: int
    ) -> None:
        """Keep codes for so many whole days of UTC, 0 for ever; Malformed where nobody would live to see them go."""
        if not 0 <= codes_days <= MOST_CODES_DAYS:
            raise Malformed(f"codes cannot be kept for {codes_days} days: say 1 to {MOST_CODES_DAYS}, or 0 to keep them for ever")
        self.engine = engine
        self.sequencer = sequencer
        self.intake = intake
        self.finality = finality
        self.codes_days = codes_days
        self.codes_from = 0
        """Below this entry the ledger lets codes go."""
        self.said_at: int | None = None
        """Where it says so; None before it ever did."""

    async def restore(self) -> None:
        """Come to what the ledger says, and carry out the erasures that stand there: a death may have come between."""
        async with self.engine.begin() as connection:
            said = await store.read_retention(connection)
            for _index, told in await store.read_erasures(connection):
                await store.withhold_codes(connection, told)
        if said is not None:
            self._take(*said)

    async def run(self) -> bool:
        """Say what may go by now, and let go what the ledger says; whether something waits for its entry to be final.

        Dead before the entry's commit: nothing has changed. Dead after it, or between two slices: the entry stands, and the next
        start goes on deleting. What is deleted twice is deleted once.
        """
        await self._say()
        async with self.engine.connect() as connection:
            due = await store.has_codes_below(connection, self.codes_from)
        if not due:
            return False
        # A reader of the published checkpoint must find the entry there before it misses a code.
        if self.said_at is None or (self.finality is not None and not self.finality.covers(self.said_at)):
            return True
        await self._drop()
        return False

    async def work(self) -> None:
        """Look every ten minutes until cancelled; first once the ledger's time has left the moment of the last house's death."""
        pause_s = PENDING_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = PENDING_EVERY_S if await self.run() else LOOK_EVERY_S

    async def _say(self) -> None:
        """Put a RETENTION entry on the ledger where codes are due that it does not let go yet."""
        if not self.codes_days:
            return
        # Counted from what is recorded already, so that the entry's own moment can only be later.
        begins_us = (day_of(max(self.sequencer.last_us, 0)) - self.codes_days) * DAY_US
        async with self.engine.connect() as connection:
            due = await store.first_recorded_from(connection, self.sequencer.head.head.size, begins_us)
            if due <= self.codes_from or not await store.has_codes_below(connection, due):
                return
        was, self.intake.needs_codes = self.intake.needs_codes, True
        try:
            if was or await self._are_all_held(due):
                told = RetentionEntry(self.codes_days, 0, due, 0, 0, ZERO_HASH)
                self._take(await self.sequencer.record(EntryKind.RETENTION, told.to_bytes()), told)
                log.info("codes may go", entry=self.said_at, codes_from=due, days=self.codes_days)
        finally:
            self.intake.needs_codes = was or self.said_at is not None

    async def _are_all_held(self, codes_from: int) -> bool:
        """Whether the first RETENTION entry may promise every code from there on; afterwards the intake takes none without."""
        bare = next((staged for staged in self.sequencer.in_flight.values() if not staged.batch.codes), None)
        async with self.engine.connect() as connection:
            stored = await store.first_batch_without_codes(connection, codes_from)
        if bare is None and stored is None:
            return True
        log.warning("no code is let go: a younger batch came without codes", entry=stored, codes_from=codes_from)
        return False

    def _take(self, index: int, told: RetentionEntry) -> None:
        self.said_at, self.codes_from = index, told.codes_from
        self.intake.needs_codes = True
        self.sequencer.forget_codes(told.codes_from, {})

    async def _drop(self) -> None:
        dropped = 0
        while True:
            async with self.engine.begin() as connection:
                went = await store.drop_codes(connection, self.codes_from, SLICE)
            # Dead here: as many slices are gone as were committed, and the entry stands for all of them.
            dropped += went
            if not went:
                break
            await asyncio.sleep(0)
        log.info("codes are gone", batches=dropped, codes_from=self.codes_from)
