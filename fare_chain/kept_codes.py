"""Which rider codes a ledger lets go: by its RETENTION entries below an entry, by its ERASURE entries tap for tap, and no other.

Codes are evidence beside the log that no hash covers but each tap's digest, so a missing one breaks nothing by itself. What may be
missing is said by the ledger: whoever reads it to its end knows, whichever entry came first.
"""

from collections.abc import Sequence
from typing import Any

from fare_chain.errors import Malformed, Untrusted
from fare_chain.governance import ErasureEntry, RetentionEntry
from fare_chain.ledger import Entry

DAY_US = 86_400_000_000
"""Retention counts days of UTC: no city's own."""


def day_of(recorded_us: int) -> int:
    """The UTC day of a moment, counted from 1970."""
    return recorded_us // DAY_US


class KeptCodes:
    """What a walk over the entries has learned of codes: the rule, who is erased, what is missing."""

    def __init__(self, *, sees_all: bool = False) -> None:
        """Before the first entry. A reader who `sees_all` codes has none withheld: each that is missing must be answered for."""
        self.sees_all = sees_all
        self.codes_days: int | None = None
        """For how many days codes are kept; None before the first RETENTION entry, which lets nothing go."""
        self.codes_from = 0
        """Codes of batches below this entry may be gone."""
        self.erased: dict[int, tuple[int, ...]] = {}
        """Taps whose codes are gone for good, by BATCH entry, none below `codes_from`."""
        self.erased_taps = 0
        self.last_gone = -1
        """The last BATCH entry that has no codes at all; -1 where each has."""
        self._bare: dict[int, tuple[int, ...]] = {}
        self._days: list[list[int]] = []
        """[day, first entry recorded on it], for each day whose codes may still be kept."""

    def see(self, entry: Entry) -> None:
        """Remember on which day the entries were recorded."""
        day = day_of(entry.recorded_us)
        if not self._days or self._days[-1][0] != day:
            self._days.append([day, entry.index])

    def find(self, index: int, missing: Sequence[int], *, file: bool = True) -> None:
        """A BATCH entry's codes were looked for: without a `file` all are gone, else those of the taps `missing` have 0 bytes."""
        if not file:
            self.last_gone = index
        elif missing and self.sees_all:
            self._bare[index] = tuple(missing)

    def let_go(self, entry: Entry, told: RetentionEntry) -> None:
        """Take a RETENTION entry; Untrusted where it breaks its own rule, or takes back what may be gone already."""
        if told.codes_from > entry.index:
            raise Untrusted(f"it lets the codes of entry {told.codes_from - 1} go, which is not on the ledger yet")
        if told.codes_from < self.codes_from:
            raise Untrusted(
                f"it keeps codes from entry {told.codes_from} on, but those below {self.codes_from} may be gone already"
            )
        youngest = self._first_on_or_after(day_of(entry.recorded_us) - told.codes_days)
        if told.codes_from > max(youngest, self.codes_from):
            raise Untrusted(
                f"it lets codes go from entry {youngest} on, which is younger than the {told.codes_days} days that it says it keeps"
            )
        self.codes_days, self.codes_from = told.codes_days, told.codes_from
        self._bare = {index: taps for index, taps in self._bare.items() if index >= told.codes_from}
        self.erased = {index: taps for index, taps in self.erased.items() if index >= told.codes_from}
        # The day in which the last codes were let go stays known: a longer rule must not reach beyond them.
        passed = sum(first <= told.codes_from for _day, first in self._days)
        del self._days[: max(passed - 1, 0)]

    def erase(self, told: ErasureEntry) -> None:
        """Take an ERASURE entry: every level drops the scanned codes of its taps."""
        known = self.erased.get(told.index, ())
        taps = tuple(sorted({*known, *told.taps}))
        self.erased_taps += len(taps) - len(known)
        if told.index >= self.codes_from:
            self.erased[told.index] = taps

    def broken(self) -> tuple[int, str] | None:
        """(entry, what is wrong) of codes that are missing though the ledger, as read, keeps them; None where there are none.

        Before the first RETENTION entry only a reader who sees all codes asks: the ledger has not said yet what it keeps.
        """
        rule = (
            "no RETENTION entry lets it go" if self.codes_days is None else f"retention keeps them from entry {self.codes_from} on"
        )
        remedy = "if that was let go just now, read a newer checkpoint; else who serves the log has lost it"
        if self.last_gone >= self.codes_from and (self.codes_days is not None or self.sees_all):
            return self.last_gone, f"its rider codes are gone, but {rule}: {remedy}"
        for index, taps in self._bare.items():
            left = sorted({*taps} - {*self.erased.get(index, ())})
            if left:
                return index, f"the rider code of tap {left[0]} is gone, no ERASURE entry names it, and {rule}: {remedy}"
        return None

    def to_json(self) -> dict[str, Any]:
        """What is known, to be written down."""
        return {
            "sees_all": self.sees_all,
            "codes_days": self.codes_days,
            "codes_from": self.codes_from,
            "erased": [[index, *taps] for index, taps in sorted(self.erased.items())],
            "erased_taps": self.erased_taps,
            "last_gone": self.last_gone,
            "bare": [[index, *taps] for index, taps in sorted(self._bare.items())],
            "days": self._days,
        }

    def resume(self, told: dict[str, Any]) -> None:
        """Go on from what was written down; Malformed where a reader who sees all codes goes on from one who did not."""
        if self.sees_all and not told["sees_all"]:
            raise Malformed("the walk that was written down did not look for every code: verify from the first entry")
        self.codes_days, self.codes_from, self.erased_taps = told["codes_days"], told["codes_from"], told["erased_taps"]
        self.erased = {index: tuple(taps) for index, *taps in told["erased"]}
        self.last_gone, self._days = told["last_gone"], told["days"]
        self._bare = {index: tuple(taps) for index, *taps in told["bare"]}

    def _first_on_or_after(self, day: int) -> int:
        """The first entry recorded on that day or later, as far back as days are remembered; the last seen is on one."""
        return next(first for known, first in self._days if known >= day)
