"""What this machine can do at all: hashes, signatures, PostgreSQL's COPY and commit, HTTP on loopback.

Every other figure of a bench stands beside one of these from the same run, so that figures of two machines can be compared.
"""

import asyncio
import hashlib
import multiprocessing
import os
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain.batch import MOST_TAPS
from fare_chain.hash_lanes import LANES
from fare_chain.hashing import HASH_BYTES
from fare_chain.keys import SigningKey, is_signed
from fare_chain.merkle import root, root_of_run
from fare_chain.row_hashing import hash_rows_plainly, use_lanes
from fare_chain.tap import TAP_BYTES
from settlement.store.copying import copy_into
from settlement.store.database import body
from settlement.store.ledger import open_head, take_term
from simulators.clock import stream
from simulators.figures import SLICES, Figure, Rate, measure, percentile, rate_of

FLAT, LEAF, LEAF_PLAIN = "sha256-flat", "sha256-leaf", "sha256-leaf-plain"
SIGN, VERIFY, SIGN_CORES, VERIFY_CORES = "ed25519-sign", "ed25519-verify", "ed25519-sign-cores", "ed25519-verify-cores"
COPY, COMMIT, HTTP = "copy", "commit", "http"

COPY_ROWS = 16
"""Bodies in one transaction: about what a tick of 250 ms holds at 300,000 taps a second."""
MEGABYTE = 1_000_000
_SIGNED_BYTES = 144  # a batch's header; a rider code is about as long
_POSTED_BYTES = 200
_CONNECTIONS = 16


def flat_hash(seconds: float) -> Figure:
    """SHA-256 over a body of 4,096 taps in one go: no check of a body can be cheaper."""
    run = stream(1, "ceilings").bytes(MOST_TAPS * TAP_BYTES)

    def work() -> int:
        hashlib.sha256(run).digest()
        return MOST_TAPS

    return Figure(FLAT, "taps", measure(work, seconds))


def leaf_hash_root(seconds: float) -> Figure:
    """One RFC 6962 root over 4,096 taps, a leaf for each, as whoever checks a taps_root makes it: in lanes, if there are any."""
    run = stream(1, "ceilings").bytes(MOST_TAPS * TAP_BYTES)
    began = time.perf_counter()
    lanes = LANES if use_lanes() else 1
    compile_ms = round((time.perf_counter() - began) * 1000)

    def work() -> int:
        root_of_run(run, TAP_BYTES)
        return MOST_TAPS

    return Figure(LEAF, "taps", measure(work, seconds), facts={"lanes": lanes, "compile_ms": compile_ms})


def plain_leaf_hash_root(seconds: float) -> Figure:
    """The same root by hashlib alone, row by row."""
    run = stream(1, "ceilings").bytes(MOST_TAPS * TAP_BYTES)

    def work() -> int:
        hashes = hash_rows_plainly(b"\x00", run, TAP_BYTES)
        root([hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)])
        return MOST_TAPS

    return Figure(LEAF_PLAIN, "taps", measure(work, seconds))


def sign(seconds: float) -> Figure:
    """Ed25519 signatures on one core."""
    return Figure(SIGN, "signatures", measure(_signing(), seconds))


def verify(seconds: float) -> Figure:
    """Ed25519 checks on one core."""
    return Figure(VERIFY, "signatures", measure(_verifying(), seconds))


def sign_on_all_cores(seconds: float) -> Figure:
    """Ed25519 signatures by a thread for each core: libsodium works without the interpreter's lock."""
    return _on_all_cores(SIGN_CORES, _signing, seconds)


def verify_on_all_cores(seconds: float) -> Figure:
    """Ed25519 checks by a thread for each core."""
    return _on_all_cores(VERIFY_CORES, _verifying, seconds)


def http_posts(seconds: float) -> Figure:
    """POSTs of 200 bytes to an app that only reads them, in a process of its own, over kept connections on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(listener,), daemon=True)
        server.start()
        try:
            return asyncio.run(_post_for(listener.getsockname()[1], seconds))
        finally:
            server.terminate()
            server.join()


async def copy_bodies(engine: AsyncEngine, seconds: float) -> Figure:
    """COPY bodies of 4,096 taps into the ledger's own table, 16 rows a durable commit: MB of bodies."""
    run = stream(1, "ceilings").bytes(MOST_TAPS * TAP_BYTES)
    row, waits_ms, rates = 0, [], []
    for _slice in range(SLICES):
        began, first = time.perf_counter(), row
        while time.perf_counter() - began < seconds / SLICES or row == first:
            asked = time.perf_counter()
            async with engine.begin() as connection:
                numbers = np.arange(row, row + COPY_ROWS, dtype=np.int64)
                hashes = np.frombuffer(stream(row, "copied").bytes(HASH_BYTES * COPY_ROWS), f"V{HASH_BYTES}")
                row += await copy_into(connection, body, {"entry_index": numbers, "body_hash": hashes, "taps": [run] * COPY_ROWS})
            waits_ms.append((time.perf_counter() - asked) * 1000)
        rates.append((row - first) / (time.perf_counter() - began))
    rows = rate_of(rates)
    return Figure(
        COPY, "MB", Rate(rows.per_second * len(run) / MEGABYTE, rows.spread),
        facts={
            "rows_per_second": round(rows.per_second, 1),
            "rows_a_commit": COPY_ROWS,
            "body_bytes": len(run),
            "commit_p50_ms": round(percentile(waits_ms, 50), 2),
        },
    )  # fmt: skip


async def commits(engine: AsyncEngine, seconds: float) -> Figure:
    """Durable commits of one changed row, one after the other."""
    async with engine.begin() as connection:
        await open_head(connection, "bench.example/ceilings")
    waits_ms: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or not waits_ms:
        asked = time.perf_counter()
        async with engine.begin() as connection:
            await take_term(connection)
        waits_ms.append((time.perf_counter() - asked) * 1000)
    rate = Rate(len(waits_ms) / (time.perf_counter() - began))
    return Figure(
        COMMIT,
        "commits",
        rate,
        facts={"p50_ms": round(percentile(waits_ms, 50), 2), "p99_ms": round(percentile(waits_ms, 99), 2)},
    )


Message = MutableMapping[str, Any]


async def answer(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI app that reads a request to its end and answers with two bytes."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def _serve(listener: socket.socket) -> None:
    uvicorn.Server(uvicorn.Config(answer, log_level="critical", lifespan="off")).run(sockets=[listener])


def _signing() -> Callable[[], int]:
    key, message = SigningKey(bytes(32)), bytes(_SIGNED_BYTES)

    def work() -> int:
        for _turn in range(100):
            key.sign(message)
        return 100

    return work


def _verifying() -> Callable[[], int]:
    key, message = SigningKey(bytes(32)), bytes(_SIGNED_BYTES)
    public, signature = key.public, key.sign(message)

    def work() -> int:
        assert all(is_signed(public, message, signature) for _turn in range(100))
        return 100

    return work


def _on_all_cores(name: str, make: Callable[[], Callable[[], int]], seconds: float) -> Figure:
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        rates = list(threads.map(lambda _core: measure(make(), seconds), range(cores)))
    together = Rate(sum(rate.per_second for rate in rates), max(rate.spread for rate in rates))
    return Figure(name, "signatures", together, facts={"cores": cores})


async def _post_for(port: int, seconds: float) -> Figure:
    request = b"POST / HTTP/1.1\r\nHost: loopback\r\nContent-Length: %d\r\n\r\n" % _POSTED_BYTES + bytes(_POSTED_BYTES)
    await _post(port, request, 0.0)
    rates = []
    for _slice in range(SLICES):
        began = time.perf_counter()
        done = await asyncio.gather(*(_post(port, request, seconds / SLICES) for _connection in range(_CONNECTIONS)))
        rates.append(sum(done) / (time.perf_counter() - began))
    return Figure(HTTP, "requests", rate_of(rates), facts={"connections": _CONNECTIONS, "posted_bytes": _POSTED_BYTES})


async def _post(port: int, request: bytes, seconds: float) -> int:
    """Post on one connection, the next when the last is answered; how many were."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began, done = time.perf_counter(), 0
    try:
        while time.perf_counter() - began < seconds or not done:
            writer.write(request)
            await reader.readuntil(b"\r\n\r\nok")
            done += 1
    finally:
        writer.close()
        await writer.wait_closed()
    return done


ON_THE_PROCESSOR: dict[str, Callable[[float], Figure]] = {
    FLAT: flat_hash,
    LEAF: leaf_hash_root,
    LEAF_PLAIN: plain_leaf_hash_root,
    SIGN: sign,
    VERIFY: verify,
    SIGN_CORES: sign_on_all_cores,
    VERIFY_CORES: verify_on_all_cores,
    HTTP: http_posts,
}
IN_THE_DATABASE: dict[str, Callable[[AsyncEngine, float], Awaitable[Figure]]] = {COPY: copy_bodies, COMMIT: commits}
