"""Which taps have been taken, by their gates' own counters: a tap that comes again is told from a new one, whenever it comes.

A gate counts its taps without a gap (`gate_seq`), so host, gate and number are a tap's identity. Numbers taken are kept as runs: a
gate whose file is complete has one, whatever the day held, and one more for each gap.
"""

from dataclasses import dataclass

import numpy as np

from fare_chain.tap import TAP_BYTES
from settlement.core.columns import COUNTED_DTYPE, Keys, Mask, Records, Rows, Taps, column, join, pick, raw, words

_GATE = 7
"""The word of a tap that holds gate_seq and gate: as one number, the gate's taps in their order."""
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True, eq=False)
class TakenNumbers:
    """The numbers taken of one host's gates (gate * 2^32 + gate_seq) as runs, ascending, none of which touches the next."""

    first: Keys
    last: Keys

    def overlap(self, first: Keys, last: Keys) -> Mask:
        """Which of these runs hold a number that is taken."""
        at = np.searchsorted(self.last, first)
        inside = at < len(self.first)
        found = np.zeros(len(first), np.bool_)
        found[inside] = self.first[at[inside]] <= last[inside]
        return found

    def including(self, first: Keys, last: Keys) -> "TakenNumbers":
        """With further runs, ascending, none of which is taken or touches another of them."""
        before = np.searchsorted(self.first, first).astype(np.int64) - 1
        goes_on = before >= 0
        goes_on[goes_on] = self.last[before[goes_on]] + _ONE == first[goes_on]
        apart = np.append(self.first, 0)[before + 1] != last + _ONE
        if goes_on.all() and apart.all():
            # The everyday case: every gate counts on.
            ends = self.last.copy()
            ends[before] = last
            return TakenNumbers(self.first, ends)
        return _as_runs(np.concatenate([self.first, first]), np.concatenate([self.last, last]))


_NONE_TAKEN = TakenNumbers(np.zeros(0, np.uint64), np.zeros(0, np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class CountedTaps:
    """The numbers taken of every host, by its number."""

    hosts: tuple[tuple[int, TakenNumbers], ...] = ()

    def take(self, taps: Taps) -> tuple["CountedTaps", Mask]:
        """Take these taps' numbers; and which of the taps have one that was taken before, or that another of them has.

        Of several with one number the first by its bytes counts, in whatever order they came.
        """
        hosts = column(taps, "host")
        repeated = np.zeros(len(taps), np.bool_)
        known = dict(self.hosts)
        for host in np.unique(hosts).tolist():
            rows = np.flatnonzero(hosts == host)
            numbers = words(taps)[rows, _GATE]
            taken = known.get(host, _NONE_TAKEN)
            first, last, once = _runs(np.sort(numbers))
            if not once or taken.overlap(first, last).any():
                again = _again(numbers, pick(taps, rows), taken)
                repeated[rows[again]] = True
                first, last, _ = _runs(np.sort(numbers[~again]))
            known[host] = taken.including(first, last)
        return CountedTaps(tuple(sorted(known.items(), key=lambda item: item[0]))), repeated

    def to_rows(self) -> Records:
        """The runs as records (COUNTED_DTYPE), by host and number."""
        parts = []
        for host, taken in self.hosts:
            rows = np.zeros(len(taken.first), COUNTED_DTYPE)
            rows["host"], rows["first"], rows["last"] = host, taken.first, taken.last
            parts.append(rows)
        return join(parts, COUNTED_DTYPE)

    @classmethod
    def from_rows(cls, rows: Records) -> "CountedTaps":
        """Read what `to_rows` writes; other rows come out otherwise when they are written again."""
        hosts = []
        for host in np.unique(rows["host"]).tolist():
            own = pick(rows, rows["host"] == host)
            hosts.append((host, _as_runs(column(own, "first"), column(own, "last"))))
        return cls(tuple(hosts))


def _again(numbers: Keys, taps: Taps, taken: TakenNumbers) -> Mask:
    """Which taps have a number that is taken, or that one before them by bytes has."""
    again = taken.overlap(numbers, numbers)
    by_bytes: Rows = np.argsort(np.ascontiguousarray(raw(taps)).view(f"S{TAP_BYTES}").reshape(-1), kind="stable")
    rank = by_bytes[np.argsort(numbers[by_bytes], kind="stable")]
    ranked = numbers[rank]
    again[rank[1:][ranked[1:] == ranked[:-1]]] = True
    return again


def _runs(ascending: Keys) -> tuple[Keys, Keys, bool]:
    """Numbers as runs without a gap, and whether each stands there once."""
    step = np.diff(ascending)
    breaks = np.flatnonzero(step > _ONE)
    first = np.concatenate([ascending[:1], ascending[breaks + 1]])
    last = np.concatenate([ascending[breaks], ascending[-1:]])
    return first, last, bool((step > 0).all())


def _as_runs(first: Keys, last: Keys) -> TakenNumbers:
    """Runs in any order, none overlapping, as runs that do not touch."""
    rank = np.argsort(first)
    first, last = first[rank], last[rank]
    begins = np.ones(len(first), np.bool_)
    begins[1:] = last[:-1] + _ONE != first[1:]
    ends = np.append(begins[1:], np.ones(len(first[:1]), np.bool_))
    return TakenNumbers(first[begins], last[ends])
