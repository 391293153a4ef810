"""Alembic's environment: one connection, handed over by `settlement.store.migrating` or opened from DATABASE_URL."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from settlement.store.database import make_engine, metadata


def run_on(connection: Connection) -> None:
    """Migrate on a connection that the caller opened and will commit."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_database_url() -> None:
    """Migrate the database that DATABASE_URL names: the `alembic` command line, run by hand."""
    engine = make_engine(os.environ["DATABASE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(run_on)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run_on(given)
else:
    asyncio.run(run_on_database_url())
