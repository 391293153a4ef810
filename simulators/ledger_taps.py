"""The taps that stand on a verified ledger, as columns: whose they are, and whether each stands there once."""

import struct
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fare_chain.hashing import HASH_BYTES
from fare_chain.ledger_walk import LogSource, VerifiedEntry
from settlement.core.columns import TAP_DTYPE

Taps = NDArray[np.void]
_SUMS = struct.Struct("<QQqq")


class LedgerTaps:
    """An audit's follower that keeps the taps of every batch, and what the windows say of them."""

    def __init__(self) -> None:
        """Begin before the first entry."""
        self._bodies: list[bytes] = []
        self._sums = dict.fromkeys(("taps", "journeys", "gross_fen", "net_fen"), 0)

    def follow(self, verified: VerifiedEntry) -> None:
        """Take the next entry of the ledger."""
        if verified.body:
            self._bodies.append(verified.body)
        if verified.window is not None:
            for name in self._sums:
                self._sums[name] += getattr(verified.window, name)

    def settle(self) -> None:
        """Nothing waits."""

    def to_bytes(self) -> bytes:
        """Write down the sums and the taps."""
        return _SUMS.pack(*self._sums.values()) + b"".join(self._bodies)

    def resume(self, data: bytes, _source: LogSource) -> None:
        """Go on from what was written down."""
        self._sums = dict(zip(self._sums, _SUMS.unpack_from(data), strict=True))
        self._bodies = [data[_SUMS.size :]]

    def finish(self) -> dict[str, object]:
        """Say what the windows add up to: once the house has come to rest, every tap is in one."""
        taps, journeys, gross_fen, net_fen = self._sums.values()
        return {"taps_in_windows": taps, "journeys_in_windows": journeys, "gross_fen": gross_fen, "net_fen": net_fen}

    def taps(self) -> Taps:
        """All taps in the ledger's order."""
        return np.frombuffer(b"".join(self._bodies), TAP_DTYPE)


def of_this_run(taps: Taps, since_us: int) -> Taps:
    """The taps that gates took since a moment; a run on old data finds those of earlier runs before them."""
    return taps[taps["tapped_at_us"] >= since_us]


def digests(taps: Taps) -> Counter[bytes]:
    """How often each rider code's digest stands on the ledger: once, where nothing was doubled."""
    run = np.ascontiguousarray(taps["code_digest"]).tobytes()
    return Counter(run[at : at + HASH_BYTES] for at in range(0, len(run), HASH_BYTES))


def city_pairs(taps: Taps) -> set[tuple[int, int]]:
    """The (issuer, host) pairs with a tap, of one city and of two."""
    pairs = np.unique(np.stack([taps["issuer"], taps["host"]]), axis=1)
    return {(int(issuer), int(host)) for issuer, host in pairs.T}


def taps_by_host(taps: Taps) -> Counter[int]:
    """How many taps each host has."""
    hosts, counts = np.unique(taps["host"], return_counts=True)
    return Counter(dict(zip(hosts.tolist(), counts.tolist(), strict=True)))


def broken_gate_runs(taps: Taps) -> list[str]:
    """What breaks the rule that each gate counts its taps 1, 2, 3 ...: numbers that stand twice, and numbers that are missing."""
    gate = taps["host"].astype(np.uint64) << np.uint64(32) | taps["gate"]
    order = np.lexsort((taps["gate_seq"], gate))
    gate, seq = gate[order], taps["gate_seq"][order].astype(np.int64)
    first = np.diff(gate, prepend=gate[:1] + np.uint64(1)) != 0
    step = np.where(first, seq, np.diff(seq, prepend=0))
    return [_broken(int(gate[at]), int(seq[at]), int(step[at])) for at in np.flatnonzero(step != 1).tolist()]


def _broken(gate: int, seq: int, step: int) -> str:
    where = f"gate {gate & 0xFFFFFFFF} of city {gate >> 32}"
    return f"{where}: tap {seq} stands twice" if step == 0 else f"{where}: {step - 1} taps before tap {seq} are missing"


def first_few(sentences: Iterable[str], most: int = 3) -> str:
    """Join a few sentences and say how many more there are."""
    all_of_them = list(sentences)
    more = f"; and {len(all_of_them) - most} more" if len(all_of_them) > most else ""
    return "; ".join(all_of_them[:most]) + more
