"""What a key has cosigned, on disk before anybody sees the signature: no key ever cosigns a smaller tree, or another of one size.

A record has 64 bytes, little-endian:

    0 magic "FCJ1"   4 key u8 (1 witness, 2 clearing)   5 3 zero bytes   8 time_s u64   16 size u64   24 root 32 B
    56 first 8 bytes of SHA-256 over what stands before
"""

import os
import struct
import threading
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from fare_chain.errors import Conflict, Overloaded
from fare_chain.hashing import EMPTY_ROOT, sha256

_RECORD = struct.Struct("<4sB3sQQ32s8s")
_MAGIC = b"FCJ1"
assert _RECORD.size == 64


class KeyRole(IntEnum):
    """Which of a city's two cosigning keys."""

    WITNESS = 1
    CLEARING = 2


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The largest tree that a key has cosigned, and when; nothing yet where the size is 0."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    time_s: int = 0


class Journal:
    """The two keys' last cosignatures: checked and written in one step."""

    def __init__(self, path: Path) -> None:
        """Read what is there. A tail that a death left torn was never answered for: it is cut off."""
        self._lock = threading.Lock()
        self._last, whole = read_journal(path)
        self._file = path.open("ab")
        self._file.truncate(whole)
        os.fsync(self._file.fileno())

    def last(self, role: KeyRole) -> Cosigned:
        """The largest tree that this key has cosigned."""
        return self._last[role]

    def commit(self, role: KeyRole, size: int, root: bytes, time_s: int, *, expected: int | None = None) -> None:
        """Make it durable that this key cosigns a tree; Conflict where it may not, and then nothing is written.

        Overloaded while the clock stands before the last cosignature's second: a later one then covers this tree.

        `expected` is the size that the caller saw last, where it must still be so. The caller has proved that the tree extends the
        last one. Dead before this returns: nobody has the signature. Dead after: the key stands at this size.
        """
        with self._lock:
            last = self._last[role]
            if expected is not None and expected != last.size:
                raise Conflict(f"the key stands at size {last.size} by now, not at {expected}")
            if size < last.size or (size == last.size and root != last.root):
                raise Conflict(
                    f"the key has cosigned size {last.size} already: size {size} with this root would be a second history"
                )
            if time_s < last.time_s:
                raise Overloaded(f"the clock runs backwards: {time_s} is before the last cosignature's {last.time_s}; set it right")
            body = _RECORD.pack(_MAGIC, role, bytes(3), time_s, size, root, bytes(8))[:56]
            self._file.write(body + sha256(body)[:8])
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self._last[role] = Cosigned(size, root, time_s)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def read_journal(path: Path) -> tuple[dict[KeyRole, Cosigned], int]:
    """Each key's last cosignature and where the whole records end, changing nothing: another process may be writing."""
    last = {role: Cosigned() for role in KeyRole}
    held = path.read_bytes() if path.exists() else b""
    whole = 0
    for at in range(0, len(held) - _RECORD.size + 1, _RECORD.size):
        record = _read(held[at : at + _RECORD.size])
        if record is None:
            break
        role, cosigned = record
        last[role] = cosigned
        whole = at + _RECORD.size
    return last, whole


def _read(data: bytes) -> tuple[KeyRole, Cosigned] | None:
    magic, role, zeros, time_s, size, root, check = _RECORD.unpack(data)
    if magic != _MAGIC or role not in set(KeyRole) or any(zeros) or check != sha256(data[:56])[:8]:
        return None
    return KeyRole(role), Cosigned(size, root, time_s)
