"""Bring a database to the schema of this version, by Alembic, before anything else touches it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

import migrations

FOLDER = Path(migrations.__file__).parent


async def migrate(engine: AsyncEngine) -> None:
    """Run every migration that is missing, in one transaction: a death in the middle leaves the old schema whole."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
