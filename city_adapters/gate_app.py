"""The gates' HTTP face of one city: post a scan, get open or refuse in milliseconds; the house may be away.

A refusal is an answer (200), not an error. Only a request that is no scan at all is one: 400 as problem+json.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from city_adapters.adapter import Adapter, Answer, Showing
from fare_chain.errors import Malformed
from fare_chain.tap import TapKind

LONGEST_SCAN = 16 << 10
"""Bytes of a request: a symbol's text has at most 4,296 characters."""
_KINDS = {
    "entry": TapKind.ENTRY,
    "exit": TapKind.EXIT,
    "transfer_entry": TapKind.TRANSFER_ENTRY,
    "transfer_exit": TapKind.TRANSFER_EXIT,
    "marker": TapKind.MARKER,
}


def make_gate_app(adapter: Adapter) -> FastAPI:
    """The app over one adapter, whose sealing and sending run as long as the app does."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(adapter.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await adapter.drain()
            adapter.close()

    async def post_scan(request: Request) -> Response:
        began_ns = time.perf_counter_ns()
        try:
            showing = read_showing(await _read_body(request))
        except Malformed as error:
            return _refuse_request(error)
        content = orjson.dumps(answer_fields(adapter.answer(showing)))
        adapter.note_duration(time.perf_counter_ns() - began_ns)
        return Response(content, media_type="application/json")

    app = FastAPI(title=f"FareChain gates of {adapter.slug}", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    # Beside FastAPI's own machinery: a scan is checked by hand in a tenth of the time.
    app.add_route("/v1/scans", post_scan, methods=["POST"])

    @app.get("/v1/status")
    async def get_status() -> dict[str, Any]:
        return adapter.status()

    @app.get("/v1/health")
    async def get_health() -> dict[str, Any]:
        return {"city": adapter.slug, "opens": adapter.disk_fault is None, "stuck": adapter.uplink.stuck is not None}

    return app


def read_showing(body: bytes) -> Showing:
    """Read a scan request; Malformed names the field that is missing or not of its kind."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the request is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Malformed('a scan is a JSON object {"code", "station", "gate", "kind"}')
    text, station, gate, kind = (fields.get(name) for name in ("code", "station", "gate", "kind"))
    if not isinstance(text, str):
        raise Malformed(f"code is {text!r:.60}, expected the text of the symbol as a string")
    if not isinstance(station, str):
        raise Malformed(f"station is {station!r:.60}, expected a station id like SHA-xinzhuang")
    if type(gate) is not int or not 0 <= gate < 1 << 32:
        raise Malformed(f"gate is {gate!r:.60}, expected a whole number from 0 to {(1 << 32) - 1}")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Malformed(f"kind is {kind!r:.60}, expected one of {', '.join(_KINDS)}")
    return Showing(text, station, gate, _KINDS[kind])


def answer_fields(answer: Answer) -> dict[str, Any]:
    """The JSON answer to a scan; `number` is the reason's."""
    reading = answer.tap
    return {
        "decision": "open" if answer.reason == 0 else "refuse",
        "reason": answer.reason.name,
        "number": int(answer.reason),
        "medium": None if reading is None else reading.medium.hex(),
        "tapped_at_us": answer.tapped_at_us,
        "gate_seq": None if reading is None else reading.gate_seq,
    }


async def _read_body(request: Request) -> bytes:
    """The request's bytes; Malformed where they go on for longer than any scan."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_SCAN:
            raise Malformed(f"a scan has at most {LONGEST_SCAN} bytes, this one goes on: send one scan a request")
    return bytes(body)


def _refuse_request(error: Malformed) -> Response:
    problem = {"type": "about:blank", "title": "Malformed", "status": 400, "detail": str(error)}
    return Response(orjson.dumps(problem), status_code=400, media_type="application/problem+json")
