"""The next tick is folded while the last is written: what is durable is whole, in order, and the same bytes as one by one."""

import asyncio
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from fare_chain.tap import TapKind
from settlement import clear_windows
from settlement.clear_windows import LawBroken
from settlement.store import clearings
from settlement.store.database import cleared_tick, make_engine, win
from settlement.store.migrating import migrate
from simulators.small_cities import SECOND_US
from simulators.small_house import SmallAdapter, SmallHouse, SmallRider

TICKS = 6


@pytest.fixture
def told(database_url):
    """Tell a story to a house whose last six ticks are committed and not cleared."""

    async def main(story):
        engine = make_engine(database_url)
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        await story(house, [await committed(house, number) for number in range(TICKS)])
        await engine.dispose()

    return lambda story: asyncio.run(main(story))


async def committed(house, number):
    """Commit a visitor's ride as a tick of its own, one every half second."""
    house.now_us += SECOND_US // 2
    rider, at_us = SmallRider(100 + number, 2), house.now_us - 900 * SECOND_US
    scans = [rider.scan(1, 1, TapKind.ENTRY, at_us), rider.scan(1, 3, TapKind.EXIT, at_us + 600 * SECOND_US)]
    batch = SmallAdapter(1, house.sequencer.tail(1)).seal(scans)
    posted = asyncio.create_task(house.intake.accept(batch.to_bytes()))
    await asyncio.sleep(0)
    tick = await house.sequencer.tick()
    await posted
    return tick


def queue_of(ticks):
    waiting = asyncio.Queue()
    for tick in [*ticks, None]:
        waiting.put_nowait(tick)
    return waiting


async def stored(house):
    """(ticks, windows) as the database has them."""
    async with house.engine.connect() as connection:
        ticks = sa.select(cleared_tick.c.to_index, cleared_tick.c.delta_root, cleared_tick.c.positions)
        windows = sa.select(win.c.second, win.c.payload)
        return (
            [tuple(row) for row in await connection.execute(ticks.order_by(cleared_tick.c.to_index))],
            [tuple(row) for row in await connection.execute(windows.order_by(win.c.second))],
        )


async def forget(house):
    async with house.engine.begin() as connection:
        await connection.execute(sa.text("SET session_replication_role = replica"))
        await connection.execute(sa.text("TRUNCATE cleared_tick, win, obligation, posting, account, snapshot"))
        await connection.execute(sa.text("UPDATE clearing_head SET to_index = 0"))


def test_ticks_folded_ahead_are_stored_as_ticks_taken_one_after_another_are(told):
    async def story(house, ticks):
        durable = []
        await house.clearing.take_each(queue_of(ticks), durable.append)
        assert durable == ticks
        ahead, totals = await stored(house), house.clearing.totals
        assert (len(ahead[0]), totals.taps, totals.journeys) == (1 + TICKS, 2 * TICKS, TICKS)
        await forget(house)
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        assert await stored(again) == ahead
        assert again.clearing.state.to_bytes() == house.clearing.state.to_bytes()
        assert (again.clearing.positions, again.clearing.totals) == (house.clearing.positions, totals)

    told(story)


def test_a_tick_is_written_while_the_next_is_folded(told, monkeypatch):
    folded = []
    next_is_folded = threading.Condition()
    fold, write = clear_windows.fold, clearings.write_tick

    def counting(state, tick):
        result = fold(state, tick)
        with next_is_folded:
            folded.append(tick)
            next_is_folded.notify_all()
        return result

    def wait_for(count):
        with next_is_folded:
            assert next_is_folded.wait_for(lambda: len(folded) >= count, timeout=20), "it is folded only when this one is written"

    written = []

    async def waiting(connection, cleared, positions):
        if len(written) < TICKS - 1:
            await asyncio.to_thread(wait_for, len(written) + 2)
        await write(connection, cleared, positions)
        written.append(cleared.to_index)
        assert len(folded) - len(written) <= 2, "no more than two are folded ahead, however slow the database is"

    async def story(house, ticks):
        monkeypatch.setattr(clear_windows, "fold", counting)
        monkeypatch.setattr(clearings, "write_tick", waiting)
        await house.clearing.take_each(queue_of(ticks), lambda _tick: None)
        assert len(written) == TICKS

    told(story)


def test_before_a_tick_that_breaks_a_law_stops_the_house_those_before_it_are_written(told, monkeypatch):
    async def story(house, ticks):
        fold = clear_windows.fold

        def broken(state, tick):
            if tick is ticks[3]:
                raise LawBroken("fares do not sum to their shares")
            return fold(state, tick)

        monkeypatch.setattr(clear_windows, "fold", broken)
        durable = []
        with pytest.raises(LawBroken, match="fares"):
            await house.clearing.take_each(queue_of(ticks), durable.append)
        assert durable == ticks[:3]
        assert (await stored(house))[0][-1][0] == house.clearing.state.next_index == ticks[3].entries[0].entry.index

    told(story)


def test_a_write_that_fails_leaves_what_was_written_and_the_next_house_clears_the_rest(told, monkeypatch):
    async def story(house, ticks):
        write = clearings.write_tick

        async def dying(connection, cleared, positions):
            await write(connection, cleared, positions)
            if cleared.from_index == ticks[2].entries[0].entry.index:
                raise OperationalError("lost", None, Exception("connection lost"))

        durable = []
        with monkeypatch.context() as patch:
            patch.setattr(clearings, "write_tick", dying)
            with pytest.raises(OperationalError):
                await house.clearing.take_each(queue_of(ticks), durable.append)
        assert durable == ticks[:2]
        assert (await stored(house))[0][-1][0] == house.clearing.state.next_index == ticks[2].entries[0].entry.index
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        assert len((await stored(again))[0]) == 1 + TICKS
        assert again.clearing.totals.journeys == TICKS

    told(story)
