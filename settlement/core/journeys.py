"""The journeys of a tick: their ids, their order, and their records once fare, discount, commission and fee are known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fare_chain.row_hashing import hash_rows
from fare_chain.tap import TAP_BYTES, TapKind
from settlement.core.columns import (
    JOURNEY_DTYPE,
    JOURNEY_VERSION,
    Columns,
    Int64,
    Keys,
    Mask,
    MoneyState,
    Records,
    Rows,
    Taps,
    pick,
)

_TAG = b"fare-chain/journey/v1\n"


class Between(NamedTuple):
    """The taps between a journey's first and last: whose (a row of the journeys, ascending), and the taps, by time in each."""

    ride: Rows
    taps: Taps

    def renumbered(self, new_row: Rows) -> "Between":
        """The same taps after journey i became `new_row[i]`; those of a journey that became -1 are dropped."""
        if not len(self.ride):
            return self
        ride = new_row[self.ride]
        order = np.argsort(ride, kind="stable")
        order = order[ride[order] >= 0]
        return Between(ride[order], pick(self.taps, order))

    def of(self, rides: Mask) -> "Between":
        """Those of the journeys that are marked, their numbers unchanged."""
        here = np.flatnonzero(rides[self.ride])
        return Between(self.ride[here], pick(self.taps, here))

    def markers(self) -> "Between":
        """The marker taps among them."""
        here = np.flatnonzero(self.taps["kind"] == TapKind.MARKER)
        return Between(self.ride[here], pick(self.taps, here))


@dataclass(frozen=True)
class Rides(Columns):
    """Journeys with their ids, in the order of these ids as bytes: first entry tap, last exit tap, legs and markers between."""

    journey_id: npt.NDArray[np.void]
    entries: Taps
    exits: Taps
    legs: Int64
    markers: Int64


@dataclass(frozen=True)
class Ridden(Columns):
    """Journeys as pairing finds them: first entry tap, last exit tap (both TAP_DTYPE), how many legs and markers it had."""

    entries: Taps
    exits: Taps
    legs: Int64
    markers: Int64


def identify(ridden: Ridden, between: Between) -> tuple[Rides, Between]:
    """Give each journey its id and order all by id: one order, however the taps came and wherever they were cleared."""
    ids = journey_ids(ridden.entries)
    rank = np.argsort(ids.view(">u8")[::2].astype("<u8"))
    if (np.diff(ids[rank].view(">u8")[::2].astype("<u8")) == 0).any():
        rank = np.argsort(ids.view("S16"), kind="stable")
    rides = Rides(
        ids.take(rank), pick(ridden.entries, rank), pick(ridden.exits, rank), ridden.legs.take(rank), ridden.markers.take(rank)
    )
    return rides, between.renumbered(_inverse(rank, len(rank)))


def kept(between: Between, keep: Rows, count: int) -> Between:
    """The taps of the journeys that are kept, of `count` there were, renumbered."""
    return between.renumbered(_inverse(keep, count))


def journey_ids(entries: Taps) -> npt.NDArray[np.void]:
    """The first 16 bytes of tagged_hash("journey") over each entry tap's 80 bytes; V16."""
    return np.frombuffer(hash_rows(_TAG, entries.tobytes(), TAP_BYTES), "V16")[::2].copy()


def id_numbers(journey_id: npt.NDArray[np.void]) -> Keys:
    """The first 8 bytes of each id as a little-endian number: what draws turn."""
    return journey_id.view("<u8")[::2]


def record(rides: Rides, **known: npt.NDArray[np.generic] | Int64) -> Records:
    """Write the journeys' records (JOURNEY_DTYPE), in the order of the rides; `known` are the fields that no tap tells."""
    rows = np.zeros(len(rides), JOURNEY_DTYPE)
    rows["journey_id"] = rides.journey_id
    for name in ("medium", "host", "issuer", "category", "entitlement"):
        rows[name] = rides.entries[name]
    for side, taps, at_us in (("from", rides.entries, "entered_at_us"), ("to", rides.exits, "exited_at_us")):
        rows[f"{side}_station"], rows[f"{side}_gate"], rows[at_us] = taps["station"], taps["gate"], taps["tapped_at_us"]
    rows["version"], rows["state"] = JOURNEY_VERSION, MoneyState.CLEARED
    rows["legs"], rows["markers"] = rides.legs, rides.markers
    for name, values in known.items():
        rows[name] = values
    return rows


def _inverse(rank: Rows | Mask, count: int) -> Rows:
    new_row = np.full(count, -1, np.int64)
    new_row[rank] = np.arange(len(rank))
    return new_row
