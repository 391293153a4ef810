"""The ledger in PostgreSQL: one tick is one transaction, and the update of the head row is its point of no return."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.batch import BatchHeader, CityTail, read_header
from fare_chain.errors import Conflict, Unknown
from fare_chain.events import EntryKind
from fare_chain.hashing import EMPTY_ROOT, HASH_BYTES, ZERO_HASH
from fare_chain.ledger import FRAME_BYTES, Head
from fare_chain.merkle import Frontier, perfect_nodes
from fare_chain.tiles import TILE_WIDTH, ReadTile, node_reader, tiles_of
from settlement.store.database import body, checkpoint, codes, entry, evidence, fork, head, rule_table, tile

HANGING_S = 10
"""How long a house may stand still in the middle of a write that others wait for; then PostgreSQL ends its session."""


class TermLost(Conflict):
    """The head row is not where this sequencer left it: another one holds the term, or the answer to a commit was lost."""


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The head row: the ledger's end, who may append, and the last signed checkpoint ("" before the first)."""

    origin: str
    head: Head
    term: int
    note: str


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry as it is stored, with what travels beside it: a batch's taps and codes."""

    data: bytes
    kind: EntryKind
    index: int
    recorded_us: int
    city: int | None = None
    city_seq: int | None = None
    body_hash: bytes = b""
    taps: bytes = b""
    codes: bytes = b""


async def open_head(connection: AsyncConnection, origin: str) -> StoredHead:
    """The head row, made on first use; the frontier is rebuilt from the tiles and must give the row's root."""
    row = (await connection.execute(sa.select(head))).one_or_none()
    if row is None:
        await connection.execute(
            sa.insert(head).values(
                id=1, origin=origin, size=0, root=EMPTY_ROOT, last_leaf=ZERO_HASH, recorded_us=-1, term=1, note=""
            )
        )
        return StoredHead(origin, Head(), 1, "")
    frontier = await read_frontier(connection, row.size)
    if frontier.root() != row.root:
        raise Conflict(f"the tiles of size {row.size} do not give the head's root: the database was changed, restore a backup")
    return StoredHead(row.origin, Head(frontier, row.last_leaf, row.recorded_us), row.term, row.note)


async def take_term(connection: AsyncConnection) -> int:
    """Start a new term: whoever held the last one can append no more."""
    return int((await connection.execute(sa.update(head).values(term=head.c.term + 1).returning(head.c.term))).scalar_one())


async def hold_term(connection: AsyncConnection, term: int) -> None:
    """Hold the term until the caller's transaction ends, so that nobody takes it meanwhile; TermLost where somebody has."""
    await _never_hang(connection)
    held = (await connection.execute(sa.select(head.c.term).with_for_update(read=True))).scalar_one()
    if held != term:
        raise TermLost(f"the ledger is in term {held}, no longer in term {term}: another house goes on with it")


async def append_tick(
    connection: AsyncConnection,
    *,
    before: StoredHead,
    after: StoredHead,
    rows: Sequence[EntryRow],
    tiles: dict[tuple[int, int], bytes],
) -> None:
    """Write one tick inside the caller's transaction; TermLost where the head moved meanwhile.

    Dead before the commit: nothing of this is there, the spools send again. Dead after: everything is, with the note's bytes.
    """
    await _never_hang(connection)
    moved = await connection.execute(
        sa.update(head)
        .where(head.c.size == before.head.size, head.c.term == before.term)
        .values(
            size=after.head.size,
            root=after.head.root(),
            last_leaf=after.head.last_leaf,
            recorded_us=after.head.recorded_us,
            note=after.note,
        )
    )
    if moved.rowcount != 1:
        raise TermLost(f"the head is no longer at size {before.head.size} in term {before.term}: read it again before going on")
    driver = await _driver(connection)
    await driver.copy_records_to_table(
        "entry",
        columns=["entry_index", "kind", "recorded_us", "city", "city_seq", "data"],
        records=[(row.index, row.kind, row.recorded_us, row.city, row.city_seq, row.data) for row in rows],
    )
    batches = [row for row in rows if row.kind is EntryKind.BATCH]
    await driver.copy_records_to_table(
        "body", columns=["entry_index", "body_hash", "taps"], records=[(row.index, row.body_hash, row.taps) for row in batches]
    )
    await driver.copy_records_to_table(
        "codes",
        columns=["entry_index", "body_hash", "codes"],
        records=[(row.index, row.body_hash, row.codes) for row in batches if row.codes],
    )
    await driver.executemany(
        "INSERT INTO tile (level, number, hashes) VALUES ($1, $2, $3) "
        "ON CONFLICT (level, number) DO UPDATE SET hashes = EXCLUDED.hashes",
        [(level, number, hashes) for (level, number), hashes in tiles.items()],
    )
    await connection.execute(sa.insert(checkpoint).values(size=after.head.size, note=after.note))


async def _never_hang(connection: AsyncConnection) -> None:
    """Let a house that hangs in this transaction lose it: the head's row is what a standby has to get hold of."""
    await connection.execute(sa.text(f"SET LOCAL idle_in_transaction_session_timeout = '{HANGING_S}s'"))


async def _driver(connection: AsyncConnection) -> Any:
    """Asyncpg's own connection, inside the same transaction: COPY has no place in SQLAlchemy."""
    return (await connection.get_raw_connection()).driver_connection


async def read_frontier(connection: AsyncConnection, size: int) -> Frontier:
    """The perfect nodes of the tree of `size`, from its tiles."""
    wanted = perfect_nodes(0, size)
    read_tile = await tile_reader(connection, size, {node_tile(level, index) for level, index in wanted})
    read_node = node_reader(size, read_tile)
    return Frontier(size, tuple(read_node(level, index) for level, index in wanted))


def node_tile(level: int, index: int) -> tuple[int, int]:
    """The tile (level, number) out of which the perfect node (level, index) is read."""
    tile_level, height = divmod(level, 8)
    return tile_level, (index << height) // TILE_WIDTH


async def tile_reader(connection: AsyncConnection, size: int, wanted: Collection[tuple[int, int]]) -> ReadTile:
    """Fetch tiles in one query and read them by width: a stored tile may be further than `size`."""
    rows = await connection.execute(
        sa.select(tile.c.level, tile.c.number, tile.c.hashes).where(sa.tuple_(tile.c.level, tile.c.number).in_(list(wanted)))
    )
    held = {(row.level, row.number): row.hashes for row in rows}

    def read_tile(level: int, number: int, width: int) -> bytes:
        hashes = held.get((level, number), b"")
        if len(hashes) < width * HASH_BYTES:
            raise Unknown(f"tile {level}/{number} holds {len(hashes) // HASH_BYTES} hashes, {width} are needed at size {size}")
        return bytes(hashes[: width * HASH_BYTES])

    return read_tile


async def read_right_edge(connection: AsyncConnection, size: int) -> dict[int, bytes]:
    """The partial tile of each level, as `tiles.grow_tiles` keeps it."""
    partial = [(level, number, width) for level, number, width in tiles_of(size) if width < TILE_WIDTH]
    read_tile = await tile_reader(connection, size, [(level, number) for level, number, _width in partial])
    return {level: read_tile(level, number, width) for level, number, width in partial}


async def read_tails(connection: AsyncConnection) -> dict[int, CityTail]:
    """The end of each city's chain as the ledger has it."""
    last = (
        sa.select(entry.c.city, sa.func.max(entry.c.city_seq).label("seq")).where(entry.c.city.is_not(None)).group_by(entry.c.city)
    )
    ends = last.subquery()
    rows = await connection.execute(
        sa.select(entry.c.data).join(ends, sa.and_(entry.c.city == ends.c.city, entry.c.city_seq == ends.c.seq))
    )
    headers = [header_of(row.data) for row in rows]
    return {header.city: CityTail().after(header) for header in headers}


def header_of(data: bytes) -> BatchHeader:
    """The batch header inside a BATCH entry."""
    return read_header(data[FRAME_BYTES:])


async def find_batch(connection: AsyncConnection, city: int, city_seq: int) -> tuple[int, bytes] | None:
    """(index, entry) of a city's batch, or None."""
    row = (
        await connection.execute(
            sa.select(entry.c.entry_index, entry.c.data).where(entry.c.city == city, entry.c.city_seq == city_seq)
        )
    ).one_or_none()
    return None if row is None else (row.entry_index, row.data)


async def first_checkpoint_over(connection: AsyncConnection, index: int) -> tuple[int, str]:
    """(size, note) of the first checkpoint that covers an entry."""
    row = (
        await connection.execute(sa.select(checkpoint).where(checkpoint.c.size > index).order_by(checkpoint.c.size).limit(1))
    ).one()
    return row.size, row.note


async def read_entries(connection: AsyncConnection, from_index: int, to_index: int) -> AsyncIterator[EntryRow]:
    """Entries [from_index, to_index) with the taps of batches, streamed in order."""
    query = (
        sa.select(entry, body.c.taps, body.c.body_hash)
        .outerjoin(body, body.c.entry_index == entry.c.entry_index)
        .where(entry.c.entry_index >= from_index, entry.c.entry_index < to_index)
        .order_by(entry.c.entry_index)
    )
    async with connection.stream(query) as rows:
        async for row in rows:
            yield EntryRow(
                row.data,
                EntryKind(row.kind),
                row.entry_index,
                row.recorded_us,
                row.city,
                row.city_seq,
                row.body_hash or b"",
                row.taps or b"",
            )


async def read_payloads(connection: AsyncConnection, kind: EntryKind) -> list[bytes]:
    """The payloads of every entry of a kind that is rare, in order."""
    rows = await connection.execute(sa.select(entry.c.data).where(entry.c.kind == int(kind)).order_by(entry.c.entry_index))
    return [row.data[FRAME_BYTES:] for row in rows]


async def read_bundle(connection: AsyncConnection, number: int, width: int) -> list[bytes]:
    """The entries of one bundle; Unknown where the log has not so many."""
    begin = number * TILE_WIDTH
    rows = await connection.execute(
        sa.select(entry.c.data)
        .where(entry.c.entry_index >= begin, entry.c.entry_index < begin + width)
        .order_by(entry.c.entry_index)
    )
    found = [row.data for row in rows]
    if len(found) != width:
        raise Unknown(f"the log has {begin + len(found)} entries, too few for bundle {number} of width {width}")
    return found


async def read_beside(connection: AsyncConnection, kind: str, digest: bytes) -> bytes:
    """What travels beside the log, by hash: a body, its codes, a table, a piece of evidence; Unknown where it is not held."""
    queries = {
        "body": sa.select(body.c.taps).where(body.c.body_hash == digest),
        "codes": sa.select(codes.c.codes).where(codes.c.body_hash == digest),
        "table": sa.select(rule_table.c.data).where(rule_table.c.hash == digest),
        "evidence": sa.select(evidence.c.data).where(evidence.c.hash == digest),
    }
    found = (await connection.execute(queries[kind].limit(1))).scalar_one_or_none()
    if found is None:
        raise Unknown(f"no {kind} {digest.hex()} is held here")
    return bytes(found)


async def batches_of(connection: AsyncConnection, digest: bytes) -> list[tuple[int, int]]:
    """(index, city) of the batches whose body has that hash, in order; Unknown where there is none."""
    query = sa.select(entry.c.entry_index, entry.c.city).join(body, body.c.entry_index == entry.c.entry_index)
    rows = await connection.execute(query.where(body.c.body_hash == digest).order_by(entry.c.entry_index))
    found = [(int(row.entry_index), int(row.city)) for row in rows]
    if not found:
        raise Unknown(f"no body {digest.hex()} is held here")
    return found


async def find_entry(connection: AsyncConnection, index: int) -> bytes | None:
    """The entry of that index as it is hashed, or None."""
    query = sa.select(entry.c.data).where(entry.c.entry_index == index)
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else bytes(found)


async def keep_table(connection: AsyncConnection, digest: bytes, data: bytes) -> None:
    """Hold a table by its hash; holding it twice changes nothing."""
    driver = await _driver(connection)
    await driver.execute("INSERT INTO rule_table (hash, data) VALUES ($1, $2) ON CONFLICT DO NOTHING", digest, data)


async def keep_fork(connection: AsyncConnection, city: int, city_seq: int, header_hash: bytes, signed_header: bytes) -> None:
    """Keep a second signed header of one sequence number as evidence."""
    known = sa.exists().where(fork.c.city == city, fork.c.city_seq == city_seq, fork.c.header_hash == header_hash)
    if not (await connection.execute(sa.select(known))).scalar_one():
        await connection.execute(
            sa.insert(fork).values(city=city, city_seq=city_seq, header_hash=header_hash, signed_header=signed_header)
        )
