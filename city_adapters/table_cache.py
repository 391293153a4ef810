"""Compiled city tables kept on disk between runs, under a name that says what they were compiled from and by what.

The name is the SHA-256 over every file of the city's folder and every room of this floor, so a changed price or a changed rule is
another name. A file that is cut short, touched or of another format is thrown away and compiled anew: a cache may always be
deleted, and is never the truth (the ledger names tables by their bytes).
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from city_adapters.table_packing import pack_city, unpack_city
from city_adapters.tables import CityTable
from fare_chain.errors import Malformed
from fare_chain.hashing import HASH_BYTES, sha256

KEPT_TABLES = 4
"""Tables of one city that are kept: today's, and those of the folders one is just comparing."""
_ROOMS = Path(__file__).parent


def cached_table(folder: Path, slug: str, cache: Path, compile_table: Callable[[], CityTable]) -> CityTable:
    """Give the table of a city's folder from the cache, or compile it and keep it there if the disk lets us."""
    path = cache / f"{slug}-{_content_name(folder)}.table"
    table = _read(path)
    if table is None:
        table = compile_table()
        _keep(path, pack_city(table), slug)
    return table


def _content_name(folder: Path) -> str:
    files = [*sorted(path for path in folder.iterdir() if path.is_file()), *sorted(_ROOMS.glob("*.py"))]
    return sha256(b"".join(sha256(path.name.encode()) + sha256(path.read_bytes()) for path in files)).hex()[:40]


def _read(path: Path) -> CityTable | None:
    try:
        data = path.read_bytes()
        whole = data[:HASH_BYTES] == sha256(data[HASH_BYTES:])
        table = unpack_city(data[HASH_BYTES:]) if whole else None
        os.utime(path)
    except (OSError, Malformed):
        return None
    return table


def _keep(path: Path, data: bytes, slug: str) -> None:
    """Write under another name and rename: a reader finds all of it or nothing. A disk that refuses costs time alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(prefix=f".{slug}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(sha256(data) + data)
        # Dead here: a file that nobody reads is left, and the next run compiles again.
        Path(written).replace(path)
        held = sorted(path.parent.glob(f"{slug}-*.table"), key=lambda old: old.stat().st_mtime, reverse=True)
        for old in held[KEPT_TABLES:]:
            old.unlink(missing_ok=True)
    except OSError:
        return
