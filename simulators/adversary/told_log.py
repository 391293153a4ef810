"""A log as a house told it, to be told again truly or otherwise: chained, hashed, signed and cosigned like any other."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fare_chain.batch import read_header
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Malformed
from fare_chain.events import EntryKind, read_tariff_entry
from fare_chain.hashing import ZERO_HASH, leaf_hash
from fare_chain.keys import SigningKey
from fare_chain.ledger import Entry, read_entry
from fare_chain.ledger_walk import beside_path
from fare_chain.merkle import Frontier, root
from fare_chain.mirror_feed import FeedEntry, FeedTick
from fare_chain.note import Note, NoteLine, NoteVerifier, cosign, read_note
from fare_chain.tiles import TILE_WIDTH, bundles_of, grow_tiles, read_bundle, tile_path, tiles_of, write_bundle


@dataclass(frozen=True, slots=True)
class Told:
    """One entry without its frame, and what travels beside it."""

    recorded_us: int
    kind: EntryKind
    payload: bytes
    beside: bytes = b""
    codes: bytes = b""


@dataclass(frozen=True, slots=True)
class Cosigning:
    """A city that cosigns whatever it is given: the name of its key, and the key."""

    name: str
    key: SigningKey

    def line(self, checkpoint: Checkpoint, time_s: int) -> NoteLine:
        """Its line over a checkpoint, at that second."""
        return cosign(checkpoint.to_text(), self.name, self.key, time_s)


@dataclass(frozen=True, slots=True)
class ToldLog:
    """A whole log; every lie is another one."""

    origin: str
    key: SigningKey
    entries: tuple[Told, ...]
    cosigning: tuple[Cosigning, ...] = field(default=())
    time_s: int = 1_900_000_000

    @classmethod
    def read(cls, folder: Path, key: SigningKey, cosigning: Sequence[Cosigning] = ()) -> "ToldLog":
        """Take an exported log apart."""
        origin, size = (folder / "checkpoint").read_text(encoding="utf-8").split("\n")[:2]
        read = [
            read_entry(data)
            for number, width in bundles_of(int(size))
            for data in read_bundle((folder / tile_path(None, number, width)).read_bytes(), width)
        ]
        told = [Told(entry.recorded_us, entry.kind, entry.payload, *_beside(folder, entry.kind, entry.payload)) for entry in read]
        return cls(origin, key, tuple(told), tuple(cosigning))

    def places(self, kind: EntryKind) -> list[int]:
        """Where the entries of a kind stand."""
        return [at for at, told in enumerate(self.entries) if told.kind is kind]

    def cut(self, size: int) -> "ToldLog":
        """The first so many entries."""
        return replace(self, entries=self.entries[:size])

    def without(self, at: int) -> "ToldLog":
        """The same without one entry."""
        return replace(self, entries=self.entries[:at] + self.entries[at + 1 :])

    def having(self, at: int, **changes: object) -> "ToldLog":
        """The same with one entry told otherwise."""
        told = replace(self.entries[at], **changes)  # type: ignore[arg-type]
        return replace(self, entries=(*self.entries[:at], told, *self.entries[at + 1 :]))

    def ticks(self) -> list[FeedTick]:
        """The log as a house hands it to mirrors."""
        _head, frames, leaves = self.frames()
        ticks, frontier, at = [], Frontier(), 0
        for _moment, group in itertools.groupby(self.entries, key=lambda told: told.recorded_us):
            tick = list(group)
            end = at + len(tick)
            frontier = frontier.append(leaves[at:end])
            given = [FeedEntry(data, told.beside, told.codes) for data, told in zip(frames[at:end], tick, strict=True)]
            ticks.append(FeedTick(self.note(Checkpoint(self.origin, end, frontier.root())), tuple(given)))
            at = end
        return ticks

    def note(self, checkpoint: Checkpoint) -> str:
        """A checkpoint with the log's line and those of all who cosign for it."""
        signed = read_note(checkpoint.sign(self.key))
        lines = [cosigning.line(checkpoint, self.time_s) for cosigning in self.cosigning]
        return Note(signed.text, (*signed.lines, *lines)).to_text()

    def frames(self) -> tuple[Checkpoint, list[bytes], list[bytes]]:
        """The checkpoint over it, the entries with their frames, and their leaf hashes: chained, whatever moments they claim."""
        frames: list[bytes] = []
        leaves: list[bytes] = []
        for index, told in enumerate(self.entries):
            before = leaves[-1] if leaves else ZERO_HASH
            frames.append(Entry(told.kind, index, told.recorded_us, before, told.payload).to_bytes())
            leaves.append(leaf_hash(frames[-1]))
        return Checkpoint(self.origin, len(leaves), root(leaves)), frames, leaves

    def export(self, folder: Path) -> Path:
        """Write it as a folder that any reader can verify."""
        checkpoint, entries, leaves = self.frames()
        files: dict[str, bytes] = {"log.vkey": (NoteVerifier(self.origin, self.key.public).to_vkey() + "\n").encode()}
        held = grow_tiles(0, leaves, {})
        files |= {tile_path(level, number, width): held[level, number] for level, number, width in tiles_of(checkpoint.size)}
        for number, width in bundles_of(checkpoint.size):
            files[tile_path(None, number, width)] = write_bundle(entries[number * TILE_WIDTH : number * TILE_WIDTH + width])
        for told in self.entries:
            files |= _resources(told)
        files["checkpoint"] = self.note(checkpoint).encode()
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder


def _beside(folder: Path, kind: EntryKind, payload: bytes) -> tuple[bytes, bytes]:
    return tuple((folder / path).read_bytes() if (folder / path).is_file() else b"" for path in _paths(kind, payload))  # type: ignore[return-value]


def _paths(kind: EntryKind, payload: bytes) -> tuple[str, str]:
    """Where what travels beside an entry lies: itself, and a batch's codes."""
    if kind is EntryKind.BATCH:
        digest = read_header(payload).body_hash
        return beside_path("body", digest), beside_path("codes", digest)
    if kind is EntryKind.TARIFF:
        return beside_path("table", read_tariff_entry(payload).table_hash), "none"
    return "none", "none"


def _resources(told: Told) -> dict[str, bytes]:
    try:
        beside, codes = _paths(told.kind, told.payload)
    except Malformed:
        return {}
    return {path: data for path, data in ((beside, told.beside), (codes, told.codes)) if data and path != "none"}
