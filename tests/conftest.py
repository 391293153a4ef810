"""What tests of several floors share."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from sqlalchemy import URL, make_url

from fare_chain.errors import Untrusted
from fare_chain.log_export import export
from fare_chain.log_reader import HttpLog
from fare_chain.tap import TapKind
from settlement.store import supervisor
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.bench_house import RoutesClient
from simulators.small_cities import SECOND_US
from simulators.small_house import CITIES, LOG_VERIFIER, ORIGIN, READERS, SmallAdapter, SmallHouse, SmallRider, small_access


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


class AppLog:
    """The log that an ASGI app serves, read from another thread than the app's loop.

    Where nobody is named, the cities put it together: each body is asked for with the key of its host, so that nobody looks.
    """

    def __init__(self, app, loop, *readers):
        client = RoutesClient(httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://house"), loop)
        named = readers or tuple(small_access(city) for city in CITIES)
        self.logs = [HttpLog("http://house", access, whole=True, client=client) for access in named]

    def read(self, path):
        whole = path.replace("codes/", "body/", 1)  # an issuer is given its own codes alone: who has the body has them all
        for log in self.logs[:-1]:
            with contextlib.suppress(Untrusted):
                if path != whole:
                    log.read(whole)
                return log.read(path)
        return self.logs[-1].read(path)


class AskedBy(httpx2.Auth):
    """Signs every request that brings no token with one of somebody's in the small scheme."""

    def __init__(self, owner):
        self.access = small_access(owner)

    def auth_flow(self, request):
        if "authorization" not in request.headers:
            request.headers.update(self.access.header(ORIGIN))
        yield request


async def looks_taken(house, work):
    """Do what may look at the log: whenever a look waits for a tick, there is one."""
    task = asyncio.create_task(work)
    while not task.done():
        await asyncio.sleep(0.005)
        if house.sequencer.awaited:
            await house.tick()
    return await task


def _app_of(house):
    """The web app over a small house's parts."""
    names = {0: "scheme", 1: "alder", 2: "birch", 3: "cedar"}
    vkey = LOG_VERIFIER.to_vkey()
    return make_app(Running(Parts(house.engine, house.intake, house.sequencer, house.clearing, vkey, names, roles=READERS)))


async def _ride_about(house):
    """Some seconds of rides between three cities: visitors and locals, every city a host, several batches a tick."""
    adapters = {city: SmallAdapter(city) for city in (1, 2, 3)}
    for second in range(4):
        early = house.now_us - 3600 * SECOND_US
        batches = []
        for city, adapter in adapters.items():
            scans = []
            for number in range(3):
                rider = SmallRider(second * 10 + number, 1 + (city + number) % 3)
                scans.append(rider.scan(city, 1, TapKind.ENTRY, early + number))
                if number < 2 or second % 2:
                    scans.append(rider.scan(city, 2, TapKind.EXIT, early + 900 * SECOND_US + number))
            batches.append(adapter.seal(scans))
        await house.take(*batches)
        await house.tick(SECOND_US)
    await house.seal_windows()


@pytest.fixture
def app_of():
    """Make the web app over a small house's parts."""
    return _app_of


@pytest.fixture
def app_log():
    """Read the log that an app serves, from another thread."""
    return AppLog


@pytest.fixture
def ride_about():
    """Let riders ride in a small house."""
    return _ride_about


@pytest.fixture(scope="session")
def exported_log(postgres_url, tmp_path_factory):
    """A log of a small house, exported over HTTP: a folder with everything in it."""
    folder = tmp_path_factory.mktemp("log") / "log"

    async def main():
        # A database of its own: other tests of the session begin ledgers too.
        server, name = make_url(postgres_url), f"log_{uuid4().hex}"
        await _execute(server, f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        engine = make_engine(server.set(database=name).render_as_string(hide_password=False))
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        await _ride_about(house)
        app = _app_of(house)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(export, AppLog(app, loop), folder)
        await engine.dispose()

    asyncio.run(main())
    return folder
