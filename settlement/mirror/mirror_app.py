"""What a mirror answers: its cosigned checkpoints for whoever monitors, its evidence, and how far it is."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fare_chain.hashing import sha256
from fare_chain.witness import LONGEST_REQUEST, Refused
from settlement.mirror.city_mirror import CityMirror

_BRIEFLY = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
_NOTE = "text/plain; charset=utf-8"


def make_mirror_app(mirror: CityMirror, origin: str) -> Starlette:
    """The app over a mirror of the log of that origin."""
    app = Starlette(
        routes=[
            Route("/v1/health", health),
            Route("/v1/status", status),
            Route("/evidence", list_evidence),
            Route("/evidence/{name}", get_evidence),
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route(f"/{sha256(origin.encode()).hex()}/checkpoint", get_witness),
            Route(f"/clearing/{sha256(origin.encode()).hex()}/checkpoint", get_clearing),
            Route(f"/clearing/{sha256(origin.encode()).hex()}/end", get_end),
        ]
    )
    app.state.mirror = mirror
    return app


async def health(request: Request) -> Response:
    """Whether it has caught up with the house once (503 before); a mirror that stopped cosigning still answers."""
    mirror = _mirror(request)
    ready = mirror.caught_up or mirror.stopped is not None
    return JSONResponse({"ready": ready, "stopped": mirror.stopped is not None}, status_code=200 if ready else 503)


async def status(request: Request) -> Response:
    """How far it is."""
    return JSONResponse(_mirror(request).status())


async def list_evidence(request: Request) -> Response:
    """The names of all evidence kept."""
    return JSONResponse(_mirror(request).shelf.evidence())


async def get_evidence(request: Request) -> Response:
    """One piece of evidence, whole: it may hold taps, so the mirror listens on its own machine unless told otherwise."""
    mirror, name = _mirror(request), request.path_params["name"]
    if name not in mirror.shelf.evidence():
        return PlainTextResponse("no such evidence\n", status_code=404)
    return Response((mirror.shelf.folder / "evidence" / name).read_bytes(), media_type="application/octet-stream")


async def add_checkpoint(request: Request) -> Response:
    """Be a witness (C2SP tlog-witness): signature lines, or the specification's refusal."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LONGEST_REQUEST:
            return PlainTextResponse("the submission is too long\n", status_code=400)
    answer = await asyncio.to_thread(_mirror(request).witness, bytes(data))
    if isinstance(answer, Refused):
        return Response(answer.body, status_code=answer.status, headers={"Content-Type": answer.content_type})
    return Response(answer, media_type=_NOTE)


async def get_witness(request: Request) -> Response:
    """The last checkpoint with the witness line: the largest consistent tree that this city has seen."""
    note = _mirror(request).witness_note
    if not note:
        return PlainTextResponse("nothing witnessed yet\n", status_code=404, headers=_BRIEFLY)
    return Response(note, media_type=_NOTE, headers=_BRIEFLY)


async def get_clearing(request: Request) -> Response:
    """The last checkpoint with the clearing cosignature: every body is held here, every state root was derived here."""
    note = _mirror(request).note
    if not note:
        return PlainTextResponse("nothing cosigned yet\n", status_code=404, headers=_BRIEFLY)
    return Response(note, media_type=_NOTE, headers=_BRIEFLY)


async def get_end(request: Request) -> Response:
    """The last entry under that checkpoint, as a `.tlog-proof` with the entry in `extra`: a fork at any two sizes shows by it."""
    end = _mirror(request).end
    if not end:
        return PlainTextResponse("nothing cosigned yet\n", status_code=404, headers=_BRIEFLY)
    return Response(end, media_type=_NOTE, headers=_BRIEFLY)


def _mirror(request: Request) -> CityMirror:
    mirror: CityMirror = request.app.state.mirror
    return mirror
