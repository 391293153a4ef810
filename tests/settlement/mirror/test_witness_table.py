"""A city's mirror over HTTP against the fixed table: fifteen submissions, their statuses, and what it serves afterwards."""

import asyncio

import httpx2

from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.note import read_note
from fare_chain.scheme_policy import Cosigner, scheme_policy
from settlement.mirror.city_mirror import CityKeys, CityMirror
from settlement.mirror.journal import Journal
from settlement.mirror.mirror_app import make_mirror_app
from settlement.mirror.shelf import Shelf
from simulators.small_house import small_key
from tests.conformance.c2sp_log import LOG, ORIGIN, REQUESTS, sha, signed, submission
from tests.settlement.mirror.mirror_world import OPENED, POOL, Clock

CLEARING, WITNESS = small_key(1, KeyUse.CLEARING), small_key(1, KeyUse.WITNESS)
POLICY = scheme_policy(ORIGIN, [LOG.public], [Cosigner("alder", CLEARING.public, WITNESS.public)])
MONITORING = f"/{sha256(ORIGIN.encode()).hex()}/checkpoint"


def ask_mirror(folder, story):
    """Tell a story to a client of alder's mirror, which knows the fixed log and has seen nothing."""

    async def main():
        folder.mkdir()
        shelf, journal = Shelf(folder), Journal(folder / "cosigned")
        OPENED.extend((shelf, journal))
        keys = CityKeys.of("alder", POLICY, CLEARING, WITNESS)
        mirror = CityMirror(shelf, journal, keys, POLICY, issuers=frozenset({1}), pool=POOL, clock=Clock())
        transport = httpx2.ASGITransport(app=make_mirror_app(mirror, ORIGIN))
        async with httpx2.AsyncClient(transport=transport, base_url="http://mirror") as client:
            await story(client)

    asyncio.run(main())


def test_the_mirror_answers_the_table_in_its_order(tmp_path):
    witness = POLICY.witness("alder-witness").verifier

    async def story(client):
        assert (await client.get(MONITORING)).status_code == 404
        for number, (body, _length, digest, status, said) in enumerate(REQUESTS, start=1):
            assert sha(body) == digest
            answer = await client.post("/add-checkpoint", content=body)
            assert answer.status_code == status, (number, answer.text)
            assert (answer.headers["content-type"] == "text/x.tlog.size") == (status == 409), number
            if status == 409:
                assert answer.text == said, number
            elif status == 200:
                note = body.decode().partition("\n\n")[2] + answer.text
                assert [by for by, _line in read_note(note).signed_by([LOG, witness])] == [LOG, witness], number
        served = read_note((await client.get(MONITORING)).text)
        assert served.text == read_note(signed(1600)).text
        assert len(served.signed_by([LOG, witness])) == 2

    ask_mirror(tmp_path / "alder", story)


def test_a_mirror_that_has_seen_nothing_takes_no_proof(tmp_path):
    body = submission(0, 1000, proof=[bytes(32)])
    assert sha(body) == "680a84e7dc44d0eccfc50cef3892776c0c84846fd7d1d4b154f00a9ee72ae577"

    async def story(client):
        assert (await client.post("/add-checkpoint", content=body)).status_code == 422
        assert (await client.get(MONITORING)).status_code == 404

    ask_mirror(tmp_path / "alder", story)
