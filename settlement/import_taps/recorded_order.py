"""A log in whatever order into the order in which its taps came in, each gate counting its own; memory holds six hours of it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from city_adapters.tap_feed import LOGGED_TAP, LoggedTaps
from settlement.core.columns import Keys, Mask, Rows, column, join, pick

BUCKET_US = 6 * 3_600 * 1_000_000
"""What is sorted at a time; a whole number of ticks."""
MOST_HELD = 128 << 20
"""Bytes of buckets in memory before all of them are written to disk."""
GateCounts = dict[tuple[int, int], int]
"""The last gate_seq of each (host, gate)."""


class Buckets:
    """Logged taps by the six hours of one of their moments, in files once they are many; given back in order of time."""

    def __init__(self, folder: Path, moment: str) -> None:
        """Sort by that column; `folder` is there and ours alone."""
        self._folder = folder
        self._moment = moment
        self._held: dict[int, list[LoggedTaps]] = {}
        self._spilled: set[int] = set()
        self._bytes = 0

    def add(self, taps: LoggedTaps) -> None:
        """Take taps in any order."""
        bucket = column(taps, self._moment) // BUCKET_US
        for number in np.unique(bucket).tolist():
            self._held.setdefault(number, []).append(pick(taps, bucket == number))
        self._bytes += taps.nbytes
        if self._bytes > MOST_HELD:
            self._spill()

    def __iter__(self) -> Iterator[LoggedTaps]:
        for number in sorted(self._spilled | self._held.keys()):
            held = self._held.pop(number, [])
            if number in self._spilled:
                held.insert(0, np.fromfile(self._path(number), LOGGED_TAP))
                self._path(number).unlink()
            yield join(held, LOGGED_TAP)

    def _spill(self) -> None:
        for number, parts in self._held.items():
            with self._path(number).open("ab") as file:
                for part in parts:
                    file.write(part.tobytes())
        self._spilled |= self._held.keys()
        self._held, self._bytes = {}, 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._moment}.{number}"


def in_recorded_order(runs: Iterable[LoggedTaps], folder: Path, counts: GateCounts, *, replayed: bool) -> Iterator[LoggedTaps]:
    """Give every tap once, counted and in order: by the moment it came in, then of its tap, then of its digest.

    Gates count by the tap's own moment: a tap that came in late keeps its number. Where nothing is `replayed` both are the same.
    Rows that are the same row twice have one number, so that clearing knows them as repeated.
    """
    tapped, recorded = Buckets(folder, "tapped_at_us"), Buckets(folder, "recorded_at_us")
    for run in runs:
        tapped.add(run)
    for bucket in tapped:
        counted = count_gates(pick(bucket, _by(bucket, "tapped_at_us")), counts)
        if replayed:
            recorded.add(counted)
        else:
            yield counted
    for bucket in recorded:
        yield pick(bucket, _by(bucket, "recorded_at_us", "tapped_at_us"))


def count_gates(ordered: LoggedTaps, counts: GateCounts) -> LoggedTaps:
    """Count the taps of each gate on from `counts`, which is brought up to date; `ordered` by time."""
    gate = column(ordered, "host").astype(np.int64) << 32 | column(ordered, "gate")
    rank = np.argsort(gate, kind="stable")
    ranked = gate[rank]
    begins: Mask = np.diff(ranked, prepend=~ranked[:1]) != 0
    goes_on = begins | ~_same_as_before(ordered, rank)
    number = np.cumsum(goes_on)
    first, place = number[begins] - 1, np.cumsum(begins) - 1
    names = [(each >> 32, each & 0xFFFFFFFF) for each in ranked[begins].tolist()]
    number += (np.array([counts.get(name, 0) for name in names], np.int64) - first)[place]
    last = np.append(np.flatnonzero(begins)[1:], len(ranked)) - 1
    counts.update(zip(names, number[last].tolist(), strict=True))
    counted = ordered.copy()
    gate_seq = np.empty(len(ordered), np.int64)
    gate_seq[rank] = number
    counted["gate_seq"] = gate_seq
    return counted


def _same_as_before(taps: LoggedTaps, rank: Rows) -> Mask:
    """Mark the rows of `rank` that are the same row as the one before: of one moment and one digest."""
    at_us, digest = column(taps, "tapped_at_us")[rank], _digests(taps)[rank]
    same = np.zeros(len(rank), np.bool_)
    same[1:] = (at_us[1:] == at_us[:-1]) & (digest[1:] == digest[:-1])
    return same


def _by(taps: LoggedTaps, *moments: str) -> Rows:
    """The rows by these moments and then by digest."""
    return np.lexsort((_digests(taps), *(column(taps, moment) for moment in reversed(moments))))


def _digests(taps: LoggedTaps) -> Keys:
    """The first eight bytes of each digest: of a salted hash, they never tie by chance."""
    return np.ascontiguousarray(taps["code_digest"]).view("<u8").reshape(-1, 4)[:, 0].copy()
