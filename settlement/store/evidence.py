"""Evidence files by what they claim: each claim once, durable before its entry is staged."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.events import EntryKind
from fare_chain.governance import EvidenceEntry, EvidenceKind, read_evidence_entry
from fare_chain.hashing import sha256
from fare_chain.ledger import FRAME_BYTES
from settlement.store.database import entry, evidence


class KeptEvidence(NamedTuple):
    """What an EVIDENCE entry says of a file, and the file; `settles` where it carries the journey that it reverses."""

    entry: EvidenceEntry
    file: bytes
    settles: bool


async def keep_evidence(connection: AsyncConnection, kept: KeptEvidence) -> bool:
    """Keep a file inside the caller's transaction; False, and nothing is written, where its claim stands there already."""
    told = kept.entry
    rows = await connection.execute(
        insert(evidence)
        .values(
            hash=told.file_hash, kind=int(told.kind), accused=told.accused, entry_index=told.index, tap=told.tap,
            settles=kept.settles, data=kept.file,
        )
        .on_conflict_do_nothing()
    )  # fmt: skip
    return rows.rowcount == 1


async def find_evidence(connection: AsyncConnection, told: EvidenceEntry, *, settles: bool) -> KeptEvidence | None:
    """The file that was kept for a claim: kind, accused, index and tap; None before the first."""
    query = sa.select(evidence).where(
        evidence.c.kind == int(told.kind),
        evidence.c.accused == told.accused,
        evidence.c.entry_index == told.index,
        evidence.c.tap == told.tap,
        evidence.c.settles == settles,
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _kept(row)


async def all_evidence(connection: AsyncConnection) -> list[KeptEvidence]:
    """Everything kept, by claim."""
    order = (evidence.c.kind, evidence.c.accused, evidence.c.entry_index, evidence.c.tap, evidence.c.settles)
    return [_kept(row) for row in await connection.execute(sa.select(evidence).order_by(*order))]


async def evidence_on_ledger(connection: AsyncConnection) -> dict[bytes, int]:
    """The index of the EVIDENCE entry of every file that has one, by file hash."""
    query = sa.select(entry.c.entry_index, entry.c.data).where(entry.c.kind == int(EntryKind.EVIDENCE))
    rows = await connection.execute(query)
    return {read_evidence_entry(row.data[FRAME_BYTES:]).file_hash: row.entry_index for row in rows}


async def read_entry_at(connection: AsyncConnection, index: int) -> bytes | None:
    """One entry as it is hashed; None where the ledger does not reach so far."""
    return (await connection.execute(sa.select(entry.c.data).where(entry.c.entry_index == index))).scalar_one_or_none()


def _kept(row: sa.Row[tuple[object, ...]]) -> KeptEvidence:
    file = bytes(row.data)
    told = EvidenceEntry(EvidenceKind(row.kind), row.accused, row.tap, len(file), sha256(file), row.entry_index)
    return KeptEvidence(told, file, row.settles)
