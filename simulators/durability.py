"""Whether PostgreSQL really waits for the disk: its settings as the running server has them, and the WAL it wrote and synced."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from simulators.figures import Fact

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "data_checksums", "server_version")
_ENDING_S = 0.2  # for a closed session to be gone


@dataclass(frozen=True, slots=True)
class WalCounts:
    """What the server has written to its log since it was made, in all databases."""

    wal_bytes: int
    fsyncs: int

    def since(self, before: "WalCounts") -> dict[str, Fact]:
        """What came since an earlier count, beside a figure."""
        return {"wal_bytes": self.wal_bytes - before.wal_bytes, "wal_fsyncs": self.fsyncs - before.fsyncs}


async def running_settings(engine: AsyncEngine) -> dict[str, str]:
    """The settings on which durability rests, asked of the server itself and not of a file."""
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT name, setting FROM pg_settings")).all()
    held = {str(row.name): str(row.setting) for row in rows}
    return {name: held[name] for name in SETTINGS}


async def wal_counts(engine: AsyncEngine) -> WalCounts:
    """Where the WAL ends and how often it was synced so far.

    Sessions hand their counts in late, but at their end at the latest: so the pool's idle ones are closed first.
    """
    await engine.dispose()
    await asyncio.sleep(_ENDING_S)
    async with engine.connect() as connection:
        end = (await connection.exec_driver_sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")).scalar_one()
        counts: dict[str, Any] = (await connection.exec_driver_sql("SELECT to_jsonb(w) FROM pg_stat_wal w")).scalar_one()
        fsyncs = counts.get("wal_sync")
        if fsyncs is None:  # since PostgreSQL 18 syncs are counted with all other input and output
            asked = await connection.exec_driver_sql("SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'")
            fsyncs = asked.scalar_one()
    return WalCounts(int(end), int(fsyncs or 0))
