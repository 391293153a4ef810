"""Windows and postings as routes read them, and the sums over everything cleared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from settlement.store.database import cleared_tick, entry, exception, posting, win


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over everything cleared so far; gross and net are between members, over sealed windows."""

    taps: int = 0
    journeys: int = 0
    batches: int = 0
    exceptions: int = 0
    windows: int = 0
    gross_fen: int = 0
    net_fen: int = 0
    sealed_second: int = -1


async def totals(connection: AsyncConnection) -> Totals:
    """Add everything up, once at a start: afterwards whoever clears keeps count."""
    windows = (
        await connection.execute(
            sa.select(
                sa.func.count(), sa.func.coalesce(sa.func.sum(win.c.gross_fen), 0), sa.func.coalesce(sa.func.sum(win.c.net_fen), 0),
                sa.func.max(win.c.second + win.c.seconds - 1),
            )
        )
    ).one()  # fmt: skip
    ticks = (
        await connection.execute(
            sa.select(
                sa.func.coalesce(sa.func.sum(cleared_tick.c.taps), 0), sa.func.coalesce(sa.func.sum(cleared_tick.c.journeys), 0)
            )
        )
    ).one()
    batches = (await connection.execute(sa.select(sa.func.count()).where(entry.c.city.is_not(None)))).scalar_one()
    exceptions = (await connection.execute(sa.select(sa.func.count()).select_from(exception))).scalar_one()
    return Totals(
        taps=int(ticks[0]),
        journeys=int(ticks[1]),
        batches=int(batches),
        exceptions=int(exceptions),
        windows=int(windows[0]),
        gross_fen=int(windows[1]),
        net_fen=int(windows[2]),
        sealed_second=-1 if windows[3] is None else int(windows[3]),
    )


async def read_windows(connection: AsyncConnection, from_second: int, to_second: int, limit: int) -> Sequence[Any]:
    """Rows of windows that begin in [from_second, to_second), in order, at most `limit`."""
    query = sa.select(win).where(win.c.second >= from_second, win.c.second < to_second).order_by(win.c.second).limit(limit)
    return (await connection.execute(query)).all()


async def read_postings(connection: AsyncConnection, second: int) -> Sequence[Any]:
    """The lines that a window posted."""
    query = sa.select(posting).where(posting.c.second == second)
    return (await connection.execute(query.order_by(posting.c.level, posting.c.account, posting.c.owner, posting.c.reason))).all()
