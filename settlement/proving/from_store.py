"""Prove what the house has stored: a tick's tree is built again from its rows and held to the root that was cosigned."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.checkpoint import read_text
from fare_chain.errors import Unknown
from fare_chain.inner_proofs import check_span, checked, no_span, shortened, tap_inside
from fare_chain.note import read_note
from fare_chain.proofs import ProofFile
from fare_chain.window_proofs import Opening, write_position
from settlement.core.inner_paths import ClearedWindow, Line, earned_inside, journey_inside, line_inside
from settlement.proving.asked import Party
from settlement.proving.from_log import nothing_owed
from settlement.store import proofs as store
from settlement.store.journeys import StoredJourney


class StoredProver:
    """Proves under one checkpoint; Unknown where that does not cover yet what is asked for."""

    def __init__(self, connection: AsyncConnection, note: str) -> None:
        """Prove what stands under this note's checkpoint, from the rows that this connection reads."""
        self.connection = connection
        self.note = shortened(note)
        self.size = read_text(read_note(note).text).size

    async def tap(self, batch: int, number: int) -> str:
        """A proof of one tap."""
        data, path = await store.entry_with_path(self.connection, batch, self.size)
        body = await store.taps_of_entry(self.connection, batch)
        return checked(ProofFile(batch, path, self.note, data + tap_inside(data, body, number)))

    async def window(self, second: int) -> str:
        """A proof of the window that covers a second."""
        index, _window = await store.window_over(self.connection, second)
        return await self._inside(index, b"")

    async def journey(self, stored: StoredJourney) -> str:
        """A proof of a journey that was found."""
        cleared = await self._with_ticks(stored.recorded_us // 1_000_000)
        journey_id = stored.journey["journey_id"][0].tobytes()
        # Numbers only: a busy second has thousands of leaves, and the house goes on meanwhile.
        inside = await asyncio.to_thread(journey_inside, cleared, journey_id)
        if inside is None:
            raise Unknown(f"window {cleared.window.second} does not hold journey {journey_id.hex()}")
        return await self._inside(cleared.index, inside)

    async def line(self, second: int, line: Line) -> str:
        """A proof of what one owes another in a second, tick by tick."""
        cleared = await self._with_ticks(second)
        inside = await asyncio.to_thread(line_inside, cleared, line)
        if inside is None:
            raise Unknown(nothing_owed(line, second))
        return await self._inside(cleared.index, inside)

    async def statement(self, party: Party, from_second: int | None, to_second: int) -> str:
        """A proof of a member's position, or of what a beneficiary had earned, before two seconds; None: since the log began."""
        check_span(from_second, to_second)
        closing = await self._with_books(to_second - 1, party)
        opening = None
        if from_second is not None:
            opens = await self._with_books(from_second - 1, party)
            if opens.index == closing.index:
                raise Unknown(no_span(opens.window, from_second, to_second))
            data, path = await store.entry_with_path(self.connection, opens.index, self.size)
            opening = opens, Opening(opens.index, path, data)
        if party.is_member:
            if party.number not in dict(closing.window.positions):
                raise Unknown(f"window {closing.window.second} has no position of member {party.number}")
            return await self._inside(closing.index, write_position(party.number, None if opening is None else opening[1]))
        return await self._inside(closing.index, earned_inside(closing, opening, party.number))

    async def _with_ticks(self, second: int) -> ClearedWindow:
        index, window = await store.window_over(self.connection, second)
        previous = await store.root_before(self.connection, window.second)
        return ClearedWindow(index, window, previous, ticks=await store.ticks_of(self.connection, window))

    async def _with_books(self, second: int, party: Party) -> ClearedWindow:
        index, window = await store.window_over(self.connection, second)
        previous = await store.root_before(self.connection, window.second)
        earned = () if party.is_member else await store.earned_after(self.connection, window)
        return ClearedWindow(index, window, previous, earned=earned)

    async def _inside(self, index: int, inside: bytes) -> str:
        data, path = await store.entry_with_path(self.connection, index, self.size)
        return checked(ProofFile(index, path, self.note, data + inside))
