"""The log over HTTP: batches come in; checkpoint, tiles, entries and what travels beside them go out (C2SP tlog-tiles)."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fare_chain.batch import LONGEST_CODE, MOST_TAPS, SIGNED_HEADER_BYTES
from fare_chain.errors import Malformed, Unknown
from fare_chain.hashing import HASH_BYTES
from fare_chain.tap import TAP_BYTES
from fare_chain.tiles import read_tile_path, write_bundle
from settlement.store import ledger as store
from settlement.web.parts import parts_of

LONGEST_BATCH = SIGNED_HEADER_BYTES + MOST_TAPS * (TAP_BYTES + 2 + LONGEST_CODE)
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "Access-Control-Allow-Origin": "*"}
_BRIEFLY = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}


async def post_batch(request: Request) -> Response:
    """Take one sealed batch (application/octet-stream); 200 and its receipt, a `.tlog-proof`."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LONGEST_BATCH:
            raise Malformed(f"a batch has at most {LONGEST_BATCH} bytes, this one goes on: send at most {MOST_TAPS} taps")
    receipt = await parts_of(request).intake.accept(bytes(data))
    return PlainTextResponse(receipt)


async def get_checkpoint(request: Request) -> Response:
    """The newest checkpoint that the quorum has cosigned; without a policy, the newest that the log signed."""
    parts = parts_of(request)
    note = parts.sequencer.head.note if parts.finality is None else parts.finality.note
    if not note:
        raise Unknown("the log has no checkpoint yet that counts: no entry stands on it, or the quorum has not cosigned one")
    return Response(note, media_type="text/plain; charset=utf-8", headers=_BRIEFLY)


async def get_tile(request: Request) -> Response:
    """A tile or an entry bundle, full or partial, within the last checkpoint."""
    level, number, width = read_tile_path(f"tile/{request.path_params['path']}")
    parts = parts_of(request)
    size = parts.sequencer.head.head.size
    async with parts.engine.connect() as connection:
        if level is None:
            data = write_bundle(await store.read_bundle(connection, number, width))
        else:
            read_tile = await store.tile_reader(connection, size, [(level, number)])
            data = read_tile(level, number, width)
    return Response(data, media_type="application/octet-stream", headers=_FOREVER)


async def get_beside(request: Request) -> Response:
    """A body, its rider codes, a table or a piece of evidence, by hash."""
    kind, text = request.url.path.strip("/").split("/")
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES or digest.hex() != text:
        raise Malformed(f"{text[:80]!r} is not a SHA-256 in lower case hex")
    async with parts_of(request).engine.connect() as connection:
        data = await store.read_beside(connection, kind, digest)
    return Response(data, media_type="application/octet-stream", headers=_FOREVER)


async def get_vkey(request: Request) -> Response:
    """The log's verifier key: convenient, and no reason to trust it."""
    return PlainTextResponse(parts_of(request).vkey + "\n", headers=_BRIEFLY)


ROUTES = [
    Route("/v1/batches", post_batch, methods=["POST"]),
    Route("/checkpoint", get_checkpoint),
    Route("/log.vkey", get_vkey),
    Route("/tile/{path:path}", get_tile),
    *(Route(f"/{kind}/{{digest}}", get_beside) for kind in ("body", "codes", "table", "evidence")),
]
