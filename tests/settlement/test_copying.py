"""Columns by binary COPY: the same bytes as the manual's layout, and the same rows back from a real table."""

import asyncio
import struct

import asyncpg
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from settlement.store.copying import _FIXED_ROWS, _VARIABLE_ROWS, binary_copy, copy_into

POSTGRES_TYPES = {
    "?": "boolean", "i1": "smallint", "u1": "smallint", "<i2": "smallint", "<u2": "integer", "<i4": "integer",
    "<u4": "bigint", "<i8": "bigint", ">i8": "bigint", "S16": "bytea", "V5": "bytea", "free": "bytea",
}  # fmt: skip
LENGTHS = {"boolean": ">?", "smallint": ">h", "integer": ">i", "bigint": ">q"}


@st.composite
def tables(draw):
    """Kinds of columns, the columns, and the same values as plain rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(POSTGRES_TYPES)), min_size=1, max_size=5))
    count = draw(st.integers(0, 6) | st.just(_VARIABLE_ROWS + 1))
    columns, values = [], []
    for kind in kinds:
        if kind == "free":
            column = draw(st.lists(st.none() | st.binary(max_size=9), min_size=count, max_size=count))
            columns.append(column)
            values.append(column)
            continue
        dtype = np.dtype(kind)
        raw = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
        if kind == "?":
            raw = bytes(byte & 1 for byte in raw)
        array = np.frombuffer(raw, dtype)
        columns.append(array)
        width = dtype.itemsize
        values.append([raw[at : at + width] for at in range(0, len(raw), width)] if dtype.kind in "SV" else array.tolist())
    return kinds, columns, list(zip(*values, strict=True))


def plain_stream(kinds, rows):
    """The manual's layout, a field at a time."""
    stream = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
    for row in rows:
        stream += struct.pack(">h", len(row))
        for kind, value in zip(kinds, row, strict=True):
            if value is None:
                stream += struct.pack(">i", -1)
                continue
            layout = LENGTHS.get(POSTGRES_TYPES[kind])
            data = struct.pack(layout, value) if layout else value
            stream += struct.pack(">i", len(data)) + data
    return stream + struct.pack(">h", -1)


@given(tables())
def test_a_stream_has_the_bytes_of_the_manual(table):
    kinds, columns, rows = table
    assert binary_copy(columns) == plain_stream(kinds, rows)


def test_any_columns_come_back_from_a_real_table_as_they_went_in(database_dsn):
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(database_dsn))

    async def round_trip(kinds, columns):
        names = [f"c{number}" for number in range(len(kinds))]
        types = ", ".join(f"{name} {POSTGRES_TYPES[kind]}" for name, kind in zip(names, kinds, strict=True))
        await connection.execute(f"DROP TABLE IF EXISTS copied; CREATE TEMP TABLE copied (at serial, {types})")
        await connection.copy_to_table("copied", source=binary_copy(columns), columns=names, format="binary")
        return [tuple(row) for row in await connection.fetch(f"SELECT {', '.join(names)} FROM copied ORDER BY at")]

    @settings(max_examples=60, deadline=None)
    @given(tables())
    def comes_back(table):
        kinds, columns, rows = table
        assert loop.run_until_complete(round_trip(kinds, columns)) == rows

    try:
        comes_back()
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def test_more_rows_than_a_piece_holds_are_written_without_a_seam():
    count = 2 * _FIXED_ROWS + 1
    numbers = np.arange(count, dtype="<i8")
    assert binary_copy([numbers]) == plain_stream(["<i8"], [(number,) for number in range(count)])


def test_strided_records_and_byte_matrices_are_bytea():
    record = np.dtype([("at", "<i8"), ("medium", "S16")])
    records = np.zeros(6, record)
    records["at"] = range(6)
    matrix = np.arange(3 * 32, dtype=np.uint8).reshape(3, 32)
    stream = binary_copy([records[::2], records["medium"][::2], matrix])
    rows = [(records[2 * row].tobytes(), bytes(16), matrix[row].tobytes()) for row in range(3)]
    assert stream == plain_stream(["V5"] * 3, rows)


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(2, "<f8"),
        np.zeros(2, "<u8"),
        np.zeros((2, 2), "<i8"),
        np.zeros(2, "U4"),
        np.zeros(2, "<M8[us]"),
        np.array([None, None]),
        np.ma.masked_array([1, 2], [True, False]),
    ],
    ids=["float", "uint64", "matrix", "text", "datetime", "object", "masked"],
)
def test_a_column_that_cannot_be_exact_is_refused(column):
    with pytest.raises(TypeError, match="a column of"):
        binary_copy([column])


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"columns of \[1, 2\] rows"):
        binary_copy([np.zeros(1, "<i8"), [b"", b""]])
    with pytest.raises(ValueError, match="at least one column"):
        binary_copy([])


def test_copy_into_belongs_to_the_transaction_even_as_its_first_statement(database_url):
    table = sa.Table("taken", sa.MetaData(), sa.Column("at_us", sa.BigInteger), sa.Column("medium", sa.LargeBinary))

    async def story():
        engine = create_async_engine(database_url)
        columns = {"medium": np.array([b"a\0", b"\0\0"], "S2"), "at_us": np.array([7, -7])}
        async with engine.begin() as connection:
            await connection.run_sync(table.metadata.create_all)
        async with engine.connect() as connection:
            assert await copy_into(connection, table, columns) == 2
            await connection.rollback()
        async with engine.begin() as connection:
            assert (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one() == 0
        async with engine.begin() as connection:
            assert await copy_into(connection, table, columns) == 2
        async with engine.connect() as connection:
            rows = (await connection.execute(sa.select(table).order_by(table.c.at_us))).all()
        await engine.dispose()
        return [tuple(row) for row in rows]

    assert asyncio.run(story()) == [(-7, b"\0\0"), (7, b"a\0")]


@pytest.mark.parametrize("width", ["<i4", "S9"], ids=["narrower", "wider"])
def test_a_column_of_another_width_is_refused_by_the_database(database_url, width):
    table = sa.Table("narrow", sa.MetaData(), sa.Column("fare_fen", sa.BigInteger))

    async def story():
        engine = create_async_engine(database_url)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(table.metadata.create_all)
                await copy_into(connection, table, {"fare_fen": np.zeros(1, width)})
        finally:
            await engine.dispose()

    with pytest.raises((asyncpg.InvalidBinaryRepresentationError, asyncpg.ProtocolViolationError)):
        asyncio.run(story())
