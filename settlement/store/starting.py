"""Come to a database: the one that is named, or our own PostgreSQL started on the house's data folder."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from settlement.store import database, supervisor
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.store.postmaster import ServerFailed

FAILURES: tuple[type[Exception], ...] = (*database.FAILURES, ServerFailed)
"""How a database can fail under a house that works: it goes away, loses an answer, or does not come back at once."""


@dataclass(slots=True)
class Database:
    """Where the house keeps its data: `url` where an operator runs PostgreSQL, else a `folder` for our own."""

    folder: Path
    url: str | None = None
    programs: Path | None = None
    server: supervisor.Server | None = None

    async def open(self) -> AsyncEngine:
        """Start what is ours, bring the schema up to date, and give an engine."""
        url = self.url
        if url is None:
            self.server = await asyncio.to_thread(self._start)
            url = self.server.url
        engine = make_engine(url)
        await migrate(engine)
        return engine

    def _start(self) -> supervisor.Server:
        if self.server is None:
            return supervisor.start(self.folder, programs=self.programs)
        return supervisor.ensure(self.server)

    def close(self) -> None:
        """Stop what is ours."""
        if self.server is not None:
            supervisor.stop(self.server)
            self.server = None
