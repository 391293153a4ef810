"""The exponential function with the same last bit on every machine: IEEE additions, multiplications and exact scaling alone.

A system's own `exp` may differ from another's in its last bit, and a table of ratios is named by the hash of its bytes. Here
`x = k ln 2 + r`, a Taylor sum of fixed order gives `exp(r)`, and `2^k` is written straight into the exponent's bits.
"""

from math import factorial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

TERMS = 15
"""The next term of the sum would be below 2^-54 of the first wherever |r| is at most half of ln 2."""
LEAST = -700.0
"""Below this the result is called zero: no share of eight decimals sees 1e-304."""
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
"""ln 2 with its lower bits zero, so that its product with a small whole number is exact."""
_LN2_LOW = 1.90821492927058770002e-10
_COEFFICIENTS = tuple(1 / factorial(power) for power in range(TERMS))


def exp_of(exponent: Floats) -> Floats:
    """Raise e to exponents that are not above zero."""
    doublings = np.rint(np.maximum(exponent, LEAST) * _LOG2_E)
    rest = (np.maximum(exponent, LEAST) - doublings * _LN2_HIGH) - doublings * _LN2_LOW
    summed = np.full(rest.shape, _COEFFICIENTS[-1])
    for coefficient in reversed(_COEFFICIENTS[:-1]):
        summed = summed * rest + coefficient
    scale = ((doublings.astype(np.int64) + 1023) << 52).view(np.float64)
    return np.where(exponent < LEAST, 0.0, summed * scale)
