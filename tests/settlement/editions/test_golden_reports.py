"""Every report of two told days as readable text: FARE_CHAIN_REWRITE_GOLDEN=1 writes them anew, their difference is for a person.

The rides stand in `reporting_world.py`. Hashes are shown by their first eight digits; columns that are never filled stay narrow.
"""

import json
import os
from pathlib import Path

import pytest

from settlement.reports.catalogue import REPORTS, Kind, Readers

FOLDER = Path(__file__).parent / "golden"
REWRITE = os.environ.get("FARE_CHAIN_REWRITE_GOLDEN") == "1"
NUMERIC = {Kind.FEN, Kind.COUNT, Kind.PPM, Kind.SECONDS, Kind.METRES}


def shown(kind, value):
    return str(value)[:8] if kind is Kind.HEX else str(value)


def as_text(report, told):
    """The report as a table: titles, whom it is for, headings, rows, totals."""
    columns = report.columns
    rows = [[shown(column.kind, row[column.name]) for column in columns] for row in told["rows"]]
    totals = [str(told["totals"].get(column.name, "")) for column in columns]
    table = [[column.name for column in columns], *rows, totals]
    widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
    right = [column.kind in NUMERIC for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width) for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        for row in table
    ]
    about = f"for {told['for']}, seconds {told['from']} to {told['to']}, by {told['basis']}, as of {told['as_of_size']} entries"
    head = [f"{report.number} {report.title_zh} {report.title_en}", about, ""]
    return "\n".join(line.rstrip() for line in [*head, *lines]) + "\n"


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_of_two_told_days_is_what_stands_in_its_file(pulled, name):
    found = as_text(REPORTS[name], json.loads(pulled[1][name, "settlement", "json"][0]))
    file = FOLDER / f"{name}.txt"
    if REWRITE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
    assert found == file.read_text()


def test_a_member_report_is_for_whom_it_says(pulled):
    for (name, _basis, form), (data, _note) in pulled[1].items():
        if form == "json":
            assert json.loads(data)["for"] == ("all" if REPORTS[name].readers is Readers.PUBLIC else "birch")
