"""The house as it runs: started three days ago and today, it says what may go, lets it go, and erases for a member's command."""

import asyncio
import json
import os
import subprocess
import sys
import time

import httpx2
import pytest
from sqlalchemy import text

from fare_chain.access_files import read_access
from fare_chain.audit import audit
from fare_chain.batch import CityTail, seal
from fare_chain.hashing import sha256
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog, HttpLog
from fare_chain.note import read_vkey
from fare_chain.tap import Tap, TapKind
from settlement import house as room
from settlement.house import House, Settings
from settlement.retention import SCHEME_CODES_DAYS
from settlement.store.database import make_engine
from tests.settlement.test_house_process import free_port

DAY_S = 86_400
KEYS = {"house-log": (0, KeyUse.LOG), "house-access": (0, KeyUse.ACCESS), "shanghai-batch": (1, KeyUse.BATCH)}


@pytest.fixture
def city(tmp_path):
    """The scheme's keys in a folder, valid for days; and how Shanghai seals its next batch of one ride, codes and all."""
    held, tail = {}, CityTail()
    for name, (owner, use) in KEYS.items():
        key = SigningKey.generate()
        begins = (int(time.time()) - 9 * DAY_S) * 1_000_000
        described = PublicKey(MemberNumber(owner), use, key.public, Micros(begins), Micros(begins + 90 * DAY_S * 1_000_000))
        write_member_key(tmp_path / "keys", tmp_path / "members", name, key, described)
        held[name] = (key, described.key_id)

    def next_batch(at_us):
        nonlocal tail
        codes = [f"a code of {at_us} {side}".encode() for side in (0, 1)]
        seq = 2 * tail.next_seq
        taps = [
            Tap(at_us + side, bytes(16), sha256(codes[side]), seq + side, 1, 1 + side, 1, 2, TapKind(1 + side)) for side in (0, 1)
        ]
        key, key_id = held["shanghai-batch"]
        batch = seal(b"".join(tap.to_bytes() for tap in taps), codes, city=1, tail=tail, key=key, key_id=key_id)
        tail = tail.after(batch.header)
        return batch.to_bytes()

    return next_batch


async def live(folder, database_url, story, **given):
    """Run a house until the story is told."""
    port = free_port()
    house = House(Settings(folder / "house", folder / "members", folder / "keys", port=port, database_url=database_url, **given))
    running = asyncio.create_task(house.run())
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        while True:
            assert not running.done(), await running
            try:
                if (await client.get("/v1/health")).status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
        told = await story(client)
    house.stopping.set()
    await running
    return told


async def held(database_url):
    engine = make_engine(database_url)
    async with engine.connect() as connection:
        count = (await connection.execute(text("SELECT count(*) FROM codes"))).scalar_one()
    await engine.dispose()
    return count


def erase(url, folder, index, *more):
    """The command, as its own program."""
    words = [
        "erase",
        "--entry",
        str(index),
        "--tap",
        "1",
        "--access",
        str(folder / "keys" / "house-access.key"),
        "--house",
        url,
        *more,
    ]
    return subprocess.run(
        [sys.executable, "-c", "from fare_chain.command_line import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_house_lets_go_what_is_due_and_erases_what_is_asked(tmp_path, database_url, city, monkeypatch):
    real = room.clock_us

    async def sends(client):
        while not (await client.get("/v1/status")).json()["size"]:  # noqa: ASYNC110  the key stands before what it signs
            await asyncio.sleep(0.1)
        answer = await client.post("/v1/batches", content=city(room.clock_us()))
        assert answer.status_code == 200, answer.text

    async def today(client):
        await sends(client)
        for _turn in range(100):
            if await held(database_url) == 1:
                break
            await asyncio.sleep(0.1)
        assert await held(database_url) == 1, "what is three days old is gone, what is of today is not"
        size = (await client.get("/v1/status")).json()["size"]
        url = str(client.base_url).rstrip("/")
        answers = [await asyncio.to_thread(erase, url, tmp_path, index, "--json") for index in range(size)]
        told = [json.loads(answer.stdout) for answer in answers if answer.returncode == 0]
        assert [row["codes_gone"] for row in told] == [0, 1], answers
        assert "is no batch on this ledger" in answers[0].stderr
        await asyncio.sleep(1.5)
        log = HttpLog(url, read_access(tmp_path / "keys" / "house-access.key", "audit"), whole=True)
        await asyncio.to_thread(export, log, tmp_path / "log")
        log.client.close()

    with monkeypatch.context() as patch:
        patch.setattr(room, "clock_us", lambda: real() - 3 * DAY_S * 1_000_000)
        asyncio.run(live(tmp_path, database_url, sends, codes_days=1))
    assert asyncio.run(held(database_url)) == 1
    asyncio.run(live(tmp_path, database_url, today, codes_days=1))
    verifier = read_vkey((tmp_path / "log" / "log.vkey").read_text().strip())
    result = audit(FolderLog(tmp_path / "log"), [verifier], every_code=True, rider_signatures=False)
    assert (result.batches, result.rider_codes, result.rider_codes_dropped) == (2, 1, 2)
    assert (result.codes_days, result.erasures, result.rider_codes_erased) == (1, 2, 2)


def test_the_default_is_the_schemes():
    asked = [sys.executable, "-c", "from fare_chain.command_line import main; main()", "house", "--help"]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    help_text = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment).stdout
    assert "--codes-days" in help_text
    assert f"[default: {SCHEME_CODES_DAYS}]" in help_text
