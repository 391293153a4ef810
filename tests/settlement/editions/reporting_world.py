"""Two days of a small scheme that signs its reports, told the same way each time: what tests of reports pull them from."""

import base64
import re
import time
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url

from fare_chain import rider_code
from fare_chain.access_files import Access
from fare_chain.access_tokens import issue_token
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.hashing import sha256
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.tap import Category, Tap, TapKind
from settlement.sequencer import Control
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_cities import DAY_US, FOREVER_US, MINUTE_US, OPENING_US, SECOND_US
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallAdapter, SmallHouse, small_key

NAMES = {0: "scheme", 1: "alder", 2: "birch", 3: "cedar", 4: "dogwood"}
NUMBERS = {name: number for number, name in NAMES.items()}
KEYS = [
    (0, KeyUse.REPORT),
    (2, KeyUse.REPORT),
    *((owner, KeyUse.ACCESS) for owner in range(5)),
    (4, KeyUse.BATCH),
    (4, KeyUse.ISSUER),
]
FIRST_DAY = """
    alder 1-4 of birch    alder 1-4 of alder    alder 1-3 of cedar    alder 2-4 of birch
    birch 1-3 of alder    birch 1-2 of cedar
    cedar 1-2 of birch    cedar 1-2 of cedar    cedar 1- of alder     alder 9-2 of cedar
"""
SECOND_DAY = """
    dogwood 1-6 of dogwood student    dogwood 2-5 of alder student    dogwood 1-4 of birch marker
    alder 1-4 of dogwood              birch 1-3 of alder              alder -3 of birch
"""
"""Rides as city from-to of issuer; a side that is missing was never tapped, and station 9 is in no table."""


def public_key(owner, use):
    return PublicKey(MemberNumber(owner), use, small_key(owner, use).public, Micros(0), Micros(FOREVER_US))


def access_of(owner):
    """A member as a reader of the log."""
    return Access(small_key(owner, KeyUse.ACCESS), public_key(owner, KeyUse.ACCESS))


def token_of(owner):
    """An Authorization header signed by a member's access key."""
    described = public_key(owner, KeyUse.ACCESS)
    token = issue_token(small_key(owner, KeyUse.ACCESS), described, audience=ORIGIN, now_s=int(time.time()))
    return {"Authorization": f"Bearer {token}"}


class Client:
    """Asks a house for reports; parameters that Python has words for end in an underscore."""

    def __init__(self, house, client):
        self.house, self.client = house, client

    async def get(self, name, reader=1, **params):
        given = {key.rstrip("_"): value for key, value in params.items()}
        shown = {"auth": None} if reader is None else {"headers": token_of(reader)}
        return await self.client.get(f"/v1/reports/{name}", params=given, **shown)

    async def file(self, name, reader=1, **params):
        """(bytes, manifest note) of a report that must be there."""
        answer = await self.get(name, reader, **params)
        assert answer.status_code == 200, answer.text
        return answer.content, base64.b64decode(answer.headers["Report-Manifest"]).decode()


async def reporting_house(engine):
    """A house whose ledger has the keys for access and reports."""
    house = SmallHouse(engine)
    await house.start()
    know_keys(house)
    for owner, use in KEYS:
        key = public_key(owner, use)
        house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(key, small_key(owner, use)).to_bytes()))
    await house.tick()
    return house


def know_keys(house):
    """What the house reads from its ledger when it starts."""
    for owner, use in KEYS:
        house.intake.ring = house.intake.ring.including(public_key(owner, use))


async def two_days(house):
    """Rides on two days; a batch a tick, so that every run gives the same ledger. The last ride of a day comes an hour late."""
    adapters = house.adapters = {city: SmallAdapter(city) for city in (1, 2, 3, 4)}
    for day, told in enumerate((FIRST_DAY, SECOND_DAY)):
        rides = [ride.split() for ride in re.split(r"\s{2,}|\n", told) if ride.strip()]
        for number, ride in enumerate(rides):
            await house.take(adapters[NUMBERS[ride[0]]].seal(scans_of(ride, day * 100 + number, house.now_us)))
            await house.tick(SECOND_US)
        await house.seal_windows()
        house.now_us += DAY_US if day == 0 else 0
    await house.seal_windows()


def scans_of(ride, number, now_us):
    """The taps of one ride that ended a moment ago, or an hour ago where the number says so."""
    host, sides, issuer = NUMBERS[ride[0]], ride[1].split("-"), NUMBERS[ride[3]]
    ends_us = now_us - (3600 * SECOND_US if number % 10 == 5 else SECOND_US)
    taps = []
    if sides[0]:
        taps.append((int(sides[0]), TapKind.ENTRY, ends_us - 20 * MINUTE_US))
    if "marker" in ride:
        taps.append((2, TapKind.MARKER, ends_us - 10 * MINUTE_US))
    if sides[1]:
        taps.append((int(sides[1]), TapKind.EXIT, ends_us))
    category = Category.STUDENT if "student" in ride else Category.ADULT
    device = SigningKey(sha256(f"rider {number} of {issuer}".encode()))
    credential = rider_code.issue_credential(
        small_key(issuer, KeyUse.ISSUER), issuer, device.public, category=category,
        not_before_s=OPENING_US // SECOND_US, not_after_s=OPENING_US // SECOND_US + 10**8,
    )  # fmt: skip
    scans = []
    for counter, (station, kind, at_us) in enumerate(taps, 1):
        code = rider_code.issue(device, credential, at_us, counter)
        tap = Tap(at_us, credential.medium, sha256(code), counter, number, station, host, issuer, kind, category=category)
        scans.append((tap, code))
    return scans


def app_of(house):
    parts = Parts(
        house.engine, house.intake, house.sequencer, house.clearing, LOG_VERIFIER.to_vkey(), NAMES,
        reports_key=small_key(0, KeyUse.REPORT),
    )  # fmt: skip
    return make_app(Running(parts))


async def own_database(postgres_url):
    """Make a database that outlives a test; the server goes with the session."""
    server, name = make_url(postgres_url), f"reports_{uuid4().hex}"
    connection = await asyncpg.connect(server.set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
    await connection.close()
    return server.set(database=name).render_as_string(hide_password=False)
