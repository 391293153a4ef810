"""A witness that we did not write: it answers our fifteen submissions as ours does, and cosigns what we can read."""

import json
import socket
import subprocess
import time

import httpx2
import pytest

from fare_chain.hashing import sha256
from fare_chain.note import read_note, read_vkey
from tests.conformance.c2sp_log import LOG, ORIGIN, REQUESTS, signed
from tests.judges import judging

READY_S = 30


@pytest.fixture
def witness(tmp_path):
    """A witness in a process of its own, on a free port of this machine: its address, and its verifier."""
    command, config = judging.program("aics-witness", "aics-witness"), tmp_path / "witness.json"

    def run(*arguments):
        ran = subprocess.run([command, *arguments, "--config", config], capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    run("init", "--name", "witness.example/w1", "--listen", address)
    run("add-log", "--origin", ORIGIN, "--vkey", LOG.to_vkey())
    vkey = json.loads(run("status", "--json"))["witness"]["vkey"]
    process = subprocess.Popen([command, "serve", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + READY_S
        while not answers(address):
            assert process.poll() is None, "the witness ended"
            assert time.monotonic() < until, "the witness does not answer"
            time.sleep(0.1)
        yield f"http://{address}", read_vkey(vkey)
    finally:
        process.terminate()
        process.wait(timeout=30)


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
