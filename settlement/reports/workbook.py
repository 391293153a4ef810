"""Reports as XLSX: rows go to disk as they come, and the same rows give the same bytes on every machine."""

import shutil
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import xlsxwriter

from settlement.reports.catalogue import NUMBERS, Report
from settlement.reports.tables import About
from settlement.reports.tally import Line, Tally

MOST_ROWS = 1_000_000
"""Data rows of one sheet; the rest goes on in the next one."""
_EXACT = 2**53
"""A spreadsheet's numbers are binary floats: larger ones are written as text, so that no fen is lost."""
_CREATED = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class WorkbookWriter:
    """A workbook: sheet `about` says what the report is and has its totals, sheets `rows`, `rows 2`... have its lines."""

    def __init__(self, sink: BinaryIO, report: Report, about: About, most_rows: int = MOST_ROWS) -> None:
        self.tally, self.sink, self.about, self.most_rows = Tally(report), sink, about, most_rows
        self.folder = tempfile.TemporaryDirectory(prefix="report-")
        self.file = Path(self.folder.name) / "made.xlsx"
        options = {"constant_memory": True, "tmpdir": self.folder.name, "strings_to_formulas": False, "strings_to_urls": False}
        self.book = xlsxwriter.Workbook(str(self.file), options)
        self.book.set_properties({"title": f"{report.number} {report.title_zh}", "created": _CREATED})
        self.bold, self.number = self.book.add_format({"bold": True}), self.book.add_format({"num_format": "#,##0"})
        self.is_number = [column.kind in NUMBERS for column in report.columns]
        self.sheet: Any = None
        self.at = 0

    def line(self, line: Line) -> None:
        """Write a row."""
        if self.sheet is None or self.at == self.most_rows + 3:
            self._new_sheet()
        self._row(self.tally.cells(line))

    def end(self) -> None:
        """Write the totals and the sheet about it, and pack the parts without compression: other zlibs give other bytes."""
        if self.sheet is None:
            self._new_sheet()
        report = self.tally.report
        self._row([self.tally.totals.get(column.name, "") for column in report.columns], self.bold)
        about = self.book.add_worksheet("about")
        told = {"report": report.name, "number": report.number, "zh": report.title_zh, "en": report.title_en, **self.about}
        for at, (name, value) in enumerate([*told.items(), ("rows", self.tally.rows), *self.tally.totals.items()]):
            about.write_string(at, 0, name, self.bold)
            about.write_string(at, 1, str(value))
        about.set_column(0, 1, 32)
        self.book.close()
        _pack_again(self.file, self.sink)
        self.folder.cleanup()

    def _new_sheet(self) -> None:
        number = len(self.book.worksheets()) + 1
        self.sheet = self.book.add_worksheet("rows" if number == 1 else f"rows {number}")
        self.at = 0
        self.sheet.freeze_panes(3, 0)
        self.sheet.set_column(0, len(self.is_number) - 1, 18)
        for headings in zip(*((column.zh, column.en, column.name) for column in self.tally.report.columns), strict=True):
            for at, text in enumerate(headings):
                self.sheet.write_string(self.at, at, text, self.bold)
            self.at += 1

    def _row(self, cells: list[int | str], style: object = None) -> None:
        for at, value in enumerate(cells):
            if self.is_number[at] and isinstance(value, int) and abs(value) < _EXACT:
                self.sheet.write_number(self.at, at, value, style or self.number)
            else:
                self.sheet.write_string(self.at, at, str(value), style)
        self.at += 1


def _pack_again(file: Path, sink: BinaryIO) -> None:
    """The same parts in the same order with one date, stored as they are."""
    with zipfile.ZipFile(file) as made, zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as packed:
        for part in made.infolist():
            with made.open(part) as read, packed.open(zipfile.ZipInfo(part.filename, _ZIP_DATE), "w", force_zip64=False) as write:
                shutil.copyfileobj(read, write)
