"""A forged ride is objected to and falls: what waits is taken out, what is cleared is taken back, and every walk agrees."""

import asyncio
import re
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa

from fare_chain.audit import AuditFailure, audit
from fare_chain.evidence import bad_rider_signature, read_evidence
from fare_chain.hashing import sha256
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog
from fare_chain.proofs import read_proof_file
from fare_chain.tap import TapKind
from settlement.core.columns import ADJUSTMENT_DTYPE, ClearingReason
from settlement.core.objections import read_brought, write_brought
from settlement.core.replay import Rederiving
from settlement.store.database import cleared_tick, evidence, exception
from simulators.small_cities import SECOND_US
from simulators.small_house import LOG_VERIFIER, SmallAdapter, SmallHouse, SmallRider
from tests.conftest import AskedBy
from tests.settlement.mirror.mirror_world import feed_of, make_mirror
from tests.settlement.test_evidence_intake import forged, kept, on_ledger


@pytest.fixture
def ride_about():
    """Nobody has ridden yet."""

    async def nothing(_house):
        return None

    return nothing


async def ride(house, *, issuer=1, host=3, forged_kinds=(TapKind.ENTRY,), exits=True, adapter=None):
    """A ride with some taps that its rider did not sign: the receipt's index and entry, the batch, and the scans by kind."""
    rider, early = SmallRider(900 + issuer, issuer), house.now_us - 1800 * SECOND_US
    scans = [rider.scan(host, 1, TapKind.ENTRY, early), rider.scan(host, 2, TapKind.EXIT, early + 600 * SECOND_US)]
    told = [forged(scan) if scan[0].kind in forged_kinds else scan for scan in scans[: 1 + exits]]
    batch = (adapter or SmallAdapter(host)).seal(told)
    (receipt,) = await house.take(batch)
    proof = read_proof_file(receipt)
    return proof.index, proof.extra, batch, told


def objection_to(ridden, number=0):
    index, data, batch, told = ridden
    return bad_rider_signature(index, data, number, batch.body, told[number][1])


async def positions(house):
    """Positions and earnings once every window is closed."""
    for _time in range(2):
        await house.seal_windows()
    state = house.clearing.state
    return {member: fen for member, fen in state.positions if fen}, {number: fen for number, fen in state.earned if fen}


async def rows(house, query):
    async with house.engine.connect() as connection:
        return (await connection.execute(query)).all()


async def fallen(house):
    """Every journey that fell, by the rows of the ticks in which it did."""
    blocks = await rows(house, sa.select(cleared_tick.c.adjustment_block).order_by(cleared_tick.c.to_index))
    return list(np.frombuffer(b"".join(row.adjustment_block for row in blocks), ADJUSTMENT_DTYPE))


@pytest.mark.parametrize(("issuer", "number"), [(1, 0), (1, 1), (3, 0), (3, 1)])
def test_a_cleared_ride_falls_in_the_next_window_to_the_last_fen(told, issuer, number):
    async def story(house, client):
        kind = (TapKind.ENTRY, TapKind.EXIT)[number]
        ridden = await ride(house, issuer=issuer, forged_kinds=(kind,))
        booked, earned = await positions(house)
        assert earned
        assert bool(booked) == (issuer != 3)
        assert (await client.post("/v1/evidence", content=objection_to(ridden, number))).status_code == 200
        for _tick in range(3):
            await house.tick()
        assert [(stands.index, stands.tap) for stands in await on_ledger(house)] == [(ridden[0], number)] * 2
        assert await positions(house) == ({}, {})
        (undone,) = await fallen(house)
        assert house.clearing.state.reversed["journey_id"].tolist() == [undone["journey_id"].item()]
        address = f"/v1/journeys/{undone['journey_id'].tobytes().hex()}/explanation"
        explained = (await client.get(address, auth=AskedBy(3))).json()
        assert explained["state"] == "REVERSED"
        reversal = explained["reversal"]
        assert reversal["reason"] == "RIDER_DID_NOT_SIGN"
        assert reversal["fare_fen"] == explained["fare_fen"] > 0
        assert "REVERSED: RIDER_DID_NOT_SIGN by entry" in (await client.get(f"{address}.txt", auth=AskedBy(3))).text

    told(story)


def test_a_ride_whose_other_tap_is_still_out_loses_the_forged_one(told):
    async def story(house, client):
        ridden = await ride(house, exits=False)
        assert len(house.clearing.state.open_taps) == 1
        await client.post("/v1/evidence", content=objection_to(ridden))
        for _tick in range(4):
            await house.tick()
        assert len(house.clearing.state.open_taps) == 0
        (found,) = await rows(house, sa.select(exception))
        assert found.reason == ClearingReason.OBJECTED
        assert (len(await on_ledger(house)), await kept(house), await fallen(house)) == (1, 1, [])

    told(story)


def test_objections_to_both_taps_of_a_ride_take_it_back_once(told):
    async def story(house, client):
        ridden = await ride(house, forged_kinds=(TapKind.ENTRY, TapKind.EXIT))
        for number in (0, 1):
            assert (await client.post("/v1/evidence", content=objection_to(ridden, number))).status_code == 200
        for _time in range(2):
            assert await positions(house) == ({}, {})
            assert len(await fallen(house)) == 1
        assert len(await on_ledger(house)) == 3

    told(story)


@pytest.mark.parametrize("dies", ["objected", "window closed", "kept", "on the ledger"])
def test_a_house_that_dies_on_the_way_upholds_once(told, monkeypatch, dies):
    async def story(house, client):
        ridden = await ride(house)
        assert (await client.post("/v1/evidence", content=objection_to(ridden))).status_code == 200
        await house.tick()
        if dies == "window closed":
            await house.tick(SECOND_US)
        if dies in ("kept", "on the ledger"):
            if dies == "kept":
                monkeypatch.setattr(house.intake.evidence, "_stage", lambda _kept: None)
            await house.seal_windows()
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        for _time in range(2):
            assert await positions(again) == ({}, {})
        assert len(await fallen(again)) == 1
        assert len(await on_ledger(again)) == 2
        third = SmallHouse(house.engine, again.now_us)
        await third.start()
        assert third.clearing.state.to_bytes() == again.clearing.state.to_bytes()
        await third.tick()
        assert len(await on_ledger(third)) == 2

    told(story)


def exported(told, app_of, app_log, folder):
    async def story(house, client):
        ridden = await ride(house)
        await positions(house)
        await client.post("/v1/evidence", content=objection_to(ridden))
        for _time in range(2):
            await house.seal_windows()
        await asyncio.to_thread(export, app_log(app_of(house), asyncio.get_running_loop()), folder)
        return await feed_of(house), house.clearing.state

    return told(story)


def audited(folder):
    return audit(FolderLog(folder), [LOG_VERIFIER], followers=[Rederiving()], rider_signatures=True)


def test_mirrors_and_auditors_uphold_the_same(told, app_of, app_log, tmp_path):
    feed, state = exported(told, app_of, app_log, tmp_path / "log")
    mirror = make_mirror(tmp_path / "alder")
    assert mirror.take(feed)
    assert mirror.status()["stopped"] is None
    assert mirror.mirrored.clearing.state.reversed.tobytes() == state.reversed.tobytes() != b""
    assert mirror.mirrored.clearing.state.earned == state.earned
    assert mirror.status()["objections"] == 0
    assert audited(tmp_path / "log").taps == 2


def settled_file(folder):
    files = [path for path in (folder / "evidence").iterdir() if read_evidence(path.read_text()).journey()]
    assert len(files) == 1
    return files[0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda second, leaf: (second, replace(leaf, leaf=leaf.leaf[:-1] + bytes([leaf.leaf[-1] ^ 1]))), "root"),
        (lambda second, leaf: (second, replace(leaf, tick_root=bytes(32))), "root"),
        (lambda second, leaf: (second, replace(leaf, tick=replace(leaf.tick, number=leaf.tick.number + 1))), "leaf|root"),
    ],
    ids=["another-share", "another-tick", "another-place"],
)
def test_a_journey_that_was_altered_stops_every_walk(told, app_of, app_log, tmp_path, monkeypatch, change, named):
    exported(told, app_of, app_log, tmp_path / "log")
    path = settled_file(tmp_path / "log")
    read = read_evidence(path.read_text())
    altered = read.with_journey(write_brought(*change(*read_brought(read.journey()))))
    # the ledger's hash of the file is let pass, so that the item itself is what is judged
    path.write_text(altered)
    digest = bytes.fromhex(path.name)
    monkeypatch.setattr("fare_chain.ledger_walk.sha256", lambda data: digest if data == altered.encode() else sha256(data))
    with pytest.raises(AuditFailure) as failure:
        audited(tmp_path / "log")
    assert re.search(named, str(failure.value))


def test_evidence_kept_and_adjustments_are_written_once(told):
    async def story(house, _client):
        for table in (cleared_tick, evidence):
            with pytest.raises(Exception, match="written once"):
                async with house.engine.begin() as connection:
                    await connection.execute(sa.delete(table))

    told(story)
