"""What an objection is about, out of the tables: the cleared journey that a tap begins or ends, and whether it has fallen."""

from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from settlement.core.columns import ADJUSTMENT_DTYPE, JOURNEY_DTYPE, TAP_DTYPE, Records, pick
from settlement.core.reversals import is_end_of
from settlement.store.database import cleared_tick

_SECOND_US = 1_000_000


class ObjectedJourney(NamedTuple):
    """A cleared journey and the second of its window."""

    journey_id: bytes
    second: int


async def journey_of_tap(connection: AsyncConnection, tap: bytes, from_index: int, to_index: int) -> ObjectedJourney | None:
    """The journey that this tap begins or ends, cleared by the ticks of entries [from_index, to_index); None where none is."""
    medium = np.frombuffer(tap, TAP_DTYPE)["medium"][0].tobytes()
    query = (
        sa.select(cleared_tick.c.recorded_us, cleared_tick.c.journey_block)
        .where(cleared_tick.c.to_index > from_index, cleared_tick.c.from_index < to_index)
        .where(sa.func.pg_catalog.position(cleared_tick.c.journey_block, medium) > 0)
        .order_by(cleared_tick.c.to_index)
    )
    async with connection.stream(query) as ticks:
        async for tick in ticks:
            for row in np.frombuffer(tick.journey_block, JOURNEY_DTYPE):
                if row["medium"].tobytes() == medium and is_end_of(tap, row):
                    return ObjectedJourney(row["journey_id"].tobytes(), tick.recorded_us // _SECOND_US)
    return None


async def fall_of(connection: AsyncConnection, journey_id: bytes, from_index: int) -> Records | None:
    """What brought a journey down (ADJUSTMENT_DTYPE, one row) in a tick after entry `from_index`; None where nothing has."""
    query = sa.select(cleared_tick.c.adjustment_block).where(
        cleared_tick.c.to_index > from_index, sa.func.pg_catalog.position(cleared_tick.c.adjustment_block, journey_id) > 0
    )
    for block in (await connection.execute(query)).scalars():
        rows = np.frombuffer(block, ADJUSTMENT_DTYPE)
        found = pick(rows, rows["journey_id"] == np.frombuffer(journey_id, "V16")[0])
        if len(found):
            return found
    return None
