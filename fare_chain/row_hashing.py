"""SHA-256 of many short rows: a leaf for each tap, a node for each pair, a journey's leaf and id.

The plain way asks hashlib row by row. A process that has done so a million times has lanes (`hash_lanes`) compiled beside its work,
and hashes sixteen rows at once as soon as they are there: by then hashlib has cost as much as compiling does, so nobody pays more
than twice the best, nobody waits, and a process that hashes little never loads a compiler. Both ways give the same bytes.
"""

import hashlib
from dataclasses import dataclass
from threading import Thread

from fare_chain.hash_lanes import RowsHasher, compile_lanes

FEWEST_ROWS = 16
"""A shorter run is not worth a call into lanes."""
ROWS_BEFORE_LANES = 1_000_000
"""Rows hashed one by one that cost about what compiling costs: 0.3 s."""


def hash_rows_plainly(prefix: bytes, rows: bytes, width: int) -> bytes:
    """The digests of prefix + row, 32 bytes each, for each row of `width` bytes (the last may be cut), one by one."""
    sha256 = hashlib.sha256
    return b"".join([sha256(prefix + rows[at : at + width]).digest() for at in range(0, len(rows), width)])


@dataclass(slots=True)
class RowHashing:
    """Hashes plainly until `rows_before_lanes` rows have come in runs of some length, then in lanes, where they can be had."""

    rows_before_lanes: int = ROWS_BEFORE_LANES
    lanes: RowsHasher | None = None
    compiling: Thread | None = None

    def hash_rows(self, prefix: bytes, rows: bytes, width: int) -> bytes:
        """The digests of prefix + row for each row, one behind the other."""
        count, rest = divmod(len(rows), width)
        if count < FEWEST_ROWS or rest:
            return hash_rows_plainly(prefix, rows, width)
        if self.compiling is None and self.lanes is None:
            self.rows_before_lanes -= count
            if self.rows_before_lanes < 0:
                self._start_compiling()
        return (self.lanes or hash_rows_plainly)(prefix, rows, width)

    def use_lanes(self) -> bool:
        """Wait until lanes are compiled; whether there are any."""
        if self.compiling is None and self.lanes is None:
            self._start_compiling()
        if self.compiling is not None:
            self.compiling.join()
        return self.lanes is not None

    def _start_compiling(self) -> None:
        # Two threads may both come here: then lanes are compiled twice, to the same code.
        self.compiling = Thread(target=self._compile, name="hash lanes")
        self.compiling.start()

    def _compile(self) -> None:
        self.lanes = compile_lanes()


_OF_THIS_PROCESS = RowHashing()
hash_rows = _OF_THIS_PROCESS.hash_rows
use_lanes = _OF_THIS_PROCESS.use_lanes
