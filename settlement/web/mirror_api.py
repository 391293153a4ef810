"""What the cities' mirrors ask of the house: the ledger as it grows, and a place for their cosignatures."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fare_chain.batch import withhold_codes
from fare_chain.errors import Malformed, Unknown
from fare_chain.events import EntryKind
from fare_chain.ledger import read_entry
from fare_chain.mirror_feed import FEED_TYPE, FeedEntry, FeedTick, read_feed, write_feed
from settlement.finality import Finality
from settlement.store import finality as store
from settlement.web.access import PRIVATE, caller_of
from settlement.web.answers import Json
from settlement.web.parts import Parts, parts_of

MOST_FEED_BYTES = 8 << 20
MOST_TICKS = 64
LONGEST_WAIT_S = 30.0
_MOST_NOTES_BYTES = 4 << 20


async def get_follow(request: Request) -> Response:
    """The ticks after the checkpoint of size `from`; waits up to `wait` seconds for the next one. For members alone."""
    city = caller_of(request).owner
    size, wait_s = _number(request, "from"), min(_number(request, "wait"), LONGEST_WAIT_S)
    parts = parts_of(request)
    ends_at = time.monotonic() + wait_s
    while True:
        ticks = await _ticks_after(parts, size)
        left_s = ends_at - time.monotonic()
        if ticks or left_s <= 0:
            break
        try:
            async with asyncio.timeout(left_s), parts.sequencer.appended:
                if parts.sequencer.head.head.size == size:
                    await parts.sequencer.appended.wait()
        except TimeoutError:
            break
    data = await asyncio.to_thread(lambda: write_feed(_for_city(tick, city) for tick in ticks))
    return Response(data, media_type=FEED_TYPE, headers=PRIVATE)


async def _ticks_after(parts: Parts, size: int) -> list[FeedTick]:
    remembered = parts.sequencer.ticks_after(size, MOST_FEED_BYTES)
    if remembered is not None:
        return remembered
    async with parts.engine.connect() as connection:
        return await store.read_ticks(connection, size, MOST_TICKS)


def _for_city(tick: FeedTick, city: int) -> FeedTick:
    """The tick with the rider codes of that city's own riders alone: whoever pays checks."""
    return FeedTick(tick.note, tuple(_own_codes(given, city) for given in tick.entries))


def _own_codes(given: FeedEntry, city: int) -> FeedEntry:
    if not given.codes or read_entry(given.data).kind is not EntryKind.BATCH:
        return given
    return FeedEntry(given.data, given.beside, withhold_codes(given.beside, given.codes, city))


async def post_cosignatures(request: Request) -> Response:
    """Take checkpoints with a mirror's cosignatures (a feed of ticks without entries): they prove themselves who sent them."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_NOTES_BYTES:
            raise Malformed(f"at most {_MOST_NOTES_BYTES} bytes of cosignatures are taken at a time")
    parts = parts_of(request)
    finality = _finality(parts)
    await finality.take([tick.note for tick in read_feed(bytes(data))])
    return Json({"size": parts.sequencer.head.head.size, "final_size": finality.size})


async def get_policy(request: Request) -> Response:
    """Whose signatures make a checkpoint final: convenient, and no reason to trust it."""
    return PlainTextResponse(_finality(parts_of(request)).policy.to_text(), headers={"Cache-Control": "no-cache"})


async def get_signed_checkpoint(request: Request) -> Response:
    """The newest checkpoint that the log signed, provisional until the quorum has cosigned it."""
    note = parts_of(request).sequencer.head.note
    if not note:
        raise Unknown("the log has no entry yet, and so no checkpoint")
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return Response(note, media_type="text/plain; charset=utf-8", headers=headers)


async def get_anchored(request: Request) -> Response:
    """The newest final checkpoint that a witness of the public cosigned as well."""
    _size, note = _finality(parts_of(request)).anchored
    if not note:
        raise Unknown("no witness outside the cities has cosigned a checkpoint since this house started; see /policy for who may")
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return Response(note, media_type="text/plain; charset=utf-8", headers=headers)


def _finality(parts: Parts) -> Finality:
    if parts.finality is None:
        raise Unknown("this house was started without a policy: it has no mirrors, and nothing becomes final")
    return parts.finality


def _number(request: Request, name: str) -> int:
    given = request.query_params.get(name, "0")
    if not (given.isascii() and given.isdigit()) or len(given) > 18:
        raise Malformed(f"{name} is {given[:40]!r}, expected a whole number")
    return int(given)


ROUTES = [
    Route("/v1/follow", get_follow),
    Route("/v1/cosignatures", post_cosignatures, methods=["POST"]),
    Route("/v1/checkpoint", get_signed_checkpoint),
    Route("/v1/anchored", get_anchored),
    Route("/policy", get_policy),
]
