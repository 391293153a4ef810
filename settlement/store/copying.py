"""Columns into PostgreSQL by binary COPY: numpy lays out the stream, and rows of fixed width never pass through Python.

The stream (PostgreSQL's manual, COPY, "Binary Format"), big-endian:

header   "PGCOPY" 0A FF 0D 0A 00 | flags i32 = 0 | length of extension i32 = 0
row      number of fields i16 | for each field: length i32, -1 for NULL | its bytes
end      i16 = -1
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

Column = npt.NDArray[Any] | Sequence[bytes | None]
"""An array with a value for each row, or a sequence of byte strings of any length in which None is NULL."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_FIXED_ROWS = 4096  # a piece that stays in the cache: more than four times as fast as a million rows at once
_VARIABLE_ROWS = 64  # bodies of 40 KB: a piece of some MB

_WIRE = {
    "b1": "?",
    "i1": ">i2", "u1": ">i2", "i2": ">i2",
    "u2": ">i4", "i4": ">i4",
    "u4": ">i8", "i8": ">i8",
}  # fmt: skip
"""numpy's integers as boolean, smallint, integer, bigint: what PostgreSQL has no type for goes into the next wider one."""


def binary_copy(columns: Sequence[Column]) -> bytearray:
    """Write columns of one length as a COPY stream, the fields in the order of the columns.

    Integers become boolean, smallint, integer or bigint by the table above. Bytes of fixed width (`S16`, `V16`, whole records,
    or uint8 of shape (rows, 16)) become bytea with their closing zeros. TypeError for every other column, uint64, floats and
    masked arrays among them; ValueError for unequal lengths. A bytearray, because asyncpg takes bytes for a file name.
    """
    return bytearray().join(_pieces(columns))


async def copy_into(connection: AsyncConnection, table: sa.Table, columns: Mapping[str, Column]) -> int:
    """Copy named columns into a table, inside the connection's transaction; returns the number of rows.

    Each column must have the very type of its array: PostgreSQL refuses another width, the order of the names is free.
    """
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    if not driver.is_in_transaction():
        await connection.execute(sa.select(1))  # SQLAlchemy begins at the first statement that it sees, and COPY goes past it
    status = await driver.copy_to_table(
        table.name, schema_name=table.schema, columns=list(columns), format="binary", source=_sent(_pieces([*columns.values()]))
    )
    return int(status.removeprefix("COPY "))


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbouring fields of fixed width as one record, and the column of free width behind them, whose length ends the record."""

    template: npt.NDArray[np.void]
    fixed: dict[str, npt.NDArray[Any]]
    tail: Sequence[bytes | None] | None

    def records(self, rows: slice) -> bytes:
        count = len(range(*rows.indices(1 << 62)))
        records = np.empty(count, self.template.dtype)
        raw = f"V{records.itemsize}"
        records.view(raw)[:] = self.template.view(raw)
        for name, column in self.fixed.items():
            records[name] = column[rows]
        if self.tail is not None:
            records["tail"] = [-1 if value is None else len(value) for value in self.tail[rows]]
        return records.tobytes()


def _pieces(columns: Sequence[Column]) -> Iterator[bytes]:
    """The stream in pieces, so that what is sent is never whole in memory."""
    lengths = {len(column) for column in columns}
    if len(lengths) != 1:
        raise ValueError(f"columns of {sorted(lengths)} rows, expected at least one column and all of one length")
    (count,) = lengths
    blocks = _blocks(columns)
    free = any(block.tail is not None for block in blocks)
    step = _VARIABLE_ROWS if free else _FIXED_ROWS
    yield _HEADER
    for first in range(0, count, step):
        rows = slice(first, min(first + step, count))
        yield _interleaved(blocks, rows) if free else blocks[0].records(rows)
    yield _END


def _interleaved(blocks: Sequence[_Block], rows: slice) -> bytes:
    """Rows in which something has free width: the records of each block, cut, with the values between them."""
    parts: list[Sequence[bytes]] = []
    for block in blocks:
        records, width = block.records(rows), block.template.itemsize
        parts.append([records[at : at + width] for at in range(0, len(records), width)])
        if block.tail is not None:
            parts.append([value or b"" for value in block.tail[rows]])
    return b"".join(chain.from_iterable(zip(*parts, strict=True)))


def _blocks(columns: Sequence[Column]) -> list[_Block]:
    blocks: list[_Block] = []
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    constants: dict[str, int] = {"fields": len(columns)}
    fixed: dict[str, npt.NDArray[Any]] = {}
    for number, column in enumerate(columns):
        if isinstance(column, np.ndarray):
            wire, values = _on_the_wire(column)
            fields += [(f"length{number}", ">i4"), (f"value{number}", wire)]
            constants[f"length{number}"] = np.dtype(wire).itemsize
            fixed[f"value{number}"] = values
        else:
            blocks.append(_Block(_template([*fields, ("tail", ">i4")], constants), fixed, column))
            fields, constants, fixed = [], {}, {}
    if fields:
        blocks.append(_Block(_template(fields, constants), fixed, None))
    return blocks


def _template(fields: list[tuple[str, str]], constants: dict[str, int]) -> npt.NDArray[np.void]:
    """One record with all that is the same in every row."""
    record = np.zeros(1, np.dtype(fields))
    for name, value in constants.items():
        record[name] = value
    return record


def _on_the_wire(column: npt.NDArray[Any]) -> tuple[str, npt.NDArray[Any]]:
    """The type of a column's field in the stream, and the column as something that numpy converts to it."""
    if column.ndim == 2 and column.dtype == np.uint8 and column.shape[1]:
        column = np.ascontiguousarray(column).view(f"V{column.shape[1]}")[:, 0]
    kind = column.dtype
    if isinstance(column, np.ma.MaskedArray) or column.ndim != 1:
        raise TypeError(f"a column of shape {column.shape} and type {type(column).__name__}, expected a plain array of one axis")
    if kind.kind in "SV" and kind.itemsize:
        wire = f"V{kind.itemsize}"
        return wire, np.ascontiguousarray(column).view(wire)  # not as text: numpy would cut closing zeros
    if (wire := _WIRE.get(kind.str[1:], "")) and kind.kind in "biu":
        return wire, column
    raise TypeError(f"a column of {kind}: COPY takes integers up to int64 and bytes of fixed width; widen or convert it first")


async def _sent(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
