"""One look at the whole log, instead of one for each body: what an export by the scheme or a reader begins with."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fare_chain.governance import Scope
from settlement.web.access import PRIVATE
from settlement.web.answers import Json
from settlement.web.looks import EXPORT_GOOD_S, look
from settlement.web.parts import parts_of


async def post_look(request: Request) -> Response:
    """Log a look at the log as it stands, by `basis`; its index, to be given as `look` with bodies and codes."""
    index = await look(request, Scope.LOG_EXPORT, f"log/{parts_of(request).sequencer.head.origin}")
    return Json({"look": index, "good_for_s": EXPORT_GOOD_S}, headers=PRIVATE)


ROUTES = [Route("/v1/looks", post_look, methods=["POST"])]
