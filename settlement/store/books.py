"""Windows, obligations and postings as reports read them: streamed, in order of second."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from settlement.core.columns import ObligationKind
from settlement.store.database import cleared_tick, entry, exception, obligation, posting, win

PAGE_SECONDS = 3_600
"""How many windows a report reads at a time: memory stays flat however long the span."""


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


async def moved_by_window(
    connection: AsyncConnection, from_second: int, to_second: int
) -> AsyncIterator[tuple[Any, dict[int, tuple[int, int]]]]:
    """Each window in [from_second, to_second) with (receivable, payable) fen by member, page by page."""
    at = from_second
    while rows := await read_windows(connection, at, to_second, PAGE_SECONDS):
        last = rows[-1].second
        moved: dict[int, dict[int, tuple[int, int]]] = {}
        owed = await connection.execute(sa.select(obligation).where(obligation.c.second >= at, obligation.c.second <= last))
        for row in owed:
            members = moved.setdefault(row.second, {})
            receivable, payable = members.get(row.creditor, (0, 0))
            members[row.creditor] = (receivable + row.amount_fen, payable)
            receivable, payable = members.get(row.debtor, (0, 0))
            members[row.debtor] = (receivable, payable + row.amount_fen)
        for row in rows:
            yield row, moved.get(row.second, {})
        at = last + 1


async def pair_matrix(connection: AsyncConnection, from_second: int, to_second: int) -> Sequence[Any]:
    """Sums by pair over windows in [from_second, to_second): (issuer, host, journeys, fare, commission, fee) where any is owed.

    Issuer and host of a fare are its debtor and creditor; the commission runs the other way, the fee from issuer to scheme and
    so names no host: it stands in a row with the scheme.
    """
    commission = obligation.c.kind == int(ObligationKind.COMMISSION)
    debtor = sa.case((commission, obligation.c.creditor), else_=obligation.c.debtor).label("debtor")
    creditor = sa.case((commission, obligation.c.debtor), else_=obligation.c.creditor).label("creditor")

    def summed(kind: ObligationKind, column: Any, name: str) -> Any:
        return sa.func.coalesce(sa.func.sum(column).filter(obligation.c.kind == int(kind)), 0).label(name)

    query = (
        sa.select(
            debtor,
            creditor,
            summed(ObligationKind.FARE, obligation.c.journeys, "journeys"),
            summed(ObligationKind.FARE, obligation.c.amount_fen, "fare_fen"),
            summed(ObligationKind.COMMISSION, obligation.c.amount_fen, "commission_fen"),
            summed(ObligationKind.FEE, obligation.c.amount_fen, "fee_fen"),
        )
        .where(obligation.c.second >= from_second, obligation.c.second < to_second)
        .group_by(debtor, creditor)
        .order_by(debtor, creditor)
    )
    return (await connection.execute(query)).all()
