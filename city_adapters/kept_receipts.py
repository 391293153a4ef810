"""The house's receipts as a city keeps them: its only proof, should a batch that was promised a place not be there later.

    receipts/<seq>.kept    up to 4,096 receipts from that batch on, each with its length u32 and the first 8 bytes of SHA-256

One process adds; another may read, and remove whole files but the last. A tail that a death left torn counts for nothing.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from city_adapters.spool_files import name_of
from fare_chain.hashing import sha256

RECEIPTS_A_FILE = 4_096
MOST_FILES = 1_024
"""Four million receipts, about 6 GB: eleven days at four batches a second that nobody checked. The oldest go first."""
_HEAD = struct.Struct("<I8s")


class KeptReceipts:
    """One spool's receipts, to add to."""

    def __init__(self, spool: Path) -> None:
        """Nothing is written before the first receipt; a new process begins a new file."""
        self.folder = spool / "receipts"
        self._file: BinaryIO | None = None
        self._held = 0

    def add(self, seq: int, receipt: str) -> None:
        """Keep a receipt of batch `seq`; OSError where the disk takes none, and then the batch is sent again.

        Dead before this: the batch is sent again and gets the same receipt. A power cut may take the last seconds': an honest house
        still gives them again for the same batch.
        """
        if self._file is None or self._held >= RECEIPTS_A_FILE:
            self._begin(seq)
        assert self._file is not None
        data = receipt.encode()
        self._file.write(_HEAD.pack(len(data), sha256(data)[:8]) + data)
        self._file.flush()
        self._held += 1

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, seq: int) -> None:
        self.close()
        self.folder.mkdir(exist_ok=True)
        for path in receipt_files(self.folder.parent)[: -MOST_FILES + 1]:
            path.unlink(missing_ok=True)
        self._file = (self.folder / name_of(seq, "kept")).open("ab")
        self._held = 0


def receipt_files(spool: Path) -> list[Path]:
    """A spool's files of receipts, oldest first; the last may still grow."""
    return sorted((spool / "receipts").glob("*.kept"))


def read_receipts(path: Path) -> Iterator[str]:
    """The receipts of one file, in the order in which they came."""
    data, at = path.read_bytes(), 0
    while at + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, at)
        receipt = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(receipt) != length or sha256(receipt)[:8] != check:
            return
        yield receipt.decode()
        at += _HEAD.size + length
