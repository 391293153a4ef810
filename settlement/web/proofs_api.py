"""Proofs over HTTP: `.tlog-proof` files of a tap, a journey, a window, a line, a statement, out of what is stored.

Windows and positions stand in entries, which everybody may read. A tap or a journey goes to its host and its issuer, to others by a
look; a line to its two parties; what an operator earned to its host. Lines and earnings are sums, and the scheme's too.
"""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from fare_chain import tap as taps
from fare_chain.errors import Malformed, Unknown, Untrusted
from fare_chain.governance import Scope
from fare_chain.identifiers import SCHEME
from fare_chain.tap import TAP_BYTES
from settlement.moments import read_moment_us
from settlement.proving.asked import Party, read_journey_id, read_line, read_party
from settlement.proving.from_store import StoredProver
from settlement.store import journeys
from settlement.store import proofs as store
from settlement.web.access import PRIVATE, caller_of, identify
from settlement.web.looks import hold_to_look
from settlement.web.parts import Parts, parts_of
from settlement.web.permits import hold_to_party

router = APIRouter(prefix="/v1/proofs")
_MOST_SEARCHED_US = 7 * journeys.SEARCHED_US
_SECOND_US = 1_000_000
_END_OF_TIME = 2**40
Second = Annotated[int, Query(ge=0, le=_END_OF_TIME)]
Moment = Annotated[str | None, Query(max_length=40)]


@router.get("/tap")
async def tap(
    request: Request, batch: Annotated[int, Query(ge=0, le=2**62)], number: Annotated[int, Query(alias="tap", ge=0, le=65_535)]
) -> Response:
    """Prove one tap, by the index of its batch and its number in it."""
    parts = parts_of(request)
    await hold_to_look(request, Scope.TAP, f"tap/{batch}/{number}")
    async with parts.engine.connect() as connection:
        body = await store.taps_of_entry(connection, batch)
        record = body[number * TAP_BYTES : (number + 1) * TAP_BYTES]
        if not record:
            raise Unknown(f"the batch of entry {batch} has taps 0 to {len(body) // TAP_BYTES - 1}, not {number}")
        shown = taps.read(record)
        hold_to_party(caller_of(request), {shown.host, shown.issuer}, f"tap {number} of entry {batch}")
        return _file(await StoredProver(connection, _note(parts)).tap(batch, number))


@router.get("/journey")
async def journey(
    request: Request, name: Annotated[str, Query(alias="id")], begin: Annotated[Moment, Query(alias="from")] = None,
    end: Annotated[Moment, Query(alias="to")] = None,
) -> Response:  # fmt: skip
    """Prove one cleared journey with its split; `from` and `to` bound the search by recorded moment, a day where they do not."""
    journey_id, parts = read_journey_id(name), parts_of(request)
    to_us = time.time_ns() // 1000 if end is None else read_moment_us(end)
    if end is None and parts.clearing.state is not None:
        to_us = parts.clearing.state.recorded_us + 1
    from_us = to_us - journeys.SEARCHED_US if begin is None else read_moment_us(begin)
    if to_us - from_us > _MOST_SEARCHED_US:
        raise Malformed("a search goes over seven days at most: give from and to around the second in which it was recorded")
    await hold_to_look(request, Scope.JOURNEY, f"journey/{name}")
    # One at a time, as explanations are: clearing has the machine.
    async with parts.explaining, parts.engine.connect() as connection:
        stored = await journeys.find_journey(connection, journey_id, from_us, to_us)
        if stored is None:
            raise Unknown(f"no journey {name} was cleared between second {from_us // _SECOND_US} and {to_us // _SECOND_US}")
        of = {int(stored.journey["host"][0]), int(stored.journey["issuer"][0])}
        hold_to_party(caller_of(request), of, f"journey {name}")
        return _file(await StoredProver(connection, _note(parts)).journey(stored))


@router.get("/window")
async def window(request: Request, second: Second) -> Response:
    """Prove the window that covers a second."""
    parts = parts_of(request)
    async with parts.engine.connect() as connection:
        return _file(await StoredProver(connection, _note(parts)).window(second))


@router.get("/line")
async def line(request: Request, second: Second, debtor: str, creditor: str, kind: str = "fare") -> Response:
    """Prove what one owes another in a second, tick by tick."""
    reader, parts = caller_of(request).owner, parts_of(request)
    owes, is_owed = _party(parts, debtor), _party(parts, creditor)
    _hold_to(reader, {owes.member, is_owed.member}, "a line is proved to its two parties")
    asked = read_line(owes, is_owed, kind)
    async with parts.explaining, parts.engine.connect() as connection:
        return _file(await StoredProver(connection, _note(parts)).line(second, asked))


@router.get("/statement")
async def statement(
    request: Request, party: Annotated[str, Query(alias="for")], end: Annotated[str, Query(alias="to", max_length=40)],
    begin: Annotated[Moment, Query(alias="from")] = None,
) -> Response:  # fmt: skip
    """Prove opening, closing and difference of an operator's earnings, or of a member's position."""
    parts = parts_of(request)
    whose = _party(parts, party)
    if not whose.is_member:
        _hold_to(identify(request).owner, {whose.member}, "what an operator earned is proved to its host")
    begins = None if begin is None else read_moment_us(begin) // _SECOND_US
    async with parts.explaining, parts.engine.connect() as connection:
        prover = StoredProver(connection, _note(parts))
        return _file(await prover.statement(whose, begins, read_moment_us(end) // _SECOND_US))


def _hold_to(reader: int, members: set[int], rule: str) -> None:
    """Untrusted unless the reader is one of these members, or the scheme."""
    if reader not in {*members, SCHEME}:
        raise Untrusted(f"{rule}, and to the scheme: ask with the access key of one of them, this one is {reader}'s")


def _party(parts: Parts, text: str) -> Party:
    return read_party(text, lambda: {name: number for number, name in parts.members.items()})


def _note(parts: Parts) -> str:
    """The checkpoint to prove under: the newest final one; without a policy, the newest that the log signed."""
    note = parts.sequencer.head.note if parts.finality is None else parts.finality.note
    if not note:
        raise Unknown("the log has no checkpoint yet under which anything could be proved: ask again in a moment")
    return note


def _file(text: str) -> Response:
    return PlainTextResponse(text, headers=PRIVATE)
