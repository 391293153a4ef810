"""What the house itself puts on the ledger when it starts: members' keys and the tables in force, where they are new."""

import asyncio
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from city_adapters.catalogue import load_catalogue
from city_adapters.table_compiler import compile_agreement
from city_adapters.table_packing import pack_agreement, pack_city
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind, TariffEntry, read_key_entry, read_tariff_entry
from fare_chain.hashing import sha256
from fare_chain.identifiers import SCHEME
from fare_chain.key_entries import read_key_entries
from fare_chain.keys import KeyRing, KeyUse, PublicKey
from settlement.sequencer import Control
from settlement.store import ledger as store


async def publish(
    engine: AsyncEngine, members: Path, cities: Path | None, cache: Path | None, own: bytes
) -> tuple[list[Control], KeyRing]:
    """What to stage so that the ledger knows every key of `members` and every table of the catalogue; and the ring with it.

    The house's `own` public key comes first: before any term the log key that was registered first sequences.
    Nothing is staged twice: what the ledger has is read first. Tables are held before an entry names them, so a death between
    leaves a table that nothing names yet.
    """
    tables = await asyncio.to_thread(packed_tables, cities, cache)
    async with engine.begin() as connection:
        ring = await ring_on_ledger(connection)
        in_force = await tables_on_ledger(connection)
        controls = []
        for entry in sorted(read_key_entries(members), key=lambda entry: entry.key.public != own):
            known = ring.find(owner=entry.key.owner, use=entry.key.use, key_id=entry.key.key_id)
            if known != entry.key:
                ring = ring.including(entry.key)
                controls.append(Control(EntryKind.KEY, entry.to_bytes()))
        for member, data in tables:
            digest = sha256(data)
            if digest not in in_force.get(member, ()):
                await store.keep_table(connection, digest, data)
                controls.append(Control(EntryKind.TARIFF, TariffEntry(member, len(data), digest).to_bytes(), data))
    return controls, ring


def packed_tables(cities: Path | None, cache: Path | None = None) -> list[tuple[int, bytes]]:
    """Every member's tables as the ledger names them: the scheme's dated agreements under 0, a city's under its number."""
    catalogue = load_catalogue(cities, cache)
    numbers = {city.code: int(city.number) for city in catalogue.cities}
    agreements = [(int(SCHEME), pack_agreement(compile_agreement(dated, numbers))) for dated in catalogue.agreements]
    return agreements + [(int(city.number), pack_city(catalogue.table(city.slug))) for city in catalogue.cities]


def log_key(ring: KeyRing, public: bytes, now_us: int) -> PublicKey:
    """The house's own key on the ring; Conflict where it is not registered or not valid now."""
    for key in ring:
        if key.use is KeyUse.LOG and key.public == public and key.is_valid_at(now_us):
            return key
    raise Conflict("the house's log key is not among the members' keys, or not valid now: put its .entry into the members folder")


async def ring_on_ledger(connection: AsyncConnection) -> KeyRing:
    """The ring as the ledger's KEY entries make it."""
    ring = KeyRing()
    for data in await store.read_payloads(connection, EntryKind.KEY):
        ring = ring.including(read_key_entry(data).key)
    return ring


async def tables_on_ledger(connection: AsyncConnection) -> dict[int, set[bytes]]:
    """The hashes of each member's tables in force: a city's last one, every agreement of the scheme."""
    in_force: dict[int, set[bytes]] = {}
    for data in await store.read_payloads(connection, EntryKind.TARIFF):
        tariff = read_tariff_entry(data)
        held = in_force.setdefault(tariff.member, set())
        if tariff.member != SCHEME:
            held.clear()
        held.add(tariff.table_hash)
    return in_force
