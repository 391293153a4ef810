"""A standby takes over with a key that the cities signed for; the old house wakes up and can append nothing."""

import asyncio

import pytest

from fare_chain.audit import audit
from fare_chain.batch import CityTail
from fare_chain.errors import Conflict, Overloaded, Untrusted
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.governance import Term, TermEntry
from fare_chain.hashing import sha256
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog
from fare_chain.note import NoteVerifier
from fare_chain.tap import TapKind
from settlement.house import RECOVERABLE, boot
from settlement.intake import Intake
from settlement.ports import CommittedTick
from settlement.sequencer import Control
from settlement.store import clearings
from settlement.store import ledger as store
from settlement.store.database import make_engine
from settlement.store.ledger import TermLost
from settlement.store.migrating import migrate
from settlement.terms.standby import Standby
from simulators.small_cities import FOREVER_US, SECOND_US
from simulators.small_house import CITIES, LOG_VERIFIER, ORIGIN, SmallAdapter, SmallHouse, SmallRider, small_key

STANDBY = SigningKey(sha256(b"the standby's log key"))


async def register(house, keys=(STANDBY,)):
    """Put the cities' clearing keys and these log keys on the ledger, while the first house lives."""
    uses = [(city, KeyUse.CLEARING, small_key(city, KeyUse.CLEARING)) for city in CITIES]
    for owner, use, key in uses + [(0, KeyUse.LOG, key) for key in keys]:
        public = PublicKey(MemberNumber(owner), use, key.public, Micros(0), Micros(FOREVER_US))
        house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(public, key).to_bytes()))
    await house.seal_windows()


def signed_term(house, *, cities=CITIES, number=1, key=STANDBY, size=None):
    head = house.sequencer.head
    size = head.head.size if size is None else size
    term = Term(number, size, head.head.root(), key.public, sha256(ORIGIN.encode()))
    return TermEntry(term, tuple((city, term.sign(small_key(city, KeyUse.CLEARING))) for city in cities))


async def take_over(house, term, key=STANDBY):
    return await boot(house.engine, key=key, origin=ORIGIN, clock=lambda: house.now_us + SECOND_US, term=term)


def test_a_standby_goes_on_where_the_cities_said_and_every_reader_follows(told, app_of, app_log, tmp_path):
    async def story(house, _client):
        await register(house)
        old, begin = house.sequencer, house.sequencer.head.head.size
        house.sequencer, house.clearing = await take_over(house, signed_term(house))
        house.intake.sequencer = house.sequencer
        house.now_us += 2 * SECOND_US
        assert house.sequencer.head.head.size == begin + 1, "the term stands alone in its tick"
        old.stage_control(Control(EntryKind.KEY, b"too late"))
        with pytest.raises(TermLost):
            await old.tick()
        tap = SmallRider(99, 1).scan(2, 1, TapKind.ENTRY, house.now_us)
        adapter = SmallAdapter(2, CityTail(*_end(house, 2)))
        await house.take(adapter.seal([tap]))
        await house.seal_windows()
        size = house.sequencer.head.head.size
        log = app_log(app_of(house), asyncio.get_running_loop())
        await asyncio.to_thread(export, log, tmp_path / "log")
        told_of = await asyncio.to_thread(audit, FolderLog(tmp_path / "log"), [LOG_VERIFIER, NoteVerifier(ORIGIN, STANDBY.public)])
        assert told_of.size == size

        # Started again without the file, it is still the sequencer; the first house is not.
        await take_over(house, None)
        with pytest.raises(Conflict, match="names another sequencer"):
            await take_over(house, None, small_key(0, KeyUse.LOG))

    told(story)


def _end(house, city):
    tail = house.sequencer.tail(city)
    return tail.next_seq, tail.header_hash


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"cities": (1, 2)}, Untrusted, "2 cities' signatures, 3 are needed"),
        ({"size": 5}, Conflict, "continues from size 5"),
        ({"key": small_key(0, KeyUse.LOG)}, Conflict, "names another key"),
    ],
)
def test_a_term_that_does_not_hold_fences_nobody(told, wrong, error, why):
    async def story(house, _client):
        await register(house)
        with pytest.raises(error, match=why):
            await take_over(house, signed_term(house, **wrong))
        house.sequencer.stage_control((await house._genesis())[0])
        await house.tick()

    told(story)


def test_a_key_that_the_ledger_does_not_know_cannot_take_over(told):
    async def story(house, _client):
        await register(house, keys=())
        with pytest.raises(Conflict, match="not registered on the ledger"):
            await take_over(house, signed_term(house))

    told(story)


def test_a_house_that_hangs_in_the_middle_of_a_tick_cannot_keep_a_standby_out(told, monkeypatch):
    monkeypatch.setattr(store, "HANGING_S", 1)

    real, moving = store._driver, asyncio.Event()

    async def hangs(connection):
        monkeypatch.setattr(store, "_driver", real)
        await moving.wait()
        return await real(connection)

    async def story(house, _client):
        await register(house)
        house.sequencer.stage_control((await house._genesis())[0])
        term, begin = signed_term(house), house.sequencer.head.head.size
        monkeypatch.setattr(store, "_driver", hangs)
        hanging = asyncio.create_task(house.sequencer.tick())
        while store._driver is hangs:  # noqa: ASYNC110  until it hangs
            await asyncio.sleep(0.01)
        async with asyncio.timeout(20):
            sequencer, _clearing = await take_over(house, term)
        moving.set()
        with pytest.raises(RECOVERABLE):
            await hanging
        assert sequencer.head.head.size == begin + 1

    told(story)


def test_a_house_that_lost_its_term_closes_no_window_either(told):
    async def story(house, _client):
        await register(house)
        house.sequencer.stage_control((await house._genesis())[0])
        await house.tick()
        old, until_us = house.clearing, house.now_us + 2 * SECOND_US
        _sequencer, standby = await take_over(house, signed_term(house))
        async with house.engine.connect() as connection:
            closed = await clearings.closed_until(connection)
        with pytest.raises(TermLost, match="another house goes on"):
            await old.take(CommittedTick(until_us, old.state.next_index, (), bytes(32)))
        async with house.engine.connect() as connection:
            assert await clearings.closed_until(connection) == closed
        assert standby.state.next_index > old.state.next_index

    told(story)


def test_after_a_window_was_closed_a_clock_that_stands_before_its_end_appends_behind_it(told):
    """Dead between the window's row and its entry, and started again with the clock three seconds back."""

    async def story(house, _client):
        house.sequencer.stage_control((await house._genesis())[0])
        await house.tick()
        house.now_us += 2 * SECOND_US
        await house.clearing.take(await house.sequencer.tick())
        async with house.engine.connect() as connection:
            closed = await clearings.closed_until(connection)
        again = SmallHouse(house.engine, house.now_us - 3 * SECOND_US)
        await again.start()
        tap = SmallRider(99, 1).scan(1, 1, TapKind.ENTRY, again.now_us)
        await again.take(SmallAdapter(1, again.sequencer.tail(1)).seal([tap]))
        assert again.sequencer.head.head.recorded_us >= closed * SECOND_US
        again.now_us += 5 * SECOND_US
        await again.seal_windows()
        final = SmallHouse(house.engine, again.now_us)
        await final.start()
        assert final.clearing.state.next_index == final.sequencer.head.head.size

    told(story)


def test_a_standby_without_a_term_takes_none_and_stops_nobody(told):
    async def story(house, _client):
        await register(house)
        with pytest.raises(Conflict, match="start it with --standby"):
            await take_over(house, None)
        house.sequencer.stage_control((await house._genesis())[0])
        await house.tick()

    told(story)


def test_a_standby_shows_what_is_stored_and_takes_no_batch(told):
    async def story(house, _client):
        await register(house)
        standby = await Standby.open(house.engine, key=STANDBY, origin=ORIGIN, clock=lambda: house.now_us)
        stopping = asyncio.Event()
        watching = asyncio.create_task(standby.watch(stopping))
        tap = SmallRider(99, 1).scan(2, 1, TapKind.ENTRY, house.now_us)
        batch = SmallAdapter(2, CityTail(*_end(house, 2))).seal([tap])
        with pytest.raises(Overloaded, match="a standby"):
            await Intake(house.engine, standby, house.intake.ring).accept(batch.to_bytes())
        (receipt,) = await house.take(batch)  # the first house is well: nobody has fenced it
        while standby.head != house.sequencer.head:  # noqa: ASYNC110  it looks four times a second
            await asyncio.sleep(0.01)
        assert await Intake(house.engine, standby, house.intake.ring).accept(batch.to_bytes()) == receipt
        stopping.set()
        await watching

    told(story)


def test_there_is_nothing_to_stand_by_for_before_the_first_house(database_url):
    async def main():
        engine = make_engine(database_url)
        await migrate(engine)
        with pytest.raises(Conflict, match="without --standby"):
            await Standby.open(engine, key=STANDBY, origin=ORIGIN, clock=lambda: 0)
        await engine.dispose()

    asyncio.run(main())
