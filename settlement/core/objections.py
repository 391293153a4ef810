"""Objections as the fold takes them: the tap that its rider did not sign and, once its journey has cleared, the journey's proof."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from fare_chain.errors import Malformed
from fare_chain.evidence import EvidenceFile
from fare_chain.tap import TAP_BYTES
from fare_chain.window_proofs import DeltaLeaf, read_journey, write_journey
from settlement.core.columns import ADJUSTMENT_DTYPE, SHARE_DTYPE, Records, no_rows

_SECOND = struct.Struct("<q")
_TAP = 2
"""Which of the file's own items is the tap."""


@dataclass(frozen=True, slots=True)
class Objection:
    """The EVIDENCE entry and the tap's 80 bytes; where the file brings its journey, the window's second and the leaf with paths."""

    index: int
    tap: bytes
    second: int = -1
    leaf: DeltaLeaf | None = None


class Upheld(NamedTuple):
    """Journeys that fall in a tick: ADJUSTMENT_DTYPE by journey, and the shares that are owed back (SHARE_DTYPE, by adjustment)."""

    adjustments: Records
    shares: Records


NOTHING_FALLS = Upheld(no_rows(ADJUSTMENT_DTYPE), no_rows(SHARE_DTYPE))


def read_objection(index: int, file: EvidenceFile) -> Objection:
    """Read a bad-rider-signature file, checked already to convict; Malformed where the journey that it brings cannot be read."""
    tap = file.own()[_TAP]
    if len(tap) != TAP_BYTES:
        raise Malformed(f"an objection is about a tap of {TAP_BYTES} bytes, found {len(tap)}")
    brought = file.journey()
    return Objection(index, tap, *read_brought(brought)) if brought else Objection(index, tap)


def read_brought(data: bytes) -> tuple[int, DeltaLeaf]:
    """A `journey` item: the window's second, and the leaf with its paths, held to nothing yet."""
    if len(data) < _SECOND.size:
        raise Malformed(f"an objection's journey begins with its window's second, {_SECOND.size} bytes, found {len(data)}")
    (second,) = _SECOND.unpack_from(data)
    return second, read_journey(data[_SECOND.size :])


def write_brought(second: int, leaf: DeltaLeaf) -> bytes:
    """The `journey` item of an objection: second i64 of the window that cleared it, then what proves it after its WINDOW entry."""
    return _SECOND.pack(second) + write_journey(leaf)
