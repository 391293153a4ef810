"""A house that lies with a straight face: chain, tree and signature of each log that it tells are in order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from city_adapters.tables import CityTable
from fare_chain.events import EntryKind, WindowEntry, read_window_entry
from fare_chain.ledger import Head, append, read_entry
from fare_chain.ledger_walk import VerifiedEntry
from settlement.core.clearing import clear
from settlement.core.replay import close_before, tick_of
from settlement.core.rules import PinnedTable
from settlement.core.state import State
from simulators.adversary.told_log import Told, ToldLog

SECOND_US = 1_000_000
Bend = Callable[[PinnedTable], PinnedTable]


class LyingHouse:
    """What a house with its own log key can tell instead of the truth."""

    def __init__(self, truth: ToldLog) -> None:
        self.truth = truth

    def rewrites(self, at: int) -> ToldLog:
        """An entry, recorded a microsecond later than its receipt says, with its tick; all that follows is chained anew."""
        moment = self.truth.entries[at].recorded_us
        return replace(self.truth, entries=tuple(_moved(told, moment) for told in self.truth.entries))

    def forks(self) -> ToldLog:
        """The last tick a microsecond later: another tree of the same size."""
        return self.rewrites(len(self.truth.entries) - 1)

    def drops_a_batch(self) -> tuple[int, ToldLog]:
        """The last batch is gone and some quiet seconds have passed: (where its receipt says it stands, the log told instead).

        Its windows are those of the taps that are left, so that nothing inside this log contradicts anything.
        """
        at = self.truth.places(EntryKind.BATCH)[-1]
        return at, folded(self.truth.without(at), quiet_s=12)

    def splits_wrongly(self) -> ToldLog:
        """Every share goes to the operator beside the one who earned it, and every window is what that fold gives."""
        return folded(self.truth, turn_splits, quiet_s=3)

    def moves_a_fen(self) -> ToldLog:
        """The first window with journeys takes a fen from one member and gives it to another."""

        def moved(window: WindowEntry) -> WindowEntry:
            (one, fen), (other, more), *rest = window.positions
            return replace(window, positions=((one, fen + 1), (other, more - 1), *rest))

        return self._with_busy_window(moved)

    def back_dates_a_window(self) -> ToldLog:
        """The first window with journeys says that it is of the second before."""
        return self._with_busy_window(lambda window: replace(window, second=window.second - 1))

    def back_dates_an_entry(self) -> ToldLog:
        """The last batch says that it came three seconds before the entry in front of it: in a window that was closed."""
        at = self.truth.places(EntryKind.BATCH)[-1]
        moment = self.truth.entries[at - 1].recorded_us - 3 * SECOND_US
        return self.truth.having(at, recorded_us=moment)

    def _with_busy_window(self, change: Callable[[WindowEntry], WindowEntry]) -> ToldLog:
        at = busy_window(self.truth)
        return self.truth.having(at, payload=change(read_window_entry(self.truth.entries[at].payload)).to_bytes())


def busy_window(log: ToldLog) -> int:
    """Where the first window with journeys and fares stands."""
    return next(
        at
        for at in log.places(EntryKind.WINDOW)
        for window in [read_window_entry(log.entries[at].payload)]
        if window.journeys and window.gross_fen
    )


def turn_splits(pinned: PinnedTable) -> PinnedTable:
    """A city's table whose shares are turned by one beneficiary, still under the honest table's hash."""
    table = pinned.table
    if not isinstance(table, CityTable):
        return pinned
    versions = [replace(version, weights=np.roll(version.weights, 1, axis=-1)) for version in table.versions]
    return PinnedTable(replace(table, versions=tuple(versions)), pinned.sha256)


def folded(log: ToldLog, bend: Bend = lambda pinned: pinned, *, quiet_s: int) -> ToldLog:
    """The same taps and tables as a house would have told them whose fold rests on bent tables, and `quiet_s` seconds more.

    With nothing bent it is an honest log: what stands there follows from the taps.
    """
    kept = [told for told in log.entries if told.kind is not EntryKind.WINDOW]
    ticks = [list(tick) for _moment, tick in groupby(kept, key=lambda told: told.recorded_us)]
    last_us = ticks[-1][0].recorded_us
    ticks += [[_quiet(last_us + second * SECOND_US)] for second in range(1, quiet_s + 1)]
    state, head, told = State.genesis(ticks[0][0].recorded_us // SECOND_US), Head(), []
    for tick in ticks:
        moment = tick[0].recorded_us
        state, closed = close_before(state, moment // SECOND_US, has_entries=True)
        windows = [Told(moment, EntryKind.WINDOW, item.window.to_bytes()) for item in closed]
        whole = [*windows, *(each for each in tick if each.payload)]
        head, frames, leaves = append(head, moment, [(each.kind, each.payload) for each in whole])
        read = tick_of(_verified(whole, frames), leaves[-1])
        state, _cleared = clear(state, replace(read, tables=tuple(map(bend, read.tables))))
        told += whole
    return replace(log, entries=tuple(told))


def _quiet(moment: int) -> Told:
    """A tick in which nothing comes but the windows that are over by then."""
    return Told(moment, EntryKind.WINDOW, b"")


def _verified(tick: Sequence[Told], frames: Sequence[bytes]) -> list[VerifiedEntry]:
    return [
        VerifiedEntry(
            read_entry(data),
            body=told.beside if told.kind is EntryKind.BATCH else b"",
            table=told.beside if told.kind is EntryKind.TARIFF else b"",
        )
        for told, data in zip(tick, frames, strict=True)
    ]


def _moved(told: Told, moment: int) -> Told:
    return replace(told, recorded_us=moment + 1) if told.recorded_us == moment else told
