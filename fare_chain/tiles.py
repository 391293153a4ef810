"""Tiles and entry bundles (C2SP tlog-tiles): a tree cut into files of 256 hashes, and the entries beside them.

Tile (level, number) holds the hashes of the perfect nodes at tree level 8 * level; a partial tile is a prefix of the later
full one. Entries travel in bundles of 256, each with its length as u16 big-endian.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from fare_chain.errors import Malformed
from fare_chain.hashing import HASH_BYTES
from fare_chain.merkle import ReadNode, root

TILE_WIDTH = 256
LONGEST_ENTRY = 65_535
_LEVELS_PER_TILE = 8

ReadTile = Callable[[int, int, int], bytes]
"""Give `width` hashes of tile (level, number), 32 bytes each."""

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def tile_path(level: int | None, number: int, width: int = TILE_WIDTH) -> str:
    """The address of a tile, or of an entry bundle where `level` is None."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{'/'.join(reversed(groups))}{partial}"


def read_tile_path(path: str) -> tuple[int | None, int, int]:
    """(level or None for a bundle, number, width) of an address; Malformed unless it is the one canonical spelling."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise Malformed(f"{path[:80]!r} is not the address of a tile or an entry bundle")
    level = None if match[1] == "entries" else int(match[1])
    number = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else TILE_WIDTH
    if (match[3] and width >= TILE_WIDTH) or (level or 0) > 63 or number >= 1 << 64 or tile_path(level, number, width) != path:
        raise Malformed(
            f"{path[:80]!r} is not the address of a tile: level 0..63, partial width 1..255, no leading groups of zeros"
        )
    return level, number, width


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile (level, number, width) of a tree of `size` leaves, level by level from the leaves up."""
    level, hashes = 0, size
    while hashes:
        full, partial = divmod(hashes, TILE_WIDTH)
        for number in range(full):
            yield level, number, TILE_WIDTH
        if partial:
            yield level, full, partial
        level, hashes = level + 1, full


def bundles_of(size: int) -> Iterator[tuple[int, int]]:
    """Every entry bundle (number, width) of a log of `size` entries."""
    full, partial = divmod(size, TILE_WIDTH)
    for number in range(full):
        yield number, TILE_WIDTH
    if partial:
        yield full, partial


def write_bundle(entries: Sequence[bytes]) -> bytes:
    """Put entries one behind the other, each with its length; Malformed where one is too long."""
    for entry in entries:
        if len(entry) > LONGEST_ENTRY:
            raise Malformed(f"an entry of {len(entry)} bytes is too long for a bundle: at most {LONGEST_ENTRY}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def read_bundle(data: bytes, width: int) -> list[bytes]:
    """The `width` entries of a bundle; Malformed where one is cut, missing or too many."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise Malformed(f"entry {len(entries)} of the bundle is cut at byte {at}")
        entries.append(entry)
        at += 2 + length
    if len(entries) != width:
        raise Malformed(f"the bundle holds {len(entries)} entries, expected {width}")
    return entries


def node_reader(size: int, read_tile: ReadTile) -> ReadNode:
    """Read perfect nodes of the tree of `size` leaves out of its tiles."""

    def read_node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, _LEVELS_PER_TILE)
        first = index << height
        number, begin = divmod(first, TILE_WIDTH)
        width = min(TILE_WIDTH, (size >> (_LEVELS_PER_TILE * tile_level)) - number * TILE_WIDTH)
        tile = read_tile(tile_level, number, width)
        if len(tile) != width * HASH_BYTES:
            raise Malformed(f"{tile_path(tile_level, number, width)} has {len(tile)} bytes, expected {width * HASH_BYTES}")
        return root([tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(begin, begin + (1 << height))])

    return read_node


def grow_tiles(size: int, leaves: Sequence[bytes], right_edge: dict[int, bytes]) -> dict[tuple[int, int], bytes]:
    """Add leaf hashes to a tree of `size`; give every tile (level, number) that changed, whole.

    `right_edge` maps level to the hashes of its last, partial tile (empty or missing where it is full) and is brought up to
    date in place: the caller keeps it between calls, and rebuilds it from storage after a crash.
    """
    changed: dict[tuple[int, int], bytes] = {}
    level = 0
    added = list(leaves)
    while added:
        at = size >> (_LEVELS_PER_TILE * level)
        number = at // TILE_WIDTH
        edge = right_edge.get(level, b"")
        row = edge + b"".join(added)
        added = []
        full = TILE_WIDTH * HASH_BYTES
        while len(row) >= full:
            tile, row = row[:full], row[full:]
            changed[level, number] = tile
            added.append(root([tile[begin : begin + HASH_BYTES] for begin in range(0, full, HASH_BYTES)]))
            number += 1
        if row:
            changed[level, number] = row
        right_edge[level] = row
        level += 1
    return changed
