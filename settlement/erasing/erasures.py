"""Let the scanned codes of single taps go for who may ask: the ledger says so first, and only then are they gone."""

from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain import tap
from fare_chain.errors import Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind
from fare_chain.governance import ErasureEntry, ErasureLevel
from fare_chain.identifiers import SCHEME
from settlement.sequencer import Sequencer, check_buildable
from settlement.store import ledger
from settlement.store import retention as store


async def erase(engine: AsyncEngine, sequencer: Sequencer, told: ErasureEntry, *, asked_by: int) -> tuple[int, int]:
    """Erase for a member: (index of the ERASURE entry, how many codes went). Asking again gives the same entry and 0.

    The scheme may ask for any tap's code, a city for its own riders'; that pseudonyms are dropped, only their issuer can say.
    Unknown, Malformed or Untrusted where there is no such batch or tap, or another asks; nothing is written then.
    Dead before the entry's commit: nothing has changed. Dead after: it stands, and the next start withholds the codes.
    """
    check_buildable(EntryKind.ERASURE, told.to_bytes())
    check_asked(told, await _taps(engine, told.index), asked_by)
    async with engine.connect() as connection:
        standing = [
            (index, known)
            for index, known in await store.read_erasures(connection, of_index=told.index)
            if known.level is told.level and {*told.taps} <= {*known.taps}
        ]
    index = standing[0][0] if standing else await sequencer.record(EntryKind.ERASURE, told.to_bytes())
    async with engine.begin() as connection:
        went = await store.withhold_codes(connection, told)
    sequencer.forget_codes(0, {told.index: told.taps})
    return index, went


def check_asked(told: ErasureEntry, body: bytes, asked_by: int) -> None:
    """Malformed where the batch has no such tap; Untrusted where it is not for this member to ask."""
    records = tap.records(body)
    if told.taps[-1] >= len(records):
        raise Malformed(
            f"entry {told.index} has taps 0 to {len(records) - 1}, there is no tap {told.taps[-1]}: name one that is there"
        )
    others = {tap.read(records[number]).issuer for number in told.taps} - {asked_by}
    if told.level is ErasureLevel.PSEUDONYMS and others:
        raise Untrusted(f"whether pseudonyms of member {min(others)}'s riders are dropped, only that issuer can say")
    if others and asked_by != SCHEME:
        raise Untrusted(
            f"entry {told.index} has taps of member {min(others)}'s riders among those named: their issuer may ask, or the scheme"
        )


async def _taps(engine: AsyncEngine, index: int) -> bytes:
    """The body of a BATCH entry; Unknown where no batch stands there."""
    async with engine.connect() as connection:
        async for row in ledger.read_entries(connection, index, index + 1):
            if row.kind is EntryKind.BATCH:
                return row.taps
    raise Unknown(f"entry {index} is no batch on this ledger: name the BATCH entry whose taps are meant")
