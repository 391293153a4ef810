"""A member's statement as a PDF for people who sign it: a page for each member's days, figures in yuan and in fen.

Chinese stands in a font that every reader of PDF brings along: none travels in the file. The same lines give the same bytes.
"""

from typing import BinaryIO

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from settlement.reports.catalogue import NUMBERS, Kind, Report
from settlement.reports.tables import About
from settlement.reports.tally import Line, Tally

_FONT = "STSong-Light"
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, A4[0] - 50, A4[1] - 60, 60
_STEP = 16
_HEX_SHOWN = 64


class StatementWriter:
    """A PDF with one block a line: every column by both headings, money in yuan to the fen."""

    def __init__(self, sink: BinaryIO, report: Report, about: About) -> None:
        self.tally, self.about, self.page = Tally(report), about, 0
        pdfmetrics.registerFont(UnicodeCIDFont(_FONT))
        # Invariant: no date and no random id; uncompressed: other zlibs give other bytes.
        self.canvas = Canvas(sink, pagesize=A4, pageCompression=0, invariant=1)
        self.canvas.setTitle(f"{report.number} {report.title_zh} {report.title_en}")
        self.y = 0.0
        self._new_page()
        for name, value in about.items():
            self._pair(name, str(value)[:_HEX_SHOWN])

    def line(self, line: Line) -> None:
        """Write a block; it is not cut by the end of a page."""
        cells = self.tally.cells(line)
        self._block(
            [(f"{it.zh} {it.en}", _shown(it.kind, value)) for it, value in zip(self.tally.report.columns, cells, strict=True)]
        )

    def end(self) -> None:
        """Write the totals and close the document."""
        summed = [column for column in self.tally.report.columns if column.summed]
        totals = [(f"{column.zh} {column.en}", _shown(column.kind, self.tally.totals[column.name])) for column in summed]
        self._block([("合计 Totals, rows", str(self.tally.rows)), *totals])
        self._foot()
        self.canvas.save()

    def _block(self, pairs: list[tuple[str, str]]) -> None:
        if self.y - _STEP * (len(pairs) + 1) < _BOTTOM:
            self._foot()
            self.canvas.showPage()
            self._new_page()
        self.y -= _STEP / 2
        self.canvas.line(_LEFT, self.y + _STEP - 4, _RIGHT, self.y + _STEP - 4)
        for name, value in pairs:
            self._pair(name, value)

    def _new_page(self) -> None:
        self.page, self.y = self.page + 1, float(_TOP)
        report = self.tally.report
        self.canvas.setFont(_FONT, 15)
        self.canvas.drawString(_LEFT, self.y, f"{report.number} {report.title_zh} {report.title_en}")
        self.canvas.setFont(_FONT, 10)
        self.y -= 2 * _STEP

    def _pair(self, name: str, value: str) -> None:
        self.canvas.drawString(_LEFT, self.y, name)
        self.canvas.drawRightString(_RIGHT, self.y, value)
        self.y -= _STEP

    def _foot(self) -> None:
        self.canvas.drawRightString(_RIGHT, _BOTTOM / 2, f"{self.about.get('document', '')}  {self.page}")


def yuan(fen: int) -> str:
    """Fen as yuan with two places, by whole-number division."""
    whole, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole:,}.{rest:02d}"


def _shown(kind: Kind, value: int | str) -> str:
    if kind is Kind.FEN and isinstance(value, int):
        return f"{yuan(value)} 元"
    return f"{value:,}" if kind in NUMBERS and isinstance(value, int) else str(value)
