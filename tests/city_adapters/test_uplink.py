import asyncio
import socket
from contextlib import asynccontextmanager

import httpx2
import pytest

from city_adapters.batch_receipt import check_receipt
from city_adapters.kept_receipts import read_receipts, receipt_files
from city_adapters.spool import open_spool
from city_adapters.uplink import MOST_IN_FLIGHT, Fault, Uplink, _retry_after_s
from fare_chain.errors import Malformed, Untrusted
from fare_chain.keys import KeyRing, KeyUse, PublicKey
from fare_chain.proofs import ProofFile, read_proof_file
from tests.city_adapters.gate_world import (
    BATCH,
    CITY_KEY,
    FOREVER,
    LOG_KEY,
    RING,
    FakeHouse,
    code_of,
    free_port,
    make_tap,
    serving,
)


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path / "spool", CITY_KEY)
    yield spool
    spool.close()


@pytest.fixture
def house():
    return FakeHouse()


def fill(spool, count, first=0):
    """Seal that many batches of one tap each."""
    for number in range(first, first + count):
        spool.append(make_tap(number), code_of(number))
        spool.turn()
        spool.seal(spool.turned[0])
        spool.turned.popleft()


@asynccontextmanager
async def sending(uplink):
    task = asyncio.create_task(uplink.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds, seconds=8.0):
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)


def send_all(spool, address, ring=RING):
    uplink = Uplink(spool, ring, address, draw=lambda: 0.0, stuck_pause_s=0.05)

    async def work():
        async with sending(uplink):
            await until(lambda: not spool.waiting)

    asyncio.run(work())
    return uplink


def send_until_stuck(spool, address, ring=RING):
    uplink = Uplink(spool, ring, address, draw=lambda: 0.0, stuck_pause_s=60)

    async def work():
        async with sending(uplink):
            await until(lambda: uplink.stuck)

    asyncio.run(work())
    return uplink


def expected(count):
    return [make_tap(number).to_bytes() for number in range(count)]


def test_batches_arrive_in_order_and_the_spool_lets_go(spool, house):
    fill(spool, 20)
    with serving(house) as address:
        uplink = send_all(spool, address)
    assert house.taps == expected(20)
    assert [spooled.seq for spooled in spool.sent] == list(range(20))
    assert uplink.acknowledged_taps == 20
    assert uplink.setback is None


def test_every_receipt_that_holds_is_kept_beside_the_spool(spool, house):
    house.plan = ["", "forged", "lost"]
    fill(spool, 9)
    with serving(house) as address:
        send_all(spool, address)
    kept = [read_proof_file(text).extra[56:] for path in receipt_files(spool.folder) for text in read_receipts(path)]
    assert sorted(kept) == sorted(batch.signed_header for batch in house.batches)


def test_no_more_than_eight_are_on_their_way(spool, house):
    fill(spool, 20)
    house.delay_s = 0.3
    with serving(house) as address:
        uplink = Uplink(spool, RING, address)
        most = []

        async def work():
            async with sending(uplink):
                async with asyncio.timeout(8):
                    while spool.waiting:
                        most.append(len(uplink._in_flight))
                        await asyncio.sleep(0.005)

        asyncio.run(work())
    assert max(most) == MOST_IN_FLIGHT


@pytest.mark.parametrize(
    "plan",
    [
        ["lost"],
        ["dropped"],
        ["503", "503"],
        ["", "lost", "503", "dropped", "409"],
        ["409", "409"],
        ["400", "403"],
        ["forged", "other", ""],
        ["", "other"],
        ["dropped"] * 12,
    ],
    ids=lambda plan: "-".join(fate or "taken" for fate in plan[:5]),
)
def test_whatever_the_house_meets_every_batch_is_there_once_in_the_end(spool, house, plan):
    fill(spool, 12)
    house.plan = list(plan)
    with serving(house) as address:
        send_all(spool, address)
    assert house.taps == expected(12)
    assert not house.plan


def test_batches_that_overtake_one_another_all_arrive(spool, house):
    """The house takes no batch before its turn and waits for none: the worst of orders."""
    fill(spool, 30)
    house.turn_s = 0.0
    house.plan = ["503", "", "", "lost", "409", "", "503"]
    with serving(house) as address:
        uplink = send_all(spool, address)
    assert house.taps == expected(30)
    assert uplink.setback is None


def test_a_house_that_comes_later_gets_everything(spool, house):
    fill(spool, 5)
    port = free_port()
    uplink = Uplink(spool, RING, f"http://127.0.0.1:{port}", draw=lambda: 0.0)

    async def work():
        async with sending(uplink):
            await until(lambda: uplink.setback)
            assert uplink.setback.fault is Fault.AWAY
            assert not uplink.has_room
            assert uplink.stuck is None
            with serving(house, port):
                await until(lambda: not spool.waiting)

    asyncio.run(work())
    assert house.taps == expected(5)
    assert uplink.has_room


def test_what_is_sealed_while_sending_is_sent_when_the_uplink_is_woken(spool, house):
    with serving(house) as address:
        uplink = Uplink(spool, RING, address)

        async def work():
            async with sending(uplink):
                for first in (0, 3, 6):
                    fill(spool, 3, first)
                    uplink.wake()
                    await until(lambda: not spool.waiting)

        asyncio.run(work())
    assert house.taps == expected(9)


@pytest.mark.parametrize(
    ("fate", "says"),
    [
        ("400", "answered 400 to batch 0: as the test wants it"),
        ("403", "answered 403 to batch 0: as the test wants it"),
        ("409", "answered 409 to batch 0: as the test wants it"),
        ("forged", "receipt for batch 0 does not hold: no signature"),
    ],
)
def test_what_resending_cannot_help_is_said_and_nothing_is_thrown_away(spool, house, fate, says):
    fill(spool, 3)
    house.fates = {0: [fate] * 99}
    with serving(house) as address:
        uplink = send_until_stuck(spool, address)
    assert says in uplink.stuck
    assert len(spool.waiting) == 3
    asked = len(house.asked)
    assert asked <= MOST_IN_FLIGHT


@pytest.mark.parametrize(("fate", "fault"), [("503", Fault.AWAY), ("dropped", Fault.AWAY), ("409", Fault.GAP)])
def test_what_resending_does_help_is_no_reason_to_be_stuck(spool, house, fate, fault, monkeypatch):
    met, note = [], Uplink._note

    def listen(uplink, setback):
        met.append(setback)
        note(uplink, setback)

    monkeypatch.setattr(Uplink, "_note", listen)
    house.fates = {2: [fate]}
    house.turn_s = 2.0
    fill(spool, 3)
    with serving(house) as address:
        send_all(spool, address)
    assert [(setback.fault, setback.seq) for setback in met] == [(fault, 2)]


def test_a_receipt_for_another_batch_is_no_receipt(spool, house):
    fill(spool, 2)
    house.fates = {1: ["other"]}
    with serving(house) as address:
        uplink = send_until_stuck(spool, address)
    assert "for another batch" in uplink.stuck
    assert [spooled.seq for spooled in spool.waiting] == [1]


def test_a_house_that_lost_what_it_acknowledged_is_told_of(spool, house):
    fill(spool, 3)
    with serving(house) as address:
        send_all(spool, address)
    fill(spool, 1, first=3)
    with serving(FakeHouse()) as address:
        uplink = send_until_stuck(spool, address)
    assert "409 to batch 3: send 0 first" in uplink.stuck


def test_pauses_grow_and_scatter(spool):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uplink = Uplink(spool, RING, f"http://127.0.0.1:{closed.getsockname()[1]}", draw=lambda: 1.0)
        away = asyncio.run(met(uplink, spool))
    pauses = [uplink._pause_s(away) for _ in range(8)]
    assert pauses == pytest.approx([0.15, 0.3, 0.6, 1.2, 2.4, 3.0, 3.0, 3.0])


@pytest.mark.parametrize(("said", "wait_s"), [("7", 7.0), ("9999", 30.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0), ("\u0663", 0.0)])
def test_a_house_may_ask_to_be_left_alone_for_half_a_minute(said, wait_s):
    headers = [(b"Retry-After", said.encode())]
    assert _retry_after_s(httpx2.Response(503, headers=headers)) == wait_s


async def met(uplink, spool):
    fill(spool, 1)
    async with sending(uplink):
        await until(lambda: uplink.setback)
    setback, uplink._failed = uplink.setback, 0
    return setback


# The receipt itself


@pytest.fixture
def receipt(spool, house):
    """A receipt that holds, out of a ledger of six, and the signed header it is for."""
    fill(spool, 6)
    texts = [house.accept(spooled.path.read_bytes())[1] for spooled in spool.waiting]
    text = house.accept(spool.waiting[2].path.read_bytes())[1]
    assert text != texts[2], "the same batch at a larger size"
    return text, spool.waiting[2].signed_header


def change(text, **fields):
    proof = read_proof_file(text)
    whole = {name: getattr(proof, name) for name in ("index", "path", "checkpoint", "extra")}
    return ProofFile(**(whole | fields)).to_text()


def test_a_receipt_says_where_the_batch_stands(receipt):
    found = check_receipt(*receipt, RING)
    assert (found.index, found.size) == (2, 6)


def test_a_receipt_for_another_signed_header_is_refused(receipt):
    text, header = receipt
    with pytest.raises(Untrusted, match="another batch"):
        check_receipt(text, header[:-1] + b"\0", RING)


def test_a_receipt_at_another_place_is_refused(receipt):
    text, header = receipt
    with pytest.raises(Untrusted, match="one of them was changed"):
        check_receipt(change(text, index=3), header, RING)


def test_a_receipt_whose_path_leads_elsewhere_is_refused(receipt):
    text, header = receipt
    path = read_proof_file(text).path
    for bad in (path[:-1], path[::-1], (*path, path[0]), (bytes(32), *path[1:])):
        with pytest.raises(Untrusted, match="path of leaf 2"):
            check_receipt(change(text, path=bad), header, RING)


def test_a_receipt_under_a_changed_checkpoint_is_refused(receipt):
    text, header = receipt
    note = read_proof_file(text).checkpoint
    with pytest.raises(Untrusted, match="does not verify"):
        check_receipt(change(text, checkpoint=note.replace("\n6\n", "\n7\n", 1)), header, RING)


@pytest.mark.parametrize(
    "ring",
    [
        KeyRing([BATCH]),
        KeyRing([PublicKey(1, KeyUse.LOG, LOG_KEY.public, **FOREVER)]),
        KeyRing([PublicKey(0, KeyUse.BATCH, LOG_KEY.public, **FOREVER)]),
        KeyRing([PublicKey(0, KeyUse.LOG, LOG_KEY.public, 0, 1)]),
    ],
    ids=["no-key", "a-city's-key", "a-key-of-another-use", "a-key-that-ended"],
)
def test_a_receipt_is_good_under_the_logs_own_key_alone(receipt, ring):
    with pytest.raises(Untrusted, match="no signature"):
        check_receipt(*receipt, ring)


def test_bytes_that_are_no_receipt_are_refused_by_name(receipt):
    _, header = receipt
    for text in ("", "OK", "c2sp.org/tlog-proof@v1\nindex 0\n\nx\n"):
        with pytest.raises(Malformed):
            check_receipt(text, header, RING)
