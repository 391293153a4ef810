"""The building blocks of compiled tables as bytes: little-endian, each array at a multiple of 8, every length told first."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fare_chain.errors import Malformed

ALIGNMENT = 8


class TableWriter:
    """Gather the parts of a table in order."""

    def __init__(self, magic: bytes) -> None:
        self._parts = [magic]
        self._size = len(magic)

    def numbers(self, form: str, *values: int) -> None:
        """Append whole numbers in the form of `struct`, little-endian."""
        self._append(struct.pack("<" + form, *values))

    def text(self, value: str) -> None:
        """Append a text: length u16, UTF-8."""
        data = value.encode()
        self.numbers("H", len(data))
        self._append(data)

    def texts(self, values: Sequence[str]) -> None:
        """Append texts one behind the other; their count is told elsewhere."""
        for value in values:
            self.text(value)

    def array(self, values: NDArray[np.int32] | NDArray[np.int64]) -> None:
        """Append an array at the next multiple of 8; its shape is told elsewhere."""
        self._append(bytes(-self._size % ALIGNMENT))
        self._append(values.tobytes())

    def done(self) -> bytes:
        """Give the table's bytes."""
        return b"".join(self._parts)

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)


class TableReader:
    """Take a table's bytes apart again, strictly: Malformed names the table, the field and the offset."""

    def __init__(self, data: bytes, magic: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._at = len(magic)
        if data[: len(magic)] != magic:
            raise Malformed(f"{name}: begins with {data[: len(magic)]!r}, expected {magic!r}: this is another kind of file")

    def numbers(self, form: str, field: str) -> tuple[int, ...]:
        """Take whole numbers in the form of `struct`, little-endian."""
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form), field))

    def text(self, field: str) -> str:
        """Take a text: length u16, UTF-8."""
        (length,) = self.numbers("H", field)
        try:
            return self._take(length, field).decode()
        except UnicodeDecodeError as wrong:
            raise self.wrong(field, "is not UTF-8") from wrong

    def texts(self, count: int, field: str) -> tuple[str, ...]:
        """Take so many texts."""
        return tuple(self.text(field) for _ in range(count))

    def int32s(self, shape: tuple[int, ...], field: str) -> NDArray[np.int32]:
        """Take an array of 32-bit numbers: a read-only view of the bytes."""
        return np.frombuffer(self._array(shape, 4, field), dtype="<i4").reshape(shape)

    def int64s(self, shape: tuple[int, ...], field: str) -> NDArray[np.int64]:
        """Take an array of 64-bit numbers: a read-only view of the bytes."""
        return np.frombuffer(self._array(shape, 8, field), dtype="<i8").reshape(shape)

    def done(self) -> None:
        """Refuse what follows the end."""
        if self._at != len(self._data):
            raise self.wrong("the end", f"is followed by {len(self._data) - self._at} more bytes")

    def wrong(self, field: str, found: str) -> Malformed:
        """Make the refusal of a field."""
        return Malformed(f"{self._name}: {field} (before offset {self._at}) {found}; fetch the table again from who published it")

    def _array(self, shape: tuple[int, ...], width: int, field: str) -> memoryview:
        if any(self._take(-self._at % ALIGNMENT, field)):
            raise self.wrong(field, "follows padding that is not zero")
        size = width
        for length in shape:
            size *= length
        return self._view(size, field)

    def _take(self, size: int, field: str) -> bytes:
        return bytes(self._view(size, field))

    def _view(self, size: int, field: str) -> memoryview:
        if self._at + size > len(self._data):
            raise self.wrong(field, f"needs {size} bytes at offset {self._at}, and only {len(self._data) - self._at} are left")
        self._at += size
        return memoryview(self._data)[self._at - size : self._at]
