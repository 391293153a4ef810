"""Scanned codes go when their time is over: the ledger says so first, the log still verifies, and a death between loses nothing."""

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from fare_chain.audit import AuditFailure, audit
from fare_chain.errors import Malformed, Overloaded
from fare_chain.events import EntryKind
from fare_chain.governance import RetentionEntry, read_retention_entry
from fare_chain.hashing import ZERO_HASH
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog
from fare_chain.tap import TapKind
from settlement import retention as room
from settlement.core.replay import Rederiving
from settlement.retention import Retention
from settlement.sequencer import Control
from settlement.store import ledger
from settlement.store import retention as store
from simulators.small_cities import SECOND_US
from simulators.small_house import LOG_VERIFIER, SmallAdapter, SmallHouse, SmallRider
from tests.conftest import AppLog, _app_of
from tests.settlement.mirror.mirror_world import feed_of, make_mirror

DAY_US = 86_400 * SECOND_US
RIDER = SmallRider(500, 2)


def retention_of(house, days=1, finality=None):
    return Retention(house.engine, house.sequencer, house.intake, finality, codes_days=days)


async def ride(house, *, codes=True):
    """One rider more goes in and out: a batch of today."""
    adapter = SmallAdapter(1, house.sequencer.tail(1))
    scans = [RIDER.scan(1, 1, TapKind.ENTRY, house.now_us - 900 * SECOND_US), RIDER.scan(1, 2, TapKind.EXIT, house.now_us)]
    batch = adapter.seal(scans)
    if not codes:
        batch = type(batch)(batch.header, batch.signature, batch.body)
    await house.take(batch)
    return batch


async def days_later(house, days=3):
    """Some days pass, and somebody rides."""
    await house.tick(days * DAY_US)
    batch = await ride(house)
    await house.seal_windows()
    return batch


async def carried_out(house, retention):
    """Let retention do its work while the house ticks."""
    running = asyncio.create_task(retention.run())
    while not running.done():
        await asyncio.sleep(0.01)
        await house.tick()
    return await running


async def held(house):
    """Which entries still have their codes."""
    async with house.engine.connect() as connection:
        return [row[0] for row in await connection.exec_driver_sql("SELECT entry_index FROM codes ORDER BY entry_index")]


async def said(house):
    async with house.engine.connect() as connection:
        return [read_retention_entry(payload) for payload in await ledger.read_payloads(connection, EntryKind.RETENTION)]


async def exported(house, folder):
    await house.seal_windows()
    source = AppLog(_app_of(house), asyncio.get_running_loop())
    await asyncio.to_thread(export, source, folder)
    return folder


def verify(folder, **given):
    return audit(FolderLog(folder), [LOG_VERIFIER], followers=[Rederiving()], **given)


def test_codes_whose_days_are_over_go_and_the_log_and_the_mirrors_still_hold(told, tmp_path):
    async def story(house, _client):
        mirror = make_mirror(tmp_path / "alder")
        mirror.take(await feed_of(house))
        before = await held(house)
        await days_later(house)
        retention = retention_of(house)
        assert await carried_out(house, retention) is False
        [rule] = await said(house)
        assert (rule.codes_days, rule.bodies_from) == (1, 0)
        assert (len(before), len(await held(house))) == (12, 1)
        assert before[-1] < rule.codes_from <= (await held(house))[0]
        mirror.take(await feed_of(house, mirror.mirrored.size))
        late = make_mirror(tmp_path / "birch", 2)
        late.take(await feed_of(house))
        assert mirror.stopped is late.stopped is None
        assert mirror.mirrored.state_root == late.mirrored.state_root != b""
        result = verify(await exported(house, tmp_path / "log"), every_code=True)
        assert (result.rider_codes, result.rider_codes_dropped, result.codes_days) == (2, 66, 1)
        assert result.rederived["windows_rederived"] == result.windows
        assert "retention: 1 days" in "\n".join(result.to_lines())
        await carried_out(house, retention)
        assert len(await said(house)) == 1, "nothing is said twice"

    told(story)


def test_a_code_that_retention_keeps_and_that_is_gone_is_named(told, tmp_path):
    async def story(house, _client):
        batch = await days_later(house)
        retention = retention_of(house)
        await carried_out(house, retention)
        folder = await exported(house, tmp_path / "log")
        verify(folder)
        codes = folder / "codes" / batch.header.body_hash.hex()
        codes.unlink()
        [kept] = await held(house)
        with pytest.raises(AuditFailure, match=f"codes of entry {kept}: its rider codes are gone.*keeps them from entry"):
            verify(folder)
        codes.write_bytes(bytes(4))
        assert verify(folder).rider_codes_withheld == 2
        with pytest.raises(AuditFailure, match=f"codes of entry {kept}: the rider code of tap 0 is gone, no ERASURE"):
            verify(folder, every_code=True)

    told(story)


def test_an_export_from_before_holds_and_one_that_goes_on_lets_go_too(told, tmp_path):
    async def story(house, _client):
        older = await exported(house, tmp_path / "log")
        whole = verify(older)
        assert (whole.rider_codes, whole.codes_days) == (66, None)
        await days_later(house)
        await carried_out(house, retention_of(house))
        assert verify(older) == whole
        assert len(list((older / "codes").iterdir())) == 12
        await exported(house, older)
        assert len(list((older / "codes").iterdir())) == 1
        assert verify(older, every_code=True).rider_codes_dropped == 66

    told(story)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["the entry", "a slice"])
def test_a_death_at_either_step_is_gone_on_from(told, monkeypatch, tmp_path, step, moment):
    async def story(house, _client):
        await days_later(house)
        monkeypatch.setattr(room, "SLICE", 5)
        place, name = (ledger, "append_tick") if step == "the entry" else (store, "drop_codes")
        real, died = getattr(place, name), []

        async def dies(*given, **named):
            """Before: nothing is sent. After: it is committed, and the answer is lost."""
            if moment == "after":
                await real(*given, **named)
                await given[0].commit()
            died.append(name)
            raise OperationalError("lost", None, Exception("connection lost"))

        running = asyncio.create_task(retention_of(house).run())
        while not any(control.kind is EntryKind.RETENTION for control in house.sequencer.staging.control):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(place, name, dies)
            if step == "a slice":
                await house.tick()
            else:
                with pytest.raises(OperationalError):
                    await house.tick()
                house.sequencer.abandon()
            with pytest.raises((OperationalError, Overloaded)):
                await running
        assert died
        stands = step == "a slice" or moment == "after"
        assert len(await said(house)) == stands
        assert len(await held(house)) == (8 if (step, moment) == ("a slice", "after") else 13)
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        retention = retention_of(again)
        await retention.restore()
        assert again.intake.needs_codes == stands
        await carried_out(again, retention)
        assert (len(await said(again)), len(await held(again))) == (1, 1)
        verify(await exported(again, tmp_path / "log"), every_code=True)

    told(story)


def test_nothing_is_deleted_before_the_entry_is_final(told):
    class Covered:
        size = 0

        def covers(self, entries):
            return self.size > entries

    async def story(house, _client):
        await days_later(house)
        finality = Covered()
        retention = retention_of(house, finality=finality)
        assert await carried_out(house, retention) is True
        assert (len(await said(house)), len(await held(house))) == (1, 13)
        finality.size = house.sequencer.head.head.size
        assert await retention.run() is False
        assert len(await held(house)) == 1

    told(story)


def test_what_is_remembered_for_mirrors_loses_its_codes_too(told):
    async def story(house, _client):
        assert sum(bool(entry.codes) for _size, tick in house.sequencer.recent for entry in tick.entries) == 12
        await days_later(house)
        await carried_out(house, retention_of(house))
        assert sum(bool(entry.codes) for _size, tick in house.sequencer.recent for entry in tick.entries) == 1
        assert house.sequencer.recent_bytes == sum(tick.bytes() for _size, tick in house.sequencer.recent)

    told(story)


def test_after_the_first_word_no_batch_comes_without_codes(told):
    async def story(house, _client):
        await house.tick(3 * DAY_US)
        bare = await ride(house, codes=False)
        retention = retention_of(house)
        await carried_out(house, retention)
        assert (await said(house), len(await held(house))) == ([], 12), "a younger batch came without codes: nothing is promised"
        await ride(house, codes=False)
        await days_later(house)
        await carried_out(house, retention)
        assert len(await said(house)) == 1
        with pytest.raises(Malformed, match="carries no rider codes, and the ledger says that codes are kept"):
            await house.intake.accept((await _bare(house)).to_bytes())
        assert await house.intake.accept(bare.to_bytes()), "one that is there already has its receipt"

    async def _bare(house):
        adapter = SmallAdapter(1, house.sequencer.tail(1))
        batch = adapter.seal([RIDER.scan(1, 1, TapKind.ENTRY, house.now_us)])
        return type(batch)(batch.header, batch.signature, batch.body)

    told(story)


def test_a_batch_without_codes_that_is_on_its_way_is_seen(told):
    async def story(house, _client):
        await days_later(house)
        adapter = SmallAdapter(1, house.sequencer.tail(1))
        batch = adapter.seal([RIDER.scan(1, 1, TapKind.ENTRY, house.now_us)])
        posted = asyncio.create_task(house.intake.accept(type(batch)(batch.header, batch.signature, batch.body).to_bytes()))
        await asyncio.sleep(0)
        assert house.sequencer.staging.batches
        await retention_of(house).run()
        await house.tick()
        await posted
        assert await said(house) == []
        assert not house.intake.needs_codes

    told(story)


def test_the_batch_at_the_edge_keeps_its_codes(told):
    async def story(house, _client):
        before = await held(house)
        async with house.engine.begin() as connection:
            assert await store.drop_codes(connection, before[3], 100) == 3
            assert not await store.has_codes_below(connection, before[3])
        assert await held(house) == before[3:]

    told(story)


def test_kept_for_ever_says_and_drops_nothing(told):
    async def story(house, _client):
        await days_later(house)
        assert await retention_of(house, 0).run() is False
        assert (await said(house), len(await held(house))) == ([], 13)
        for days in (-1, 3_651):
            with pytest.raises(Malformed, match="codes cannot be kept for"):
                retention_of(house, days)

    told(story)


def test_that_bodies_go_is_refused_where_it_would_be_staged(told):
    async def story(house, _client):
        promise = RetentionEntry(1, 1, 5, 4, 9, ZERO_HASH)
        with pytest.raises(Malformed, match=r"bodies_from is not 0.*bodies are kept for good"):
            house.sequencer.stage_control(Control(EntryKind.RETENTION, promise.to_bytes()))
        assert all(control.kind is EntryKind.WINDOW for control in house.sequencer.staging.control)

    told(story)
