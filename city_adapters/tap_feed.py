"""Real gate logs into taps: bytes in, records out, and a tally of what was read, left out, and wrong.

Nothing that a row says is fatal. What a log calls its riders never leaves this floor: media are pseudonyms (see `tap_fields`).
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from city_adapters.log_stations import Unmapped
from city_adapters.tap_formats import FeedFormat, FeedSettings, RowReader, row_reader
from city_adapters.tap_lines import BadField, LogLine, read_lines
from fare_chain.errors import Malformed
from fare_chain.tap import FIELDS, TAP_BYTES

MOST_PROBLEMS = 1_000
"""Problems that are kept in words; the others are counted."""
MOST_LABELS = 10_000
"""Different unmapped stations, or kinds of rows left out, that are counted apart."""
ROWS_AT_ONCE = 16_384
OTHERS = "others"

LOGGED_TAP = np.dtype(
    {
        "names": [*(name for name, _form, _at in FIELDS), "recorded_at_us", "amount_fen", "line", "discounted", "padding"],
        "formats": [*(form for _name, form, _at in FIELDS), "<i8", "<i8", "<i8", "u1", "V7"],
        "offsets": [*(at for _name, _form, at in FIELDS), *range(TAP_BYTES, TAP_BYTES + 25, 8), TAP_BYTES + 25],
        "itemsize": TAP_BYTES + 32,
    }
)
"""A tap (gate_seq not counted yet) and what its log says beside it; `amount_fen` is -1 where it tells none."""
LoggedTaps = npt.NDArray[np.void]
_ROW = struct.Struct("<q16s32sIIIHHBBBBB3xqqqB7x")
assert _ROW.size == LOGGED_TAP.itemsize


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One row that became no tap, and why."""

    line: int
    field: str
    message: str


@dataclass(slots=True)
class FeedTally:
    """What became of a log's rows: each is a tap, left out, or a problem."""

    rows: int = 0
    taps: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problem_rows: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    unmapped: Counter[str] = field(default_factory=Counter)
    """Rows of each station that is none of the city's."""

    def leave_out(self, kind: str) -> None:
        """Count a row that concerns no metro gate."""
        _count(self.left_out, kind)

    def accuse(self, line: int, wrong: BadField) -> None:
        """Count a problem, and keep it; of a station without a name only the first row is kept, the others are counted."""
        self.problem_rows += 1
        told = False
        if isinstance(wrong, Unmapped):
            told = wrong.label in self.unmapped
            _count(self.unmapped, wrong.label)
        if not told and len(self.problems) < MOST_PROBLEMS:
            self.problems.append(RowProblem(line, wrong.field, str(wrong)))


def read_feed(blocks: Iterable[bytes], form: FeedFormat, settings: FeedSettings, tally: FeedTally) -> Iterator[LoggedTaps]:
    """Read a log's bytes, block by block, into runs of LOGGED_TAP; `tally` counts along.

    Malformed where this is no log of that format at all: its encoding, its header, or nothing in it.
    """
    reader = row_reader(form, settings)
    lines = read_lines(blocks, reader.encodings)
    first = next(lines, None)
    if first is None:
        raise Malformed("the log is empty: give one with rows")
    if reader.headed and isinstance(first.fields, BadField):
        raise Malformed(f"line {first.number} should be the header, but {first.fields}")
    is_header = isinstance(first.fields, list) and reader.open(first.fields)
    packed: list[bytes] = []
    for line in lines if is_header else _again(first, lines):
        tally.rows += 1
        record = _read(reader, line, tally)
        if record is not None:
            packed.append(record)
            if len(packed) == ROWS_AT_ONCE:
                yield _together(packed, tally)
                packed = []
    if packed:
        yield _together(packed, tally)
    if not reader.headed and tally.problem_rows == tally.rows > 0 and not tally.unmapped:
        raise Malformed(f"no row is one of format {form}; line {tally.problems[0].line}: {tally.problems[0].message}")


def _read(reader: RowReader, line: LogLine, tally: FeedTally) -> bytes | None:
    """One row as a record; None where it is none, and the tally says why."""
    try:
        if isinstance(line.fields, BadField):
            raise line.fields
        values = reader.read(line.number, line.fields)
    except BadField as wrong:
        tally.accuse(line.number, wrong)
        return None
    if isinstance(values, str):
        tally.leave_out(values)
        return None
    return _ROW.pack(*values)


def _again(first: LogLine, lines: Iterator[LogLine]) -> Iterator[LogLine]:
    yield first
    yield from lines


def _together(packed: list[bytes], tally: FeedTally) -> LoggedTaps:
    tally.taps += len(packed)
    return np.frombuffer(b"".join(packed), LOGGED_TAP)


def _count(counts: Counter[str], label: str) -> None:
    counts[label if label in counts or len(counts) < MOST_LABELS else OTHERS] += 1
