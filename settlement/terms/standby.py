"""A standby before its term: it shows mirrors what is stored, takes their cosignatures, and appends nothing.

The last ticks of a lost house may be committed and known to no mirror, or to some. Cities sign a term at the tree that they have
cosigned, and a term continues the ledger as it is stored: only who has the database can bring the ones to the other.
"""

import asyncio
import contextlib
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fare_chain.batch import SealedBatch
from fare_chain.errors import Conflict, Overloaded
from fare_chain.events import EntryKind
from fare_chain.keys import SigningKey
from settlement.sequencer import TICK_S, Sequencer
from settlement.store import ledger as store
from settlement.store.ledger import StoredHead


class Standby(Sequencer):
    """The ledger as another house left it, or still writes it: no term is taken here, so nobody is fenced."""

    @classmethod
    async def open(cls, engine: AsyncEngine, *, key: SigningKey, origin: str, clock: Callable[[], int]) -> "Standby":
        """Stand at the end of what is stored; Conflict where nothing is."""
        async with engine.connect() as connection:
            head = await _read_head(connection, origin)
            tails = await store.read_tails(connection)
        return cls(engine, key=key, head=head, tails=tails, right_edge={}, clock=clock)

    async def stage(self, batch: SealedBatch) -> str:
        """Take no batch: the city's spool keeps it until a house may sequence."""
        raise Overloaded(
            f"this house is a standby and may not sequence yet: keep batch {batch.header.city_seq}, and send it again later"
        )

    async def record(self, kind: EntryKind, payload: bytes) -> int:  # noqa: ARG002  as a sequencer
        """Put nothing on the ledger, and so let nobody look or erase."""
        raise Overloaded(f"this house is a standby and may not sequence yet: no {kind.name} entry can stand first, ask again later")

    async def watch(self, stopping: asyncio.Event) -> None:
        """Follow the stored head until told to stop: the other house may not be dead."""
        while not stopping.is_set():
            async with self.engine.connect() as connection:
                head = await _read_head(connection, self.head.origin)
                if head.head.size != self.head.head.size:
                    self.staging.tails = await store.read_tails(connection)
            self.head = head
            async with self.appended:
                self.appended.notify_all()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), TICK_S)


async def _read_head(connection: AsyncConnection, origin: str) -> StoredHead:
    head = await store.open_head(connection, origin)
    if not head.note:
        raise Conflict("there is no ledger here to stand by for: start the first house without --standby")
    return head
