"""The open batch on disk: each tap is one write before its gate opens, so that the death of the process loses none.

The file starts with the 8 bytes "FCJRNL01"; then a record for each tap, little-endian:

     0 code_bytes u16   2 tap 80 B   82 rider code   82 + code_bytes   crc32 u32 of all bytes before it in the record

What a write left unfinished is the last record, whose gate never opened: its check sum tells, and it is not read.
"""

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from fare_chain.batch import MOST_TAPS
from fare_chain.errors import Overloaded
from fare_chain.tap import TAP_BYTES

MAGIC = b"FCJRNL01"
CLOSED = -1
"""The descriptor of a journal that was let go."""
_LENGTH = struct.Struct("<H")
_CHECK = struct.Struct("<I")
_LEAST_RECORD = _LENGTH.size + TAP_BYTES + _CHECK.size


class NotKept(Overloaded):
    """A tap that the disk did not take: its gate must stay shut."""


@dataclass(slots=True)
class Journal:
    """One open batch: its sequence, its file, and the taps and rider codes written to it."""

    seq: int
    path: Path
    descriptor: int
    file_bytes: int
    taps: list[bytes] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)
    oldest_us: int = 0
    broken: bool = False
    """An unfinished record could not be taken back: nothing may be written behind it."""

    @property
    def is_full(self) -> bool:
        """Tell whether the batch has as many taps as a batch may have."""
        return len(self.taps) >= MOST_TAPS

    def append(self, tap: bytes, code: bytes, now_us: int) -> None:
        """Write one tap with its rider code; NotKept where the disk has no room, and then nothing of it stays."""
        if self.broken:
            raise NotKept(f"{self.path} ends in an unfinished record: free disk space, the next batch begins a new file")
        record = _LENGTH.pack(len(code)) + tap + code
        record += _CHECK.pack(zlib.crc32(record))
        try:
            written = os.write(self.descriptor, record)
        except OSError as error:
            raise NotKept(f"{self.path} cannot be written ({error.strerror}): free disk space") from error
        if written != len(record):
            self._take_back()
            raise NotKept(f"{self.path} took {written} of {len(record)} bytes: the disk is full, free some space")
        # Dead here: the tap is in the file and will be sent, though the gate may not have opened. The rider was not refused
        # either; the exit tap, or the rider's objection, puts it right.
        self.file_bytes += written
        if not self.taps:
            self.oldest_us = now_us
        self.taps.append(tap)
        self.codes.append(code)

    def sync(self) -> None:
        """Bring what is written to the disk itself: from here on a power cut does not lose it either."""
        if self.descriptor != CLOSED:
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Let the file go, if that was not done before; what was written stays."""
        descriptor, self.descriptor = self.descriptor, CLOSED
        if descriptor != CLOSED:
            os.close(descriptor)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self.descriptor, self.file_bytes)
        except OSError:
            self.broken = True


def create(path: Path, seq: int) -> Journal:
    """Begin the journal of one batch; NotKept where the disk does not let us."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    except OSError as error:
        raise NotKept(f"{path} cannot be made ({error.strerror}): free disk space") from error
    journal = Journal(seq, path, descriptor, len(MAGIC))
    try:
        # Dead before this or within: a journal of fewer than 8 bytes, which holds no tap and is dropped.
        journal.broken = os.write(descriptor, MAGIC) != len(MAGIC)
    except OSError:
        journal.broken = True
    return journal


@dataclass(frozen=True, slots=True)
class Remains:
    """What a journal left behind: its whole records, and how many bytes at its end are none."""

    taps: tuple[bytes, ...]
    codes: tuple[bytes, ...]
    torn_bytes: int


def read(path: Path) -> Remains:
    """Read the whole records of a journal that its process left behind."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        return Remains((), (), len(data) if len(data) >= len(MAGIC) else 0)
    at = len(MAGIC)
    taps: list[bytes] = []
    codes: list[bytes] = []
    while (end := _record_end(data, at)) is not None:
        taps.append(data[at + _LENGTH.size : at + _LENGTH.size + TAP_BYTES])
        codes.append(data[at + _LENGTH.size + TAP_BYTES : end - _CHECK.size])
        at = end
    return Remains(tuple(taps), tuple(codes), len(data) - at)


def _record_end(data: bytes, at: int) -> int | None:
    """Where the record at `at` ends; None where it is cut or its check sum does not fit."""
    if at + _LEAST_RECORD > len(data):
        return None
    end = at + _LEAST_RECORD + _LENGTH.unpack_from(data, at)[0]
    if end > len(data) or _CHECK.unpack_from(data, end - _CHECK.size)[0] != zlib.crc32(data[at : end - _CHECK.size]):
        return None
    return int(end)
