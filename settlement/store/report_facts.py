"""The facts of reports as they are stored, streamed window by window: memory stays flat however long a report is."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.checkpoint import read_text
from fare_chain.errors import Unknown
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.hashing import leaf_hash
from fare_chain.ledger import FRAME_BYTES
from fare_chain.note import read_note
from settlement.core.columns import EXCEPTION_DTYPE, JOURNEY_DTYPE, SHARE_DTYPE, TAP_DTYPE, Records, join
from settlement.reports.catalogue import Needs
from settlement.reports.facts import Asked, BatchFacts, Owed, Registered, TickFacts, WindowFacts
from settlement.reports.in_force import TablesInForce
from settlement.store.database import checkpoint, cleared_tick, entry, exception, obligation, snapshot, win
from settlement.store.ledger import header_of, read_entries

_PAGE = 3_600
"""Windows looked up at once."""
_CHUNK_TAPS = 200_000
"""How many taps the windows may have of which the insides are held at once."""


@dataclass(frozen=True, slots=True)
class SignedSize:
    """A size at which the log signed a checkpoint: its root, and when its last entry was recorded."""

    size: int
    root: bytes
    recorded_us: int


async def signed_size(connection: AsyncConnection, most: int) -> SignedSize:
    """The last signed checkpoint of at most so many entries; Unknown before the first."""
    query = sa.select(checkpoint).where(checkpoint.c.size <= most).order_by(checkpoint.c.size.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    if row is None or row.size == 0:
        raise Unknown(f"the ledger had nothing that was signed at {most} entries: ask for a later size or moment")
    recorded_us = (await connection.execute(sa.select(entry.c.recorded_us).where(entry.c.entry_index == row.size - 1))).scalar_one()
    return SignedSize(int(row.size), read_text(read_note(row.note).text).root, int(recorded_us))


async def size_at(connection: AsyncConnection, moment_us: int, size: int) -> int:
    """How many of `size` entries were recorded at or before a moment: entries rise with time."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        recorded_us = (await connection.execute(sa.select(entry.c.recorded_us).where(entry.c.entry_index == middle))).scalar_one()
        low, high = (low, middle) if recorded_us > moment_us else (middle + 1, high)
    return low


async def read_register(connection: AsyncConnection, size: int) -> tuple[Registered, ...]:
    """Every KEY and TARIFF entry below a size."""
    kinds = (int(EntryKind.KEY), int(EntryKind.TARIFF))
    query = sa.select(entry.c.entry_index, entry.c.recorded_us, entry.c.kind, entry.c.data)
    rows = await connection.execute(query.where(entry.c.kind.in_(kinds), entry.c.entry_index < size).order_by(entry.c.entry_index))
    return tuple(Registered(row.entry_index, row.recorded_us, row.kind, row.data[FRAME_BYTES:]) for row in rows)


async def known_span(connection: AsyncConnection, size: int) -> tuple[int, int]:
    """The seconds [from, to) of the windows whose entries stand below a size; (0, 0) where there is none."""
    payload = sa.select(entry.c.data).where(entry.c.kind == int(EntryKind.WINDOW), entry.c.entry_index < size).limit(1)
    first = (await connection.execute(payload.order_by(entry.c.entry_index))).scalar_one_or_none()
    last = (await connection.execute(payload.order_by(entry.c.entry_index.desc()))).scalar_one_or_none()
    if first is None or last is None:
        return 0, 0
    begin, end = (read_window_entry(data[FRAME_BYTES:]) for data in (first, last))
    return begin.second, end.second + end.seconds


async def snapshot_before(connection: AsyncConnection, size: int) -> bytes | None:
    """The last snapshot of clearing's state at a size of at most `size`; None where there is none."""
    query = sa.select(snapshot.c.state).where(snapshot.c.to_index <= size).order_by(snapshot.c.to_index.desc()).limit(1)
    return (await connection.execute(query)).scalar_one_or_none()


async def window_facts(connection: AsyncConnection, asked: Asked, tables: TablesInForce) -> AsyncIterator[list[WindowFacts]]:
    """The windows that a report may need, in order, with of their insides what it needs; a list is what is held at once."""
    begin, end = asked.windows()
    async for page in _known_windows(connection, begin, end, asked.as_of.size):
        sizes = await _checkpoints_over(connection, page, asked.as_of.size)
        for chunk in _chunks(page):
            bare = [WindowFacts(place, sizes[bisect_right(sizes, place)], window) for place, window in chunk]
            yield await _filled(connection, bare, asked.needs, tables)


async def _known_windows(
    connection: AsyncConnection, begin: int, end: int | None, size: int
) -> AsyncIterator[list[tuple[int, Any]]]:
    """(entry index, window) page by page, as long as the windows' own entries stand below `size`."""
    while True:
        query = sa.select(win.c.payload).where(win.c.second >= begin).order_by(win.c.second).limit(_PAGE)
        rows = (await connection.execute(query if end is None else query.where(win.c.second < end))).all()
        if not rows:
            return
        windows = [read_window_entry(row.payload) for row in rows]
        places = await _places(connection, windows, size)
        page = [(places[window.second], window) for window in windows if window.second in places]
        if page:
            yield page
        if len(page) < len(windows):
            return
        begin = windows[-1].second + 1


async def _places(connection: AsyncConnection, windows: Sequence[Any], size: int) -> dict[int, int]:
    """The index of each window's own entry, by its second; a window's stands after the entries that it covers."""
    first = sa.select(entry.c.entry_index, entry.c.data).where(
        entry.c.kind == int(EntryKind.WINDOW), entry.c.entry_index >= windows[0].to_index, entry.c.entry_index < size
    )
    places: dict[int, int] = {}
    async with connection.stream(first.order_by(entry.c.entry_index)) as rows:
        async for row in rows:
            second = read_window_entry(row.data[FRAME_BYTES:]).second
            if second > windows[-1].second:
                break
            places[second] = row.entry_index
    return places


async def _checkpoints_over(connection: AsyncConnection, page: Sequence[tuple[int, Any]], size: int) -> list[int]:
    query = (
        sa.select(checkpoint.c.size).where(checkpoint.c.size > page[0][0], checkpoint.c.size <= size).order_by(checkpoint.c.size)
    )
    sizes: list[int] = []
    async with connection.stream_scalars(query) as rows:
        async for one in rows:
            sizes.append(one)
            if one > page[-1][0]:
                break
    return sizes


def _chunks(page: Sequence[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    """Windows of so many taps at a time, at least one."""
    chunk: list[tuple[int, Any]] = []
    taps = 0
    for place, window in page:
        if chunk and taps + window.taps > _CHUNK_TAPS:
            yield chunk
            chunk, taps = [], 0
        chunk.append((place, window))
        taps += window.taps
    if chunk:
        yield chunk


async def _filled(
    connection: AsyncConnection, bare: list[WindowFacts], needs: frozenset[Needs], tables: TablesInForce
) -> list[WindowFacts]:
    """The windows with their insides."""
    owed = await _owed(connection, bare) if Needs.SUMS in needs else {}
    ticks = await _ticks(connection, bare, tables) if Needs.TICKS in needs else {}
    batches = await _batches(connection, bare, tables) if Needs.TAPS in needs else {}
    return [
        WindowFacts(
            facts.entry_index,
            facts.checkpoint_size,
            facts.window,
            tuple(owed.get(facts.window.second, ())),
            tuple(ticks.get(facts.window.second, ())),
            tuple(batches.get(facts.window.second, ())),
        )
        for facts in bare
    ]


async def _owed(connection: AsyncConnection, bare: list[WindowFacts]) -> dict[int, list[Owed]]:
    found: dict[int, list[Owed]] = {}
    query = sa.select(
        obligation.c.second, obligation.c.kind, obligation.c.debtor, obligation.c.creditor, obligation.c.journeys,
        obligation.c.amount_fen,
    ).where(obligation.c.second >= bare[0].window.second, obligation.c.second <= bare[-1].window.second)  # fmt: skip
    order = (obligation.c.second, obligation.c.kind, obligation.c.debtor, obligation.c.creditor)
    for row in await connection.execute(query.order_by(*order)):
        found.setdefault(row[0], []).append(Owed(*row[1:]))
    return found


async def _ticks(connection: AsyncConnection, bare: list[WindowFacts], tables: TablesInForce) -> dict[int, list[TickFacts]]:
    begin, end = bare[0].window.from_index, bare[-1].window.to_index
    refused = await _exceptions(connection, begin, end)
    query = (
        sa.select(
            cleared_tick.c.to_index,
            cleared_tick.c.recorded_us,
            cleared_tick.c.journey_block,
            cleared_tick.c.share_block,
            entry.c.data,
        )
        .join(entry, entry.c.entry_index == cleared_tick.c.to_index - 1)
        .where(cleared_tick.c.to_index > begin, cleared_tick.c.to_index <= end)
        .order_by(cleared_tick.c.to_index)
    )
    found: dict[int, list[TickFacts]] = {}
    for row in await connection.execute(query):
        journeys, shares = np.frombuffer(row.journey_block, JOURNEY_DTYPE), np.frombuffer(row.share_block, SHARE_DTYPE)
        exceptions = join(refused.get(row.to_index, []), EXCEPTION_DTYPE)
        rules = tables.at(row.to_index)
        tick = TickFacts(row.recorded_us, leaf_hash(row.data), rules, journeys, shares, exceptions)
        found.setdefault(row.recorded_us // 1_000_000, []).append(tick)
    return found


async def _exceptions(connection: AsyncConnection, begin: int, end: int) -> dict[int, list[Records]]:
    query = sa.select(exception.c.to_index, exception.c.tap).where(exception.c.to_index > begin, exception.c.to_index <= end)
    found: dict[int, list[Records]] = {}
    for row in await connection.execute(query.order_by(exception.c.to_index, exception.c.number)):
        found.setdefault(row.to_index, []).append(np.frombuffer(row.tap, EXCEPTION_DTYPE))
    return found


async def _batches(connection: AsyncConnection, bare: list[WindowFacts], tables: TablesInForce) -> dict[int, list[BatchFacts]]:
    ends = {facts.window.second: facts.window.to_index for facts in bare}
    found: dict[int, list[BatchFacts]] = {}
    async for row in read_entries(connection, bare[0].window.from_index, bare[-1].window.to_index):
        if row.kind is EntryKind.BATCH:
            header, second = header_of(row.data), row.recorded_us // 1_000_000
            taps = np.frombuffer(row.taps, TAP_DTYPE)
            rules = tables.at(ends[second])
            batch = BatchFacts(row.index, row.recorded_us, header.key_id, header.city_seq, rules, taps)
            found.setdefault(second, []).append(batch)
    return found
