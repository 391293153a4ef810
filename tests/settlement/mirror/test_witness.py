"""A mirror as a witness for outsiders, over HTTP: the specification's statuses, and no signature for whoever comes second."""

import asyncio

import httpx2
import pytest

from fare_chain.checkpoint import Checkpoint
from fare_chain.hashing import leaf_hash, sha256
from fare_chain.keys import KeyUse
from fare_chain.merkle import root
from fare_chain.note import read_note
from fare_chain.proofs import prove_consistency
from fare_chain.witness import WitnessRequest
from settlement.mirror.journal import KeyRole
from settlement.mirror.mirror_app import make_mirror_app
from simulators.small_house import ORIGIN, small_key
from tests.settlement.mirror.mirror_world import POLICY, make_mirror

LEAVES = [leaf_hash(b"%d" % at) for at in range(40)]


def submission(old, size):
    def read_node(level, index):
        return root(LEAVES[index << level : (index + 1) << level])

    checkpoint = Checkpoint(ORIGIN, size, root(LEAVES[:size]))
    proof = prove_consistency(old=old, size=size, read_node=read_node) if 0 < old < size else []
    note = read_note(checkpoint.sign(small_key(0, KeyUse.LOG)))
    return WitnessRequest(old, tuple(proof), note, checkpoint).to_bytes()


@pytest.fixture
def asked(tmp_path):
    """Tell a story to a client of a mirror."""

    async def main(story):
        mirror = make_mirror(tmp_path / "alder")
        transport = httpx2.ASGITransport(app=make_mirror_app(mirror, ORIGIN))
        async with httpx2.AsyncClient(transport=transport, base_url="http://mirror") as client:
            return await story(mirror, client)

    return lambda story: asyncio.run(main(story))


def test_a_witness_over_http(asked):
    address = f"/{sha256(ORIGIN.encode()).hex()}/checkpoint"

    async def story(mirror, client):
        assert (await client.get(address)).status_code == 404
        assert (await client.get("/v1/health")).status_code == 503
        first = await client.post("/add-checkpoint", content=submission(0, 10))
        assert (first.status_code, first.text.startswith("— alder.small.example/witness ")) == (200, True)
        behind = await client.post("/add-checkpoint", content=submission(0, 20))
        assert (behind.status_code, behind.text, behind.headers["content-type"]) == (409, "10\n", "text/x.tlog.size")
        assert (await client.post("/add-checkpoint", content=submission(10, 20))).status_code == 200
        assert (await client.post("/add-checkpoint", content=b"x" * 70_000)).status_code == 400
        sealed = POLICY.open((await client.get(address)).text)
        assert (sealed.checkpoint.size, set(sealed.cosigned)) == (20, {"alder-witness"})
        assert (await client.get("/evidence")).json() == []
        assert (await client.get("/evidence/..%2fcosigned")).status_code == 404
        assert (await client.get("/v1/status")).json()["witness_size"] == 20

    asked(story)


def test_of_two_that_race_the_second_gets_the_size_and_no_line(asked, monkeypatch):
    """A stalls between check and journal, B commits, A goes on."""

    async def story(mirror, _client):
        mirror.witness(submission(0, 10))
        real = mirror.journal.commit

        def stalled(*given, **named):
            monkeypatch.setattr(mirror.journal, "commit", real)
            assert isinstance(mirror.witness(submission(10, 30)), str)
            return real(*given, **named)

        monkeypatch.setattr(mirror.journal, "commit", stalled)
        answer = mirror.witness(submission(10, 20))
        assert (answer.status, answer.body) == (409, "30\n")
        assert mirror.journal.last(KeyRole.WITNESS).size == 30

    asked(story)


def test_after_a_clock_step_back_it_answers_503(asked):
    async def story(mirror, _client):
        mirror.witness(submission(0, 10))
        mirror.clock.now_s -= 5
        assert mirror.witness(submission(10, 20)).status == 503
        mirror.clock.now_s += 5
        assert isinstance(mirror.witness(submission(10, 20)), str)

    asked(story)
