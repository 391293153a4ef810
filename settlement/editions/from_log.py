"""Make a report again from an exported log alone: every entry verified, every tick cleared anew, the same bytes or a refusal."""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from typing import BinaryIO

import numpy as np

from fare_chain.audit import audit
from fare_chain.batch import read_header
from fare_chain.checkpoint import read_checkpoint
from fare_chain.errors import Unknown, Untrusted
from fare_chain.events import EntryKind, read_key_entry, read_tariff_entry
from fare_chain.hashing import leaf_hash
from fare_chain.identifiers import SCHEME
from fare_chain.keys import KeyUse
from fare_chain.ledger import Entry, read_entry
from fare_chain.ledger_walk import LogSource, VerifiedEntry, beside_path
from fare_chain.merkle import Frontier
from fare_chain.note import NoteVerifier
from fare_chain.tiles import bundles_of, read_bundle, tile_path
from settlement.core.clearing import Cleared
from settlement.core.columns import TAP_DTYPE, Level
from settlement.core.replay import Closed, Rederiving
from settlement.core.rules import Rules, pin
from settlement.core.state import State
from settlement.editions.asking import asked_again
from settlement.reports.facts import Asked, AsOf, BatchFacts, EndFacts, Owed, Registered, TickFacts, WindowFacts
from settlement.reports.manifest import Manifest, read_manifest, reports_verifier
from settlement.reports.rendering import Rendering

_TWO_WAYS = "the log answers for the same entries in two ways: pass an exported folder"


def reproduce(source: LogSource, verifiers: Sequence[NoteVerifier], note: str, sink: BinaryIO | None = None) -> Manifest:
    """Verify a log from its first entry and make the report of a manifest again out of it, into `sink` or nowhere.

    The manifest must be signed by a reports key that the log registers. Untrusted where the report comes out in other bytes;
    AuditFailure where the log does not hold; Unknown where it is shorter than the report's ledger size.
    """
    checkpoint = read_checkpoint(source.read("checkpoint").decode(), verifiers)
    register, last = _read_register(source, checkpoint.size)
    keys = [read_key_entry(it.payload).key for it in register if it.kind == EntryKind.KEY]
    signers = [reports_verifier(checkpoint.origin, key.public) for key in keys if (key.owner, key.use) == (SCHEME, KeyUse.REPORT)]
    claimed = read_manifest(note, signers)
    if claimed.as_of_size > checkpoint.size:
        raise Unknown(f"the report speaks of {claimed.as_of_size} entries, the log has {checkpoint.size}: export the log again")
    asked = asked_again(claimed, _as_of(source, claimed, register, last))
    with tempfile.TemporaryFile() as nowhere:
        follower = _Reporting(asked, sink or nowhere)
        # Money does not depend on whether riders signed: that is for `verify`, which names who did not.
        audit(source, verifiers, followers=[follower], rider_signatures=False)
    if follower.manifest is None:
        raise Untrusted(
            f"no tick of the log ends at {claimed.as_of_size} entries: the report speaks of a size that was never signed"
        )
    if follower.root != claimed.as_of_root:
        raise Untrusted(
            f"the report speaks of {claimed.as_of_size} entries with root {claimed.as_of_root.hex()}, "
            f"the log's is {follower.root.hex()}"
        )
    if follower.register != register:
        raise Untrusted(_TWO_WAYS)
    _compare(claimed, follower.manifest)
    return claimed


class _Reporting(Rederiving):
    """Clears a log again and hands each window, once its own entry is met, to the making of a report.

    What was read of the log before it was verified is read again here and must be the same: a log may not answer in two ways.
    """

    def __init__(self, asked: Asked, sink: BinaryIO) -> None:
        super().__init__()
        self.asked, self.rendering = asked, Rendering(asked, sink)
        self.manifest: Manifest | None = None
        self.frontier, self.root = Frontier(), b""
        self.last_us = 0
        self.register: list[Registered] = []
        self.ticks: list[TickFacts] = []
        self.batches: list[Entry] = []
        self.bodies: list[bytes] = []
        self.closed: dict[int, partial[WindowFacts]] = {}
        self.met: list[tuple[int, int]] = []
        """(entry index, second) of windows whose entries stand in the tick that is not over: its end is their checkpoint."""

    def follow(self, verified: VerifiedEntry) -> None:
        """Take the next entry; the tick before it is over."""
        entry = verified.entry
        if entry.recorded_us != self.last_us:
            self._end_tick()
        super().follow(verified)
        if verified.window is not None:
            self.met.append((entry.index, verified.window.second))
        if entry.kind is EntryKind.BATCH:
            self.batches.append(entry)
            self.bodies.append(verified.body)
        if entry.kind in (EntryKind.KEY, EntryKind.TARIFF):
            self.register.append(Registered(entry.index, entry.recorded_us, int(entry.kind), entry.payload))
        self.frontier, self.last_us = self.frontier.append([leaf_hash(entry.to_bytes())]), entry.recorded_us

    def settle(self) -> None:
        """The tick is over."""
        self._end_tick()
        super().settle()

    def on_tick(self, state: State, cleared: Cleared, seed: bytes) -> None:
        """Keep what the tick came to until its window closes; at the report's size the report is whole."""
        tick = TickFacts(cleared.recorded_us, seed, state.rules, cleared.journeys, cleared.shares, cleared.exceptions)
        self.ticks.append(tick)
        if cleared.to_index == self.asked.as_of.size:
            as_of = self.asked.as_of
            found = [pin.sha256 for pin in state.rules.pins], cleared.recorded_us
            if found != ([pin.sha256 for pin in as_of.rules.pins], as_of.recorded_us):
                raise Untrusted(_TWO_WAYS)
            below = tuple(it for it in self.register if it.entry_index < as_of.size)
            self.manifest = self.rendering.finish(EndFacts(state.open_taps, below))

    def on_closed(self, closed: Closed) -> None:
        """A window with everything in it; where it stands on the ledger is known when its entry is met."""
        window, sums = closed.window, closed.before.window.sums
        names = ("kind", "debtor", "creditor", "n", "amount_fen")
        owed = tuple(Owed(*(int(row[name]) for name in names)) for row in sums[sums["level"] == Level.MEMBERS])
        count = sum(entry.index < window.to_index for entry in self.batches)
        inside = zip(self.batches[:count], self.bodies[:count], strict=True)
        batches = tuple(_batch(entry, body, closed.before.rules) for entry, body in inside)
        self.closed[window.second] = partial(WindowFacts, window=window, owed=owed, ticks=tuple(self.ticks), batches=batches)
        self.ticks, self.batches, self.bodies = [], self.batches[count:], self.bodies[count:]

    def _end_tick(self) -> None:
        """Give the windows whose entries stand in the tick that is over to the report, if it may know them."""
        size, as_of = self.frontier.size, self.asked.as_of
        if size == as_of.size:
            self.root = self.frontier.root()
        reads, (begin, end) = self.asked.reads_windows, self.asked.windows()
        for place, second in self.met:
            facts = self.closed.pop(second)(entry_index=place, checkpoint_size=size)
            if reads and size <= as_of.size and begin <= second and (end is None or second < end):
                self.rendering.take([facts])
        self.met = []


def _as_of(source: LogSource, claimed: Manifest, register: list[Registered], last: list[int]) -> AsOf:
    """The size that a report speaks of, and the root that it claims for it; everything is compared once the walk is there."""
    size = claimed.as_of_size
    tables = [it for it in register if it.kind == EntryKind.TARIFF and it.entry_index < size]
    pins = [pin(source.read(beside_path("table", read_tariff_entry(it.payload).table_hash))) for it in tables]
    return AsOf(size, claimed.as_of_root, last[size - 1], Rules().including(pins))


def _read_register(source: LogSource, size: int) -> tuple[list[Registered], list[int]]:
    """The KEY and TARIFF entries of a log, not verified yet, and when each entry was recorded."""
    register, recorded = [], []
    for data in _entries(source, size):
        entry = read_entry(data)
        recorded.append(entry.recorded_us)
        if entry.kind in (EntryKind.KEY, EntryKind.TARIFF):
            register.append(Registered(entry.index, entry.recorded_us, int(entry.kind), entry.payload))
    return register, recorded


def _entries(source: LogSource, size: int) -> Iterator[bytes]:
    for number, width in bundles_of(size):
        yield from read_bundle(source.read(tile_path(None, number, width)), width)


def _batch(entry: Entry, body: bytes, rules: Rules) -> BatchFacts:
    header = read_header(entry.payload)
    return BatchFacts(entry.index, entry.recorded_us, header.key_id, header.city_seq, rules, np.frombuffer(body, TAP_DTYPE))


def _compare(claimed: Manifest, made: Manifest) -> None:
    """Untrusted where a report made again is another one; edition and what it supersedes are the register's, not the ledger's."""
    for name in Manifest.__slots__:
        told, found = getattr(claimed, name), getattr(made, name)
        if name not in ("edition", "supersedes") and told != found:
            raise Untrusted(f"the report says {name} {_shown(told)}, made again from the ledger it is {_shown(found)}")


def _shown(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
