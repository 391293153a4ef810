"""One reading at a gate as one record of 80 bytes, little-endian, no padding.

     0 tapped_at_us i64   8 medium 16 B   24 code_digest 32 B   56 gate_seq u32   60 gate u32   64 station u32
    68 host u16   70 issuer u16   72 kind u8   73 mode u8   74 category u8   75 flags u8
    76 entitlement u8   77 reserved 3 B = 0

A run of taps is the records one behind the other. Checks over a run work on strided slices of the bytes: a column at a time,
never a tap at a time.
"""

import struct
import sys
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag

from fare_chain.errors import Malformed

TAP_BYTES = 80
TAP_FORMAT = 1

FIELDS: tuple[tuple[str, str, int], ...] = (
    ("tapped_at_us", "<i8", 0),
    ("medium", "V16", 8),
    ("code_digest", "V32", 24),
    ("gate_seq", "<u4", 56),
    ("gate", "<u4", 60),
    ("station", "<u4", 64),
    ("host", "<u2", 68),
    ("issuer", "<u2", 70),
    ("kind", "u1", 72),
    ("mode", "u1", 73),
    ("category", "u1", 74),
    ("flags", "u1", 75),
    ("entitlement", "u1", 76),
    ("reserved", "V3", 77),
)
"""Name, numpy type and offset of each field: the one table from which every reader of taps is built."""

_RECORD = struct.Struct("<q16s32sIIIHHBBBBB3x")
assert _RECORD.size == TAP_BYTES


class TapKind(IntEnum):
    """What the reading was. Numbers are never used twice."""

    ENTRY = 1
    EXIT = 2
    TRANSFER_ENTRY = 3
    TRANSFER_EXIT = 4
    MARKER = 5
    REFUSED = 6


GOING_IN = frozenset({TapKind.ENTRY, TapKind.TRANSFER_ENTRY})
"""Kinds after which the medium is inside the host."""
GOING_OUT = frozenset({TapKind.EXIT, TapKind.TRANSFER_EXIT})
"""Kinds after which it is not."""


class StationMode(IntEnum):
    """How the station worked at that moment. Numbers are never used twice."""

    NORMAL = 1


class Category(IntEnum):
    """What the issuer attests of the rider. Numbers are never used twice."""

    ADULT = 0
    STUDENT = 1
    SENIOR = 2


def category_named(name: str) -> Category:
    """Find a category by its name in any case; Malformed lists the names."""
    known = {category.name.lower(): category for category in Category}
    if name.strip().lower() not in known:
        raise Malformed(f"{name!r} is no category: give one of {', '.join(known)}")
    return known[name.strip().lower()]


class TapFlag(IntFlag):
    """What a later reader should know of the decision."""

    OLD_DENY_LIST = 1
    """The gate's deny list was older than its warning age."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One reading; units and meaning as in the module's table. `station` and `gate` are numbers of the host."""

    tapped_at_us: int
    medium: bytes
    code_digest: bytes
    gate_seq: int
    gate: int
    station: int
    host: int
    issuer: int
    kind: TapKind
    mode: StationMode = StationMode.NORMAL
    category: int = Category.ADULT
    flags: int = 0
    entitlement: int = 0
    """The step of the issuer's month that its credential attests; 0 where it attests none."""

    def to_bytes(self) -> bytes:
        """Write the record; Malformed where a number does not fit its field."""
        if len(self.medium) != 16 or len(self.code_digest) != 32:
            raise Malformed(
                f"a tap's medium has 16 bytes and its code digest 32, found {len(self.medium)} and {len(self.code_digest)}"
            )
        try:
            return _RECORD.pack(*astuple(self))
        except struct.error as error:
            raise Malformed(f"a tap's field does not fit its place: {error}") from error


def read(record: bytes | memoryview) -> Tap:
    """Read one record; Malformed names the field and its offset."""
    if len(record) != TAP_BYTES:
        raise Malformed(f"a tap has {len(record)} bytes, expected {TAP_BYTES}")
    check_run(bytes(record))
    tap = Tap(*_RECORD.unpack(record))
    return Tap(
        tap.tapped_at_us, tap.medium, tap.code_digest, tap.gate_seq, tap.gate, tap.station, tap.host, tap.issuer,
        TapKind(tap.kind), StationMode(tap.mode), tap.category, tap.flags, tap.entitlement,
    )  # fmt: skip


def records(run: bytes) -> list[bytes]:
    """Cut a run into its records, in order."""
    return [run[at : at + TAP_BYTES] for at in range(0, len(run), TAP_BYTES)]


def times_us(run: bytes) -> list[int]:
    """The `tapped_at_us` column of a run whose length is a multiple of 80."""
    if sys.byteorder == "little":
        return memoryview(run).cast("q")[:: TAP_BYTES // 8].tolist()
    return [at for (at,) in struct.iter_unpack("<q72x", run)]


def issuers_of(run: bytes) -> set[int]:
    """Whose riders the records of a run are of."""
    return {issuer for (issuer,) in struct.iter_unpack("<70xH8x", run)}


def code_digests(run: bytes) -> list[bytes]:
    """The `code_digest` column of a run."""
    return [run[at : at + 32] for at in range(24, len(run), TAP_BYTES)]


def check_run(run: bytes) -> None:
    """Check that a run holds well-formed records; Malformed names tap, field and offset of the first that is not.

    Well-formed is what can be read without knowing any city: whole records, known kind, mode, category and flags, reserved
    bytes zero. Whether the station exists is for clearing to say.
    """
    if len(run) % TAP_BYTES:
        raise Malformed(f"taps of {len(run)} bytes are not whole records of {TAP_BYTES}: the last one is cut")
    for name, offset, allowed in _BYTE_COLUMNS:
        column = run[offset::TAP_BYTES]
        if rest := column.translate(None, allowed):
            number = column.index(rest[0])
            found = column[number]
            raise Malformed(
                f"tap {number}: {name} is {found}, expected one of {sorted(allowed)[:8]} (offset {number * TAP_BYTES + offset})"
            )


def check_hosts(run: bytes, host: int) -> None:
    """Check that every tap of a run was taken in that city; Malformed names the first that was not."""
    low, high = host & 0xFF, host >> 8
    count = len(run) // TAP_BYTES
    if run[68::TAP_BYTES].count(low) == count and run[69::TAP_BYTES].count(high) == count:
        return
    for number, record in enumerate(records(run)):
        found = int.from_bytes(record[68:70], "little")
        if found != host:
            raise Malformed(f"tap {number}: host is {found}, but the batch is city {host}'s (offset {number * TAP_BYTES + 68})")


_BYTE_COLUMNS: tuple[tuple[str, int, bytes], ...] = (
    ("kind", 72, bytes(sorted(kind for kind in TapKind if kind is not TapKind.REFUSED))),
    ("mode", 73, bytes(sorted(StationMode))),
    ("category", 74, bytes(sorted(Category))),
    ("flags", 75, bytes(range(max(TapFlag) * 2))),
    ("reserved", 77, bytes(1)),
    ("reserved", 78, bytes(1)),
    ("reserved", 79, bytes(1)),
)
"""Name, offset and allowed values of the fields of one byte."""
