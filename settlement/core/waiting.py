"""The taps that wait for their other side, kept so that a tick pays for the taps it touches and not for those that wait.

Sorted runs, the oldest and largest first. A tick takes out all waiting taps of the media it touches (marked in a bitmap, not
moved) and puts back what still waits as a new small run; runs of like size are merged. A lane (one medium in one host) is
therefore in one run at most, so merging needs no more than the lane keys.
"""

from dataclasses import dataclass

import numpy as np

from settlement.core.columns import TAP_DTYPE, Keys, Mask, Rows, Taps, join, pick
from settlement.core.tap_order import lane_keys, order

_GROWTH = 8
"""A run stays apart while it is this many times larger than the next: few runs to search, few merges to pay."""


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Taps in total order, their lane keys, which of them still wait, and how many do."""

    taps: Taps
    keys: Keys
    waits: Mask
    count: int

    @classmethod
    def of(cls, taps: Taps, keys: Keys) -> "_Run":
        return cls(taps, keys, np.ones(len(taps), np.bool_), len(taps))

    def rows_of(self, keys: Keys) -> Rows:
        """The rows that wait in these lanes; `keys` ascending, each once."""
        first = np.searchsorted(self.keys, keys, "left")
        inside = first < len(self.keys)
        hit = np.zeros(len(keys), np.bool_)
        hit[inside] = self.keys[first[inside]] == keys[inside]
        first = first[hit]
        if not len(first):
            return first
        length = np.searchsorted(self.keys, keys[hit], "right") - first
        ends = np.cumsum(length)
        rows = np.arange(ends[-1]) + np.repeat(first - ends + length, length)
        still: Rows = rows[self.waits[rows]]
        return still

    def without(self, rows: Rows) -> "_Run":
        waits = self.waits.copy()
        waits[rows] = False
        return _Run(self.taps, self.keys, waits, self.count - len(rows))

    def packed(self) -> "_Run":
        return self if self.count == len(self.taps) else _Run.of(pick(self.taps, self.waits), self.keys[self.waits])


@dataclass(frozen=True, slots=True, eq=False)
class WaitingTaps:
    """A set of waiting taps as a value: taking and putting give a new one. Two of them are equal where they hold the same taps."""

    _runs: tuple[_Run, ...] = ()

    def __len__(self) -> int:
        return sum(run.count for run in self._runs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WaitingTaps) and self.all().tobytes() == other.all().tobytes()

    __hash__ = None  # type: ignore[assignment]

    def all(self) -> Taps:
        """Every waiting tap, in total order."""
        if not self._runs:
            return join([], TAP_DTYPE)
        return _merged(self._runs).taps

    def take(self, keys: Keys) -> tuple["WaitingTaps", Taps]:
        """Take out the taps of these lanes (keys ascending, each once); the rest, and what was taken, in no order."""
        runs, taken = [], []
        for run in self._runs:
            rows = run.rows_of(keys)
            runs.append(run.without(rows) if len(rows) else run)
            taken.append(pick(run.taps, rows))
        return WaitingTaps(tuple(runs)), join(taken, TAP_DTYPE)

    def put(self, ordered: Taps) -> "WaitingTaps":
        """Put in taps in total order, of lanes that do not wait here yet."""
        runs = [run if 2 * run.count > len(run.taps) else run.packed() for run in self._runs]
        runs.append(_Run.of(ordered, lane_keys(ordered)))
        while len(runs) > 1 and len(runs[-2].taps) < _GROWTH * len(runs[-1].taps):
            runs[-2:] = [_merged(tuple(runs[-2:]))]
        return WaitingTaps(tuple(run for run in runs if run.count))


def put_all(taps: Taps) -> WaitingTaps:
    """Let taps wait that stand in no order."""
    return WaitingTaps().put(pick(taps, order(taps, lane_keys(taps))))


def _merged(runs: tuple[_Run, ...]) -> _Run:
    """One run of what waits in these; a lane is in one of them only, so a stable sort by key keeps its order."""
    packed = [run.packed() for run in runs]
    taps, keys = join([run.taps for run in packed], TAP_DTYPE), np.concatenate([run.keys for run in packed])
    rank = np.argsort(keys, kind="stable")
    return _Run.of(pick(taps, rank), keys[rank])
