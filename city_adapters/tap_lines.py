"""A gate log's bytes as numbered lines of fields: read as they come, so that a log of any length needs no more memory.

A line that cannot be read is handed on as a problem, and the next one is read. Only what makes every line unreadable is refused.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fare_chain.errors import Malformed

LONGEST_LINE = 4_096
"""A row of a gate log has some hundred bytes; what is longer is no row."""
LONGEST_MESSAGE = 300
UTF_8 = "utf-8"
GBK = "gb18030"
"""GB2312 and GBK are parts of it."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SIXTEEN_BITS = (b"\xff\xfe", b"\xfe\xff")
_WIDE = re.compile(r"\s,|,\s|\"")
"""Where fields may have blanks around them."""
_SHOWN = {UTF_8: "UTF-8", GBK: "GB2312 or GBK"}


class BadField(Exception):
    """What is wrong with one field of a row: what was found, what to give. It never leaves the reading of its row."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} ...")
        self.field = field


class LogLine(NamedTuple):
    """One line that is not blank: its number from 1, and its fields, without blanks around them, or what is wrong with it."""

    number: int
    fields: list[str] | BadField


def read_lines(blocks: Iterable[bytes], encodings: Sequence[str] = (UTF_8,)) -> Iterator[LogLine]:
    """Cut blocks of bytes into lines of fields, all in one of these encodings: the first that fits a line which is not ASCII.

    Malformed where the log is in 16-bit characters, which fit no line.
    """
    left = tuple(encodings)
    for number, line in enumerate(_cut(blocks), 1):
        if not line or line.isspace():
            continue
        if not line.isascii() and len(left) > 1:
            left = _fitting(line, left) or left
        yield LogLine(number, _fields(line, left))


def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut bytes at line feeds; of a line that is too long only the beginning is kept."""
    rest, is_first = b"", True
    for block in blocks:
        data = rest + block
        if is_first and len(data) >= len(_BYTE_ORDER_MARK):
            data, is_first = _without_mark(data), False
        lines = data.split(b"\n")
        rest = lines.pop()[: LONGEST_LINE + 2]
        yield from lines
    if rest:
        yield _without_mark(rest) if is_first else rest


def _without_mark(data: bytes) -> bytes:
    if data.startswith(_SIXTEEN_BITS):
        raise Malformed("the log is in 16-bit characters (UTF-16): save it as UTF-8")
    return data.removeprefix(_BYTE_ORDER_MARK)


def _fitting(line: bytes, encodings: Sequence[str]) -> tuple[str, ...]:
    for encoding in encodings:
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            continue
        return (encoding,)
    return ()


def _fields(line: bytes, encodings: Sequence[str]) -> list[str] | BadField:
    if len(line) > LONGEST_LINE:
        return BadField("line", f"the line has more than {LONGEST_LINE} bytes: it is no row of a gate log")
    try:
        text = line.decode(encodings[0])
    except UnicodeDecodeError as wrong:
        expected = " or ".join(_SHOWN[encoding] for encoding in encodings)
        return BadField(
            "line", f"byte {wrong.start} of the line is {line[wrong.start]:#04x}, which is not {expected}: save it as such"
        )
    text = text.strip()
    if '"' in text:
        try:
            fields = next(csv.reader([text], skipinitialspace=True, strict=True))
        except csv.Error as wrong:
            return BadField("line", f"its quotation marks do not match ({wrong}): correct or remove them")
    else:
        fields = text.split(",")
    return [field.strip() for field in fields] if _WIDE.search(text) else fields
