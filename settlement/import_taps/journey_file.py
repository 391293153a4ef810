"""Cleared journeys as lines of CSV: who, from where to where, what it costs here and in the log, and who earned it."""

import csv
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from settlement.core.clearing import Cleared
from settlement.core.columns import Fens, column
from settlement.import_taps.report import Names, moment

COLUMNS = (
    *("journey_id", "medium", "host", "issuer", "entered_at", "exited_at", "from_id", "to_id", "distance_m"),
    *("fare_fen", "payable_fen", "log_amount_fen", "legs", "joined_with", "shares"),
)


class JourneyFile:
    """Writes one line a journey; times are UTC, `shares` are operator:fen, one behind the other.

    `joined_with` is the journey on the other side of a border: the one cleared later names the other.
    """

    def __init__(self, file: TextIO, names: Names) -> None:
        """Begin with the names of the columns."""
        self._writer = csv.writer(file, lineterminator="\n")
        self._names = names
        self._writer.writerow(COLUMNS)

    def write(self, cleared: Cleared, theirs: Fens) -> None:
        """Write a tick's journeys; `theirs` is what the log says of each, -1 where it says nothing."""
        self._writer.writerows(self._rows(cleared, theirs))

    def _rows(self, cleared: Cleared, theirs: Fens) -> Iterator[tuple[object, ...]]:
        rows, names = cleared.journeys, self._names
        payable = rows["nominal_fen"].astype(np.int64) + rows["surcharge_fen"] - rows["discount_fen"]
        shares = self._shares(cleared)
        fields = ("host", "issuer", "entered_at_us", "exited_at_us", "from_station", "to_station", "distance_m", "fare_fen", "legs")
        columns = (rows[name].tolist() for name in fields)
        media, ids = column(rows, "medium").tobytes(), column(rows, "journey_id").tobytes()
        joined = _joined(cleared)
        for at, (host, issuer, entered, exited, start, end, metres, fare, legs) in enumerate(zip(*columns, strict=True)):
            here = slice(16 * at, 16 * at + 16)
            yield (
                ids[here].hex(), media[here].hex(), names.member(host), names.member(issuer), moment(entered), moment(exited),
                names.station(host, start), names.station(host, end), metres, fare, int(payable[at]),
                int(theirs[at]) if theirs[at] >= 0 else "", legs, joined.get(ids[here], b"").hex(), ";".join(shares[at]),
            )  # fmt: skip

    def _shares(self, cleared: Cleared) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in range(len(cleared.journeys))]
        columns = (cleared.shares[name].tolist() for name in ("journey", "beneficiary", "amount_fen"))
        for journey, beneficiary, fen in zip(*columns, strict=True):
            if fen:
                found[journey].append(f"{self._names.beneficiaries.get(beneficiary, beneficiary)}:{fen}")
        return found


def _joined(cleared: Cleared) -> dict[bytes, bytes]:
    """For each journey of a tick's joins, the other."""
    pairs = [(first, second) for first, second in cleared.joins.tolist()]
    return {one: other for first, second in pairs for one, other in ((first, second), (second, first))}
