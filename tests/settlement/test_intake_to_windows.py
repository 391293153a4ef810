"""From posted batches to sealed windows on a real PostgreSQL: receipts, refusals, deaths and restarts."""

import asyncio
import dataclasses
import itertools

import pytest
import sqlalchemy as sa

from fare_chain import batch, tap
from fare_chain.checkpoint import read_checkpoint
from fare_chain.errors import Conflict, Malformed, Overloaded, Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import leaf_hash
from fare_chain.keys import KeyUse, SigningKey
from fare_chain.ledger import read_entry
from fare_chain.proofs import read_proof_file, verify_inclusion
from fare_chain.tap import TapKind
from settlement.store import ledger as store
from settlement.store.database import body, cleared_tick, entry, fork, head, make_engine, obligation, posting, snapshot, win
from settlement.store.ledger import TermLost
from settlement.store.migrating import migrate
from simulators.small_cities import SECOND_US
from simulators.small_house import LOG_VERIFIER, SmallAdapter, SmallHouse, SmallRider, small_key


def on_small_house(url, story):
    """Run a story on a house that has just started."""

    async def main():
        engine = make_engine(url)
        try:
            await migrate(engine)
            house = SmallHouse(engine)
            await house.start()
            return await story(house)
        finally:
            await engine.dispose()

    return asyncio.run(main())


def ride(rider, host, origin, destination, at_us, minutes=10):
    """The two scans of one ride."""
    return [
        rider.scan(host, origin, TapKind.ENTRY, at_us),
        rider.scan(host, destination, TapKind.EXIT, at_us + minutes * 60 * SECOND_US),
    ]


def visitors(house, count=6, first=0):
    """Rides by riders of every other city in city 1, sealed as one batch after another."""
    early = house.now_us - 3600 * SECOND_US
    adapter = SmallAdapter(1)
    return adapter, [
        adapter.seal(ride(SmallRider(first + number, 2 + number % 2), 1, 1, 2 + number % 3, early + number * SECOND_US))
        for number in range(count)
    ]


async def count(house, table):
    async with house.engine.connect() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()


def test_a_receipt_proves_that_the_batch_is_in_the_log(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 3)
        for receipt, sent in zip(await house.take(*batches), batches, strict=True):
            proof = read_proof_file(receipt)
            checkpoint = read_checkpoint(proof.checkpoint, [LOG_VERIFIER])
            assert read_entry(proof.extra).payload == sent.signed_header
            verify_inclusion(leaf_hash(proof.extra), proof.path, index=proof.index, size=checkpoint.size, root=checkpoint.root)

    on_small_house(database_url, story)


def test_the_same_batch_again_gets_the_same_receipt(database_url):
    async def story(house):
        _adapter, batches = visitors(house)
        receipts = await house.take(*batches)
        await house.tick()
        assert await house.take(*batches) == receipts
        assert await count(house, body) == len(batches)
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        assert await again.take(*batches) == receipts

    on_small_house(database_url, story)


def test_the_same_batch_posted_twice_at_once_is_appended_once(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 1)
        receipts = await house.take(batches[0], batches[0], batches[0])
        assert len(set(receipts)) == 1
        assert await count(house, body) == 1

    on_small_house(database_url, story)


def test_batches_that_overtake_each_other_are_put_in_order(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 4)
        receipts = await house.take(*reversed(batches))
        assert [read_proof_file(text).index for text in reversed(receipts)] == sorted(
            read_proof_file(text).index for text in receipts
        )

    on_small_house(database_url, story)


def spoil_signature(sealed):
    return dataclasses.replace(sealed, signature=bytes(64)).to_bytes()


def spoil_body(sealed):
    return dataclasses.replace(sealed, body=sealed.body[:-80] + sealed.body[:80]).to_bytes()


def spoil_root(sealed):
    header = dataclasses.replace(sealed.header, taps_root=bytes(32))
    return dataclasses.replace(sealed, header=header, signature=small_key(1, KeyUse.BATCH).sign(header.to_bytes())).to_bytes()


def spoil_key(sealed):
    return dataclasses.replace(sealed, signature=SigningKey(bytes(32)).sign(sealed.header.to_bytes())).to_bytes()


def spoil_codes(sealed):
    return sealed.to_bytes()[:-1] + bytes([sealed.to_bytes()[-1] ^ 1])


def spoil_magic(sealed):
    return b"X" + sealed.to_bytes()[1:]


def cut(sealed):
    return sealed.to_bytes()[: batch.SIGNED_HEADER_BYTES + 100]


def spoil_record(sealed):
    """A tap with a set reserved byte, under a header that the city signed over it."""
    spoiled = sealed.body[:79] + b"\x01" + sealed.body[80:]
    header = dataclasses.replace(
        sealed.header,
        body_hash=batch.sha256(spoiled),
        taps_root=batch.root_of_run(spoiled, tap.TAP_BYTES),
    )
    signature = small_key(1, KeyUse.BATCH).sign(header.to_bytes())
    return batch.SealedBatch(header, signature, spoiled).to_bytes()


@pytest.mark.parametrize(
    ("spoil", "refusal", "names"),
    [
        (spoil_signature, Untrusted, "signature"),
        (spoil_key, Untrusted, "signature"),
        (spoil_body, Untrusted, "body_hash"),
        (spoil_root, Untrusted, "taps_root"),
        (spoil_codes, Untrusted, "code_digest"),
        (spoil_magic, Malformed, "magic"),
        (cut, Malformed, "2 taps"),
        (spoil_record, Malformed, r"reserved is 1.*offset 79"),
    ],
)
def test_a_spoiled_batch_is_refused_by_name_and_nothing_is_stored(database_url, spoil, refusal, names):
    async def story(house):
        _adapter, batches = visitors(house, 1)
        before = house.sequencer.head
        with pytest.raises(refusal, match=names):
            await house.intake.accept(spoil(batches[0]))
        await house.tick()
        assert house.sequencer.head == before
        assert await count(house, body) == 0
        assert len(await house.take(*batches)) == 1, "the good batch is still welcome"

    on_small_house(database_url, story)


def test_a_gap_is_refused_and_says_what_was_expected(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 3)
        await house.take(batches[0])
        with pytest.raises(Conflict, match=r"batch 2 follows 1, but 0 is the last here: send 1 first"):
            await house.intake.accept(batches[2].to_bytes())
        assert await count(house, body) == 1

    on_small_house(database_url, story)


def test_a_second_batch_of_one_number_is_refused_and_kept_as_evidence(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 1)
        _other, forked = visitors(house, 1, first=50)
        await house.take(batches[0])
        for _attempt in range(2):
            with pytest.raises(Conflict, match="evidence of a fork"):
                await house.intake.accept(forked[0].to_bytes())
        assert await count(house, body) == 1
        assert await count(house, fork) == 1

    on_small_house(database_url, story)


def test_a_chain_that_names_another_predecessor_is_refused(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 1)
        _other, forked = visitors(house, 2, first=50)
        await house.take(batches[0])
        with pytest.raises(Conflict, match="forked"):
            await house.intake.accept(forked[1].to_bytes())

    on_small_house(database_url, story)


def test_too_much_waiting_is_refused_for_later(database_url, monkeypatch):
    async def story(house):
        _adapter, batches = visitors(house, 2)
        monkeypatch.setattr("settlement.sequencer.MOST_STAGED_BYTES", 100)
        with pytest.raises(Overloaded):
            await house.intake.accept(batches[0].to_bytes())
        monkeypatch.undo()
        assert len(await house.take(*batches)) == 2

    on_small_house(database_url, story)


def test_positions_sum_to_zero_and_every_window_balances(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 6)
        for sent in batches:
            await house.take(sent)
        await house.seal_windows()
        assert sum(fen for _member, fen in house.clearing.positions) == 0
        assert dict(house.clearing.positions)[1] > 0, "the host is owed"
        async with house.engine.connect() as connection:
            sums = sa.select(sa.func.sum(posting.c.amount_fen)).group_by(posting.c.second, posting.c.level, posting.c.reason)
            assert set((await connection.execute(sums)).scalars()) == {0}
            gross = (await connection.execute(sa.select(sa.func.sum(win.c.gross_fen)))).scalar_one()
            fares = sa.select(sa.func.sum(obligation.c.amount_fen)).where(obligation.c.kind == 1)
            assert gross == (await connection.execute(fares)).scalar_one() > 0

    on_small_house(database_url, story)


async def everything(house):
    """All that is stored but terms and snapshots, as values."""
    async with house.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in await connection.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in (entry, body, win, obligation, posting, cleared_tick)
        }


@pytest.mark.parametrize("deaths", [(1,), (0, 2, 3), (0, 1, 2, 3, 4, 5)])
def test_a_restart_at_any_moment_leads_to_the_same_ledger_and_books(database_url, postgres_url, deaths):
    async def story(house, deaths=()):
        _adapter, batches = visitors(house, 6)
        for number, sent in enumerate(batches):
            await house.take(sent)
            if number in deaths:
                reborn = SmallHouse(house.engine, house.now_us)
                await reborn.start()
                house = reborn
            await house.tick(SECOND_US)
        await house.seal_windows()
        return await everything(house), house.clearing.positions, house.sequencer.head.head.root()

    async def twice(house):
        died = await story(house, deaths)
        async with house.engine.begin() as connection:
            for table in (entry, body, win, obligation, posting, cleared_tick):
                await connection.execute(sa.text(f'ALTER TABLE "{table.name}" DISABLE TRIGGER ALL'))
            names = ", ".join(f'"{table.name}"' for table in (*head.metadata.sorted_tables,) if table.name != "clearing_head")
            await connection.execute(sa.text("SET session_replication_role = replica"))
            await connection.execute(sa.text(f"TRUNCATE {names}"))
            await connection.execute(sa.text("UPDATE clearing_head SET to_index = 0"))
        fresh = SmallHouse(house.engine)
        await fresh.start()
        assert died == await story(fresh)

    on_small_house(database_url, twice)


@pytest.mark.parametrize("step", ["before the commit", "after the commit, before the answer", "before clearing is written"])
def test_a_death_at_a_durable_step_loses_and_doubles_nothing(database_url, monkeypatch, step):
    class Died(Exception):
        pass

    async def story(house):
        _adapter, batches = visitors(house, 3)
        await house.take(batches[0])
        with monkeypatch.context() as patch:
            if step == "before the commit":
                written = store.append_tick

                async def die(*given, **named):
                    await written(*given, **named)
                    raise Died

                patch.setattr(store, "append_tick", die)
            elif step == "after the commit, before the answer":
                patch.setattr(house.sequencer.__class__, "_answer", lambda *_given: (_ for _ in ()).throw(Died))
            else:
                patch.setattr(house.clearing.__class__, "_write", lambda *_given: (_ for _ in ()).throw(Died))
            posted = asyncio.create_task(house.intake.accept(batches[1].to_bytes()))
            await asyncio.sleep(0)
            with pytest.raises(Died):
                await house.tick()
            house.sequencer.abandon()
            assert isinstance((await asyncio.gather(posted, return_exceptions=True))[0], (str, Overloaded))
        reborn = SmallHouse(house.engine, house.now_us)
        await reborn.start()
        await reborn.take(*batches)
        await reborn.seal_windows()
        assert await count(reborn, body) == 3
        assert reborn.clearing.state.next_index == reborn.sequencer.head.head.size
        async with reborn.engine.connect() as connection:
            assert (await connection.execute(sa.select(sa.func.sum(win.c.journeys)))).scalar_one() == 3

    on_small_house(database_url, story)


def test_an_old_house_that_wakes_up_cannot_append(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 2)
        await house.take(batches[0])
        other = SmallHouse(house.engine, house.now_us)
        await other.start()
        posted = asyncio.create_task(house.intake.accept(batches[1].to_bytes()))
        await asyncio.sleep(0)
        with pytest.raises(TermLost):
            await house.tick()
        house.sequencer.abandon()
        assert isinstance((await asyncio.gather(posted, return_exceptions=True))[0], Overloaded)
        assert len(await other.take(batches[1])) == 1

    on_small_house(database_url, story)


def test_every_second_that_the_house_lives_has_a_window_and_a_gap_is_one_run(database_url):
    async def story(house):
        for _second in range(3):
            await house.tick(SECOND_US)
        reborn = SmallHouse(house.engine, house.now_us + 90 * SECOND_US)
        await reborn.start()
        for _second in range(4):
            await reborn.tick(SECOND_US)
        async with reborn.engine.connect() as connection:
            rows = (await connection.execute(sa.select(win.c.second, win.c.seconds).order_by(win.c.second))).all()
        assert all(one.second + one.seconds == two.second for one, two in itertools.pairwise(rows))
        assert max(row.seconds for row in rows) > 80
        assert sum(row.seconds > 1 for row in rows) == 1

    on_small_house(database_url, story)


def test_a_clock_that_is_set_back_moves_no_window(database_url):
    async def story(house):
        _adapter, batches = visitors(house, 2)
        await house.take(batches[0])
        before = house.sequencer.head.head.recorded_us
        house.now_us -= 30 * SECOND_US
        await house.take(batches[1])
        assert house.sequencer.head.head.recorded_us == before + 1
        house.now_us += 40 * SECOND_US
        await house.seal_windows()
        async with house.engine.connect() as connection:
            rows = (await connection.execute(sa.select(win.c.second, win.c.seconds).order_by(win.c.second))).all()
        assert all(one.second + one.seconds == two.second for one, two in itertools.pairwise(rows))

    on_small_house(database_url, story)


@pytest.mark.parametrize("seconds_before", range(4))
def test_a_death_between_a_window_and_its_entry_loses_no_window_even_beside_a_snapshot(database_url, seconds_before):
    """A snapshot is taken every minute, with the window that it closes: that window's entry must still come."""

    async def story(house):
        minute = -(-house.now_us // (60 * SECOND_US)) * 60 * SECOND_US
        house.now_us = minute - seconds_before * SECOND_US
        _adapter, batches = visitors(house, 5)
        for sent in batches:
            house.now_us += SECOND_US
            await house.take(sent)
            reborn = SmallHouse(house.engine, house.now_us)
            await reborn.start()
            house = reborn
        await house.seal_windows()
        async with house.engine.connect() as connection:
            snapshots = (await connection.execute(sa.select(sa.func.count()).select_from(snapshot))).scalar_one()
            on_ledger = [int.from_bytes(data[:8], "little") for data in await store.read_payloads(connection, EntryKind.WINDOW)]
            closed = (await connection.execute(sa.select(win.c.second).order_by(win.c.second))).scalars().all()
        assert snapshots > 0
        assert on_ledger == closed[: len(on_ledger)]
        assert len(closed) - len(on_ledger) <= 1

    on_small_house(database_url, story)


def test_a_house_without_riders_still_takes_a_snapshot_each_minute(database_url):
    async def story(house):
        for _second in range(130):
            await house.tick(SECOND_US)
        async with house.engine.connect() as connection:
            last = (await connection.execute(sa.select(sa.func.max(snapshot.c.to_index)))).scalar_one()
        assert house.clearing.state.next_index - last <= 61

    on_small_house(database_url, story)
