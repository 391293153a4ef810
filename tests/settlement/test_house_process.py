"""The house as the process that production runs: it starts, serves, is told to stop, dies, and starts again on the same data."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from fare_chain.batch import CityTail, seal
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.tap import Tap, TapKind

YEAR_US = 365 * 86_400_000_000


@pytest.fixture
def scheme(tmp_path):
    """A folder with a log key and one city's batch key, and the city's way of sealing taps."""
    now_us = time.time_ns() // 1000
    keys = {}
    for name, owner, use in (("house-log", 0, KeyUse.LOG), ("shanghai-batch", 1, KeyUse.BATCH)):
        key = SigningKey.generate()
        begins = (now_us // 1_000_000 - 3600) * 1_000_000
        described = PublicKey(MemberNumber(owner), use, key.public, Micros(begins), Micros(begins + YEAR_US))
        write_member_key(tmp_path / "keys", tmp_path / "members", name, key, described)
        keys[name] = (key, described.key_id)
    return tmp_path, keys["shanghai-batch"]


def sealed(signer, count):
    """So many batches of one ride each, chained."""
    key, key_id = signer
    tail, batches = CityTail(), []
    for number in range(count):
        at_us = time.time_ns() // 1000 - 2_000_000
        taps = [
            Tap(
                at_us + side,
                bytes([number]) * 16,
                bytes([number, side]) * 16,
                2 * number + side,
                1,
                1 + side,
                1,
                2,
                TapKind(1 + side),
            )
            for side in (0, 1)
        ]
        batch = seal(b"".join(tap.to_bytes() for tap in taps), [], city=1, tail=tail, key=key, key_id=key_id)
        tail = tail.after(batch.header)
        batches.append(batch.to_bytes())
    return batches


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RunningHouse:
    """One `fare-chain house` process and its address."""

    def __init__(self, folder, **environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        words = [
            "house",
            "--data",
            folder / "house",
            "--members",
            folder / "members",
            "--keys",
            folder / "keys",
            "--port",
            self.port,
        ]
        self.log = (folder / "house.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from fare_chain.command_line import main; main()", *map(str, words)],
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, **environment},
        )
        deadline = time.monotonic() + 60
        while not self.is_ready():
            assert self.process.poll() is None, (folder / "house.log").read_text()
            assert time.monotonic() < deadline, (folder / "house.log").read_text()
            time.sleep(0.1)

    def is_ready(self):
        try:
            return httpx2.get(f"{self.url}/v1/health", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def post(self, data):
        answer = httpx2.post(f"{self.url}/v1/batches", content=data, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text

    def status(self):
        return httpx2.get(f"{self.url}/v1/status", timeout=30).json()

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.log.close()
        return code


@pytest.fixture
def start_house():
    """Start houses; whatever a failed test leaves running is killed."""
    started = []

    def start(folder, **environment):
        started.append(RunningHouse(folder, **environment))
        return started[-1]

    yield start
    for house in started:
        if house.process.poll() is None:
            house.end(signal.SIGKILL)


def settled(house, journeys):
    """The positions once so many journeys are cleared and every window with them is sealed."""
    deadline = time.monotonic() + 30
    while (told := house.status())["journeys"] < journeys or told["cleared_to"] < told["size"] - 3:
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told["positions"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_house_that_ends_in_any_way_goes_on_with_the_same_data(scheme, start_house, end):
    folder, signer = scheme
    batches = sealed(signer, 6)
    house = start_house(folder)
    receipts = [house.post(data) for data in batches[:4]]
    code = house.end(end)
    assert code == (0 if end == signal.SIGTERM else -signal.SIGKILL)
    reborn = start_house(folder)
    try:
        assert [reborn.post(data) for data in batches[:4]] == receipts, "the same batch gets the same receipt"
        for data in batches[4:]:
            reborn.post(data)
        positions = settled(reborn, 6)
        assert reborn.status()["taps"] == 12
        assert sum(positions.values()) == 0
        assert positions["shanghai"] > 0 > positions["hangzhou"]
    finally:
        assert reborn.end(signal.SIGTERM) == 0
    assert not list((folder / "house" / "postgres").rglob("postmaster.pid")), "PostgreSQL is stopped with the house"


def test_a_killed_postgresql_is_started_again_under_a_house_that_works(scheme, start_house):
    folder, signer = scheme
    batches = sealed(signer, 4)
    house = start_house(folder)
    try:
        receipts = [house.post(data) for data in batches[:2]]
        (pid_file,) = (folder / "house" / "postgres").rglob("postmaster.pid")
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            answer = httpx2.post(f"{house.url}/v1/batches", content=batches[2], timeout=30)
            if answer.status_code == 200:
                break
            assert answer.status_code == 503, answer.text
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert [house.post(data) for data in batches[:2]] == receipts
        house.post(batches[3])
        settled(house, 4)
        assert house.status()["taps"] == 8
    finally:
        assert house.end(signal.SIGTERM) == 0


def test_an_operators_own_postgresql_takes_the_place_of_ours(scheme, start_house, database_url):
    folder, signer = scheme
    house = start_house(folder, DATABASE_URL=database_url)
    try:
        (data,) = sealed(signer, 1)
        house.post(data)
        settled(house, 1)
        assert not (folder / "house" / "postgres").exists()
    finally:
        assert house.end(signal.SIGTERM) == 0


def test_a_port_that_is_taken_is_refused_in_a_sentence(scheme):
    folder, _signer = scheme
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["house", "--data", folder / "house", "--members", folder / "members", "--keys", folder / "keys"]
        answer = subprocess.run(
            [
                *(sys.executable, "-c", "from fare_chain.command_line import main; main()"),
                *(*map(str, words), "--port", str(taken.getsockname()[1])),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert answer.returncode == 1
    assert answer.stderr.startswith("Conflict: port")
