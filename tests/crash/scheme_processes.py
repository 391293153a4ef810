"""The scheme as processes that nobody starts again: a house, nine mirrors, a city's gates, each to be killed, stopped and started.

The command lines, keys, ports and policy are the demo's; the houses share one PostgreSQL, as a house and its standby do.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx2

from city_adapters.commands import tables_cache
from fare_chain import rider_code
from fare_chain.hashing import sha256
from fare_chain.identifiers import SCHEME, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.key_files import read_signing_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from simulators import members
from simulators.board import Quiet
from simulators.demo import Demo, Wish, mirror_name
from simulators.processes import Role, program
from tests.crash.forwarder import Forwarder

STANDBY_KEY = "standby-log"
STANDBY_PORT = 19
"""Behind the ports of the house, nine cities' gates and nine mirrors."""
STATIONS = ("SHA-xinzhuang", "SHA-huaqiao")


class SchemeOfProcesses:
    """Who runs, by name; `data` is laid out as a demo's."""

    def __init__(self, data: Path, database_url: str) -> None:
        self.data = data
        self.environment = {**os.environ, "DATABASE_URL": database_url}
        self.make_standby_key()
        self.demo = Demo(Wish(0, 0, 1, data, cache=tables_cache(None)), Quiet(), {})
        self.address, self.mirrors_way = Forwarder(self.demo.port), Forwarder(self.demo.port)
        self.url = f"http://127.0.0.1:{self.address.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        house = self.demo.house_role()
        self.demo.house_url = self.url  # gates and mirrors know the scheme's address alone, each by a way of their own
        gates = self.demo.gate_roles()[:1]
        self.demo.house_url = f"http://127.0.0.1:{self.mirrors_way.port}"
        self.roles = {role.name: role for role in (house, *gates, *self.demo.mirror_roles())}
        self.client = httpx2.Client(timeout=30, trust_env=False)
        self.riders = 0

    @property
    def mirrors(self) -> list[str]:
        """The names of the nine mirrors."""
        return [mirror_name(slug) for slug in self.demo.slugs]

    def make_standby_key(self) -> None:
        """A second log key, registered from the start: in the policy and on the ledger before anybody needs it."""
        begins = (time.time_ns() // 3_600_000_000_000) * 3_600_000_000
        key = SigningKey.generate()
        described = PublicKey(SCHEME, KeyUse.LOG, key.public, Micros(begins), Micros(begins + members.VALID_US))
        private = self.data / "keys" / "standby"
        write_member_key(private, self.data / "members", STANDBY_KEY, key, described)
        (private / f"{STANDBY_KEY}.key").rename(private / "house-log.key")

    def standby_role(self, *how: object) -> Role:
        """The same house with another key and another port: `--standby`, or `--term` and what the cities signed."""
        command = list(self.roles["house"].command)
        port = self.demo.port + STANDBY_PORT
        command[command.index("--keys") + 1] = str(self.data / "keys" / "standby")
        command[command.index("--port") + 1] = str(port)
        command[command.index("--data") + 1] = str(self.data / "standby")
        command += map(str, how)
        return Role("standby", tuple(command), f"http://127.0.0.1:{port}/v1/health")

    def turn(self, port: int) -> None:
        """From now on another house answers at the scheme's address."""
        self.address.turn(port)
        self.mirrors_way.turn(port)

    def start(self, *names: str) -> None:
        """Start these together; return once all are ready."""
        for name in names:
            with (self.data / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(self.roles[name].command, stdout=log, stderr=log, env=self.environment)
        for name in names:
            self.wait(lambda name=name: self._is_ready(name), f"{name} is ready", seconds=90)

    def kill(self, *names: str, number: int = signal.SIGKILL) -> None:
        """Kill these; they stay dead."""
        for name in names:
            self.processes[name].send_signal(number)
            self.processes.pop(name).wait(30)

    def end(self) -> None:
        """Stop all that still runs."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        self.client.close()
        self.address.close()
        self.mirrors_way.close()

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.data / f"{name}.log").read_text(encoding="utf-8")

    def wait(self, holds, what: str, seconds: float = 45) -> None:
        """Wait until something holds."""
        ends_at = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < ends_at, f"not after {seconds} s: {what}; the house says {self.status()}"
            time.sleep(0.1)

    def status(self) -> dict:
        """The house's status; empty while none answers."""
        try:
            answer = self.client.get(f"{self.url}/v1/status")
        except httpx2.TransportError:
            return {}
        return answer.json() if answer.status_code == 200 else {}

    def is_final(self, cities: int) -> bool:
        """Whether all of the ledger is final, and cosigned by so many cities."""
        told = self.status()
        return (
            bool(told) and told["size"] == told["final_size"] and list(told["cosigned_to"].values()).count(told["size"]) >= cities
        )

    def get(self, path: str) -> httpx2.Response:
        """Ask whoever answers at the scheme's address."""
        return self.client.get(f"{self.url}/{path}")

    def ride(self, count: int = 3) -> int:
        """Let riders of Shanghai pass a gate in and out, until it opens for each; how many taps that makes."""
        issuer = read_signing_key(self.data / "keys" / "shanghai" / "shanghai-issuer.key")
        for _rider in range(count):
            self.riders += 1
            device, now_s = SigningKey(sha256(b"rider %d" % self.riders)), int(time.time())
            credential = rider_code.issue_credential(issuer, 1, device.public, not_before_s=now_s - 60, not_after_s=now_s + 3600)
            for counter, (kind, station) in enumerate(zip(("entry", "exit"), STATIONS, strict=True), start=1):
                code = rider_code.issue(device, credential, time.time_ns() // 1000, counter)
                scan = {"code": rider_code.to_symbol_text(code), "station": station, "gate": 1, "kind": kind}
                answer = self.client.post(f"{self.demo.gate_urls['shanghai']}/v1/scans", json=scan).json()
                assert answer["decision"] == "open", answer
        return 2 * count

    def spooled(self) -> int:
        """Taps whose gate opened and for which no receipt has come."""
        told = self.client.get(f"{self.demo.gate_urls['shanghai']}/v1/status").json()
        return int(told.get("open_taps", 0) + told.get("spooled_taps", 0))

    def run(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        """Run a command as an operator does."""
        return subprocess.run([program(), *map(str, words)], capture_output=True, check=False, timeout=60, env=self.environment)

    def verify(self) -> dict:
        """What `verify` says of the whole log, with the policy's quorum of seven."""
        done = self.run("verify", self.url, "--policy", self.data / members.POLICY, "--quorum", 7, "--json")
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def _is_ready(self, name: str) -> bool:
        assert self.processes[name].poll() is None, self.log(name)
        try:
            return self.client.get(self.roles[name].health_url).status_code == 200
        except httpx2.TransportError:
            return False
