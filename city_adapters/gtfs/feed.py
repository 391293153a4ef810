"""A GTFS feed as rows: the files of its archive by name, and everything found wrong with them or left out.

A row that cannot be read is a finding and is passed over; a file or column without which nothing can be built is an error.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from city_adapters.findings import Finding, Severity, error, warning

READ = {
    *("agency.txt", "stops.txt", "routes.txt", "trips.txt", "stop_times.txt", "shapes.txt", "transfers.txt", "feed_info.txt"),
    *("translations.txt", "fare_attributes.txt", "fare_rules.txt", "fare_products.txt", "fare_leg_rules.txt", "areas.txt"),
    *("stop_areas.txt", "networks.txt", "route_networks.txt", "timeframes.txt", "fare_transfer_rules.txt"),
    *("rider_categories.txt", "fare_media.txt", "fare_leg_join_rules.txt"),
}
"""The files that the import looks at."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file with its line; a column that is not there is blank."""

    file: str
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    def decimal(self, column: str) -> float | None:
        """Read a decimal number, None where it is blank or none."""
        try:
            value = float(self[column])
        except ValueError:
            return None
        return value if abs(value) < 1e12 else None  # neither infinite nor NaN

    def whole(self, column: str, blank: int) -> int | None:
        """Read a whole number; `blank` where the field is, None where it is no number."""
        text = self[column]
        if not text:
            return blank
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Feed:
    """The files of a feed, and what was found in them so far."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._findings: list[Finding] = []
        self._left: dict[tuple[str, str], tuple[Finding, int]] = {}

    @property
    def findings(self) -> list[Finding]:
        """Everything found, what was left out row by row summed up."""
        summed = []
        for found, count in self._left.values():
            more = f" ({count} rows, this is the first)" if count > 1 else ""
            summed.append(Finding(found.file, found.line, found.severity, found.message + more, found.remedy))
        return [*self._findings, *summed]

    def has(self, file: str) -> bool:
        """Whether the feed has a file."""
        return file in self._files

    def unused(self) -> list[str]:
        """The files that the import does not look at, by name."""
        return sorted(set(self._files) - READ)

    def found(self, finding: Finding) -> None:
        """Note a finding."""
        if finding not in self._findings:
            self._findings.append(finding)

    def left(self, row: Row, message: str, remedy: str, severity: Severity = Severity.WARNING) -> None:
        """Note that a row is not carried; rows left out for one reason become one finding, at the first of them."""
        first, count = self._left.get((row.file, message), (Finding(row.file, row.line, severity, message, remedy), 0))
        self._left[row.file, message] = first, count + 1

    def rows(self, file: str, *columns: str, needed: bool = False) -> Iterator[Row]:
        """Read a file's rows; `columns` have to be there. A file that is not there has none, an error where it is `needed`."""
        if file not in self._files:
            if needed:
                self.found(error(file, "is missing", "take a feed that has it: without it there is no network"))
            return
        lines = csv.reader(line + "\n" for line in self._text(file).split("\n"))
        header: tuple[str, ...] = ()
        try:
            for values in lines:
                if not any(values):
                    continue
                if not header:
                    header = tuple(value.strip() for value in values)
                    if not self._complete(file, header, columns):
                        return
                elif len(values) != len(header):
                    row = Row(file, lines.line_num, {})
                    self.left(row, "the row has too few or too many fields and is passed over", "correct it in the feed")
                else:
                    yield Row(file, lines.line_num, {name: value.strip() for name, value in zip(header, values, strict=True)})
        except csv.Error as wrong:
            self.found(error(file, f"is not CSV: {wrong}", "correct it in the feed", line=lines.line_num))

    def _complete(self, file: str, header: tuple[str, ...], columns: tuple[str, ...]) -> bool:
        missing = [column for column in columns if column not in header]
        if missing:
            self.found(error(file, f"has no column {', '.join(missing)}", "take a feed that has it", line=1))
        return not missing

    def _text(self, file: str) -> str:
        try:
            return self._files[file].decode("utf-8-sig")
        except UnicodeDecodeError as wrong:
            line = wrong.object.count(b"\n", 0, wrong.start) + 1
            found = f"is not UTF-8 at byte {wrong.start}: its letters are read as question marks"
            self.found(warning(file, found, "save it as UTF-8", line=line))
            return self._files[file].decode("utf-8-sig", errors="replace").replace("\ufffd", "?")


def day(text: str) -> date | None:
    """Read a day as a feed writes it, 20261001."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])) if len(text) == 8 and text.isdigit() else None
    except ValueError:
        return None
