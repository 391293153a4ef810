"""What clearing came to, written once: ticks, windows, obligations, postings, and the state between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.errors import Conflict
from fare_chain.events import EntryKind, WindowEntry
from fare_chain.ledger import FRAME_BYTES
from settlement.core.clearing import Cleared
from settlement.core.columns import Level, Records
from settlement.store.database import (
    account,
    cleared_tick,
    clearing_head,
    entry,
    evidence,
    exception,
    obligation,
    posting,
    rule_table,
    snapshot,
    win,
)

KEPT_SNAPSHOTS = 2


@dataclass(frozen=True, slots=True)
class StoredTick:
    """What a tick cleared to, as a restart compares it."""

    to_index: int
    delta_root: bytes


async def cleared_to(connection: AsyncConnection) -> int:
    """How many entries of the ledger are cleared."""
    return int((await connection.execute(sa.select(clearing_head.c.to_index))).scalar_one())


async def write_tick(connection: AsyncConnection, cleared: Cleared, positions: Sequence[int]) -> None:
    """Write one tick's results inside the caller's transaction; Conflict where it is not the next.

    Dead before the commit: the tick is cleared again from the ledger, to the same bytes. Dead after: it is there, once.
    """
    moved = await connection.execute(
        sa.update(clearing_head).where(clearing_head.c.to_index == cleared.from_index).values(to_index=cleared.to_index)
    )
    if moved.rowcount != 1:
        raise Conflict(f"entries from {cleared.from_index} on are not the next to clear: somebody else clears this database")
    await connection.execute(
        sa.insert(cleared_tick).values(
            to_index=cleared.to_index,
            from_index=cleared.from_index,
            recorded_us=cleared.recorded_us,
            taps=cleared.taps,
            journeys=len(cleared.journeys),
            gross_fen=int(cleared.journeys["fare_fen"].sum()),
            delta_root=cleared.delta_root,
            positions=list(positions),
            journey_block=cleared.journeys.tobytes(),
            share_block=cleared.shares.tobytes(),
            join_block=cleared.joins.tobytes(),
            adjustment_block=cleared.upheld.adjustments.tobytes(),
            adjusted_share_block=cleared.upheld.shares.tobytes(),
        )
    )
    rows = [
        {"to_index": cleared.to_index, "number": number, "reason": int(row["reason"]), "tap": row.tobytes()}
        for number, row in enumerate(cleared.exceptions)
    ]
    if rows:
        await connection.execute(sa.insert(exception), rows)


async def write_window(connection: AsyncConnection, window: WindowEntry, sums: Records, postings: Records) -> None:
    """Write one window and its books inside the caller's transaction: `sums` and `postings` are what closing it posts."""
    await connection.execute(
        sa.insert(win).values(
            second=window.second,
            seconds=window.seconds,
            from_index=window.from_index,
            to_index=window.to_index,
            taps=window.taps,
            journeys=window.journeys,
            gross_fen=window.gross_fen,
            net_fen=window.net_fen,
            state_root=window.state_root,
            payload=window.to_bytes(),
        )
    )
    owed = [
        {
            "second": window.second,
            "debtor": int(row["debtor"]),
            "creditor": int(row["creditor"]),
            "kind": int(row["kind"]),
            "journeys": int(row["n"]),
            "amount_fen": int(row["amount_fen"]),
        }
        for row in sums[sums["level"] == Level.MEMBERS]
    ]
    if owed:
        await connection.execute(sa.insert(obligation), owed)
    lines = [{"second": window.second, **{name: int(row[name]) for name in _POSTED}} for row in postings]
    if lines:
        await connection.execute(sa.insert(posting), lines)
        await _carry_balances(connection, lines)


_POSTED = ("level", "owner", "account", "reason", "amount_fen", "before_fen", "after_fen")


async def _carry_balances(connection: AsyncConnection, lines: Sequence[dict[str, int]]) -> None:
    """Bring the accounts to the last balance that the lines carry, in one order, so that two writers cannot deadlock."""
    last = {(line["level"], line["owner"], line["account"]): line for line in lines}
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.executemany(
        f"INSERT INTO {account.name} (level, owner, account, balance_fen, second) VALUES ($1, $2, $3, $4, $5) "  # noqa: S608  our name
        "ON CONFLICT (level, owner, account) DO UPDATE SET balance_fen = EXCLUDED.balance_fen, second = EXCLUDED.second",
        [(*place, line["after_fen"], line["second"]) for place, line in sorted(last.items())],
    )


async def write_snapshot(connection: AsyncConnection, to_index: int, state: bytes) -> None:
    """Keep the state after a tick, and of earlier ones only the last: a restart needs one that is whole."""
    await connection.execute(sa.insert(snapshot).values(to_index=to_index, state=state))
    kept = sa.select(snapshot.c.to_index).order_by(snapshot.c.to_index.desc()).limit(KEPT_SNAPSHOTS).scalar_subquery()
    await connection.execute(sa.delete(snapshot).where(snapshot.c.to_index.not_in(kept)))


async def read_snapshot(connection: AsyncConnection) -> bytes | None:
    """The last snapshot of the clearing's state, or None before the first."""
    query = sa.select(snapshot.c.state).order_by(snapshot.c.to_index.desc()).limit(1)
    return (await connection.execute(query)).scalar_one_or_none()


async def read_tables(connection: AsyncConnection) -> dict[bytes, bytes]:
    """Every table held, by hash."""
    return {row.hash: row.data for row in await connection.execute(sa.select(rule_table))}


async def read_evidence(connection: AsyncConnection) -> dict[bytes, bytes]:
    """Every piece of evidence held, by hash."""
    return {row.hash: row.data for row in await connection.execute(sa.select(evidence))}


async def stored_ticks(connection: AsyncConnection, from_index: int) -> dict[int, bytes]:
    """Delta roots of the ticks cleared from that entry on, by `to_index`."""
    rows = await connection.execute(
        sa.select(cleared_tick.c.to_index, cleared_tick.c.delta_root).where(cleared_tick.c.to_index > from_index)
    )
    return {row.to_index: row.delta_root for row in rows}


async def stored_windows(connection: AsyncConnection, from_second: int) -> dict[int, bytes]:
    """Payloads of the windows closed from that second on."""
    rows = await connection.execute(sa.select(win.c.second, win.c.payload).where(win.c.second >= from_second))
    return {row.second: row.payload for row in rows}


async def closed_until(connection: AsyncConnection) -> int:
    """The second before which every window is closed, on the ledger or not yet; 0 before the first."""
    query = sa.select(win.c.second + win.c.seconds).order_by(win.c.second.desc()).limit(1)
    return int((await connection.execute(query)).scalar_one_or_none() or 0)


async def last_window_on_ledger(connection: AsyncConnection) -> int:
    """The second of the last WINDOW entry; -1 before the first."""
    query = sa.select(entry.c.data).where(entry.c.kind == int(EntryKind.WINDOW)).order_by(entry.c.entry_index.desc()).limit(1)
    data = (await connection.execute(query)).scalar_one_or_none()
    return -1 if data is None else int.from_bytes(data[FRAME_BYTES : FRAME_BYTES + 8], "little", signed=True)
