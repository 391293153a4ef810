"""Reports as CSV and JSON, line by line: memory stays flat however long a report is."""

import csv
import io
import json
from collections.abc import Mapping
from typing import BinaryIO, Protocol

from settlement.reports.catalogue import Report
from settlement.reports.tally import Line, Tally

About = Mapping[str, int | str]
"""What stands above the rows: who it is for, its span, basis and ledger size; no clock of whoever writes it."""


class Writer(Protocol):
    """Writes one report into a file: what it is when made, then its lines, then the totals."""

    tally: Tally

    def line(self, line: Line) -> None:
        """Write the next line."""

    def end(self) -> None:
        """Write the totals; the file itself stays open."""


class CsvWriter:
    """CSV (RFC 4180) in UTF-8 with a byte order mark, without which spreadsheets read Chinese headings as another script.

    Rows begin with their type: H what the report is and the headings, `row` the columns' names, D the data, S the totals.
    """

    def __init__(self, sink: BinaryIO, report: Report, about: About) -> None:
        self.tally = Tally(report)
        self.text = io.TextIOWrapper(sink, encoding="utf-8", newline="", write_through=True)
        self.rows = csv.writer(self.text, lineterminator="\r\n")
        self.text.write("\ufeff")
        self.rows.writerow(["H", report.number, report.name, report.title_zh, report.title_en])
        for name, value in about.items():
            self.rows.writerow(["H", name, value])
        self.rows.writerow(["H", *(column.zh for column in report.columns)])
        self.rows.writerow(["H", *(column.en for column in report.columns)])
        self.rows.writerow(["row", *(column.name for column in report.columns)])

    def line(self, line: Line) -> None:
        """Write a D row."""
        self.rows.writerow(["D", *self.tally.cells(line)])

    def end(self) -> None:
        """Write the S row: in the first column how many rows there are, unless that column has a total itself."""
        names = [column.name for column in self.tally.report.columns]
        self.rows.writerow(
            ["S", *(self.tally.totals.get(name, self.tally.rows if at == 0 else "") for at, name in enumerate(names))]
        )
        self.text.detach()


class JsonWriter:
    """JSON: one object with what the report is, its columns, its rows, how many they are, and the totals."""

    def __init__(self, sink: BinaryIO, report: Report, about: About) -> None:
        self.tally, self.sink = Tally(report), sink
        self.names = [column.name for column in report.columns]
        columns = [{"name": it.name, "zh": it.zh, "en": it.en, "kind": it.kind.value} for it in report.columns]
        title = {"zh": report.title_zh, "en": report.title_en}
        head = {"report": report.name, "number": report.number, "title": title, **about, "columns": columns}
        self._write(json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": [')

    def line(self, line: Line) -> None:
        """Write a row."""
        before = ",\n" if self.tally.rows else "\n"
        self._write(before + json.dumps(dict(zip(self.names, self.tally.cells(line), strict=True)), ensure_ascii=False))

    def end(self) -> None:
        """Close the object."""
        self._write(f'\n], "count": {self.tally.rows}, "totals": {json.dumps(self.tally.totals)}}}\n')

    def _write(self, text: str) -> None:
        self.sink.write(text.encode())
