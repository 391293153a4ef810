"""From the ledger's entries to clearing: which taps and tables a tick holds, and which windows close before it.

The house runs it on each commit, a restart and an auditor on what is stored: the same steps, so the same roots.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from city_adapters.table_packing import unpack_agreement, unpack_city
from fare_chain.audit import VerifiedEntry
from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_tariff_entry
from fare_chain.hashing import leaf_hash
from fare_chain.identifiers import SCHEME
from settlement.core.books import Account, Balances, balances_after
from settlement.core.clearing import Tick, clear
from settlement.core.columns import TAP_DTYPE
from settlement.core.rules import PinnedTable
from settlement.core.state import State
from settlement.core.windows import close, window_postings


class Closed(NamedTuple):
    """A window with the states before and after it."""

    before: State
    window: WindowEntry
    after: State


def tick_of(entries: Sequence[VerifiedEntry], last_leaf: bytes) -> Tick:
    """The tick that these entries are, all of one recorded moment; `last_leaf` is the leaf hash of the last."""
    first = entries[0].entry
    bodies = b"".join(verified.body for verified in entries)
    tables = tuple(_pinned(verified) for verified in entries if verified.entry.kind is EntryKind.TARIFF)
    return Tick(first.recorded_us, first.index, first.index + len(entries), last_leaf, np.frombuffer(bodies, TAP_DTYPE), tables)


def close_before(state: State, second: int, *, has_entries: bool) -> tuple[State, list[Closed]]:
    """Close every window that is over when time reaches `second`.

    A second with entries is a window of its own as soon as it is over. A run of seconds without any is one window, closed only
    when a tick with entries ends the run: so the windows follow from the ledger alone, whenever a house looked at its clock.
    """
    closed: list[Closed] = []
    if second > state.second and state.window.delta_roots:
        closed.append(_close(state, 1))
        state = closed[-1].after
    if second > state.second and has_entries:
        closed.append(_close(state, second - state.second))
        state = closed[-1].after
    return state, closed


def provisional_positions(state: State) -> Balances:
    """Where every member stands now, the open window included."""
    members = dict.fromkeys(state.rules.members, 0) | dict(state.positions)
    return balances_after(tuple(sorted(members.items())), window_postings(state), Account.POSITION)


class Rederiving:
    """Clear a verified log again and hold every WINDOW entry to what comes out: an audit's follower."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.tick: list[VerifiedEntry] = []
        self.expected: dict[int, WindowEntry] = {}
        self.journeys = 0
        self.joins = 0
        self.windows = 0

    def follow(self, verified: VerifiedEntry) -> None:
        """Take the next entry; Untrusted where a WINDOW entry says anything else than clearing the taps again does."""
        if self.tick and self.tick[-1].entry.recorded_us != verified.entry.recorded_us:
            self._clear()
        if verified.window is not None:
            # The window closed when time left its second: when its own entry's tick is reached at the latest.
            self._advance(verified.entry.second, has_entries=True)
            self._compare(verified.window)
        self.tick.append(verified)

    def finish(self) -> dict[str, object]:
        """Clear what is left; say how much was cleared again."""
        if self.tick:
            self._clear()
        return {
            "windows_rederived": self.windows,
            "journeys_rederived": self.journeys,
            "joins_rederived": self.joins,
            "waiting_taps": self._waiting(),
        }

    def _waiting(self) -> int:
        return 0 if self.state is None else len(self.state.waiting)

    def _clear(self) -> None:
        entries, self.tick = self.tick, []
        self._advance(entries[0].entry.second, has_entries=True)
        assert self.state is not None
        self.state, cleared = clear(self.state, tick_of(entries, leaf_hash(entries[-1].entry.to_bytes())))
        self.journeys += len(cleared.journeys)
        self.joins += len(cleared.joins)

    def _advance(self, second: int, *, has_entries: bool) -> None:
        if self.state is None:
            self.state = State.genesis(second)
        self.state, closed = close_before(self.state, second, has_entries=has_entries)
        self.expected |= {item.window.second: item.window for item in closed}

    def _compare(self, found: WindowEntry) -> None:
        expected = self.expected.pop(found.second, None)
        if expected is None:
            raise Untrusted(f"the window of second {found.second} closes no second that the entries before it fill")
        for name in WindowEntry.__slots__:
            if getattr(found, name) != getattr(expected, name):
                raise Untrusted(
                    f"the window of second {found.second} says {name} {_shown(getattr(found, name))}, "
                    f"clearing its taps again gives {_shown(getattr(expected, name))}"
                )
        self.windows += 1


def _close(state: State, seconds: int) -> Closed:
    after, window = close(state, state.second, seconds)
    return Closed(state, window, after)


def _pinned(verified: VerifiedEntry) -> PinnedTable:
    """The table that a TARIFF entry puts in force; Malformed where it is not the member's that the entry names."""
    tariff = read_tariff_entry(verified.entry.payload)
    if tariff.member == SCHEME:
        return PinnedTable(unpack_agreement(verified.table), tariff.table_hash)
    table = unpack_city(verified.table)
    if table.city != tariff.member:
        raise Malformed(
            f"entry {verified.entry.index} puts member {tariff.member}'s table in force, but the table is {table.city}'s"
        )
    return PinnedTable(table, tariff.table_hash)


def _shown(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
