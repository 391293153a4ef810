"""Who asks, by the signed token of a request."""

import time

from starlette.requests import Request

from fare_chain.access_tokens import Reader, read_token
from fare_chain.errors import Untrusted
from settlement.web.parts import parts_of

_BEARER = "Bearer "


def reader_of(request: Request) -> Reader:
    """Who signed the request's token; Untrusted where it has none or one that does not hold."""
    parts = parts_of(request)
    given = request.headers.get("authorization", "")
    if not given.startswith(_BEARER):
        raise Untrusted("this is for members: send Authorization: Bearer <token>, signed by a registered access key")
    origin = parts.sequencer.head.origin
    return read_token(given.removeprefix(_BEARER), parts.intake.ring, audience=origin, now_s=int(time.time()))
