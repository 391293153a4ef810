"""Published reports: numbered editions of a document, their bytes and signed manifests, never changed."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.errors import Conflict, Unknown
from settlement.store.database import edition, edition_part

PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Edition:
    """A published edition: its number, the ledger size that it speaks of, its file's hash and its signed manifest."""

    document: str
    edition: int
    as_of_size: int
    sha256: bytes
    manifest: str


async def editions_of(connection: AsyncConnection, document: str) -> list[Edition]:
    """Every edition of a document, the first first."""
    rows = await connection.execute(sa.select(edition).where(edition.c.document == document).order_by(edition.c.edition))
    return [Edition(*row) for row in rows]


async def find_edition(connection: AsyncConnection, document: str, number: int) -> Edition:
    """One edition; Unknown where it was not published."""
    row = (
        await connection.execute(sa.select(edition).where(edition.c.document == document, edition.c.edition == number))
    ).one_or_none()
    if row is None:
        raise Unknown(f"there is no edition {number} of {document[:120]!r}: ask for the list of its editions")
    return Edition(*row)


async def publish(
    connection: AsyncConnection, document: str, as_of_size: int, digest: bytes, sign: Callable[[int, bytes], str], file: BinaryIO
) -> Edition:
    """Publish a file inside the caller's transaction, as the next edition; the last one again where its bytes are the same.

    `sign` gives the manifest of (edition, hash of the one that it supersedes). Dead before the commit: nothing is published, and
    whoever asks again publishes the same bytes. Dead after: the edition is there with all its parts, and asking again gives it.
    """
    published = await editions_of(connection, document)
    if published and published[-1].sha256 == digest:
        return published[-1]
    number = len(published) + 1
    made = Edition(document, number, as_of_size, digest, sign(number, published[-1].sha256 if published else b""))
    try:
        await connection.execute(
            sa.insert(edition).values(
                document=document, edition=number, as_of_size=as_of_size, sha256=digest, manifest=made.manifest
            )
        )
    except IntegrityError as error:
        raise Conflict(f"edition {number} of {document} was published by somebody else just now: ask again") from error
    file.seek(0)
    part = 0
    while data := file.read(PART_BYTES):
        await connection.execute(sa.insert(edition_part).values(document=document, edition=number, part=part, data=data))
        part += 1
    return made


async def read_parts(connection: AsyncConnection, document: str, number: int) -> AsyncIterator[bytes]:
    """The bytes of an edition, part by part."""
    query = sa.select(edition_part.c.data).where(edition_part.c.document == document, edition_part.c.edition == number)
    async with connection.stream_scalars(query.order_by(edition_part.c.part)) as parts:
        async for data in parts:
            yield data
