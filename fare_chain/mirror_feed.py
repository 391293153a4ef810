"""What the house hands to a mirror: whole ticks, each with its signed checkpoint and with what travels beside its entries.

A feed is any number of ticks, little-endian:

    tick   note_bytes u32, the checkpoint's note, count u32, then count entries
    entry  entry_bytes u32, beside_bytes u32, codes_bytes u32, then the three: the entry; a batch's taps, a tariff's table or
           a piece of evidence; the rider codes that this reader may see (those of others have 0 bytes, none where they are dropped)
"""

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fare_chain.batch import erase_codes, read_header
from fare_chain.errors import Malformed, Unknown
from fare_chain.events import EntryKind, read_tariff_entry
from fare_chain.governance import read_evidence_entry
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import beside_path

FEED_TYPE = "application/x-fare-chain-feed"
_U32 = struct.Struct("<I")
_LENGTHS = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry as it is hashed, with what travels beside it."""

    data: bytes
    beside: bytes = b""
    codes: bytes = b""


@dataclass(frozen=True, slots=True)
class FeedTick:
    """One commit of the sequencer: the checkpoint that covers it, as signed, and its entries."""

    note: str
    entries: tuple[FeedEntry, ...]

    def bytes(self) -> int:
        """About how many bytes it is in a feed."""
        return len(self.note) + sum(len(entry.data) + len(entry.beside) + len(entry.codes) + 12 for entry in self.entries)


def without_codes(
    entries: Sequence[FeedEntry], begin: int, below: int, erased: Mapping[int, Collection[int]]
) -> tuple[FeedEntry, ...]:
    """The entries, of which the first has index `begin`, without the codes that are let go.

    None of batches below entry `below`; and codes of 0 bytes for the taps that `erased` gives by entry.
    """
    return tuple(
        FeedEntry(given.data, given.beside, _codes_left(given.codes, index < below, erased.get(index, ())))
        for index, given in enumerate(entries, begin)
    )


def _codes_left(codes: bytes, dropped: bool, erased: Collection[int]) -> bytes:
    if dropped or not codes:
        return b""
    return erase_codes(codes, erased) if erased else codes


def write_feed(ticks: Iterable[FeedTick]) -> bytes:
    """Write ticks one behind the other."""
    parts: list[bytes] = []
    for tick in ticks:
        note = tick.note.encode()
        parts += [_U32.pack(len(note)), note, _U32.pack(len(tick.entries))]
        for entry in tick.entries:
            parts += [_LENGTHS.pack(len(entry.data), len(entry.beside), len(entry.codes)), entry.data, entry.beside, entry.codes]
    return b"".join(parts)


def read_feed(data: bytes) -> list[FeedTick]:
    """Read ticks, nothing of them verified; Malformed where a length does not fit."""
    ticks, cut = [], _Cut(data)
    while not cut.is_done():
        note = cut.take(cut.number())
        count = cut.number()
        entries = []
        for _at in range(count):
            lengths = [cut.number() for _part in range(3)]
            entries.append(FeedEntry(*(cut.take(length) for length in lengths)))
        try:
            ticks.append(FeedTick(note.decode(), tuple(entries)))
        except UnicodeDecodeError as error:
            raise Malformed(f"a tick's note is not UTF-8: {error}") from error
    return ticks


class FeedSource:
    """What travels beside the entries of some ticks, by its address: a log's source for `LedgerWalk`."""

    def __init__(self, ticks: Iterable[FeedTick] = ()) -> None:
        """Hold what these ticks carry; an entry that cannot be read carries nothing."""
        self._held: dict[str, bytes] = {}
        for tick in ticks:
            for entry in tick.entries:
                self._held |= _beside(entry)

    def read(self, path: str) -> bytes:
        """The resource at that address; Unknown where the feed does not carry it."""
        if path not in self._held:
            raise Unknown(f"the feed does not carry {path}")
        return self._held[path]


def _beside(given: FeedEntry) -> dict[str, bytes]:
    try:
        entry = read_entry(given.data)
        if entry.kind is EntryKind.BATCH:
            digest = read_header(entry.payload).body_hash
            held = {beside_path("body", digest): given.beside}
            return held | ({beside_path("codes", digest): given.codes} if given.codes else {})
        if entry.kind is EntryKind.TARIFF:
            return {beside_path("table", read_tariff_entry(entry.payload).table_hash): given.beside}
        if entry.kind is EntryKind.EVIDENCE:
            return {beside_path("evidence", read_evidence_entry(entry.payload).file_hash): given.beside}
    except Malformed:
        return {}
    return {}


class _Cut:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def is_done(self) -> bool:
        return self.at == len(self.data)

    def number(self) -> int:
        return int.from_bytes(self.take(_U32.size), "little")

    def take(self, length: int) -> bytes:
        part = self.data[self.at : self.at + length]
        if len(part) != length:
            raise Malformed(f"the feed is cut at byte {self.at}: {length} bytes are announced, {len(part)} are there")
        self.at += length
        return part
