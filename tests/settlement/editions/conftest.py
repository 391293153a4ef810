"""A house after two days of rides, and every report that was pulled from it."""

import asyncio

import httpx2
import pytest

from fare_chain.log_export import export
from settlement.reports.catalogue import REPORTS, Readers
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from tests.conftest import AppLog, AskedBy
from tests.settlement.editions.reporting_world import Client, access_of, app_of, own_database, reporting_house, two_days


@pytest.fixture
def asking(database_url):
    """Tell a story to a client of a house that has two days behind it."""

    async def main(story):
        engine = make_engine(database_url)
        try:
            await migrate(engine)
            house = await reporting_house(engine)
            await two_days(house)
            async with httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=app_of(house)), base_url="http://house", auth=AskedBy(1)
            ) as client:
                return await story(Client(house, client))
        finally:
            await engine.dispose()

    return lambda story: asyncio.run(main(story))


@pytest.fixture(scope="session")
def pulled(postgres_url, tmp_path_factory):
    """(folder of the exported log, {(report, basis, form): (bytes, manifest)}) of every report in every form; birch's for birch."""
    folder = tmp_path_factory.mktemp("reports") / "log"

    async def main():
        engine = make_engine(await own_database(postgres_url))
        await migrate(engine)
        house = await reporting_house(engine)
        await two_days(house)
        found, app = {}, app_of(house)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://house", auth=AskedBy(1)) as client:
            asking = Client(house, client)
            for report in REPORTS.values():
                for basis in report.bases:
                    for form in report.forms:
                        party = {} if report.readers is Readers.PUBLIC else {"for_": "birch"}
                        found[report.name, basis, form] = await asking.file(report.name, 2, basis=basis, format=form, **party)
        # The log goes on: reports speak of an earlier size.
        await house.seal_windows()
        await asyncio.to_thread(export, AppLog(app, asyncio.get_running_loop(), *map(access_of, (1, 2, 3, 4))), folder)
        await engine.dispose()
        return found

    return folder, asyncio.run(main())
