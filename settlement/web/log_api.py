"""The log over HTTP: batches come in; checkpoint, tiles, entries and what travels beside them go out (C2SP tlog-tiles)."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fare_chain.batch import LONGEST_CODE, MOST_TAPS, SIGNED_HEADER_BYTES, withhold_codes
from fare_chain.errors import Malformed, Unknown
from fare_chain.governance import Scope
from fare_chain.hashing import HASH_BYTES
from fare_chain.tap import TAP_BYTES, issuers_of
from fare_chain.tiles import read_tile_path, write_bundle
from settlement.store import ledger as store
from settlement.web.access import PRIVATE, caller_of
from settlement.web.looks import hold_to_look
from settlement.web.parts import parts_of
from settlement.web.permits import Role, hold_to_party

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


async def get_table(request: Request) -> Response:
    """A table, by hash."""
    digest = _digest(request)
    async with parts_of(request).engine.connect() as connection:
        data = await store.read_beside(connection, "table", digest)
    return Response(data, media_type="application/octet-stream", headers=_FOREVER)


async def get_body(request: Request) -> Response:
    """The taps of a batch, by hash: whole to its host; to the scheme and to readers by a look."""
    digest = _digest(request)
    async with parts_of(request).engine.connect() as connection:
        batches = await store.batches_of(connection, digest)
        data = await store.read_beside(connection, "body", digest)
    hold_to_party(caller_of(request), [city for _index, city in batches], f"body {digest.hex()}")
    await hold_to_look(request, Scope.BODY, f"body/{digest.hex()}", index=batches[0][0])
    return Response(data, media_type="application/octet-stream", headers=PRIVATE)


async def get_codes(request: Request) -> Response:
    """A batch's rider codes, by the hash of its body: whole to its host, an issuer's own to the issuer; others as for the body."""
    digest, caller = _digest(request), caller_of(request)
    async with parts_of(request).engine.connect() as connection:
        batches = await store.batches_of(connection, digest)
        codes = await store.read_beside(connection, "codes", digest)
        body = await store.read_beside(connection, "body", digest)
    hosts = {city for _index, city in batches}
    if caller.role is Role.CITY and caller.owner not in hosts:
        hold_to_party(caller, issuers_of(body), f"every code beside body {digest.hex()}")
        codes = withhold_codes(body, codes, caller.owner)
    await hold_to_look(request, Scope.RIDER_CODE, f"codes/{digest.hex()}", index=batches[0][0])
    return Response(codes, media_type="application/octet-stream", headers=PRIVATE)


async def get_evidence(request: Request) -> Response:
    """A piece of evidence that the ledger names, by hash: it may show the tap that it is about."""
    digest = _digest(request)
    async with parts_of(request).engine.connect() as connection:
        data = await store.read_beside(connection, "evidence", digest)
    return Response(data, media_type="application/octet-stream", headers=PRIVATE)


async def get_vkey(request: Request) -> Response:
    """The log's verifier key: convenient, and no reason to trust it."""
    return PlainTextResponse(parts_of(request).vkey + "\n", headers=_BRIEFLY)


def _digest(request: Request) -> bytes:
    text = request.path_params["digest"]
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES or digest.hex() != text:
        raise Malformed(f"{text[:80]!r} is not a SHA-256 in lower case hex")
    return digest


ROUTES = [
    Route("/v1/batches", post_batch, methods=["POST"]),
    Route("/checkpoint", get_checkpoint),
    Route("/log.vkey", get_vkey),
    Route("/tile/{path:path}", get_tile),
    Route("/table/{digest}", get_table),
    Route("/body/{digest}", get_body),
    Route("/codes/{digest}", get_codes),
    Route("/evidence/{digest}", get_evidence),
]
