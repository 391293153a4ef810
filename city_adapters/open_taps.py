"""Which taps a gate must be told of again after a restart: who is inside, and which codes were spent a moment ago.

A run is taps of 80 bytes in the order in which the gates opened; so the last of a medium says whether it is inside.
"""

import numpy as np
import numpy.typing as npt

from fare_chain.rider_code import CLOCK_SKEW_US, LIFETIME_US
from fare_chain.tap import FIELDS, GOING_IN, GOING_OUT, TAP_BYTES

SPENT_US = LIFETIME_US + CLOCK_SKEW_US
"""How long a spent code must be remembered: after that it is stale anyway."""
_TAPS = np.dtype([(name, kind) for name, kind, _ in FIELDS])
assert _TAPS.itemsize == TAP_BYTES


def open_entries(run: bytes, *, since_us: int) -> bytes:
    """The entry taps of those who are inside at the end of a run, except those who went in before `since_us`."""
    taps = np.frombuffer(run, _TAPS)
    return taps[_inside(taps, since_us)].tobytes()


def worth_retelling(run: bytes, *, since_us: int, now_us: int) -> list[bytes]:
    """The records of a run that tell a fresh gate state all that the whole run would tell it, in their order."""
    taps = np.frombuffer(run, _TAPS)
    return [record.tobytes() for record in taps[_inside(taps, since_us) | (taps["tapped_at_us"] >= now_us - SPENT_US)]]


def last_gate_seqs(run: bytes) -> dict[int, int]:
    """The highest `gate_seq` of each gate in a run."""
    taps = np.frombuffer(run, _TAPS)
    gates, places = np.unique(taps["gate"], return_inverse=True)
    highest = np.zeros(len(gates), np.int64)
    np.maximum.at(highest, places, taps["gate_seq"])
    return dict(zip(gates.tolist(), highest.tolist(), strict=True))


def _inside(taps: npt.NDArray[np.void], since_us: int) -> npt.NDArray[np.bool_]:
    """Which taps are the last of their medium that went in or out, in, and not too old."""
    sides = np.flatnonzero(np.isin(taps["kind"], [*GOING_IN, *GOING_OUT]))
    _, backwards = np.unique(taps["medium"][sides][::-1], return_index=True)
    last = np.zeros(len(taps), np.bool_)
    last[sides[len(sides) - 1 - backwards]] = True
    inside: npt.NDArray[np.bool_] = last & np.isin(taps["kind"], list(GOING_IN)) & (taps["tapped_at_us"] >= since_us)
    return inside
