"""A small house on a real database, with riders who have ridden and a client that asks it."""

import asyncio

import httpx2
import pytest

from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from simulators.small_house import SmallHouse
from tests.conftest import AskedBy


@pytest.fixture
def told(database_url, app_of, ride_about):
    """Tell a story to a client of a house where some riders have ridden: it asks as city 1, unless a request says otherwise."""

    async def main(story):
        engine = make_engine(database_url)
        try:
            await migrate(engine)
            house = SmallHouse(engine)
            await house.start()
            await ride_about(house)
            transport = httpx2.ASGITransport(app=app_of(house))
            async with httpx2.AsyncClient(transport=transport, base_url="http://house", auth=AskedBy(1)) as client:
                return await story(house, client)
        finally:
            # A story that fails must not leave connections behind: they would be found, and blamed on, whatever test runs then.
            await engine.dispose()

    return lambda story: asyncio.run(main(story))
