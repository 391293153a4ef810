"""A tick dies before or after each of its steps, and a house that starts again finds a whole ledger; and a second key signs it."""

import pytest
from sqlalchemy.exc import OperationalError

from fare_chain.ml_dsa import MlDsaKey
from fare_chain.note import KeyType, NoteVerifier, read_note
from fare_chain.proofs import read_proof_file
from fare_chain.tap import TapKind
from settlement.sequencer import Sequencer
from settlement.store import clearings
from settlement.store import ledger as store
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallAdapter, SmallHouse, SmallRider

STEPS = {
    "the driver's rows": (store, "_driver"),
    "the tick": (store, "append_tick"),
    "the receipts": (Sequencer, "_remember"),
    "what it cleared to": (clearings, "write_tick"),
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_house_that_died_in_a_tick_starts_whole_and_publishes_the_same_bytes(told, monkeypatch, step, moment):
    async def story(house, _client):
        place, name = STEPS[step]
        done = getattr(place, name)

        async def dying(*given, **named):
            if moment == "after":
                await done(*given, **named)
            raise OperationalError("lost", None, Exception("connection lost"))

        adapter = SmallAdapter(1, house.sequencer.tail(1))
        batch = adapter.seal([SmallRider(99, 1).scan(1, 1, TapKind.ENTRY, house.now_us)])
        before = house.sequencer.head.note
        with monkeypatch.context() as patch:
            patch.setattr(place, name, dying)
            with pytest.raises(OperationalError):
                await house.take(batch)
        async with house.engine.connect() as connection:
            stored = (await store.open_head(connection, ORIGIN)).note
        assert (stored == before) == (step in ("the driver's rows", "the tick")), "all of a tick is there, or nothing"
        again = SmallHouse(house.engine, house.now_us)
        await again.start()
        assert again.sequencer.head.note == stored, "what was signed is published again as it was"
        first = await again.take(batch)
        assert first == await again.take(batch), "sent again, it has one place and one receipt"
        await again.seal_windows()
        assert again.clearing.state.next_index == again.sequencer.head.head.size

    told(story)


def test_with_a_second_key_every_checkpoint_has_both_lines_and_a_receipt_the_short_one(told):
    async def story(house, _client):
        key = MlDsaKey(bytes(range(32)))
        second = NoteVerifier(ORIGIN, key.public, KeyType.ML_DSA_44)
        house.sequencer.ml_dsa = key
        batch = SmallAdapter(1, house.sequencer.tail(1)).seal([SmallRider(99, 1).scan(1, 1, TapKind.ENTRY, house.now_us)])
        [receipt], [again] = await house.take(batch), await house.take(batch)
        note = read_note(house.sequencer.head.note)
        assert [verifier for verifier, _line in note.signed_by([LOG_VERIFIER, second])] == [LOG_VERIFIER, second]
        for text in (receipt, again):
            assert len(read_note(read_proof_file(text).checkpoint).signed_by([LOG_VERIFIER, second])) == 1
        async with house.engine.connect() as connection:
            assert (await store.open_head(connection, ORIGIN)).note == house.sequencer.head.note

    told(story)
