"""One cleared journey found again: its record and shares, the tick that cleared it, its taps, and the tables in force then.

A journey's id is a hash and tells no time, and its record lies in the block of its tick: a search reads the blocks of a span of
time, the newest first. So the span is bounded; whoever knows the window of a journey finds it at once.
"""

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.events import EntryKind, read_tariff_entry
from fare_chain.hashing import leaf_hash
from fare_chain.identifiers import SCHEME
from fare_chain.ledger import FRAME_BYTES
from settlement.core.columns import JOIN_DTYPE, JOURNEY_DTYPE, SHARE_DTYPE, TAP_DTYPE, Records, Taps, no_rows, pick
from settlement.core.rules import FUTURE_TOLERANCE_US
from settlement.store.database import body, cleared_tick, entry, rule_table

SECOND_US = 1_000_000
SEARCHED_US = 24 * 3600 * SECOND_US
"""How far back from its end a search without a beginning goes, and how long after a journey its join may come."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredJourney:
    """One journey (JOURNEY_DTYPE, one row) with its shares, and the entries [from_index, to_index) of the tick that cleared it."""

    journey: Records
    shares: Records
    from_index: int
    to_index: int
    recorded_us: int


async def find_journey(connection: AsyncConnection, journey_id: bytes, from_us: int, to_us: int) -> StoredJourney | None:
    """Find a journey among the ticks recorded in [from_us, to_us), the newest first."""
    begin, end = await _first_tick_at(connection, from_us), await _first_tick_at(connection, to_us)
    query = (
        sa.select(cleared_tick)
        .where(cleared_tick.c.to_index >= begin, cleared_tick.c.to_index < end, _holds(cleared_tick.c.journey_block, journey_id))
        .order_by(cleared_tick.c.to_index.desc())
    )
    async with connection.stream(query) as ticks:
        async for tick in ticks:
            journeys = np.frombuffer(tick.journey_block, JOURNEY_DTYPE)
            rows = _rows_with(journeys, "journey_id", journey_id)
            if len(rows):
                shares = np.frombuffer(tick.share_block, SHARE_DTYPE)
                own = pick(shares, shares["journey"] == rows[0])
                return StoredJourney(pick(journeys, rows[:1]), own, tick.from_index, tick.to_index, tick.recorded_us)
    return None


async def find_join(connection: AsyncConnection, stored: StoredJourney) -> tuple[bytes, bytes, int] | None:
    """Find the join that names a journey: the ids of both, in order, and when it was recorded; it comes with the later of them."""
    journey_id = stored.journey["journey_id"][0].tobytes()
    end = await _first_tick_at(connection, stored.recorded_us + SEARCHED_US)
    query = (
        sa.select(cleared_tick.c.join_block, cleared_tick.c.recorded_us)
        .where(
            cleared_tick.c.to_index >= stored.to_index,
            cleared_tick.c.to_index <= end,
            sa.func.octet_length(cleared_tick.c.join_block) > 0,
            _holds(cleared_tick.c.join_block, journey_id),
        )
        .order_by(cleared_tick.c.to_index)
    )
    for tick in await connection.execute(query):
        joins = np.frombuffer(tick.join_block, JOIN_DTYPE)
        for name in ("first", "second"):
            rows = _rows_with(joins, name, journey_id)
            if len(rows):
                return joins["first"][rows[0]].tobytes(), joins["second"][rows[0]].tobytes(), tick.recorded_us
    return None


async def seed_of(connection: AsyncConnection, stored: StoredJourney) -> bytes:
    """The seed of the tick that cleared a journey: the leaf hash of its last entry."""
    query = sa.select(entry.c.data).where(entry.c.entry_index == stored.to_index - 1)
    return leaf_hash((await connection.execute(query)).scalar_one())


async def tables_in_force(connection: AsyncConnection, host: int, to_index: int) -> list[tuple[bytes, bytes]]:
    """(hash, bytes) of a host's table and of every agreement that the entries before `to_index` put in force."""
    rows = await connection.execute(
        sa.select(entry.c.data)
        .where(entry.c.kind == int(EntryKind.TARIFF), entry.c.entry_index < to_index)
        .order_by(entry.c.entry_index)
    )
    named = [read_tariff_entry(row.data[FRAME_BYTES:]) for row in rows]
    own = [tariff.table_hash for tariff in named if tariff.member == host][-1:]
    wanted = [*own, *(tariff.table_hash for tariff in named if tariff.member == SCHEME)]
    held = {row.hash: row.data for row in await connection.execute(sa.select(rule_table).where(rule_table.c.hash.in_(set(wanted))))}
    return [(digest, held[digest]) for digest in wanted]


async def taps_of(connection: AsyncConnection, stored: StoredJourney) -> Taps:
    """Every tap of a journey's medium in its host, as recorded since its entry and until it was cleared: TAP_DTYPE."""
    journey = stored.journey[0]
    medium = journey["medium"].tobytes()
    begin = await _first_entry_at(connection, int(journey["entered_at_us"]) - FUTURE_TOLERANCE_US, stored.to_index)
    rows = await connection.execute(
        sa.select(body.c.taps)
        .join(entry, entry.c.entry_index == body.c.entry_index)
        .where(
            body.c.entry_index >= begin,
            body.c.entry_index < stored.to_index,
            entry.c.city == int(journey["host"]),
            _holds(body.c.taps, medium),
        )
        .order_by(body.c.entry_index)
    )
    taps = [np.frombuffer(row.taps, TAP_DTYPE) for row in rows]
    own = [pick(run, _rows_with(run, "medium", medium)) for run in taps]
    return np.concatenate(own) if own else no_rows(TAP_DTYPE)


def _holds(column: sa.Column[bytes], part: bytes) -> sa.ColumnElement[bool]:
    """Whether bytes contain others, wherever they begin; the database looks, so that blocks stay where they are."""
    return sa.func.pg_catalog.position(column, part) > 0


def _rows_with(records: Records, name: str, value: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The rows whose field has these 16 bytes."""
    words = np.ascontiguousarray(records[name]).view("<u8").reshape(-1, 2)
    return np.flatnonzero((words == np.frombuffer(value, "<u8")).all(axis=1))


async def _first_tick_at(connection: AsyncConnection, moment_us: int) -> int:
    """The `to_index` of the first tick recorded at or after a moment, or one beyond the last: ticks rise with time."""
    last = (await connection.execute(sa.select(sa.func.max(cleared_tick.c.to_index)))).scalar_one() or 0
    low, high = 0, last + 1
    while low < high:
        middle = (low + high) // 2
        query = (
            sa.select(cleared_tick.c.to_index, cleared_tick.c.recorded_us)
            .where(cleared_tick.c.to_index >= middle)
            .order_by(cleared_tick.c.to_index)
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None or row.recorded_us >= moment_us:
            high = middle
        else:
            low = row.to_index + 1
    return low


async def _first_entry_at(connection: AsyncConnection, moment_us: int, below: int) -> int:
    """The first entry recorded at or after a moment, at most `below`: entries rise with time."""
    low, high = 0, below
    while low < high:
        middle = (low + high) // 2
        recorded_us = (await connection.execute(sa.select(entry.c.recorded_us).where(entry.c.entry_index == middle))).scalar_one()
        low, high = (low, middle) if recorded_us >= moment_us else (middle + 1, high)
    return low
