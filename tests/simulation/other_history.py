"""A house that lies with a straight face: the same batches in another history, chained, cleared and signed like the true one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from fare_chain import ledger
from fare_chain.checkpoint import Checkpoint
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.keys import SigningKey
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import VerifiedEntry
from fare_chain.mirror_feed import FeedEntry, FeedTick
from settlement.clear_windows import fold
from settlement.ports import CommittedTick
from simulators.small_house import ORIGIN, SmallHouse

Bend = Callable[[bytes], bytes]


def another_root(payload: bytes) -> bytes:
    """A window whose state root is nobody's."""
    return replace(read_window_entry(payload), state_root=bytes(32)).to_bytes()


def a_fen_moved(payload: bytes) -> bytes:
    """A window in which one city owes a fen more and the next one less."""
    window = read_window_entry(payload)
    (first, fen), (second, other), *rest = window.positions
    return replace(window, positions=((first, fen + 1), (second, other - 1), *rest)).to_bytes()


class OtherHistory:
    """What some cities are shown from now on: every entry so much later, and every window bent, if it is to be."""

    def __init__(self, house: SmallHouse, key: SigningKey, bend: Bend | None = None, *, late_us: int) -> None:
        self.key, self.bend, self.late_us = key, bend, late_us
        self.head = house.sequencer.head.head
        self.begin = self.head.size
        self.state = house.clearing.state
        self.windows = [control.payload for control in house.sequencer.staging.control]
        self.told: list[tuple[int, FeedTick]] = []

    def follow(self, ticks: Sequence[FeedTick], now_us: int) -> None:
        """Tell in the other history what has just been appended to the true one."""
        for tick in ticks:
            given = [entry for entry in tick.entries if read_entry(entry.data).kind is not EntryKind.WINDOW]
            self._append(given, read_entry(tick.entries[0].data).recorded_us + self.late_us)
        if not ticks:
            self._append([], now_us + self.late_us)

    def ticks_after(self, size: int) -> list[FeedTick]:
        """What was told after that size."""
        return [tick for before, tick in self.told if before >= size]

    def _append(self, given: Sequence[FeedEntry], recorded_us: int) -> None:
        read = [read_entry(entry.data) for entry in given]
        windows, self.windows = self.windows, []
        payloads = [(entry.kind, entry.payload) for entry in read] + [(EntryKind.WINDOW, window) for window in windows]
        before, verified = self.head.size, []
        if payloads:
            self.head, entries, _leaves = ledger.append(self.head, recorded_us, payloads)
            beside = [*given, *(FeedEntry(b"") for _window in windows)]
            told = tuple(replace(entry, data=data) for entry, data in zip(beside, entries, strict=True))
            note = Checkpoint(ORIGIN, self.head.size, self.head.root()).sign(self.key)
            self.told.append((before, FeedTick(note, told)))
            verified = [VerifiedEntry(read_entry(entry.data), body=entry.beside) for entry in told]
        folded = fold(self.state, CommittedTick(recorded_us, before, verified, self.head.last_leaf))
        if folded is not None:
            self.state = folded.state
            closed = [item.window.to_bytes() for item in folded.closed]
            self.windows += [self.bend(window) if self.bend else window for window in closed]
