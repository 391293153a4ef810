"""An import into the house that production runs: sent by the uplink, acknowledged by receipts, continued by the next import."""

import json
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey

PROGRAM = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
UNTIL_US = 4_000_000_000_000_000
HEADER = "tapped_at,city,station_id,gate,kind,medium,issuer,category\n"


@pytest.fixture
def house(tmp_path):
    """A house whose members know the log's key and one city's, and its address; it is stopped at the end."""
    uses = (("house-log", 0, KeyUse.LOG), ("house-access", 0, KeyUse.ACCESS), ("shanghai-batch", 1, KeyUse.BATCH))
    for name, owner, use in uses:
        key = SigningKey.generate()
        described = PublicKey(MemberNumber(owner), use, key.public, Micros(0), Micros(UNTIL_US))
        write_member_key(tmp_path / "keys", tmp_path / "members", name, key, described)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = ("house", "--data", tmp_path / "house", "--members", tmp_path / "members", "--keys", tmp_path / "keys", "--port", port)
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "house.log").open("wb") as log:
        process = subprocess.Popen([*PROGRAM, *map(str, words)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not answers(url):
                assert process.poll() is None, (tmp_path / "house.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            assert process.wait(30) == 0


def answers(url):
    try:
        return httpx2.get(f"{url}/v1/health", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def verified(house, *words):
    answer = subprocess.run([*PROGRAM, "verify", house, *words, "--json"], capture_output=True, text=True, check=False)
    return json.loads(answer.stdout)


def rides(day, count):
    """So many rides of three yuan each, a minute apart."""
    lines = []
    for number in range(count):
        for clock, station, kind in (("08", "SHA-huaqiao", "entry"), ("09", "SHA-anting", "exit")):
            lines.append(f"{day} {clock}:{number:02}:00,shanghai,{station},1,{kind},rider {number},hangzhou,adult\n")
    return HEADER + "".join(lines)


def test_an_import_reaches_a_house_and_the_next_goes_on_from_its_spool(house, tmp_path):
    def send(day, *words):
        (tmp_path / "log.csv").write_text(rides(day, 20))
        options = ("--house", house, "--keys", tmp_path / "keys", "--members", tmp_path / "members", "--json", *words)
        words = ("import-taps", tmp_path / "log.csv", "--format", "csv", *options)
        return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)

    for day, taken in (("2019-01-07", 20), ("2026-03-02", 40)):
        answer = send(day)
        assert answer.returncode == 0, answer.stderr
        told = json.loads(answer.stdout)
        assert told["acknowledged"] == told["batches"] == 40
        assert told["journeys"] == 20
        deadline = time.monotonic() + 30
        while (status := httpx2.get(f"{house}/v1/status", timeout=30).json())["journeys"] < taken:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        assert status["taps"] == 2 * taken
    scheme = ("--access", str(tmp_path / "keys" / "house-access.key"))
    told = verified(house, *scheme, "--basis", "audit")
    assert (told["verified"], told["batches"], told["taps"], told["bodies"]) == (True, 80, 80, True), "batches without codes verify"
    assert told["looks"] == 0, "its own look comes after what it verifies"
    public = verified(house)
    assert (public["verified"], public["taps"], public["bodies"], public["rederived"]) == (True, 80, False, {})
    assert public["looks"] == 1
    assert "no basis is named" in verified(house, *scheme)["why"]
    assert len(list((tmp_path / "keys" / "import-spools" / "shanghai").glob("*.sent"))) == 80
    forked = send("2026-03-03", "--out", tmp_path / "elsewhere")
    assert forked.returncode == 1
    assert forked.stderr.startswith("Conflict: 0 of 40 batches are sent")
    assert "--out" in forked.stderr
