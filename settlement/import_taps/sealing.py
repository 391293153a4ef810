"""Imported taps into the cities' signed batches: minute by minute, city by city, each on the end of its city's chain."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from city_adapters.spool import CityKey, Spool
from city_adapters.tap_feed import LoggedTaps
from fare_chain.batch import MOST_TAPS, CityTail, SealedBatch, seal
from fare_chain.errors import Untrusted
from fare_chain.keys import PublicKey
from fare_chain.tap import TAP_BYTES
from settlement.core.columns import TAP_DTYPE, Taps, column, pick, raw

TICK_US = 60 * 1_000_000
"""What came in within one minute is one tick, recorded when the minute is over: nothing in it is from the future."""


class Minute(NamedTuple):
    """The taps that came in within one minute, and the moment at which it was over."""

    recorded_us: int
    taps: LoggedTaps


def minutes(ordered: Iterable[LoggedTaps]) -> Iterator[Minute]:
    """Cut taps in recorded order into the minutes that have some; no run of `ordered` ends within a minute."""
    for run in ordered:
        minute = column(run, "recorded_at_us") // TICK_US
        begins = np.flatnonzero(np.diff(minute, prepend=~minute[:1]))
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(run)], strict=True):
            yield Minute((int(minute[begin]) + 1) * TICK_US, run[begin:end])


def bare_taps(logged: LoggedTaps) -> Taps:
    """The taps alone, 80 bytes each."""
    return np.ascontiguousarray(raw(logged)[:, :TAP_BYTES]).view(TAP_DTYPE).reshape(-1)


@dataclass(slots=True)
class Signer:
    """One city's key and the end of its chain; where there is a spool, the chain is the spool's and its disk has each batch."""

    key: CityKey
    public: PublicKey
    chain: CityTail
    spool: Spool | None = None

    def seal(self, taps: Taps) -> SealedBatch:
        """Seal the city's next batch; Untrusted where its key was not valid at its last tap."""
        last_us = int(taps["tapped_at_us"].max())
        if not self.public.is_valid_at(last_us):
            raise Untrusted(
                f"city {self.key.city}'s batch key {self.key.key_id.hex()} is valid from {self.public.not_before_us} to "
                f"{self.public.not_after_us} us, but the log has a tap at {last_us}: make a key with `fare-chain keys new --from`"
            )
        if self.spool is not None:
            sealed = self.spool.put(taps.tobytes())
        else:
            sealed = seal(taps.tobytes(), [], city=self.key.city, tail=self.chain, key=self.key.key, key_id=self.key.key_id)
        self.chain = self.chain.after(sealed.header)
        return sealed


def seal_minute(minute: Minute, signer_of: Callable[[int], Signer]) -> list[SealedBatch]:
    """Seal a minute's taps: by city number, in recorded order, as few batches as hold them.

    The batches carry no rider codes: the gates of a log scanned none that we could show. That is a batch whose codes were dropped
    after their retention, which every reader accepts.
    """
    taps = bare_taps(minute.taps)
    hosts = column(taps, "host")
    sealed = []
    for city in np.unique(hosts).tolist():
        rows = np.flatnonzero(hosts == city)
        sealed += [signer_of(city).seal(pick(taps, part)) for part in np.split(rows, range(MOST_TAPS, len(rows), MOST_TAPS))]
    return sealed
