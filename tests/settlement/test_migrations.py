"""The migrations lead to the schema that the code believes in, and the database itself refuses to rewrite history."""

import asyncio

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from fare_chain.errors import Conflict
from settlement.store.database import make_engine, metadata
from settlement.store.migrating import FOLDER, migrate


def run(url, work):
    async def main():
        engine = make_engine(url)
        try:
            await migrate(engine)
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(main())


def test_the_migrated_schema_is_the_one_in_the_code(database_url):
    async def differences(engine):
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))

    assert [change for change in run(database_url, differences) if "alembic_version" not in str(change)] == []


def test_migrating_twice_changes_nothing(database_url):
    async def again(engine):
        await migrate(engine)
        async with engine.connect() as connection:
            return (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalars().all()

    assert run(database_url, again) == ["0006"]


def test_a_ledger_of_rule_revision_1_is_refused_by_name(database_url):
    async def begin_with_the_old_schema(engine):
        config = Config()
        config.set_main_option("script_location", str(FOLDER))

        def to_0001(connection):
            config.attributes["connection"] = connection
            command.downgrade(config, "0001")

        async with engine.begin() as connection:
            await connection.run_sync(to_0001)
            old = sa.text("INSERT INTO rule_table (hash, data) VALUES ('\\x00'::bytea, '\\x4643434954590001'::bytea)")
            await connection.execute(old)
        with pytest.raises(Conflict, match="rule revision 1"):
            await migrate(engine)

    run(database_url, begin_with_the_old_schema)


def test_a_ledger_of_rule_revision_3_is_refused_by_name(database_url):
    async def begin_with_the_old_schema(engine):
        config = Config()
        config.set_main_option("script_location", str(FOLDER))

        def to_0003(connection):
            config.attributes["connection"] = connection
            command.downgrade(config, "0003")

        async with engine.begin() as connection:
            await connection.run_sync(to_0003)
            names = "second, seconds, from_index, to_index, taps, journeys, gross_fen, net_fen, state_root, payload"
            await connection.execute(sa.text(f"INSERT INTO win ({names}) VALUES (1, 1, 0, 1, 0, 0, 0, 0, '', '')"))
        with pytest.raises(Conflict, match="rule revision 3"):
            await migrate(engine)

    run(database_url, begin_with_the_old_schema)


@pytest.mark.parametrize("statement", ["UPDATE checkpoint SET note = 'x'", "DELETE FROM checkpoint", "TRUNCATE checkpoint"])
def test_what_is_written_once_cannot_be_rewritten(database_url, statement):
    async def rewrite(engine):
        async with engine.begin() as connection:
            await connection.execute(sa.text("INSERT INTO checkpoint (size, note) VALUES (1, 'note')"))
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement))

    with pytest.raises(DBAPIError, match="written once"):
        run(database_url, rewrite)


def test_an_entry_longer_than_a_bundle_allows_is_refused_by_the_database(database_url):
    async def insert(engine):
        async with engine.begin() as connection:
            statement = "INSERT INTO entry (entry_index, kind, recorded_us, data) VALUES (0, 1, 0, repeat('x', 65536)::bytea)"
            await connection.execute(sa.text(statement))

    with pytest.raises(DBAPIError, match="entry_fits_a_bundle"):
        run(database_url, insert)


def test_a_ledger_of_rule_revision_2_is_refused_by_name(database_url):
    async def begin_with_a_window_of_0_2(engine):
        config = Config()
        config.set_main_option("script_location", str(FOLDER))

        def to_0002(connection):
            config.attributes["connection"] = connection
            command.downgrade(config, "0002")

        async with engine.begin() as connection:
            await connection.run_sync(to_0002)
            await connection.execute(sa.text("INSERT INTO win VALUES (1, 1, 0, 1, 0, 0, 0, 0, '\\x00'::bytea, '\\x00'::bytea)"))
        with pytest.raises(Conflict, match="rule revision 2"):
            await migrate(engine)

    run(database_url, begin_with_a_window_of_0_2)
