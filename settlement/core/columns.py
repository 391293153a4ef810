"""What flows through clearing: fixed little-endian records as structured arrays, and the numbers that stand in them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fare_chain.tap import FIELDS, TAP_BYTES

Records = npt.NDArray[np.void]
"""A structured array: one of the dtypes below, one row a record."""
Taps = Records
"""Rows of TAP_DTYPE."""
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Fens = npt.NDArray[np.int64]
Micros = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
"""Row numbers of another array."""
Mask = npt.NDArray[np.bool_]


class ClearingReason(IntEnum):
    """Why a tap became no side of a journey. Numbers are never used twice; 0 says that nothing is wrong."""

    NONE = 0
    UNKNOWN_STATION = 1
    UNKNOWN_ISSUER = 2
    FROM_FUTURE = 3
    REPEATED = 4
    NO_FARE = 5
    KIND_NOT_CLEARED = 6
    NO_AGREEMENT = 7
    OBJECTED = 8


class AdjustmentReason(IntEnum):
    """Why a cleared journey is adjusted. Numbers are never used twice."""

    RIDER_DID_NOT_SIGN = 1


class MoneyState(IntEnum):
    """How far a journey's money has come. Numbers are never used twice."""

    RIDDEN = 1
    CLEARED = 2
    FINAL = 3
    INSTRUCTED = 4
    DISCHARGED = 5
    REVERSED = 6


class Level(IntEnum):
    """Whose books: between members, or inside a host between it and its beneficiaries."""

    MEMBERS = 1
    BENEFICIARIES = 2


class ObligationKind(IntEnum):
    """What is owed. Numbers are never used twice; 5 and 6 are kept for dispute and adjustment.

    FARE is a visitor's fare, at level 1 and again at level 2; LOCAL_FARE is known to level 2 alone. DELTA is what a correction
    makes owed: an obligation the other way, never a negative amount.
    """

    FARE = 1
    COMMISSION = 2
    FEE = 3
    DELTA = 4
    LOCAL_FARE = 7


def _record(size: int, **columns: tuple[str, int]) -> np.dtype[np.void]:
    names, formats, offsets = list(columns), [form for form, _ in columns.values()], [at for _, at in columns.values()]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


# Bytes are V, never S: numpy drops the trailing zero bytes of an S item, and one medium in 256 ends in one.
TAP_DTYPE = _record(TAP_BYTES, **{name: (form.replace("S", "V"), at) for name, form, at in FIELDS})

JOURNEY_VERSION = 1
JOURNEY_DTYPE = _record(
    128,
    journey_id=("V16", 0),
    medium=("V16", 16),
    entered_at_us=("<i8", 32),
    exited_at_us=("<i8", 40),
    from_station=("<u4", 48),
    to_station=("<u4", 52),
    host=("<u2", 56),
    issuer=("<u2", 58),
    version=("<u2", 60),
    category=("u1", 62),
    state=("u1", 63),
    fare_fen=("<i8", 64),
    distance_m=("<u4", 72),
    tariff=("<u4", 76),
    commission_fen=("<i8", 80),
    fee_fen=("<i8", 88),
    nominal_fen=("<u4", 96),
    discount_fen=("<u4", 100),
    surcharge_fen=("<u4", 104),
    from_gate=("<u4", 108),
    to_gate=("<u4", 112),
    legs=("<u4", 116),
    markers=("<u4", 120),
    entitlement=("u1", 124),
    funder=("u1", 125),
    weight_set=("u1", 126),
    reserved=("V1", 127),
)
"""One journey, from its first entry tap to its last exit tap, over `legs` legs and past `markers` marker taps.

`tariff` counts the dated versions of the host's table from 0, and `weight_set` the weights of that version by which the fare is
split; commission and fee are 0 for a local ride. `fare_fen` is what the host earned: nominal fare and surcharge, less the discount
unless the issuer funds it.
"""

JOIN_DTYPE = _record(32, first=("V16", 0), second=("V16", 16))
"""Two journeys, the second in a neighbouring city, that are one ride for the rider: their ids."""

SIDE_DTYPE = _record(
    48,
    medium=("V16", 0),
    journey_id=("V16", 16),
    at_us=("<i8", 32),
    station=("<u4", 40),
    host=("<u2", 44),
    goes_on=("u1", 46),
    reserved=("V1", 47),
)
"""One end of a cleared journey at a border station: 0 where it ended there, 1 where it began there, to go on from elsewhere.

2 more where it is joined: it stays as long as another of the same medium is not, because it stands between those."""

DUE_DTYPE = _record(16, due_us=("<i8", 0), lane=("<u8", 8))
"""A lane whose last ride may still go on after a virtual transfer: it is looked at again once `due_us` has passed."""

COUNTED_DTYPE = _record(24, host=("<u2", 0), reserved=("V6", 2), first=("<u8", 8), last=("<u8", 16))
"""A run of taps that were taken: a host's gate * 2^32 + gate_seq, from the first to the last."""

SHARE_DTYPE = _record(16, beneficiary=("<u2", 0), reserved=("<u2", 2), journey=("<u4", 4), amount_fen=("<i8", 8))
"""One beneficiary's part of a fare; `journey` is the row of its journey in the same tick, `beneficiary` host * 256 + number."""

SUM_DTYPE = _record(
    24,
    level=("u1", 0),
    kind=("u1", 1),
    debtor=("<u2", 2),
    creditor=("<u2", 4),
    reserved=("<u2", 6),
    n=("<u8", 8),
    amount_fen=("<i8", 16),
)
"""All obligations of one level and kind between two parties: members at level 1; at level 2 the host and a beneficiary."""

EXCEPTION_DTYPE = _record(
    48,
    tapped_at_us=("<i8", 0),
    medium=("V16", 8),
    gate_seq=("<u4", 24),
    gate=("<u4", 28),
    station=("<u4", 32),
    host=("<u2", 36),
    issuer=("<u2", 38),
    kind=("u1", 40),
    reason=("u1", 41),
    reserved=("V6", 42),
)
"""One tap that needs attention, with its reason; host, gate and gate_seq name the tap."""


ADJUSTMENT_DTYPE = _record(
    72,
    journey_id=("V16", 0),
    entry_index=("<u8", 16),
    second=("<i8", 24),
    fare_fen=("<i8", 32),
    commission_fen=("<i8", 40),
    fee_fen=("<i8", 48),
    host=("<u2", 56),
    issuer=("<u2", 58),
    version=("<u2", 60),
    reason=("u1", 62),
    reserved=("V9", 63),
)
"""A journey that falls: the ledger entry that brings it down, the second of its window, and what is owed back; its new version."""

CLOSED_DTYPE = _record(40, second=("<i8", 0), delta_root=("V32", 8))
"""A closed window as it is remembered for objections: its second and delta root."""

REVERSED_DTYPE = _record(24, journey_id=("V16", 0), second=("<i8", 16))
"""A journey that fell, and the second of the window that had cleared it."""

FIRST_BENEFICIARY = 256
"""A beneficiary is host * 256 + number: below stand the members."""


@dataclass(frozen=True)
class Columns:
    """Arrays of one length, one row a thing: checked when made, frozen from then on."""

    def __post_init__(self) -> None:
        for array in self._arrays():
            assert len(array) == len(self), f"{type(self).__name__}: columns of {len(array)} and {len(self)} rows"
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self._arrays()[0])

    def _arrays(self) -> list[npt.NDArray[Any]]:
        return [getattr(self, field.name) for field in fields(self)]

    def take(self, rows: Rows) -> Self:
        """The same columns, these rows only."""
        return type(self)(*(array.take(rows, axis=0) for array in self._arrays()))


def no_rows(dtype: np.dtype[np.void]) -> Records:
    """An empty array of records."""
    return np.zeros(0, dtype)


def column(records: Records, name: str) -> npt.NDArray[Any]:
    """One field as an array of its own: worth the copy where it is read more than once."""
    return np.ascontiguousarray(records[name])


def pick(records: Records, rows: Rows | Mask) -> Records:
    """These rows of the records; `take` moves whole records, where indexing would go field by field, twenty times slower."""
    return records.take(np.flatnonzero(rows) if rows.dtype == np.bool_ else rows)


def join(parts: Sequence[Records], dtype: np.dtype[np.void]) -> Records:
    """Records one behind the other, moved whole; none for no parts."""
    if not parts:
        return no_rows(dtype)
    return np.concatenate([np.ascontiguousarray(part).view(f"V{dtype.itemsize}") for part in parts]).view(dtype)


def in_byte_order(records: Records) -> Records:
    """Records by their bytes: an order that needs no rule of its own."""
    return pick(records, np.argsort(np.ascontiguousarray(records).view(f"S{records.dtype.itemsize}"), kind="stable"))


def plain(records: Records) -> list[tuple[int | bytes, ...]]:
    """Records as tuples of numbers and bytes, reserved fields left out: for texts and comparisons, not for millions."""
    names = [name for name in records.dtype.names or () if name != "reserved"]
    return list(zip(*(records[name].tolist() for name in names), strict=True))


def words(records: Records) -> Keys:
    """Contiguous records as unsigned little-endian words of 8 bytes: shape (rows, bytes / 8)."""
    flat = np.ascontiguousarray(records)
    return flat.view("<u8").reshape(len(flat), flat.dtype.itemsize >> 3)


def raw(records: Records) -> npt.NDArray[np.uint8]:
    """Contiguous records as bytes: shape (rows, bytes)."""
    flat = np.ascontiguousarray(records)
    return flat.view(np.uint8).reshape(len(flat), flat.dtype.itemsize)
