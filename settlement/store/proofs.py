"""What a proof is made of, out of the tables: an entry with its path, a window with its ticks or its books, nothing folded again.

Rows are given as they are held; whoever proves holds them to the roots on the ledger.
"""

from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.errors import Unknown
from fare_chain.events import EntryKind, WindowEntry, read_window_entry
from fare_chain.hashing import ZERO_HASH
from fare_chain.ledger import FRAME_BYTES
from fare_chain.merkle import perfect_nodes
from fare_chain.proofs import inclusion_ranges, prove_inclusion
from fare_chain.tiles import node_reader
from settlement.core.books import Account, Balances
from settlement.core.clearing import Cleared
from settlement.core.columns import ADJUSTMENT_DTYPE, EXCEPTION_DTYPE, JOIN_DTYPE, JOURNEY_DTYPE, SHARE_DTYPE, Level
from settlement.core.objections import Upheld
from settlement.core.obligations import add_up, oblige, owe_back
from settlement.store.database import account, body, cleared_tick, entry, exception, posting, win
from settlement.store.ledger import node_tile, tile_reader


async def entry_with_path(connection: AsyncConnection, index: int, size: int) -> tuple[bytes, tuple[bytes, ...]]:
    """An entry and its path in the tree of `size`; Unknown where that tree has none."""
    data = None
    if 0 <= index < size:
        data = (await connection.execute(sa.select(entry.c.data).where(entry.c.entry_index == index))).scalar_one_or_none()
    if data is None:
        raise Unknown(f"the checkpoint to prove it under covers entries 0 to {size - 1}, not {index}: ask again in a moment")
    ranges = inclusion_ranges(index=index, size=size)
    wanted = {node_tile(level, place) for begin, end in ranges for level, place in perfect_nodes(begin, end)}
    read_tile = await tile_reader(connection, size, wanted)
    return bytes(data), tuple(prove_inclusion(index=index, size=size, read_node=node_reader(size, read_tile)))


async def taps_of_entry(connection: AsyncConnection, index: int) -> bytes:
    """The body of a batch; Unknown where the entry has none, or none any more."""
    taps = (await connection.execute(sa.select(body.c.taps).where(body.c.entry_index == index))).scalar_one_or_none()
    if taps is None:
        raise Unknown(f"no body of entry {index} is held here: a tap is proved in a BATCH entry, as long as its body is kept")
    return bytes(taps)


async def window_over(connection: AsyncConnection, second: int) -> tuple[int, WindowEntry]:
    """The window that covers a second and the index of its entry on the ledger; Unknown where there is none yet."""
    query = sa.select(win).where(win.c.second <= second).order_by(win.c.second.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    index = None
    if row is not None and second < row.second + row.seconds:
        index = await _index_of(connection, row)
    if row is None or index is None:
        raise Unknown(f"no window of this log covers second {second}: it is open, not sealed yet, or before the log's first")
    return index, read_window_entry(row.payload)


async def root_before(connection: AsyncConnection, second: int) -> bytes:
    """The state root before the window that begins at that second: 32 zeros before the first."""
    query = sa.select(win.c.state_root).where(win.c.second < second).order_by(win.c.second.desc()).limit(1)
    found = (await connection.execute(query)).scalar_one_or_none()
    return ZERO_HASH if found is None else bytes(found)


async def ticks_of(connection: AsyncConnection, window: WindowEntry) -> tuple[Cleared, ...]:
    """What a window's ticks came to, in order; sums are made again of journeys and shares, which are what is stored."""
    inside = (cleared_tick.c.to_index > window.from_index) & (cleared_tick.c.to_index <= window.to_index)
    rows = (await connection.execute(sa.select(cleared_tick).where(inside).order_by(cleared_tick.c.to_index))).all()
    query = sa.select(exception).where(exception.c.to_index > window.from_index, exception.c.to_index <= window.to_index)
    accused: dict[int, list[bytes]] = {}
    for row in await connection.execute(query.order_by(exception.c.to_index, exception.c.number)):
        accused.setdefault(row.to_index, []).append(row.tap)
    return tuple(_cleared(row, b"".join(accused.get(row.to_index, []))) for row in rows)


async def earned_after(connection: AsyncConnection, window: WindowEntry) -> Balances:
    """Every beneficiary's earned balance when a window had closed.

    Who has earned nothing since has it in `account`; the last posting of the others is one step back through an index, or, for
    whoever earns rarely, as many as lie between two of its fares.
    """
    ends = window.second + window.seconds
    is_earned = (account.c.level == int(Level.BENEFICIARIES)) & (account.c.account == int(Account.EARNED))
    held = (await connection.execute(sa.select(account.c.owner, account.c.second, account.c.balance_fen).where(is_earned))).all()
    balances = {row.owner: row.balance_fen for row in held if row.second < ends}
    for owner in [row.owner for row in held if row.second >= ends]:
        query = (
            sa.select(posting.c.after_fen)
            .where(
                posting.c.second < ends,
                posting.c.level == int(Level.BENEFICIARIES),
                posting.c.owner == owner,
                posting.c.account == int(Account.EARNED),
            )
            .order_by(posting.c.second.desc(), posting.c.reason.desc())
            .limit(1)
        )
        balances[owner] = (await connection.execute(query)).scalar_one_or_none() or 0
    return tuple(sorted((int(owner), int(fen)) for owner, fen in balances.items() if fen))


async def _index_of(connection: AsyncConnection, row: Any) -> int | None:
    """Where a window's own entry stands: it is one of the next after the entries that it covers."""
    query = (
        sa.select(entry.c.entry_index)
        .where(
            entry.c.kind == int(EntryKind.WINDOW),
            entry.c.entry_index >= row.to_index,
            sa.func.substr(entry.c.data, FRAME_BYTES + 1) == row.payload,
        )
        .order_by(entry.c.entry_index)
        .limit(1)
    )
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else int(found)


def _cleared(row: Any, taps: bytes) -> Cleared:
    journeys, shares = np.frombuffer(row.journey_block, JOURNEY_DTYPE), np.frombuffer(row.share_block, SHARE_DTYPE)
    upheld = Upheld(np.frombuffer(row.adjustment_block, ADJUSTMENT_DTYPE), np.frombuffer(row.adjusted_share_block, SHARE_DTYPE))
    return Cleared(
        row.recorded_us,
        row.from_index,
        row.to_index,
        row.taps,
        journeys,
        shares,
        add_up([oblige(journeys, shares), owe_back(*upheld)]),
        np.frombuffer(taps, EXCEPTION_DTYPE),
        np.frombuffer(row.join_block, JOIN_DTYPE),
        bytes(row.delta_root),
        upheld,
    )
