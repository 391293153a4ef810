"""Rider codes in PostgreSQL as they go: whole batches by retention, single taps by erasure. Every statement may be run twice."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.batch import erase_codes, read_codes
from fare_chain.events import EntryKind
from fare_chain.governance import ErasureEntry, RetentionEntry, read_erasure_entry, read_retention_entry
from fare_chain.ledger import FRAME_BYTES
from settlement.store.database import codes, entry


async def read_retention(connection: AsyncConnection) -> tuple[int, RetentionEntry] | None:
    """(index, entry) of the last RETENTION on the ledger; None before the first."""
    row = (
        await connection.execute(
            sa.select(entry.c.entry_index, entry.c.data)
            .where(entry.c.kind == int(EntryKind.RETENTION))
            .order_by(entry.c.entry_index.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else (row.entry_index, read_retention_entry(row.data[FRAME_BYTES:]))


async def read_erasures(connection: AsyncConnection, *, of_index: int | None = None) -> list[tuple[int, ErasureEntry]]:
    """(index, entry) of every ERASURE on the ledger, or of those about one BATCH entry, in order."""
    rows = await connection.execute(
        sa.select(entry.c.entry_index, entry.c.data).where(entry.c.kind == int(EntryKind.ERASURE)).order_by(entry.c.entry_index)
    )
    found = [(row.entry_index, read_erasure_entry(row.data[FRAME_BYTES:])) for row in rows]
    return [(index, told) for index, told in found if of_index in (None, told.index)]


async def first_recorded_from(connection: AsyncConnection, size: int, moment_us: int) -> int:
    """The first of `size` entries recorded at that moment or later; `size` where all are older. Entries are in time order."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        recorded_us = (await connection.execute(sa.select(entry.c.recorded_us).where(entry.c.entry_index == middle))).scalar_one()
        low, high = (middle + 1, high) if recorded_us < moment_us else (low, middle)
    return low


async def first_batch_without_codes(connection: AsyncConnection, from_index: int) -> int | None:
    """The first BATCH entry from there on whose codes are not held; None where all are."""
    held = sa.exists().where(codes.c.entry_index == entry.c.entry_index)
    query = sa.select(entry.c.entry_index).where(
        entry.c.kind == int(EntryKind.BATCH), entry.c.entry_index >= from_index, sa.not_(held)
    )
    found: int | None = (await connection.execute(query.order_by(entry.c.entry_index).limit(1))).scalar_one_or_none()
    return found


async def has_codes_below(connection: AsyncConnection, below: int) -> bool:
    """Whether codes of a batch below that entry are still held."""
    found = await connection.execute(sa.select(sa.exists().where(codes.c.entry_index < below)))
    return bool(found.scalar_one())


async def drop_codes(connection: AsyncConnection, below: int, most: int) -> int:
    """Delete the codes of the oldest batches below that entry, at most so many; how many went.

    Dead before the caller's commit: they are still there, and the next start goes on. Dead after: they are gone for good.
    """
    oldest = sa.select(codes.c.entry_index).where(codes.c.entry_index < below).order_by(codes.c.entry_index).limit(most)
    return (await connection.execute(sa.delete(codes).where(codes.c.entry_index.in_(oldest)))).rowcount


async def withhold_codes(connection: AsyncConnection, told: ErasureEntry) -> int:
    """Put codes of 0 bytes in place of those that an erasure names; how many were still there.

    Dead before the caller's commit: they are still there, and the next start does it again. Dead after: they are gone for good.
    """
    query = sa.select(codes.c.codes).where(codes.c.entry_index == told.index).with_for_update()
    held = (await connection.execute(query)).scalar_one_or_none()
    if held is None:
        return 0
    still = read_codes(bytes(held))
    went = sum(bool(still[tap]) for tap in told.taps)
    if went:
        left = erase_codes(bytes(held), told.taps)
        await connection.execute(sa.update(codes).where(codes.c.entry_index == told.index).values(codes=left))
    return went
