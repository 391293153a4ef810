"""The ledger of an import, in memory: batches appended tick by tick and cleared at once by the fold that the house runs."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fare_chain.batch import SealedBatch
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind, TariffEntry
from fare_chain.hashing import sha256
from fare_chain.ledger import Head, append
from settlement.core.clearing import MICROS, Cleared, Tick, clear
from settlement.core.columns import TAP_DTYPE
from settlement.core.laws import Breach, laws, window_laws
from settlement.core.replay import close_before
from settlement.core.rules import PinnedTable, pin
from settlement.core.state import State

Payload = tuple[EntryKind, bytes]


class Fold:
    """One ledger from its first entry: the tables in force, then ticks of batches, each held to the laws."""

    def __init__(self, tables: Sequence[tuple[int, bytes]], begins_us: int) -> None:
        """Put members' packed tables in force, a second before the first taps are recorded at `begins_us`."""
        recorded_us = begins_us - MICROS
        self.state = State.genesis(recorded_us // MICROS)
        self.head = Head()
        entries = [(EntryKind.TARIFF, TariffEntry(member, len(data), sha256(data)).to_bytes()) for member, data in tables]
        self._tick(recorded_us, entries, b"", tuple(pin(data) for _member, data in tables))

    def take(self, recorded_us: int, batches: Sequence[SealedBatch], entries: Iterable[Payload] = ()) -> Cleared:
        """Append batches, and what else came with them, as one tick, and clear it."""
        payloads = [*entries, *((EntryKind.BATCH, batch.signed_header) for batch in batches)]
        return self._tick(recorded_us, payloads, b"".join(batch.body for batch in batches), ())

    def finish(self) -> Iterator[Cleared]:
        """Let time pass until no ride may still go on elsewhere, and close the last window."""
        while True:
            due = self.state.due["due_us"]
            over_us = max(int(due.max(initial=0)), self.state.recorded_us) + MICROS
            yield self._tick(over_us, [], b"", ())
            if not len(self.state.due):
                break
        self._close(self.state.second + 1, has_entries=False)

    def _tick(self, recorded_us: int, entries: Iterable[Payload], body: bytes, tables: tuple[PinnedTable, ...]) -> Cleared:
        payloads = [*entries, *self._close(recorded_us // MICROS, has_entries=True)]
        self.head, _entries, leaves = append(self.head, recorded_us, payloads)
        taps, before = np.frombuffer(body, TAP_DTYPE), self.state
        tick = Tick(recorded_us, before.next_index, before.next_index + len(leaves), self.head.last_leaf, taps, tables)
        self.state, cleared = clear(before, tick)
        _hold(laws(before, cleared, self.state))
        return cleared

    def _close(self, second: int, *, has_entries: bool) -> list[Payload]:
        """Close every window before a second; their entries."""
        self.state, closed = close_before(self.state, second, has_entries=has_entries)
        for each in closed:
            _hold(window_laws(each.before, each.window, each.after))
        return [(EntryKind.WINDOW, each.window.to_bytes()) for each in closed]


def _hold(breaches: list[Breach]) -> None:
    if breaches:
        raise Conflict(f"clearing this log breaks a law, so nothing of it counts: {breaches[0]}; report it with the log's rows")
