"""Quotes and explanations over HTTP: as JSON, as text for people, as a picture."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from fare_chain.errors import Malformed, Unknown
from fare_chain.governance import Scope
from fare_chain.tap import category_named
from settlement.cleared_journeys import Names, explain_journey
from settlement.explanation.explained import Explanation, JoinedExplanation, explain_all
from settlement.explanation.picture import picture
from settlement.explanation.words import in_words
from settlement.hosted_rides import AskedRide, hosted_rides
from settlement.moments import read_moment_us
from settlement.pinned_cities import PinnedCities
from settlement.quotes import quote
from settlement.web.access import PRIVATE, caller_of
from settlement.web.answers import Json
from settlement.web.looks import hold_to_look
from settlement.web.parameters import parameters_of
from settlement.web.parts import Parts, parts_of
from settlement.web.permits import Role

router = APIRouter()
ID_BYTES = 16
_ASKED = ("from", "to", "at", "issuer", "category", "step", "from_line", "to_line", "minutes", "explain")


@router.get("/v1/fares/quote")
async def get_quote(
    request: Request,
    step: Annotated[int, Query(ge=0, le=255)] = 0,
    minutes: Annotated[int, Query(ge=0, le=7 * 1440)] = 0,
    explain: Annotated[bool, Query()] = False,
) -> Response:
    """Quote one ride, as `fare-chain fare` does; with `explain=true` everything needed to recompute it."""
    pinned, asked = _asked(request, step, minutes)
    # One at a time and beside the loop: clearing goes on.
    async with parts_of(request).explaining:
        if explain:
            return Json((await asyncio.to_thread(_explained, pinned, asked)).to_json())
        return Json((await asyncio.to_thread(quote, pinned, asked)).to_json())


@router.get("/v1/fares/quote.svg")
async def get_quote_picture(
    request: Request, step: Annotated[int, Query(ge=0, le=255)] = 0, minutes: Annotated[int, Query(ge=0, le=7 * 1440)] = 0
) -> Response:
    """The paths of a quoted ride on the cities' map."""
    pinned, asked = _asked(request, step, minutes)
    async with parts_of(request).explaining:
        return await asyncio.to_thread(lambda: _svg(picture(_explained(pinned, asked), pinned.catalogue)))


@router.get("/v1/journeys/{journey_id}/explanation")
async def get_explanation(request: Request, journey_id: str) -> Response:
    """Explain a journey that is cleared, with the draw that it had; `from` and `to` bound the search, by recorded moment."""
    return Json((await _cleared(request, journey_id)).to_json(), headers=PRIVATE)


@router.get("/v1/journeys/{journey_id}/explanation.txt")
async def get_explanation_in_words(request: Request, journey_id: str) -> Response:
    """The same for people."""
    return PlainTextResponse("\n".join(in_words(await _cleared(request, journey_id))) + "\n", headers=PRIVATE)


@router.get("/v1/journeys/{journey_id}/explanation.svg")
async def get_explanation_picture(request: Request, journey_id: str) -> Response:
    """The same as a picture."""
    told = await _cleared(request, journey_id)
    pinned = _pinned(parts_of(request))
    answer = await asyncio.to_thread(lambda: _svg(picture(told, pinned.catalogue)))
    answer.headers.update(PRIVATE)
    return answer


def _asked(request: Request, step: int, minutes: int) -> tuple[PinnedCities, AskedRide]:
    given = parameters_of(request, _ASKED)
    for name in ("from", "to"):
        if not given.get(name):
            raise Malformed(f"{name} is missing: give the id of a station, as SHA-xinzhuang")
    moment_us = read_moment_us(given["at"]) if given.get("at") else time.time_ns() // 1000
    return _pinned(parts_of(request)), AskedRide(
        given["from"],
        given["to"],
        moment_us,
        given.get("issuer") or None,
        category_named(given.get("category", "adult")),
        step,
        given.get("from_line", ""),
        given.get("to_line", ""),
        minutes,
    )


def _explained(pinned: PinnedCities, asked: AskedRide) -> Explanation | JoinedExplanation:
    return explain_all(hosted_rides(pinned, asked), pinned)


async def _cleared(request: Request, journey_id: str) -> Explanation | JoinedExplanation:
    try:
        name = bytes.fromhex(journey_id)
    except ValueError:
        name = b""
    if len(name) != ID_BYTES or name.hex() != journey_id:
        raise Malformed(f"{journey_id[:80]!r} is not a journey's id: give its {ID_BYTES} bytes as lower case hex")
    given = parameters_of(request, ("from", "to", "basis"))
    from_us, to_us = (read_moment_us(given[end]) if end in given else None for end in ("from", "to"))
    parts, caller = parts_of(request), caller_of(request)
    # Whether there is such a journey is detail too: the look is on the ledger before anything is searched.
    await hold_to_look(request, Scope.JOURNEY, f"journey/{journey_id}")
    if to_us is None:
        to_us = time.time_ns() // 1000 if parts.clearing.state is None else parts.clearing.state.recorded_us + 1
    async with parts.explaining, parts.engine.connect() as connection:
        seen_by = caller.owner if caller.role is Role.CITY else None
        return await explain_journey(connection, name, from_us, to_us, Names(parts.cities, parts.members), seen_by)


def _pinned(parts: Parts) -> PinnedCities:
    if parts.cities is None:
        raise Unknown("this house has no city folders at hand: no fare can be quoted and no map drawn")
    return parts.cities


def _svg(text: str) -> Response:
    return Response(
        text, media_type="image/svg+xml", headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    )
