"""A small house whose scheme signs reports, after a fixed story, with a client that asks as any member."""

import asyncio
import base64
import time

import httpx2
import pytest

from fare_chain.access_tokens import issue_token
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.keys import KeyUse, PublicKey
from settlement.sequencer import Control
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_cities import FOREVER_US
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallHouse, small_key

NAMES = {0: "scheme", 1: "alder", 2: "birch", 3: "cedar", 4: "dogwood"}


def public_key(owner, use):
    return PublicKey(MemberNumber(owner), use, small_key(owner, use).public, Micros(0), Micros(FOREVER_US))


def token_of(owner):
    """An Authorization header signed by a member's access key."""
    token = issue_token(small_key(owner, KeyUse.ACCESS), public_key(owner, KeyUse.ACCESS), audience=ORIGIN, now_s=int(time.time()))
    return {"Authorization": f"Bearer {token}"}


class Client:
    """Asks a house for reports."""

    def __init__(self, house, client):
        self.house, self.client = house, client

    async def get(self, name, reader=None, **params):
        params = {key.rstrip("_"): value for key, value in params.items()}
        return await self.client.get(f"/v1/reports/{name}", params=params, headers={} if reader is None else token_of(reader))

    async def file(self, name, reader=None, **params):
        """(bytes, manifest note) of a report that must be there."""
        answer = await self.get(name, reader, **params)
        assert answer.status_code == 200, answer.text
        return answer.content, base64.b64decode(answer.headers["Report-Manifest"]).decode()


async def reporting_house(engine, ride_about):
    """A house after the shared story of rides, with keys for access and reports on its ledger."""
    house = SmallHouse(engine)
    await house.start()
    keys = [public_key(0, KeyUse.REPORT), *(public_key(owner, KeyUse.ACCESS) for owner in range(4))]
    for key in keys:
        house.intake.ring = house.intake.ring.including(key)
        house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(key, small_key(key.owner, key.use)).to_bytes()))
    await house.tick()
    await ride_about(house)
    return house


def app_of(house):
    parts = Parts(
        house.engine, house.intake, house.sequencer, house.clearing, LOG_VERIFIER.to_vkey(), NAMES,
        reports_key=small_key(0, KeyUse.REPORT),
    )  # fmt: skip
    return make_app(Running(parts))


@pytest.fixture
def asking(database_url, ride_about):
    """Tell a story to a client of such a house."""

    async def main(story):
        engine = make_engine(database_url)
        await migrate(engine)
        house = await reporting_house(engine, ride_about)
        transport = httpx2.ASGITransport(app=app_of(house))
        async with httpx2.AsyncClient(transport=transport, base_url="http://house") as client:
            result = await story(Client(house, client))
        await engine.dispose()
        return result

    return lambda story: asyncio.run(main(story))
