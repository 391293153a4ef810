"""Evidence over HTTP: what convicts is kept, stands on the ledger once, and is served; what does not is refused by name."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from fare_chain.audit import audit
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind
from fare_chain.evidence import bad_rider_signature, read_evidence, two_of
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind, read_evidence_entry
from fare_chain.hashing import sha256
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog
from fare_chain.policy import Policy
from fare_chain.proofs import read_proof_file
from fare_chain.tap import TapKind
from settlement.core.replay import Rederiving
from settlement.store import ledger as store
from settlement.store.database import entry, evidence
from simulators.small_house import LOG_VERIFIER, SmallAdapter, SmallHouse, SmallRider, small_ring


def forged(scan):
    """The scan with a code that its rider did not sign."""
    shown, code = scan
    code = code[:-1] + bytes([code[-1] ^ 1])
    return replace(shown, code_digest=sha256(code)), code


async def forged_batch(house, city=3):
    """A batch of city 3 with an honest tap and a forged one on the ledger: its entry's index, entry, batch and forged code."""
    honest = SmallRider(501, 2).scan(city, 1, TapKind.ENTRY, house.now_us - 10**6)
    false = forged(SmallRider(502, 2).scan(city, 1, TapKind.ENTRY, house.now_us - 10**6))
    batch = SmallAdapter(city).seal([honest, false])
    (receipt,) = await house.take(batch)
    proof = read_proof_file(receipt)
    return proof.index, proof.extra, batch, false[1]


async def objection(house):
    index, data, batch, code = await forged_batch(house)
    return bad_rider_signature(index, data, 1, batch.body, code)


async def on_ledger(house):
    async with house.engine.connect() as connection:
        return [read_evidence_entry(payload) for payload in await store.read_payloads(connection, EntryKind.EVIDENCE)]


async def kept(house):
    async with house.engine.connect() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(evidence))).scalar_one()


@pytest.fixture
def ride_about():
    """Nobody has ridden yet."""

    async def nothing(_house):
        return None

    return nothing


def test_an_objection_that_convicts_stands_on_the_ledger_once_and_its_file_is_served(told):
    async def story(house, client):
        text = await objection(house)
        answers = [await client.post("/v1/evidence", content=text) for _time in range(2)]
        await house.tick()
        answers.append(await client.post("/v1/evidence", content=text))
        await house.tick()
        assert [answer.status_code for answer in answers] == [200] * 3
        (answer,) = {answer.text for answer in answers}
        (stands,) = await on_ledger(house)
        assert (stands.kind, stands.accused, stands.tap) == (EvidenceKind.BAD_RIDER_SIGNATURE, 3, 1)
        address = answers[0].json()["file"]
        assert address == f"evidence/{stands.file_hash.hex()}"
        assert '"accused":3' in answer
        served = await client.get(address)
        assert check_evidence(read_evidence(served.text), Policy(()), small_ring()).member == 3

    told(story)


def test_another_file_with_the_same_claim_adds_nothing(told):
    async def story(house, client):
        text = await objection(house)
        with_key = text + f"item key {'AAAA'}\n"
        first = await client.post("/v1/evidence", content=text)
        second = await client.post("/v1/evidence", content=with_key)
        await house.tick()
        assert (first.status_code, second.status_code, first.text) == (200, 200, second.text)
        assert (len(await on_ledger(house)), await kept(house)) == (1, 1)

    told(story)


def test_refusals_of_evidence_are_named_and_keep_nothing(told):
    async def story(house, client):
        index, data, batch, code = await forged_batch(house)
        good = bad_rider_signature(index, data, 1, batch.body, code)
        honest = two_of(EvidenceKind.DOUBLE_BATCH, batch.signed_header, batch.signed_header)
        later = (index + 900).to_bytes(8, "little")
        framed = bad_rider_signature(index + 900, data[:8] + later + data[16:], 1, batch.body, code)
        early = bad_rider_signature(index - 1, data[:8] + (index - 1).to_bytes(8, "little") + data[16:], 1, batch.body, code)
        answers = {}
        for name, file in {
            "nothing": "", "not text": b"\xff", "cut": good[:-1], "no lie": honest, "not here yet": framed, "elsewhere": early,
            "too long": "x" * (1 << 20) + "x",
        }.items():  # fmt: skip
            answer = await client.post("/v1/evidence", content=file)
            answers[name] = (answer.status_code, answer.json()["title"])
        await house.tick()
        assert (await on_ledger(house), await kept(house)) == ([], 0)
        return answers

    assert told(story) == {
        "nothing": (400, "Malformed"),
        "not text": (400, "Malformed"),
        "cut": (400, "Malformed"),
        "no lie": (403, "Untrusted"),
        "not here yet": (409, "Conflict"),
        "elsewhere": (409, "Conflict"),
        "too long": (400, "Malformed"),
    }


def test_two_batches_of_one_number_put_themselves_on_record(told):
    async def story(house, _client):
        now_us = house.now_us - 10**6
        one, other = (SmallAdapter(1).seal([SmallRider(number, 2).scan(1, 1, TapKind.ENTRY, now_us)]) for number in (511, 512))
        await house.take(one)
        for _attempt in range(2):
            with pytest.raises(Conflict, match="evidence of a fork"):
                await house.intake.accept(other.to_bytes())
        await house.tick()
        (stands,) = await on_ledger(house)
        assert (stands.kind, stands.accused) == (EvidenceKind.DOUBLE_BATCH, 1)

    told(story)


def test_two_batches_of_one_number_in_flight_at_once_do_so_too(told):
    async def story(house, _client):
        now_us = house.now_us - 10**6
        one, other = (SmallAdapter(1).seal([SmallRider(number, 2).scan(1, 1, TapKind.ENTRY, now_us)]) for number in (511, 512))
        first = asyncio.create_task(house.intake.accept(one.to_bytes()))
        while not house.sequencer.staging.batches:  # noqa: ASYNC110  the house has no other clock
            await asyncio.sleep(0)
        with pytest.raises(Conflict, match="evidence of a fork"):
            await house.intake.accept(other.to_bytes())
        await house.tick()
        assert await first
        assert [stands.kind for stands in await on_ledger(house)] == [EvidenceKind.DOUBLE_BATCH]

    told(story)


@pytest.mark.parametrize("dies", ["before it is staged", "before the tick", "after the tick"])
def test_a_house_that_dies_puts_what_it_kept_on_record_once(told, monkeypatch, dies):
    async def story(house, client):
        text = await objection(house)
        if dies == "before it is staged":
            monkeypatch.setattr(house.intake.evidence, "_stage", lambda _kept: None)
        assert (await client.post("/v1/evidence", content=text)).status_code == 200
        if dies == "after the tick":
            await house.tick()
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        await again.tick()
        await again.tick()
        assert len(await on_ledger(again)) == 1
        async with house.engine.connect() as connection:
            count = sa.select(sa.func.count()).where(entry.c.kind == int(EntryKind.EVIDENCE))
            assert (await connection.execute(count)).scalar_one() == 1

    told(story)


def test_an_exported_log_carries_its_evidence_and_an_audit_of_the_folder_holds(told, app_of, app_log, tmp_path):
    async def story(house, client):
        text = await objection(house)
        assert (await client.post("/v1/evidence", content=text)).status_code == 200
        await house.tick()
        await house.seal_windows()
        await house.tick()
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(export, app_log(app_of(house), loop), tmp_path / "log")
        return text

    text = told(story)
    (file,) = (tmp_path / "log" / "evidence").iterdir()
    assert file.read_text() == text
    result = audit(FolderLog(tmp_path / "log"), [LOG_VERIFIER], followers=[Rederiving()], rider_signatures=True)
    assert result.taps == 2
    file.unlink()
    with pytest.raises(Exception, match="evidence/"):
        audit(FolderLog(tmp_path / "log"), [LOG_VERIFIER], followers=[Rederiving()], rider_signatures=True)
