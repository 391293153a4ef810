"""A byte that somebody changes in the database is found by whoever verifies the log that the house serves."""

import asyncio

import pytest
import sqlalchemy as sa

from fare_chain.audit import AuditFailure, audit
from fare_chain.errors import Conflict
from settlement.core.replay import Rederiving
from settlement.store.database import body, codes, entry, head, make_engine, rule_table, tile
from settlement.store.migrating import migrate
from simulators.small_house import LOG_VERIFIER, SmallHouse

PLACES = {
    "body": (body, body.c.taps, body.c.entry_index),
    "codes": (codes, codes.c.codes, codes.c.entry_index),
    "entry": (entry, entry.c.data, entry.c.entry_index),
    "rule_table": (rule_table, rule_table.c.data, rule_table.c.hash),
    "tile": (tile, tile.c.hashes, tile.c.number),
}


async def flip(house, name, at):
    """Flip one bit of one row, as somebody could who owns the database."""
    table, column, key = PLACES[name]
    async with house.engine.begin() as connection:
        await connection.execute(sa.text("SET session_replication_role = replica"))
        row = (await connection.execute(sa.select(key, column).order_by(key).limit(1))).one()
        data = bytearray(row[1])
        data[at % len(data)] ^= 4
        await connection.execute(sa.update(table).where(key == row[0]).values({column: bytes(data)}))


def told(url, app_of, app_log, ride_about, story):
    async def main():
        engine = make_engine(url)
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        await ride_about(house)
        log = app_log(app_of(house), asyncio.get_running_loop())
        try:
            return await story(house, lambda: asyncio.to_thread(audit, log, [LOG_VERIFIER], followers=[Rederiving()]))
        finally:
            await engine.dispose()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "at", "named"),
    [
        ("body", 7, "^body/.* body_hash"),
        ("codes", 60, "^codes/"),
        ("codes", 0, "^codes/"),
        ("entry", 60, "^entry 0: "),
        ("entry", 17, "^entry 0: "),
        ("rule_table", 900, "^table/"),
        ("tile", 33, "^tile/0/000"),
    ],
)
def test_a_changed_byte_in_a_row_is_found_and_named(database_url, app_of, app_log, ride_about, name, at, named):
    async def story(house, verify):
        assert (await verify()).taps == 66
        await flip(house, name, at)
        with pytest.raises(AuditFailure, match=named):
            await verify()

    told(database_url, app_of, app_log, ride_about, story)


def test_a_changed_head_is_found_when_the_house_starts(database_url, app_of, app_log, ride_about):
    async def story(house, _verify):
        async with house.engine.begin() as connection:
            await connection.execute(sa.update(head).values(root=bytes(32)))
        with pytest.raises(Conflict, match="the tiles of size"):
            await SmallHouse(house.engine, house.now_us).start()

    told(database_url, app_of, app_log, ride_about, story)


@pytest.mark.parametrize("table", ["cleared_tick", "win"])
def test_changed_results_are_found_when_they_are_cleared_again(database_url, app_of, app_log, ride_about, table):
    async def story(house, _verify):
        column = "delta_root" if table == "cleared_tick" else "payload"
        async with house.engine.begin() as connection:
            await connection.execute(sa.text("SET session_replication_role = replica"))
            await connection.execute(sa.text(f"UPDATE {table} SET {column} = set_byte({column}, 3, 7)"))
        with pytest.raises(Conflict, match="the database was changed"):
            await SmallHouse(house.engine, house.now_us).start()

    told(database_url, app_of, app_log, ride_about, story)
