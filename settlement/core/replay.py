"""From the ledger's entries to clearing: which taps and tables a tick holds, and which windows close before it.

The house runs it on each commit, a restart and an auditor on what is stored: the same steps, so the same roots.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from city_adapters.table_packing import unpack_agreement, unpack_city
from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_tariff_entry, read_window_entry
from fare_chain.evidence import read_evidence
from fare_chain.governance import EvidenceKind, read_evidence_entry
from fare_chain.hashing import HASH_BYTES, leaf_hash, sha256
from fare_chain.identifiers import SCHEME
from fare_chain.ledger_walk import LogSource, VerifiedEntry, beside_path
from settlement.core.books import Account, Balances, balances_after
from settlement.core.clearing import Cleared, Tick, clear
from settlement.core.columns import TAP_DTYPE
from settlement.core.objections import Objection, read_objection
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
    objections = tuple(_objection(verified) for verified in entries if _objects(verified))
    taps = np.frombuffer(bodies, TAP_DTYPE)
    return Tick(first.recorded_us, first.index, first.index + len(entries), last_leaf, taps, tables, objections)


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

    def __init__(self, told: Callable[[Cleared | Closed], None] = lambda _what: None) -> None:
        """Begin before the first entry; `told` is given every tick as it is cleared and every window as it is closed."""
        self.told = told
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

    def settle(self) -> None:
        """Clear the tick that waits: no more entries of its moment will come."""
        if self.tick:
            self._clear()

    def to_bytes(self) -> bytes:
        """Write down what is cleared: counts u64 (windows, journeys, joins), windows closed but not yet met, tables, snapshot.

        0 three counts u64   24 three lengths u32: expected windows, tables, snapshot   36 windows, each with u32 length   then
        table hashes 32 B   then the snapshot (`State.to_bytes`). Malformed while a tick waits.
        """
        if self.tick or self.state is None:
            raise Malformed("what waits is not settled: nothing can be written down between two entries of a tick")
        windows = b"".join(_LENGTH.pack(len(data)) + data for data in (item.to_bytes() for item in self.expected.values()))
        pins = b"".join(pin.sha256 for pin in self.state.rules.pins)
        snapshot = self.state.to_bytes()
        head = _SAVED.pack(self.windows, self.journeys, self.joins, len(windows), len(pins), len(snapshot))
        return head + windows + pins + snapshot

    def resume(self, data: bytes, source: LogSource) -> None:
        """Go on from what was written down; tables come from the log's source, by hash."""
        if len(data) < _SAVED.size:
            raise Malformed(f"a saved clearing has at least {_SAVED.size} bytes, found {len(data)}")
        self.windows, self.journeys, self.joins, *lengths = _SAVED.unpack_from(data)
        if len(data) != _SAVED.size + sum(lengths):
            raise Malformed(f"a saved clearing with these lengths has {_SAVED.size + sum(lengths)} bytes, found {len(data)}")
        ends = [_SAVED.size + sum(lengths[:at]) for at in range(4)]
        windows, pins, snapshot = (data[begin:end] for begin, end in pairwise(ends))
        self.expected = {window.second: window for window in map(read_window_entry, _parts(windows))}
        tables = [_read_pin(pins[at : at + HASH_BYTES], source) for at in range(0, len(pins), HASH_BYTES)]
        self.state = State.from_bytes(snapshot, tables)
        self.tick = []

    def finish(self) -> dict[str, object]:
        """Clear what is left; say how much was cleared again."""
        self.settle()
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
        seed = leaf_hash(entries[-1].entry.to_bytes())
        self.state, cleared = clear(self.state, tick_of(entries, seed))
        self.told(cleared)
        self.journeys += len(cleared.journeys)
        self.joins += len(cleared.joins)
        self.on_tick(self.state, cleared, seed)

    def _advance(self, second: int, *, has_entries: bool) -> None:
        if self.state is None:
            self.state = State.genesis(second)
        self.state, closed = close_before(self.state, second, has_entries=has_entries)
        for item in closed:
            self.told(item)
        self.expected |= {item.window.second: item.window for item in closed}
        for item in closed:
            self.on_closed(item)

    def on_tick(self, state: State, cleared: Cleared, seed: bytes) -> None:
        """Called with each tick once it is cleared, the state after it and the seed of its draws: for whoever makes more of it."""

    def on_closed(self, closed: Closed) -> None:
        """Called with each window as it closes, before its own entry is met."""

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


_SAVED = struct.Struct("<QQQIII")
_LENGTH = struct.Struct("<I")


def _parts(run: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(run):
        (length,) = _LENGTH.unpack_from(run, at)
        yield run[at + _LENGTH.size : at + _LENGTH.size + length]
        at += _LENGTH.size + length


def _read_pin(digest: bytes, source: LogSource) -> PinnedTable:
    """A table in force by its hash; Untrusted where the log's source gives other bytes."""
    data = source.read(beside_path("table", digest))
    if sha256(data) != digest:
        raise Untrusted(f"table {digest.hex()} is not the one that the saved clearing rests on")
    return pinned_table(data, digest)


def _close(state: State, seconds: int) -> Closed:
    after, window = close(state, state.second, seconds)
    return Closed(state, window, after)


def pinned_table(data: bytes, digest: bytes) -> PinnedTable:
    """A table as clearing holds it: a city's, or else the agreement."""
    try:
        return PinnedTable(unpack_city(data), digest)
    except Malformed:
        return PinnedTable(unpack_agreement(data), digest)


def _objects(verified: VerifiedEntry) -> bool:
    entry = verified.entry
    return entry.kind is EntryKind.EVIDENCE and read_evidence_entry(entry.payload).kind is EvidenceKind.BAD_RIDER_SIGNATURE


def _objection(verified: VerifiedEntry) -> Objection:
    """The objection that an EVIDENCE entry puts on record; that its file convicts was checked with the entry."""
    return read_objection(verified.entry.index, read_evidence(verified.evidence.decode()))


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
