"""Looks of those who are no parties: each is on the ledger, durable, before what it shows goes out."""

from starlette.requests import Request

from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind
from fare_chain.governance import LookEntry, Scope, read_look_entry
from fare_chain.ledger import read_entry
from settlement.store import ledger as store
from settlement.web.access import caller_of
from settlement.web.parts import parts_of
from settlement.web.permits import Role, read_basis

EXPORT_GOOD_S = 3600
"""How long a look at the whole log opens the bodies and codes that stood on it then."""


async def look(request: Request, scope: Scope, name: str) -> int:
    """Put a look of the caller on the ledger, by the request's `basis`; its index, once it is durable."""
    caller, sequencer = caller_of(request), parts_of(request).sequencer
    basis = read_basis(request.query_params.get("basis"), caller.role)
    entry = LookEntry.of(caller.owner, scope, basis, sequencer.clock(), name)
    # Dead before the commit that this waits for: nothing was shown. Dead after: a look is on record that showed nothing.
    return await sequencer.record(EntryKind.LOOK, entry.to_bytes())


async def hold_to_look(request: Request, scope: Scope, name: str, *, index: int | None = None) -> None:
    """Log the caller's look at what is named so; a city needs none: it is held to its own.

    What stands at an entry `index` may be asked for under a look at the whole log too, given as `look`.
    """
    if caller_of(request).role is Role.CITY:
        return
    given = request.query_params.get("look")
    if given is None or index is None:
        await look(request, scope, name)
    else:
        await hold_to_export(request, given, index)


async def hold_to_export(request: Request, given: str, asked: int = 0) -> None:
    """Untrusted unless the ledger has that look: the caller's own, at the whole log, not long ago, after what is asked for."""
    if not (given.isascii() and given.isdigit()) or len(given) > 18:
        raise Malformed(f"look is {given[:40]!r}, expected the number that POST /v1/looks gave")
    parts, index = parts_of(request), int(given)
    async with parts.engine.connect() as connection:
        data = await store.find_entry(connection, index)
    entry = None if data is None else read_entry(data)
    if entry is None or entry.kind is not EntryKind.LOOK:
        raise Untrusted(f"entry {index} is no look: ask for one at POST /v1/looks")
    told = read_look_entry(entry.payload)
    if told.reader != caller_of(request).owner or told.scope is not Scope.LOG_EXPORT:
        raise Untrusted(f"look {index} is another's, or not at the whole log: ask for your own at POST /v1/looks")
    if not 0 <= parts.sequencer.clock() - told.looked_at_us < EXPORT_GOOD_S * 1_000_000:
        raise Untrusted(f"look {index} is over: it was good for {EXPORT_GOOD_S} s, ask for another at POST /v1/looks")
    if asked >= index:
        raise Untrusted(f"entry {asked} came after look {index}: ask for another at POST /v1/looks")
