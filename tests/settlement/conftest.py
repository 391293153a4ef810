"""A real PostgreSQL for tests: one embedded server a run, one fresh database a test."""

import asyncio
import os
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import URL, make_url

from settlement.store import supervisor


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server whose role may create databases: TEST_DATABASE_URL, else an embedded one in a temporary folder."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield make_url(given).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
        return
    server = supervisor.start(tmp_path_factory.mktemp("postgres"))
    yield server.url
    supervisor.stop(server)


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of this test's own."""
    server = make_url(postgres_url)
    name = f"test_{uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy"))
    yield server.set(database=name).render_as_string(hide_password=False)
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database_dsn(database_url: str) -> str:
    """The same database for asyncpg alone."""
    return database_url.replace("postgresql+asyncpg:", "postgresql:", 1)


async def _execute(server: URL, statement: str) -> None:
    connection = await asyncpg.connect(server.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
