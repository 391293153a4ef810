"""A member asks that scanned codes go: the ledger says so first, exactly those go, and everybody can still verify."""

import asyncio
import re
import time

import pytest
from sqlalchemy.exc import OperationalError

from fare_chain.access_tokens import issue_token
from fare_chain.audit import audit
from fare_chain.batch import read_codes
from fare_chain.errors import Malformed, Overloaded
from fare_chain.events import EntryKind
from fare_chain.governance import Basis, ErasureEntry, ErasureLevel, read_erasure_entry
from fare_chain.identifiers import FIRST_READER
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog
from fare_chain.tap import read, records
from settlement.core.replay import Rederiving
from settlement.erasing import erasures
from settlement.retention import Retention
from settlement.sequencer import Control
from settlement.store import ledger
from settlement.store import retention as store
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallHouse, small_key, small_ring
from tests.conftest import AppLog, _app_of
from tests.settlement.mirror.mirror_world import feed_of, make_mirror


def bearer(owner, use=KeyUse.ACCESS):
    key = small_key(owner, use)
    described = PublicKey(owner, KeyUse.ACCESS, key.public, 0, 2**60)
    return {"Authorization": f"Bearer {issue_token(key, described, audience=ORIGIN, now_s=int(time.time()))}"}


def with_access(house):
    """Let the scheme, the cities and an auditor ask."""
    ring = small_ring()
    for owner in (0, 1, 2, 3, FIRST_READER):
        ring = ring.including(PublicKey(owner, KeyUse.ACCESS, small_key(owner, KeyUse.ACCESS).public, 0, 2**60))
    house.intake.ring = ring


async def a_batch(house):
    """(entry, taps, codes) of a batch with riders of several cities."""
    async with house.engine.connect() as connection:
        row = (
            await connection.exec_driver_sql(
                "SELECT b.entry_index, b.taps, c.codes FROM body b JOIN codes c USING (entry_index) ORDER BY 1 OFFSET 3 LIMIT 1"
            )
        ).one()
    return row[0], [read(record) for record in records(row[1])], read_codes(row[2])


async def codes_of(house, index):
    async with house.engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"SELECT codes FROM codes WHERE entry_index = {index}")
        return read_codes(rows.scalar_one())


async def said(house):
    async with house.engine.connect() as connection:
        return [read_erasure_entry(payload) for payload in await ledger.read_payloads(connection, EntryKind.ERASURE)]


async def ticking(house, work):
    """Let the house tick while something waits for it."""
    running = asyncio.create_task(work)
    while not running.done():
        await asyncio.sleep(0.01)
        await house.tick()
    return await running


def asks(index, *taps, level=ErasureLevel.SCANNED_CODES):
    return ErasureEntry(level, Basis.RIDER_ASKED, index, taps)


async def post(house, client, told, headers):
    content = told if isinstance(told, bytes) else told.to_bytes()
    return await ticking(house, client.post("/v1/erasures", content=content, headers=headers))


def test_exactly_those_codes_go_and_the_log_and_the_mirrors_still_hold(told, tmp_path):
    async def story(house, client):
        with_access(house)
        mirror = make_mirror(tmp_path / "alder")
        mirror.take(await feed_of(house))
        index, taps, codes = await a_batch(house)
        answer = await post(house, client, asks(index, 0, 2), bearer(0))
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"index": answer.json()["index"], "batch": index, "taps": [0, 2], "codes_gone": 2}
        assert await codes_of(house, index) == [b"", codes[1], b"", *codes[3:]]
        again = await post(house, client, asks(index, 2), bearer(0))
        assert (again.json()["index"], again.json()["codes_gone"]) == (answer.json()["index"], 0)
        assert await said(house) == [asks(index, 0, 2)]
        remembered = [entry.codes for size, tick in house.sequencer.recent for entry in tick.entries if entry.codes]
        assert sum(not code for run in remembered for code in read_codes(run)) == 2, "a mirror that asks now gets none of them"
        mirror.take(await feed_of(house, mirror.mirrored.size))
        late = make_mirror(tmp_path / "birch", 2)
        late.take(await feed_of(house))
        await house.seal_windows()
        assert mirror.stopped is late.stopped is None
        source = AppLog(_app_of(house), asyncio.get_running_loop())
        await asyncio.to_thread(export, source, tmp_path / "log")
        result = audit(FolderLog(tmp_path / "log"), [LOG_VERIFIER], followers=[Rederiving()], every_code=True)
        assert (result.rider_codes, result.rider_codes_erased, result.erasures) == (64, 2, 1)
        assert "; 2 erased by 1 entries" in "\n".join(result.to_lines())
        assert len(taps) == len(codes)

    told(story)


def test_who_may_ask_for_whom(told):
    async def story(house, client):
        with_access(house)
        client.auth = None
        index, taps, _codes = await a_batch(house)
        of = {issuer: next(number for number, tap in enumerate(taps) if tap.issuer == issuer) for issuer in (1, 2, 3)}
        pseudonyms = ErasureLevel.PSEUDONYMS
        answers = {
            "nobody": await post(house, client, asks(index, of[1]), {}),
            "another key": await post(house, client, asks(index, of[1]), bearer(1, KeyUse.BATCH)),
            "an auditor": await post(house, client, asks(index, of[1]), bearer(FIRST_READER)),
            "another issuer": await post(house, client, asks(index, of[1]), bearer(2)),
            "an issuer for two": await post(house, client, asks(index, *sorted((of[1], of[2]))), bearer(2)),
            "the scheme for pseudonyms": await post(house, client, asks(index, of[1], level=pseudonyms), bearer(0)),
            "the issuer": await post(house, client, asks(index, of[2]), bearer(2)),
            "the issuer for pseudonyms": await post(house, client, asks(index, of[3], level=pseudonyms), bearer(3)),
            "the scheme": await post(house, client, asks(index, of[1]), bearer(0)),
        }
        told = {name: answer.status_code for name, answer in answers.items()}
        expected = [401] * 2 + [403] * 4 + [200] * 3
        assert told == dict(zip(answers, expected, strict=True))
        assert len(await said(house)) == 3
        assert all(not code for number, code in enumerate(await codes_of(house, index)) if number in of.values())

    told(story)


def test_what_cannot_be_erased_is_refused_by_name_and_nothing_is_written(told):
    async def story(house, client):
        with_access(house)
        index, taps, codes = await a_batch(house)
        for sent, status, why in (
            (asks(index, len(taps)), 400, f"there is no tap {len(taps)}"),
            (asks(0, 0), 404, "entry 0 is no batch"),
            (asks(10**6, 0), 404, "is no batch on this ledger"),
            (asks(index, 0, level=ErasureLevel.TAPS), 400, "level 3.*is not built"),
            (b"please forget me", 400, "level 112 or basis 24933 is unknown"),
            (asks(index, 0).to_bytes() + b"x", 400, "1 taps do not fit 19 bytes"),
            (bytes(16 + 2 * 4097), 400, "at most 8208 bytes"),
        ):
            answer = await client.post(
                "/v1/erasures", content=sent if isinstance(sent, bytes) else sent.to_bytes(), headers=bearer(0)
            )
            assert answer.status_code == status, answer.text
            assert re.search(why, answer.json()["detail"]), answer.text
        with pytest.raises(Malformed, match="level 3"):
            house.sequencer.stage_control(Control(EntryKind.ERASURE, asks(index, 0, level=ErasureLevel.TAPS).to_bytes()))
        assert (await said(house), await codes_of(house, index)) == ([], codes)

    told(story)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["the entry", "the codes"])
def test_a_death_at_either_step_is_gone_on_from(told, monkeypatch, step, moment):
    async def story(house, _client):
        index, _taps, codes = await a_batch(house)
        place, name = (ledger, "append_tick") if step == "the entry" else (store, "withhold_codes")
        real = getattr(place, name)

        async def dies(*given, **named):
            if moment == "after":
                await real(*given, **named)
                await given[0].commit()
            raise OperationalError("lost", None, Exception("connection lost"))

        asked = asyncio.create_task(erasures.erase(house.engine, house.sequencer, asks(index, 1), asked_by=0))
        while not any(control.kind is EntryKind.ERASURE for control in house.sequencer.staging.control):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(place, name, dies)
            if step == "the codes":
                await house.tick()
            else:
                with pytest.raises(OperationalError):
                    await house.tick()
                house.sequencer.abandon()
            with pytest.raises((OperationalError, Overloaded)):
                await asked
        stands = step == "the codes" or moment == "after"
        assert len(await said(house)) == stands
        gone = (step, moment) == ("the codes", "after")
        assert (await codes_of(house, index))[1] == (b"" if gone else codes[1])
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        await Retention(again.engine, again.sequencer, again.intake, codes_days=90).restore()
        assert (await codes_of(again, index))[1] == (b"" if stands else codes[1]), "what stands is carried out at the start"
        assert (await ticking(again, erasures.erase(again.engine, again.sequencer, asks(index, 1), asked_by=0)))[1] == (not stands)
        assert await said(again) == [asks(index, 1)]
        house.sequencer.abandon()
        with pytest.raises(Overloaded, match="restarts"):
            await house.sequencer.record(EntryKind.ERASURE, asks(index, 0).to_bytes())

    told(story)


def test_codes_that_retention_has_dropped_may_be_erased_too(told):
    async def story(house, _client):
        index, _taps, _codes = await a_batch(house)
        async with house.engine.begin() as connection:
            await store.drop_codes(connection, index + 1, 100)
        assert (await ticking(house, erasures.erase(house.engine, house.sequencer, asks(index, 1), asked_by=0)))[1] == 0
        assert await said(house) == [asks(index, 1)]

    told(story)
