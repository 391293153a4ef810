"""What an adapter's tests stand on: keys, riders with real codes, and a house that answers real receipts or what it is told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2

from city_adapters.spool import CityKey
from fare_chain import ledger
from fare_chain.batch import CityTail, SealedBatch, unseal
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import FareChainError
from fare_chain.events import EntryKind
from fare_chain.hashing import sha256
from fare_chain.key_files import write_key_pair
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.ledger import Head
from fare_chain.merkle import root, subtree_root
from fare_chain.proofs import ProofFile, prove_inclusion
from fare_chain.rider_code import Credential, JourneyState, issue, issue_credential, to_symbol_text
from fare_chain.tap import Tap, TapKind, records

CITY = 1
ORIGIN = "log.test"
LOG_KEY, BATCH_KEY, ISSUER_KEY = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
FOREVER = {"not_before_us": 0, "not_after_us": 4_000_000_000_000_000}
LOG = PublicKey(0, KeyUse.LOG, LOG_KEY.public, **FOREVER)
BATCH = PublicKey(CITY, KeyUse.BATCH, BATCH_KEY.public, **FOREVER)
ISSUER = PublicKey(CITY, KeyUse.ISSUER, ISSUER_KEY.public, **FOREVER)
RING = KeyRing([LOG, BATCH, ISSUER])
CITY_KEY = CityKey(CITY, BATCH_KEY, BATCH.key_id)


def now_us() -> int:
    return time.time_ns() // 1000


def make_tap(number: int, *, kind: TapKind = TapKind.ENTRY, rider: int | None = None, gate: int = 7, at_us: int = 10**15) -> Tap:
    """A tap of a numbered rider, one microsecond after the one of the number before."""
    medium = (number if rider is None else rider).to_bytes(16, "big")
    return Tap(at_us + number, medium, sha256(code_of(number)), number + 1, gate, 1, CITY, CITY, kind)


def code_of(number: int) -> bytes:
    """What stands for the rider code of the tap of that number, where nobody looks into it."""
    return number.to_bytes(4, "big") * 47


class Rider:
    """A rider of the city with a real device key."""

    def __init__(self, number: int, now: Callable[[], int] = now_us) -> None:
        self.key = SigningKey(number.to_bytes(32, "little"))
        self.now = now
        self.shown = 0
        begin = now() // 1_000_000 - 3600
        self.credential: Credential = issue_credential(
            ISSUER_KEY, CITY, self.key.public, not_before_s=begin, not_after_s=begin + 86_400
        )

    def code(self, journey: JourneyState | None = None) -> str:
        self.shown += 1
        return to_symbol_text(issue(self.key, self.credential, self.now(), self.shown, journey))

    def scan(self, kind: str = "entry", gate: int = 7, station: str = "SHA-xinzhuang") -> dict:
        return {"code": self.code(), "station": station, "gate": gate, "kind": kind}


class FakeHouse:
    """A ledger in memory behind real HTTP. `plan` holds what the next requests meet, `fates` what a batch's next requests do.

    lost: takes the batch and drops the connection; dropped: drops the connection; 503, 403, 400, 409; forged, other: a receipt
    signed by another key, a receipt for another batch.
    """

    def __init__(self) -> None:
        self.head = Head()
        self.tail = CityTail()
        self.entries: list[bytes] = []
        self.leaves: list[bytes] = []
        self.batches: list[SealedBatch] = []
        self.plan: list[str] = []
        self.fates: dict[int, list[str]] = {}
        self.asked: list[int] = []
        self.moved = threading.Condition()
        self.delay_s = 0.0
        self.turn_s = 0.25

    @property
    def taps(self) -> list[bytes]:
        return [record for batch in self.batches for record in records(batch.body)]

    def accept(self, data: bytes) -> tuple[int, str]:
        batch = unseal(data, RING)
        header = batch.header
        with self.moved:
            self.asked.append(header.city_seq)
            plan = self.fates.get(header.city_seq) or self.plan
            fate = plan.pop(0) if plan else ""
            if fate in ("503", "403", "400", "409"):
                return int(fate), json.dumps({"detail": f"as the test wants it: {fate}"})
            if fate == "dropped":
                return 0, ""
            if not self.moved.wait_for(lambda: header.city_seq <= self.tail.next_seq, self.turn_s):
                return 409, json.dumps({"detail": f"send {self.tail.next_seq} first"})
            if header.city_seq == self.tail.next_seq:
                assert header.prev_header == self.tail.header_hash, "the chain forked"
                self._append(batch)
            assert self.batches[header.city_seq].signed_header == batch.signed_header, "two batches of one number"
            return (0, "") if fate == "lost" else (200, self._receipt(header.city_seq, fate))

    def _append(self, batch: SealedBatch) -> None:
        self.head, entries, leaves = ledger.append(
            self.head, max(now_us(), self.head.recorded_us + 1), [(EntryKind.BATCH, batch.signed_header)]
        )
        self.entries += entries
        self.leaves += leaves
        self.batches.append(batch)
        self.tail = self.tail.after(batch.header)
        self.moved.notify_all()

    def _receipt(self, index: int, fate: str) -> str:
        size = self.head.size
        key = SigningKey(bytes(32)) if fate == "forged" else LOG_KEY
        note = Checkpoint(ORIGIN, size, self.head.root()).sign(key)

        def node(level: int, place: int) -> bytes:
            return root(self.leaves[place << level : (place + 1) << level])

        path = prove_inclusion(index=index, size=size, read_node=node)
        entry = self.entries[index - 1] if fate == "other" and index else self.entries[index]
        assert subtree_root(0, size, node) == self.head.root()
        return ProofFile(index, tuple(path), note, entry).to_text()


@contextmanager
def serving(house: FakeHouse, port: int = 0):
    """The house over HTTP in a thread; gives its address."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(house.delay_s)
            try:
                status, text = house.accept(data)
            except FareChainError as error:
                status, text = 400, json.dumps({"detail": str(error)})
            if status == 0:
                self.close_connection = True
                return
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 64

        def handle_error(self, request, client_address):
            pass

    server = Server(("127.0.0.1", port), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class GateProcess:
    """`fare-chain city gate` for Shanghai, as its own process."""

    def __init__(self, folder: Path, house: str, *, port: int | None = None, parent: int | None = None) -> None:
        members, keys = folder / "members", folder / "keys"
        if not members.exists():
            members.mkdir(parents=True)
            named = {"log": (LOG_KEY, LOG), "shanghai-batch": (BATCH_KEY, BATCH), "shanghai-issuer": (ISSUER_KEY, ISSUER)}
            for name, (key, public) in named.items():
                write_key_pair(keys, name, key, public)
                (keys / f"{name}.pub").rename(members / f"{name}.pub")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / "data"
        program = "import typer; from city_adapters.commands import add_to; app = typer.Typer(); add_to(app); app()"
        arguments = [
            "city", "gate", "--city", "SHA", "--house", house, "--members", str(members), "--keys", str(keys),
            "--data", str(self.data), "--port", str(self.port),
        ]  # fmt: skip
        arguments += ["--parent", str(parent)] if parent else []
        self.log = (folder / "log").open("ab")
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        self.process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=self.log, env=environment)
        self.client = httpx2.Client(base_url=self.url, trust_env=False, timeout=5.0)
        wait_until(self._answers, 15)

    def _answers(self) -> bool:
        assert self.process.poll() is None, Path(self.log.name).read_text()
        try:
            return self.client.get("/v1/health").status_code == 200
        except httpx2.TransportError:
            return False

    def scan(self, scan: dict) -> dict:
        response = self.client.post("/v1/scans", json=scan)
        assert response.status_code == 200, response.text
        return response.json()

    def status(self) -> dict:
        return self.client.get("/v1/status").json()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.client.close()
        self.log.close()
        self.process.send_signal(number)
        return self.process.wait(15)


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.02)
