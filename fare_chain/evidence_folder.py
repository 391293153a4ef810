"""A folder of evidence files, each named for its kind and its hash: whoever finds a lie keeps it there before saying so."""

import os
from pathlib import Path

from fare_chain.evidence import kind_name, read_evidence
from fare_chain.hashing import sha256

MOST_FILES = 1024
"""More are not kept: whoever signs lie after lie shall not fill the disk of whoever catches them."""


def keep_evidence(folder: Path, text: str) -> Path | None:
    """Keep a file for good and give its path; None where the folder is full. The same evidence again is the same file.

    Malformed where it is no evidence. Dead before the rename: a .partial, which counts as nothing; the lie is refused all the same
    when it is met again. Dead after: it is there.
    """
    kind = read_evidence(text).kind
    data = text.encode()
    path = folder / f"{kind_name(kind)}-{sha256(data).hex()[:16]}.evidence"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if sum(1 for _each in folder.glob("*.evidence")) >= MOST_FILES:
        return None
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
    return path
