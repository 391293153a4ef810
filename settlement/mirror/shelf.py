"""A mirror's files: everything it was given, in order, and now and then its state, so that a restart reads little.

ticks-<size>.feed    records one behind the other: length u32, first 8 B of SHA-256, a feed (`mirror_feed`); <size> entries before
state-<size>         walk and clearing at that size: length u32 of the walk, walk, clearing; named last, so it is whole
tables/<sha256>      tables that a state needs to go on
let-go               "<codes_from> <erased taps>": codes below that entry, and of so many erased taps, are on no shelf file any more
evidence/<sha256>    what convicts somebody, and what did not follow
objections/<entry>-<tap>  evidence of unsigned rides, until it stands on the ledger
stopped              why this mirror cosigns no more
"""

import os
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from fare_chain.errors import Unknown
from fare_chain.hashing import sha256
from fare_chain.ledger import read_entry
from fare_chain.mirror_feed import FeedTick, read_feed, without_codes, write_feed

_HEAD = struct.Struct("<I8s")
_LENGTH = struct.Struct("<I")
KEPT_STATES = 2


class Shelf:
    """One folder that one process writes."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, making it where need be."""
        self.folder = folder
        for name in ("evidence", "objections", "tables"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._file = self._open_last()

    def stopped(self) -> str | None:
        """Why this mirror cosigns no more; None while it does."""
        path = self.folder / "stopped"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def stop(self, why: str) -> None:
        """Remember for good why this mirror cosigns no more. Dead before: what does not follow is met again, and again refused."""
        self._write("stopped", why.encode())

    def keep_evidence(self, data: bytes) -> str:
        """Keep a piece of evidence; the name under which it lies, its SHA-256."""
        name = sha256(data).hex()
        self._write(f"evidence/{name}", data)
        return name

    def evidence(self) -> list[str]:
        """The names of all evidence kept."""
        return sorted(path.name for path in (self.folder / "evidence").iterdir() if path.suffix != ".partial")

    def object(self, index: int, tap: int, data: bytes) -> None:
        """Remember an objection to a tap until the ledger has it. Dead before: the feed is fetched, and the tap found, again."""
        self._write(f"objections/{_place(index, tap)}", data)

    def is_answered(self, index: int, tap: int) -> None:
        """Forget an objection that stands on the ledger. Dead before: the feed that shows it is fetched again."""
        path = self.folder / "objections" / _place(index, tap)
        if path.exists():
            path.unlink()
            _sync_names(path.parent)

    def objections(self) -> list[bytes]:
        """The objections that are not on the ledger yet, by entry and tap."""
        names = sorted(path for path in (self.folder / "objections").iterdir() if path.suffix != ".partial")
        return [path.read_bytes() for path in names]

    def keep(self, path: str, data: bytes) -> None:
        """Keep a table by its address, `table/<hex>`."""
        name = f"tables/{path.rpartition('/')[2]}"
        if not (self.folder / name).exists():
            self._write(name, data)

    def read(self, path: str) -> bytes:
        """A table that was kept; Unknown where it was not."""
        try:
            return (self.folder / "tables" / path.rpartition("/")[2]).read_bytes()
        except FileNotFoundError as error:
            raise Unknown(f"this mirror has not kept {path}") from error

    def append(self, feed: bytes) -> None:
        """Bring what was given to the disk. Dead before this returns: it is fetched again. Dead after: it is here for good."""
        self._file.write(_record(feed))
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def save_state(self, size: int, walk: bytes, clearing: bytes) -> None:
        """Keep the state at a size that all records before reach, and begin a new file of ticks there.

        Dead before the state has its name: the one before counts, and more ticks are read again.
        """
        self._write(f"state-{size:020d}", _LENGTH.pack(len(walk)) + walk + clearing)
        self._file.close()
        self._file = (self.folder / f"ticks-{size:020d}.feed").open("ab")
        _sync_names(self.folder)
        for path in self._states()[:-KEPT_STATES]:
            path.unlink()

    def let_go(self, codes_from: int, erased: Mapping[int, Collection[int]], erased_taps: int) -> None:
        """Take out of every file of ticks but the open one the codes that the ledger lets go; asked again, it is done once.

        Dead before a file has its name: the old one counts. Dead before `let-go` has: all is looked through again.
        """
        done_from, done_taps = self._let_go()
        if (codes_from, erased_taps) == (done_from, done_taps):
            return
        paths = sorted(self.folder.glob("ticks-*.feed"))
        begins = [int(path.stem.removeprefix("ticks-")) for path in paths]
        for path, begin, end in zip(paths, begins, begins[1:], strict=False):
            if (end > done_from and begin < codes_from) or any(begin <= index < end for index in erased):
                held = path.read_bytes()
                left = b"".join(_record(_without_codes(feed, codes_from, erased)) for feed, _end in _records(held))
                if left != held:
                    self._write(path.name, left)
        self._write("let-go", f"{codes_from} {erased_taps}\n".encode())

    def _let_go(self) -> tuple[int, int]:
        path = self.folder / "let-go"
        if not path.exists():
            return 0, 0
        codes_from, taps = path.read_text(encoding="utf-8").split()
        return int(codes_from), int(taps)

    def read_state(self) -> tuple[int, bytes, bytes] | None:
        """(size, walk, clearing) of the newest state, or None before the first."""
        states = self._states()
        if not states:
            return None
        data = states[-1].read_bytes()
        (length,) = _LENGTH.unpack_from(data)
        return int(states[-1].name.removeprefix("state-")), data[4 : 4 + length], data[4 + length :]

    def feeds_from(self, size: int) -> Iterator[bytes]:
        """Every record given since the ledger had that size, in order."""
        for path in sorted(self.folder.glob("ticks-*.feed")):
            if int(path.stem.removeprefix("ticks-")) >= size:
                for feed, _end in _records(path.read_bytes()):
                    yield feed

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _open_last(self) -> BinaryIO:
        """The newest file of ticks, cut behind its last whole record: a torn one was never cosigned.

        After a death between a state and its file of ticks, that file is begun here: what goes on from the state must stand there.
        """
        begins = [int(path.stem.removeprefix("ticks-")) for path in self.folder.glob("ticks-*.feed")]
        begins += [int(path.name.removeprefix("state-")) for path in self._states()]
        path = self.folder / f"ticks-{max(begins, default=0):020d}.feed"
        end = 0
        if path.exists():
            for _feed, end in _records(path.read_bytes()):  # noqa: B007  the last end counts
                pass
        file = path.open("ab")
        file.truncate(end)
        os.fsync(file.fileno())
        _sync_names(self.folder)
        return file

    def _states(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("state-*") if path.suffix != ".partial")

    def _write(self, name: str, data: bytes) -> None:
        """Write a file whole: under another name, to the disk, renamed, and the name to the disk."""
        target = self.folder / name
        partial = target.with_name(f"{target.name}.partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        _sync_names(target.parent)


def _place(index: int, tap: int) -> str:
    return f"{index:020d}-{tap:04d}"


def _sync_names(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _record(feed: bytes) -> bytes:
    return _HEAD.pack(len(feed), sha256(feed)[:8]) + feed


def _without_codes(feed: bytes, codes_from: int, erased: Mapping[int, Collection[int]]) -> bytes:
    """What was given, without the codes that are let go."""
    return write_feed(
        FeedTick(tick.note, without_codes(tick.entries, read_entry(tick.entries[0].data).index, codes_from, erased))
        for tick in read_feed(feed)
    )


def _records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The whole records at the beginning of a file, each with where it ends."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, at)
        feed = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(feed) != length or sha256(feed)[:8] != check:
            return
        at += _HEAD.size + length
        yield feed, at
