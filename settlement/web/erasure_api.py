"""Erasures over HTTP: a member asks with its access key, and is answered when the codes are gone."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fare_chain.batch import MOST_TAPS
from fare_chain.errors import Malformed
from fare_chain.governance import read_erasure_entry
from settlement.erasing.erasures import erase
from settlement.web.access import caller_of
from settlement.web.answers import Json
from settlement.web.parts import parts_of

LONGEST_ERASURE = 16 + 2 * MOST_TAPS


async def post_erasure(request: Request) -> Response:
    """Take the payload of an ERASURE entry (application/octet-stream); 200, where the entry stands and how many codes went."""
    caller, parts = caller_of(request), parts_of(request)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LONGEST_ERASURE:
            raise Malformed(f"an erasure has at most {LONGEST_ERASURE} bytes, this one goes on: name the taps of one batch")
    told = read_erasure_entry(bytes(data))
    index, went = await erase(parts.engine, parts.sequencer, told, asked_by=caller.owner)
    return Json({"index": index, "batch": told.index, "taps": list(told.taps), "codes_gone": went})


ROUTES = [Route("/v1/erasures", post_erasure, methods=["POST"])]
