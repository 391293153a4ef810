"""Evidence over HTTP: anybody may post a file, because it proves itself; who sent it is not asked."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fare_chain.errors import Malformed
from settlement.web.answers import Json
from settlement.web.parts import parts_of

LONGEST_FILE = 1 << 20
"""A whole body in base64 and some proofs of keys fit twice."""


async def post_evidence(request: Request) -> Response:
    """Take one evidence file (text/plain); 200 and the claim under which it is on record, the same whenever it is sent."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LONGEST_FILE:
            raise Malformed(f"an evidence file has at most {LONGEST_FILE} bytes, this one goes on")
    return Json((await parts_of(request).intake.evidence.accept(bytes(data))).to_json())


ROUTES = [Route("/v1/evidence", post_evidence, methods=["POST"])]
