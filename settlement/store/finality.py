"""Cosignatures in PostgreSQL, and the newest checkpoint that the quorum has cosigned; ticks as mirrors are given them."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.errors import Conflict
from fare_chain.events import EntryKind
from fare_chain.ledger import FRAME_BYTES
from fare_chain.mirror_feed import FeedEntry, FeedTick
from settlement.store.database import body, checkpoint, codes, cosignature, entry, evidence, final_head, rule_table


async def checkpoint_at(connection: AsyncConnection, size: int) -> str | None:
    """The note that the log signed at that size, or None where it signed none."""
    return (await connection.execute(sa.select(checkpoint.c.note).where(checkpoint.c.size == size))).scalar_one_or_none()


async def keep_cosignatures(connection: AsyncConnection, size: int, lines: Mapping[str, str]) -> None:
    """Keep who cosigned that size, by name in the policy; of two lines by one name the first stays."""
    rows = [{"size": size, "name": name, "line": line} for name, line in lines.items()]
    if rows:
        await connection.execute(insert(cosignature).on_conflict_do_nothing(), rows)


async def cosignatures_from(connection: AsyncConnection, size: int) -> dict[int, dict[str, str]]:
    """The lines kept for checkpoints of that size and beyond, by size and name."""
    found: dict[int, dict[str, str]] = {}
    for row in await connection.execute(sa.select(cosignature).where(cosignature.c.size >= size)):
        found.setdefault(row.size, {})[row.name] = row.line
    return found


async def write_final(connection: AsyncConnection, size: int, note: str) -> None:
    """Make this the newest final checkpoint, or the same one with more lines; a smaller one never replaces a larger."""
    put = insert(final_head).values(id=1, size=size, note=note)
    await connection.execute(
        put.on_conflict_do_update(
            index_elements=[final_head.c.id], set_={"size": size, "note": note}, where=final_head.c.size <= put.excluded.size
        )
    )


async def read_final(connection: AsyncConnection) -> tuple[int, str]:
    """(size, note) of the newest final checkpoint; (0, "") before the first."""
    row = (await connection.execute(sa.select(final_head))).one_or_none()
    return (0, "") if row is None else (row.size, row.note)


async def read_ticks(connection: AsyncConnection, from_size: int, most: int) -> list[FeedTick]:
    """The ticks after a checkpoint, the oldest first, `most` at a time; Conflict where no checkpoint has that size."""
    if from_size and await checkpoint_at(connection, from_size) is None:
        raise Conflict(f"the log has no checkpoint of size {from_size}: ask from the size of one that it signed")
    rows = await connection.execute(
        sa.select(checkpoint).where(checkpoint.c.size > from_size).order_by(checkpoint.c.size).limit(most)
    )
    notes = [(row.size, row.note) for row in rows]
    if not notes:
        return []
    held = await _entries(connection, from_size, notes[-1][0])
    ticks, begin = [], from_size
    for size, note in notes:
        ticks.append(FeedTick(note, tuple(held[begin - from_size : size - from_size])))
        begin = size
    return ticks


async def _entries(connection: AsyncConnection, begin: int, end: int) -> list[FeedEntry]:
    """Entries [begin, end) with all that travels beside them."""
    query = (
        sa.select(entry.c.kind, entry.c.data, body.c.taps, codes.c.codes)
        .outerjoin(body, body.c.entry_index == entry.c.entry_index)
        .outerjoin(codes, codes.c.entry_index == entry.c.entry_index)
        .where(entry.c.entry_index >= begin, entry.c.entry_index < end)
        .order_by(entry.c.entry_index)
    )
    given = []
    for row in (await connection.execute(query)).all():
        beside = row.taps or b""
        if row.kind == EntryKind.TARIFF:
            digest = row.data[-32:]
            beside = (await connection.execute(sa.select(rule_table.c.data).where(rule_table.c.hash == digest))).scalar_one()
        elif row.kind == EntryKind.EVIDENCE:
            digest = row.data[FRAME_BYTES + 16 : FRAME_BYTES + 48]
            beside = (await connection.execute(sa.select(evidence.c.data).where(evidence.c.hash == digest))).scalar_one()
        given.append(FeedEntry(bytes(row.data), bytes(beside), bytes(row.codes or b"")))
    return given
