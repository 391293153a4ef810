"""The journeys of a tick: their ids, their order, and their records once fare, commission and fee are known."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fare_chain.tap import TAP_BYTES
from settlement.core.columns import JOURNEY_DTYPE, JOURNEY_VERSION, Columns, Fens, Int64, Keys, MoneyState, Records, Taps, pick, raw
from settlement.core.pairing import Legs

_TAG = b"fare-chain/journey/v1\n"


@dataclass(frozen=True)
class Rides(Columns):
    """Legs with the id of the journey that each one is, in the order of these ids as bytes."""

    journey_id: npt.NDArray[np.void]
    entries: Taps
    exits: Taps


def identify(legs: Legs) -> Rides:
    """Give each leg its journey's id and order all by id: one order, however the taps came and wherever they were cleared."""
    ids = journey_ids(legs.entries)
    rank = np.argsort(ids.view(">u8")[::2].astype("<u8"))
    if (np.diff(ids[rank].view(">u8")[::2].astype("<u8")) == 0).any():
        rank = np.argsort(ids.view("S16"), kind="stable")
    return Rides(ids.take(rank), pick(legs.entries, rank), pick(legs.exits, rank))


def journey_ids(entries: Taps) -> npt.NDArray[np.void]:
    """The first 16 bytes of tagged_hash("journey") over each entry tap's 80 bytes; V16."""
    sha256 = hashlib.sha256
    tagged = np.empty((len(entries), len(_TAG) + TAP_BYTES), np.uint8)
    tagged[:, : len(_TAG)] = np.frombuffer(_TAG, np.uint8)
    tagged[:, len(_TAG) :] = raw(entries)
    run, width = tagged.tobytes(), len(_TAG) + TAP_BYTES
    digests = b"".join([sha256(run[at : at + width]).digest() for at in range(0, len(run), width)])
    return np.frombuffer(digests, "V16")[::2].copy()


def id_numbers(journey_id: npt.NDArray[np.void]) -> Keys:
    """The first 8 bytes of each id as a little-endian number: what draws turn."""
    return journey_id.view("<u8")[::2]


def record(rides: Rides, *, fare_fen: Fens, distance_m: Int64, tariff: Int64, commission_fen: Fens, fee_fen: Fens) -> Records:
    """Write the journeys' records (JOURNEY_DTYPE), in the order of the rides."""
    rows = np.zeros(len(rides), JOURNEY_DTYPE)
    rows["journey_id"] = rides.journey_id
    for name in ("medium", "host", "issuer", "category"):
        rows[name] = rides.entries[name]
    rows["entered_at_us"], rows["exited_at_us"] = rides.entries["tapped_at_us"], rides.exits["tapped_at_us"]
    rows["from_station"], rows["to_station"] = rides.entries["station"], rides.exits["station"]
    rows["version"], rows["state"] = JOURNEY_VERSION, MoneyState.CLEARED
    rows["fare_fen"], rows["distance_m"], rows["tariff"] = fare_fen, distance_m, tariff
    rows["commission_fen"], rows["fee_fen"] = commission_fen, fee_fen
    return rows
