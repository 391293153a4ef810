"""Shares as whole numbers that sum exactly to one hundred million: eight decimals, the remainders given by size.

What the floors leave over goes to the largest remainders, among equal ones to who stands first.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from city_adapters.paths import Int64s

Floats: TypeAlias = NDArray[np.float64]

WHOLE = 100_000_000
"""One, in the parts of a table."""


def whole_shares(values: Floats) -> Int64s:
    """Turn values (..., k), none negative, into parts of WHOLE by their ratio; all zeros stay zeros."""
    total = np.zeros(values.shape[:-1])
    for place in range(values.shape[-1]):  # in one order everywhere: a sum of floats depends on it
        total = total + values[..., place]
    exact = values * float(WHOLE) / np.where(total > 0, total, 1.0)[..., None]
    floors = np.floor(exact)
    return _rounded(floors.astype(np.int64), exact - floors, np.where(total > 0, WHOLE, 0))


def whole_parts(scaled: Int64s, denominators: Int64s) -> Int64s:
    """Divide whole numbers (..., k), which sum to WHOLE times their denominator (...,), exactly; all zeros stay zeros."""
    floors, rest = np.divmod(scaled, np.maximum(denominators, 1)[..., None])
    return _rounded(floors, rest, np.where(denominators > 0, WHOLE, 0))


def parted(amount: int, parts: Sequence[int]) -> tuple[int, ...]:
    """Cut a whole amount by whole parts: floors, and the rest by the size of the remainders."""
    total = sum(parts)
    floors = [amount * part // total for part in parts]
    by_rest = sorted(range(len(parts)), key=lambda at: -(amount * parts[at] % total))
    for at in by_rest[: amount - sum(floors)]:
        floors[at] += 1
    return tuple(floors)


def _rounded(floors: Int64s, rest: NDArray[np.float64] | Int64s, whole: Int64s) -> Int64s:
    """Add one to as many of the largest remainders as the floors lack."""
    lacking = whole - floors.sum(axis=-1)
    rank = np.argsort(np.argsort(-rest, axis=-1, kind="stable"), axis=-1, kind="stable")
    shares: Int64s = floors + (rank < lacking[..., None])
    return shares
