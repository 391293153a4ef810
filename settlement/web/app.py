"""One ASGI app for everything the house answers; the door asks who comes before any route does."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from fare_chain.errors import FareChainError, Malformed, Overloaded
from settlement.store.database import FAILURES
from settlement.web import (
    clearing_api,
    erasure_api,
    evidence_api,
    explanation_api,
    log_api,
    looks_api,
    mirror_api,
    proofs_api,
    reports_api,
)
from settlement.web.access import Door
from settlement.web.answers import refusal
from settlement.web.parts import Running


def make_app(running: Running) -> FastAPI:
    """The app over parts that may come and go."""
    app = FastAPI(title="FareChain clearing house", version="1", docs_url=None, redoc_url=None)
    app.state.running = running
    app.add_exception_handler(FareChainError, refuse)
    app.add_exception_handler(RequestValidationError, misread)
    for failure in FAILURES:
        app.add_exception_handler(failure, put_off)
    more = [*mirror_api.ROUTES, *erasure_api.ROUTES, *looks_api.ROUTES, *evidence_api.ROUTES]
    app.router.routes.extend([*log_api.ROUTES, *more])
    app.include_router(clearing_api.router)
    app.include_router(explanation_api.router)
    app.include_router(reports_api.router)
    app.include_router(proofs_api.router)
    app.add_middleware(Door)
    return app


async def put_off(request: Request, _error: Exception) -> Response:
    """A database that does not answer is a matter of time, and its words are nobody's business outside."""
    return await refuse(request, Overloaded("the clearing house's database does not answer now: try again in a moment"))


async def misread(request: Request, error: Exception) -> Response:
    """A parameter that is not what a route takes: the first of them, by name."""
    found = error.errors()[0] if isinstance(error, RequestValidationError) and error.errors() else {}
    name = ".".join(str(part) for part in found.get("loc", ())[1:]) or "a parameter"
    return await refuse(request, Malformed(f"{name} cannot be read: {found.get('msg', 'it is not what is expected')}"))


async def refuse(_request: Request, error: Exception) -> Response:
    """A refusal of ours."""
    return refusal(error)
