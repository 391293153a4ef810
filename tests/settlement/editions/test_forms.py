"""The same report in every form says the same: read again by programs that others wrote."""

import csv
import io
import json
import tracemalloc
import zipfile

import openpyxl
import pypdf
import pytest

from fare_chain.events import WindowEntry
from settlement.core.rules import Rules
from settlement.reports.catalogue import NUMBERS, REPORTS
from settlement.reports.facts import Asked, AsOf, EndFacts, Owed, WindowFacts
from settlement.reports.rendering import Rendering
from settlement.reports.statement import yuan
from settlement.reports.workbook import WorkbookWriter

NAMES = sorted(REPORTS)


def told(pulled, name, form, basis="settlement"):
    return pulled[1][name, basis, form][0]


def csv_rows(data):
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    names = next(row for row in rows if row[0] == "row")[1:]
    return [dict(zip(names, row[1:], strict=True)) for row in rows if row[0] == "D"], rows


@pytest.mark.parametrize("name", NAMES)
def test_csv_says_what_json_says_and_its_totals_come_last(pulled, name):
    report, value = REPORTS[name], json.loads(told(pulled, name, "json"))
    rows, lines = csv_rows(told(pulled, name, "csv"))
    assert rows == [{key: str(cell) for key, cell in row.items()} for row in value["rows"]]
    assert {line[0] for line in lines} == {"H", "row", "D", "S"}
    assert lines[-1][0] == "S"
    assert [it.zh for it in report.columns] in [line[1:] for line in lines]
    assert [it.en for it in report.columns] in [line[1:] for line in lines]
    last = dict(zip([it.name for it in report.columns], lines[-1][1:], strict=True))
    assert {key: int(last[key]) for key in report.summed} == value["totals"]


@pytest.mark.parametrize("name", NAMES)
def test_a_workbook_opened_again_says_what_json_says(pulled, name):
    report, value = REPORTS[name], json.loads(told(pulled, name, "json"))
    data = told(pulled, name, "xlsx")
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["rows", "about"]
    zh, en, names, *rows, totals = book["rows"].iter_rows(values_only=True)
    assert (list(zh), list(en), list(names)) == tuple(
        map(list, zip(*((it.zh, it.en, it.name) for it in report.columns), strict=True))
    )
    for row, wanted in zip(rows, value["rows"], strict=True):
        for column, cell in zip(report.columns, row, strict=True):
            assert (cell or ("" if column.kind not in NUMBERS else 0)) == wanted[column.name], column.name
            assert isinstance(cell, int) == (column.kind in NUMBERS)
    assert {it.name: cell for it, cell in zip(report.columns, totals, strict=True) if it.summed} == value["totals"]
    about = dict(book["about"].iter_rows(values_only=True))
    assert about["as_of_root"] == value["as_of_root"]
    assert about["rows"] == str(value["count"])
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert {(part.date_time, part.compress_type) for part in parts.infolist()} == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED)}


def test_a_long_report_goes_on_in_another_sheet_and_large_numbers_stay_exact():
    report = REPORTS["liquidity"]
    sink = io.BytesIO()
    writer = WorkbookWriter(sink, report, {}, most_rows=3)
    for number in range(7):
        line = {column.name: number for column in report.columns}
        writer.line(line | {"begins": f"{number}", "gross_fen": 2**53 + 1})
    writer.end()
    book = openpyxl.load_workbook(io.BytesIO(sink.getvalue()))
    assert book.sheetnames == ["rows", "rows 2", "rows 3", "about"]
    counts = [len(list(book[name].iter_rows(min_row=4))) for name in book.sheetnames[:3]]
    assert counts == [3, 3, 2]
    assert book["rows"].cell(4, 4).value == str(2**53 + 1)
    assert dict(book["about"].iter_rows(values_only=True))["gross_fen"] == str(7 * (2**53 + 1))


def test_the_statement_as_pdf_says_what_json_says(pulled):
    report, value = REPORTS["member-statement"], json.loads(told(pulled, "member-statement", "json"))
    data = told(pulled, "member-statement", "pdf")
    pages = pypdf.PdfReader(io.BytesIO(data)).pages
    text = "\n".join(page.extract_text() for page in pages)
    assert len(pages) > 1
    for row in value["rows"]:
        assert row["day"] in text
        for column in report.columns:
            if column.kind.value == "fen":
                assert f"{yuan(row[column.name])} 元" in text
    for column in report.columns:
        assert f"{column.zh} {column.en}" in text
    assert value["document"].replace("_json", "_pdf") in text
    assert value["as_of_root"] in text


def test_a_pdf_and_a_workbook_know_no_clock(pulled):
    for form in ("pdf", "xlsx"):
        assert b"2026" not in told(pulled, "member-statement", form), "the year in which this was written"


def windows(count):
    """Windows in which ten members owe each other something, made one at a time."""
    positions = tuple((member, 0) for member in range(10))
    owed = tuple(Owed(1, debtor, (debtor + 1) % 10, 1, 100) for debtor in range(10))
    for second in range(count):
        entry = WindowEntry(second, 1, second, second + 1, 20, 10, 1000, 0, bytes(32), bytes(32), bytes(32), positions)
        yield WindowFacts(second, second + 1, entry, owed)


@pytest.mark.parametrize("form", ["csv", "json", "xlsx"])
def test_memory_stays_flat_however_long_a_report_is(form, tmp_path):
    def peak(count):
        asked = Asked(REPORTS["window-net"], None, None, 0, 10**6, "settlement", "", form, AsOf(1, bytes(32), 0, Rules()))
        with (tmp_path / f"{count}.{form}").open("w+b") as sink:
            tracemalloc.start()
            rendering = Rendering(asked, sink)
            rendering.take(windows(count))
            manifest = rendering.finish(EndFacts())
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert manifest.rows == 10 * count
        return peak, manifest.length

    peak(10)
    (small, short), (large, long) = peak(200), peak(2_000)
    assert long > 9 * short
    assert large < small + 200_000, (small, large)


@pytest.mark.parametrize(("fen", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123_456, "1,234.56"), (-100, "-1.00")])
def test_yuan_are_whole_number_work(fen, text):
    assert yuan(fen) == text
