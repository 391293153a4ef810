"""Whether PostgreSQL really waits for the disk: its settings as the running server has them, and the WAL it wrote and synced."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from simulators.figures import Fact

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "data_checksums", "server_version")
_FLUSH_S = 1.1  # a session hands in its counts at most once a second


@dataclass(frozen=True, slots=True)
class WalCounts:
    """What the server has written to its log since it was made."""

    wal_bytes: int
    fsyncs: int

    def since(self, before: "WalCounts") -> dict[str, Fact]:
        """What came since an earlier count, beside a figure."""
        return {"wal_mb": (self.wal_bytes - before.wal_bytes) // 1_000_000, "wal_fsyncs": self.fsyncs - before.fsyncs}


async def running_settings(engine: AsyncEngine) -> dict[str, str]:
    """The settings on which durability rests, asked of the server itself and not of a file."""
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT name, setting FROM pg_settings")).all()
    held = {str(row.name): str(row.setting) for row in rows}
    return {name: held[name] for name in SETTINGS}


async def wal_counts(engine: AsyncEngine) -> WalCounts:
    """Bytes of WAL and syncs of it so far; a lower bound, because sessions hand their counts in with delay."""
    await asyncio.sleep(_FLUSH_S)
    async with engine.connect() as connection:
        counts: dict[str, Any] = (await connection.exec_driver_sql("SELECT to_jsonb(w) FROM pg_stat_wal w")).scalar_one()
        fsyncs = counts.get("wal_sync")
        if fsyncs is None:  # since PostgreSQL 18 syncs are counted with all other input and output
            asked = await connection.exec_driver_sql("SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'")
            fsyncs = asked.scalar_one()
    return WalCounts(int(counts["wal_bytes"]), int(fsyncs or 0))
