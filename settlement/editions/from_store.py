"""Make a report from what the house has stored, beside the clearing that goes on."""

import asyncio
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fare_chain.errors import Overloaded, Unknown
from fare_chain.events import EntryKind, read_tariff_entry
from settlement.clear_windows import committed_ticks, fold, pinned_tables
from settlement.core.columns import TAP_DTYPE, Taps
from settlement.core.rules import PinnedTable, Rules
from settlement.core.state import State
from settlement.editions.asking import Wanted, resolve
from settlement.reports.catalogue import Needs
from settlement.reports.facts import Asked, AsOf, EndFacts, Registered
from settlement.reports.in_force import TablesInForce
from settlement.reports.manifest import Manifest
from settlement.reports.rendering import Rendering
from settlement.store import clearings, report_facts


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """A report with nothing open, and what was read to close it."""

    asked: Asked
    tables: TablesInForce
    register: tuple[Registered, ...]


async def resolve_stored(engine: AsyncEngine, state: State | None, wanted: Wanted) -> Resolved:
    """Close what is open in a report, as of the newest signed size that is cleared where nobody says another.

    Unknown where the ledger is not there yet, Overloaded where it is not cleared so far.
    """
    cleared_to = 0 if state is None else state.next_index
    async with engine.connect() as connection:
        if wanted.as_of_us is not None:
            if state is None or wanted.as_of_us > state.recorded_us:
                raise Overloaded("the ledger has not reached that moment: leave as_of out, or ask for an earlier one")
            most = await report_facts.size_at(connection, wanted.as_of_us, cleared_to)
        else:
            most = cleared_to if wanted.as_of_size is None else wanted.as_of_size
        if most > cleared_to:
            raise Overloaded(f"{cleared_to} entries of the ledger are cleared, not {most}: ask again, or an earlier size")
        signed = await report_facts.signed_size(connection, most)
        register = await report_facts.read_register(connection, signed.size)
        pins = await _pins(connection, state)
        known = await report_facts.known_span(connection, signed.size)
    named = [(it.entry_index, read_tariff_entry(it.payload).table_hash) for it in register if it.kind == EntryKind.TARIFF]
    tables = TablesInForce(named, pins, Rules() if state is None else state.rules)
    rules = await asyncio.to_thread(tables.at, signed.size)
    return Resolved(resolve(wanted, AsOf(signed.size, signed.root, signed.recorded_us, rules), known), tables, register)


async def render_stored(engine: AsyncEngine, state: State | None, resolved: Resolved, sink: BinaryIO) -> Manifest:
    """Write a report into a file and give its manifest; lines are made on another thread, so that clearing goes on."""
    asked = resolved.asked
    rendering = await asyncio.to_thread(Rendering, asked, sink)
    async with engine.connect() as connection:
        if asked.reads_windows:
            async for facts in report_facts.window_facts(connection, asked, resolved.tables):
                await asyncio.to_thread(rendering.take, facts)
        end = EndFacts()
        if Needs.REGISTER in asked.needs:
            end = EndFacts(await _waiting(connection, state, asked.as_of.size), resolved.register)
    return await asyncio.to_thread(rendering.finish, end)


async def _pins(connection: AsyncConnection, state: State | None) -> dict[bytes, PinnedTable]:
    """Every table held; those in force are not read again."""
    held = {} if state is None else {pin.sha256: pin for pin in state.rules.pins}
    others = {digest: data for digest, data in (await clearings.read_tables(connection)).items() if digest not in held}
    return held | {pin.sha256: pin for pin in await asyncio.to_thread(pinned_tables, others)}


async def _waiting(connection: AsyncConnection, state: State | None, size: int) -> Taps:
    """The taps that wait at a size: clearing's own where it stands there, else folded again from the last snapshot before it."""
    if state is not None and state.next_index == size:
        return state.open_taps
    held = await report_facts.snapshot_before(connection, size)
    tables = pinned_tables(await clearings.read_tables(connection))
    folded = None if held is None else State.from_bytes(held, tables)
    async for tick in committed_ticks(connection, 0 if folded is None else folded.next_index, size):
        after = await asyncio.to_thread(fold, folded, tick)
        folded = folded if after is None else after.state
    if folded is None:
        raise Unknown("nothing is cleared yet: ask again in a moment")
    return folded.open_taps if len(folded.open_taps) else np.zeros(0, TAP_DTYPE)
