"""Reports as CSV and JSON, line by line: memory stays flat however long a report is."""

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from settlement.reports.catalogue import Report

Line = Mapping[str, Any]


async def write_csv(report: Report, about: Line, lines: AsyncIterator[Line]) -> AsyncIterator[str]:
    """CSV (RFC 4180): H rows say what the report is, then the column names, D rows the data, one S row the totals."""
    yield _row(["H", report.number, report.name, report.title_zh, report.title_en])
    for name, value in about.items():
        yield _row(["H", name, value])
    yield _row(["row", *report.columns])
    totals, count = dict.fromkeys(report.summed, 0), 0
    async for line in lines:
        yield _row(["D", *(line[name] for name in report.columns)])
        count += 1
        for name in report.summed:
            totals[name] += line[name]
    yield _row(["S", *(totals.get(name, count if at == 0 else "") for at, name in enumerate(report.columns))])


async def write_json(report: Report, about: Line, lines: AsyncIterator[Line]) -> AsyncIterator[str]:
    """JSON: one object with what the report is, its rows, how many they are, and the totals."""
    head = {"report": report.name, "number": report.number, "title": {"zh": report.title_zh, "en": report.title_en}, **about}
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": ['
    totals, count = dict.fromkeys(report.summed, 0), 0
    async for line in lines:
        yield ("," if count else "") + json.dumps({name: line[name] for name in report.columns}, ensure_ascii=False)
        count += 1
        for name in report.summed:
            totals[name] += line[name]
    yield f'], "count": {count}, "totals": {json.dumps(totals)}}}\n'


FORMATS = {"csv": (write_csv, "text/csv; charset=utf-8"), "json": (write_json, "application/json")}


def _row(cells: list[Any]) -> str:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\r\n").writerow(cells)
    return sink.getvalue()
