"""A log as static files (C2SP tlog-tiles), with what travels beside it: any reader can verify the folder, offline."""

from collections.abc import Callable
from pathlib import Path

from fare_chain.batch import read_header
from fare_chain.errors import Conflict, Malformed, Unknown
from fare_chain.events import EntryKind, read_tariff_entry
from fare_chain.export_drops import ExportDrops
from fare_chain.governance import read_evidence_entry
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import LogSource, beside_path
from fare_chain.tiles import TILE_WIDTH, bundles_of, read_bundle, tile_path, tiles_of


def export(
    source: LogSource, folder: Path, progress: Callable[[int, int], None] = lambda _done, _size: None, *, bodies: bool = True
) -> int:
    """Copy a log, byte for byte and unchecked, into a folder; its size. The checkpoint is written last.

    Without bodies it is the public log: taps and rider codes are not asked for, and the folder has no `body`. With them it has all:
    one that may not be read ends the export. Conflict where the folder holds another log, or this one in the other way. Died on
    the way: the folder has no checkpoint yet, or still the one before, and every file of that one; exporting again goes on.
    """
    checkpoint, vkey = source.read("checkpoint"), source.read("log.vkey")
    size = _size_of(checkpoint)
    held = folder / "log.vkey"
    if held.is_file() and held.read_bytes() != vkey:
        raise Conflict(f"{folder} holds the export of another log: choose an empty folder")
    if (folder / "checkpoint").is_file() and (folder / "body").is_dir() != bodies:
        raise Conflict(f"{folder} holds the export {'without' if bodies else 'with'} the taps: choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    if bodies:
        (folder / "body").mkdir(exist_ok=True)
    _write(held, vkey)
    for level, number, width in tiles_of(size):
        path = tile_path(level, number, width)
        _copy(source, folder, path)
    drops = ExportDrops()
    for number, width in bundles_of(size):
        path = tile_path(None, number, width)
        bundle = _copy(source, folder, path)
        for entry in read_bundle(bundle, width):
            _copy_beside(source, folder, entry, bodies=bodies)
            drops.take(entry)
        progress(min(size, (number + 1) * TILE_WIDTH), size)
    _write(folder / "checkpoint", checkpoint)
    if drops:
        # Only now: before, the folder's checkpoint may be one that still keeps them. Dead on the way: the next export goes on.
        for number, width in bundles_of(size):
            drops.apply(folder, read_bundle((folder / tile_path(None, number, width)).read_bytes(), width))
    return size


def _copy_beside(source: LogSource, folder: Path, data: bytes, *, bodies: bool) -> None:
    """Copy what one entry names: taps and codes, a table, a piece of evidence. An entry that cannot be read names nothing."""
    try:
        entry = read_entry(data)
        if entry.kind is EntryKind.BATCH and bodies:
            digest = read_header(entry.payload).body_hash
            _copy_if_held(source, folder, beside_path("body", digest))
            _copy_if_held(source, folder, beside_path("codes", digest))
        elif entry.kind is EntryKind.TARIFF:
            _copy_if_held(source, folder, beside_path("table", read_tariff_entry(entry.payload).table_hash))
        elif entry.kind is EntryKind.EVIDENCE and bodies:
            _copy_if_held(source, folder, beside_path("evidence", read_evidence_entry(entry.payload).file_hash))
    except Malformed:
        return  # a damaged log is exported as it is: the audit will say what is wrong


def _copy_if_held(source: LogSource, folder: Path, path: str) -> None:
    try:
        _copy(source, folder, path)
    except Unknown:
        return  # codes may be dropped after their retention; of anything else the audit will say that it is missing


def _copy(source: LogSource, folder: Path, path: str) -> bytes:
    """Copy one file unless it is there: nothing but the checkpoint changes under its name, and codes only where they go."""
    target = folder / path
    if target.is_file():
        return target.read_bytes()
    data = source.read(path)
    _write(target, data)
    return data


def _write(target: Path, data: bytes) -> None:
    """Write a file whole: under another name first, so that no reader and no death leaves half of it under its own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
    partial.replace(target)


def _size_of(checkpoint: bytes) -> int:
    """The size that a checkpoint says, its signature unchecked: verifying is the audit's."""
    lines = checkpoint.split(b"\n")
    if len(lines) < 3 or not lines[1].isdigit():
        raise Malformed("the checkpoint does not name a size in its second line")
    return int(lines[1])
