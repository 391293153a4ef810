"""A checkpoint becomes final when two of three cities have cosigned it: three small cities, a policy, and a house that restarts."""

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from fare_chain.errors import Conflict, Untrusted
from fare_chain.keys import KeyUse
from fare_chain.note import KeyType, NoteVerifier, cosign, read_note
from fare_chain.policy import Group, Policy, PolicyKey
from settlement.finality import Finality
from settlement.store import finality as store
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key

SLUGS = {1: "alder", 2: "birch", 3: "cedar"}


def name_of(city):
    return f"{SLUGS[city]}.small.example/clearing"


def witness(city):
    public = small_key(city, KeyUse.CLEARING).public
    return PolicyKey(SLUGS[city], NoteVerifier(name_of(city), public, KeyType.COSIGNATURE))


POLICY = Policy(
    (PolicyKey(ORIGIN, LOG_VERIFIER),), tuple(map(witness, SLUGS)), {"cities": Group(2, tuple(SLUGS.values()))}, "cities"
)


def cosigned(note, *cities, at_s=1_790_000_000):
    lines = [cosign(read_note(note).text, name_of(city), small_key(city, KeyUse.CLEARING), at_s).to_text() for city in cities]
    return note + "".join(lines)


async def finality_of(house):
    finality = Finality(house.engine, POLICY, ORIGIN)
    await finality.restore()
    return finality


def signers(note):
    return [line.name for line in read_note(note).lines]


def test_one_city_makes_nothing_final_and_the_second_does(told):
    async def story(house, _client):
        finality, note = await finality_of(house), house.sequencer.head.note
        await finality.take([cosigned(note, 3)])
        assert (finality.size, finality.note) == (0, "")
        await finality.take([cosigned(note, 1)])
        assert finality.size == house.sequencer.head.head.size
        assert POLICY.open_final(finality.note).checkpoint.size == finality.size
        assert signers(finality.note) == [ORIGIN, name_of(1), name_of(3)], "the log's line, then the policy's order"
        await finality.take([cosigned(note, 2)])
        assert signers(finality.note) == [ORIGIN, name_of(1), name_of(2), name_of(3)], "later lines come in too"

    told(story)


def test_a_restart_publishes_the_same_bytes_and_counts_what_was_there(told):
    async def story(house, _client):
        finality, note = await finality_of(house), house.sequencer.head.note
        await finality.take([cosigned(note, 1)])
        await (again := await finality_of(house)).take([cosigned(note, 2)])
        assert again.size == house.sequencer.head.head.size
        third = await finality_of(house)
        assert (third.size, third.note, third.cosigned_to) == (again.size, again.note, again.cosigned_to)

    told(story)


def test_lines_that_are_not_by_the_policys_cities_are_refused_with_the_reason(told):
    async def story(house, _client):
        finality, note = await finality_of(house), house.sequencer.head.note
        stranger = cosign(read_note(note).text, name_of(2), small_key(9, KeyUse.CLEARING), 1).to_text()
        with pytest.raises(Untrusted, match="no line of the note is by a witness"):
            await finality.take([note + stranger])
        moved = cosigned(note, 1).replace(f"\n{house.sequencer.head.head.size}\n", "\n1\n", 1)
        with pytest.raises(Untrusted, match="does not verify"):
            await finality.take([moved])
        other = note.replace(read_note(note).text.split("\n")[2], "A" * 43 + "=")
        with pytest.raises(Conflict, match="signed no such checkpoint"):
            await finality.take([cosigned(other, 1, 2)])
        with pytest.raises(Untrusted, match="this log is"):
            await finality.take([cosigned(note.replace(ORIGIN, "other.example/clearing"), 1)])
        assert finality.size == 0

    told(story)


def test_without_a_quorum_the_ledger_grows_and_becomes_final_when_cities_return(told):
    async def story(house, _client):
        finality, early = await finality_of(house), house.sequencer.head.note
        await finality.take([cosigned(early, 1, 2)])
        was = finality.size
        house.sequencer.stage_control((await house._genesis())[0])
        await house.tick()
        await finality.take([cosigned(house.sequencer.head.note, 1)])
        assert finality.size == was < house.sequencer.head.head.size
        await finality.take([cosigned(house.sequencer.head.note, 3)])
        assert finality.size == house.sequencer.head.head.size
        await finality.take([cosigned(early, 3)])
        assert finality.size == house.sequencer.head.head.size, "what comes late for an earlier size takes nothing back"

    told(story)


def test_the_house_serves_the_final_checkpoint_and_beside_it_the_provisional_one(told):
    async def story(house, client):
        finality, note = await finality_of(house), house.sequencer.head.note
        parts = Parts(house.engine, house.intake, house.sequencer, house.clearing, "", {}, finality=finality)
        client._transport.app, client.auth = make_app(Running(parts)), None
        assert (await client.get("/checkpoint")).status_code == 404
        assert (await client.get("/v1/checkpoint")).text == note
        await finality.take([cosigned(note, 1, 2)])
        assert (await client.get("/checkpoint")).text == finality.note
        status = (await client.get("/v1/status")).json()
        assert (status["final_size"], status["provisional"]) == (finality.size, False)
        assert status["cosigned_to"] == {"alder": finality.size, "birch": finality.size}
        assert (await client.get("/policy")).text == POLICY.to_text()
        assert (await client.get("/v1/follow?from=0")).status_code == 401, "bodies are for members with a token"

    told(story)


@pytest.mark.parametrize("step", ["keep_cosignatures", "write_final"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_at_any_step_leaves_nothing_half_done(told, monkeypatch, step, moment):
    async def story(house, _client):
        finality, note = await finality_of(house), house.sequencer.head.note
        done = getattr(store, step)

        async def dying(*given):
            if moment == "after":
                await done(*given)
            raise OperationalError("lost", None, Exception("connection lost"))

        with monkeypatch.context() as patch:
            patch.setattr(store, step, dying)
            with pytest.raises(OperationalError):
                await finality.take([cosigned(note, 1, 2)])
        assert (finality.size, finality.cosigned_to) == (0, {})
        assert (await finality_of(house)).cosigned_to == {}, "the commit was lost, so was every line of it"
        await finality.take([cosigned(note, 1, 2)])
        again = await finality_of(house)
        assert again.note == finality.note != ""
        assert again.cosigned_to == finality.cosigned_to, "every line that is counted is held for the next start"

    told(story)


def test_many_mirrors_at_once_lose_no_line(told):
    async def story(house, _client):
        finality, note = await finality_of(house), house.sequencer.head.note
        await asyncio.gather(*(finality.take([cosigned(note, city)]) for city in SLUGS))
        assert signers((await finality_of(house)).note) == [ORIGIN, *map(name_of, SLUGS)]

    told(story)
