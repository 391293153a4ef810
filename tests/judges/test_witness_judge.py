"""A witness that we did not write: it answers our fifteen submissions as ours does, and cosigns what we can read."""

import asyncio
import json
import socket
import subprocess
import time
from contextlib import asynccontextmanager, contextmanager

import httpx2
import pytest

from fare_chain.events import EntryKind, KeyEntry
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.note import KeyType, NoteVerifier, cosign, read_note, read_vkey
from fare_chain.policy import Policy, PolicyKey
from settlement.anchoring import Anchoring
from settlement.finality import Finality
from settlement.sequencer import Control
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from simulators.small_house import LOG_VERIFIER, SECOND_US, SmallHouse, small_key
from tests.conformance.c2sp_log import LOG, ORIGIN, REQUESTS, signed
from tests.judges import judging

READY_S = 30


@contextmanager
def serving(folder, origin, vkey):
    """A witness of that log in a process of its own, on a free port of this machine: its address, and its verifier."""
    command, config = judging.program("aics-witness", "aics-witness"), folder / "witness.json"

    def run(*arguments):
        ran = subprocess.run([command, *arguments, "--config", config], capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    run("init", "--name", "witness.example/w1", "--listen", address)
    run("add-log", "--origin", origin, "--vkey", vkey)
    own = json.loads(run("status", "--json"))["witness"]["vkey"]
    process = subprocess.Popen([command, "serve", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + READY_S
        while not answers(address):
            assert process.poll() is None, "the witness ended"
            assert time.monotonic() < until, "the witness does not answer"
            time.sleep(0.1)
        yield f"http://{address}", read_vkey(own)
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def witness(tmp_path):
    """A witness of the fixed log."""
    with serving(tmp_path, ORIGIN, LOG.to_vkey()) as served:
        yield served


def answers(address):
    try:
        httpx2.get(f"http://{address}/", timeout=5)
    except httpx2.TransportError:
        return False
    return True


def test_it_answers_the_fifteen_submissions(witness):
    url, verifier = witness
    monitoring = f"{url}/{sha256(ORIGIN.encode()).hex()}/checkpoint"
    with httpx2.Client() as client:
        assert client.get(monitoring).status_code == 404
        for number, (body, _length, _digest, status, said) in enumerate(REQUESTS, start=1):
            answer = client.post(f"{url}/add-checkpoint", content=body)
            assert answer.status_code == status, (number, answer.text)
            if status == 409:
                assert (answer.text, answer.headers["content-type"]) == (said, "text/x.tlog.size"), number
            elif status == 200:
                note = body.decode().partition("\n\n")[2] + answer.text
                assert [by for by, _line in read_note(note).signed_by([LOG, verifier])] == [LOG, verifier], number
        served = read_note(client.get(monitoring).text)
    assert served.text == read_note(signed(1600)).text
    assert len(served.signed_by([LOG, verifier])) == 2


def test_the_house_has_its_checkpoints_cosigned_by_it(tmp_path, database_url):
    """Our client: from nothing, with a proof, and after it forgot where the witness stands."""

    async def story(url, verifier):
        async with anchored_house(database_url, PolicyKey("w1", verifier, url)) as (house, finality, anchoring):
            sizes = []
            for forget in (False, False, True):
                await house.tick(SECOND_US)
                house.sequencer.stage_control(another_key(len(sizes)))
                await house.tick(SECOND_US)
                note = read_note(house.sequencer.head.note)
                await finality.take([note.to_text() + cosign(note.text, ALDER.name, ALDER_KEY, len(sizes) + 1).to_text()])
                if forget:
                    finality.cosigned_to.clear()
                await anchoring.submit(anchoring.places[0])
                assert finality.refused_by == {}
                sizes.append(finality.anchored[0])
            assert sizes == sorted(set(sizes))
            return finality.anchored[1]

    with serving(tmp_path, LOG_VERIFIER.name, LOG_VERIFIER.to_vkey()) as (url, verifier):
        anchored = read_note(asyncio.run(story(url, verifier)))
        assert [by for by, _line in anchored.signed_by([verifier])] == [verifier]
        monitoring = httpx2.get(f"{url}/{sha256(LOG_VERIFIER.name.encode()).hex()}/checkpoint")
        assert read_note(monitoring.text).text == anchored.text


ALDER_KEY = small_key(1, KeyUse.CLEARING)
ALDER = NoteVerifier("alder.small.example/clearing", ALDER_KEY.public, KeyType.COSIGNATURE)


@asynccontextmanager
async def anchored_house(database_url, outside):
    """A small house with one city's key as its quorum and a witness outside it."""
    engine = make_engine(database_url)
    await migrate(engine)
    house = SmallHouse(engine)
    await house.start()
    log = PolicyKey(LOG_VERIFIER.name, LOG_VERIFIER)
    finality = Finality(engine, Policy((log,), (PolicyKey("alder", ALDER), outside), quorum="alder"), LOG_VERIFIER.name)
    async with httpx2.AsyncClient() as client:
        yield house, finality, Anchoring(engine, finality, client)
    await engine.dispose()


def another_key(number):
    key = small_key(9, KeyUse.BATCH)
    return Control(EntryKind.KEY, KeyEntry.of(PublicKey(9, KeyUse.BATCH, key.public, number, 2**60), key).to_bytes())
