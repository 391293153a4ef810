"""The agreed pair table: who earns the rides of a station pair, whatever a model says. A dated file of shares that sum to one.

A pair that stands there in one direction is earned so in both; one that stands there in both, in each as it says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np

from city_adapters.fields import Fields
from city_adapters.findings import Finding, error
from city_adapters.network import Network
from city_adapters.paths import Int64s
from city_adapters.provenance import Provenance
from city_adapters.validity import Validity
from city_adapters.whole_shares import parted
from fare_chain.identifiers import StationId

SHARE_COLUMNS = ("from_id", "to_id", "operator", "share", "confidence", "as_of")
DECIMALS = 10
ONE = 10**DECIMALS
MOST_WEIGHT = 2**31 - 1
"""The weights of a table have 32 bits: shares whose parts do not fit are rounded to nine decimals that sum to one."""


@dataclass(frozen=True, slots=True)
class AgreedShare:
    """One operator's share of one pair, in parts of ONE; `line` is its line in the file."""

    line: int
    from_id: StationId
    to_id: StationId
    operator: int
    share: int
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class AgreedShares:
    """One dated version of the table."""

    file: str
    validity: Validity
    rows: tuple[AgreedShare, ...]

    def by_pair(self) -> dict[tuple[StationId, StationId], list[AgreedShare]]:
        """The rows of each pair, in the direction in which they stand."""
        pairs: dict[tuple[StationId, StationId], list[AgreedShare]] = {}
        for row in self.rows:
            pairs.setdefault((row.from_id, row.to_id), []).append(row)
        return pairs


def read_agreed_share(row: Fields) -> AgreedShare:
    """Read one row; what is wrong becomes findings of `row`."""
    return AgreedShare(
        row.line,
        StationId(row.text("from_id")),
        StationId(row.text("to_id")),
        row.whole("operator", least=1, most=255),
        row.decimal("share", places=DECIMALS),
        row.provenance(),
    )


def contradictory_shares(network: Network, operators: Iterable[int], agreed: AgreedShares) -> Iterable[Finding]:
    """Say which rows name what the city does not have, and which pairs do not sum to one."""
    known = set(operators)
    for row in agreed.rows:
        for station in (row.from_id, row.to_id):
            if station not in network.rows:
                yield error(agreed.file, f"{station} is no station of this city", "correct the id", line=row.line)
        if row.operator not in known:
            yield error(
                agreed.file, f"operators.csv has no operator {row.operator}", "add it, or correct the number", line=row.line
            )
    for (start, end), rows in agreed.by_pair().items():
        if len({row.operator for row in rows}) < len(rows):
            yield error(agreed.file, f"{start} - {end} names an operator twice", "keep one of the rows", line=rows[-1].line)
        total = sum(row.share for row in rows)
        if total != ONE:
            found = f"the shares of {start} - {end} sum to {total // ONE}.{total % ONE:0{DECIMALS}}"
            yield error(agreed.file, found, "let the shares of each pair sum to exactly 1", line=rows[0].line)


def with_agreed(weights: Int64s, agreed: AgreedShares | None, rows: Mapping[StationId, int], operators: tuple[int, ...]) -> Int64s:
    """Put the agreed shares in place of what a model says (n, n, k)."""
    if agreed is None:
        return weights
    amended = weights.copy()
    pairs = agreed.by_pair()
    for (start, end), shares in pairs.items():
        agreed_weights = np.zeros(len(operators), dtype=np.int64)
        parts = _fitting([row.share for row in shares])
        agreed_weights[[operators.index(row.operator) for row in shares]] = parts
        amended[rows[start], rows[end]] = agreed_weights
        if (end, start) not in pairs:
            amended[rows[end], rows[start]] = agreed_weights
    return amended


def _fitting(shares: list[int]) -> list[int]:
    """Reduce shares to whole parts that a table can hold."""
    common = reduce(gcd, shares)
    reduced = [share // common for share in shares]
    return reduced if sum(reduced) <= MOST_WEIGHT else list(parted(ONE // 10, shares))
