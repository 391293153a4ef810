"""Check a report against its manifest without a ledger: the hash of its bytes, its rows, and what each column sums to."""

import csv
import io
import json

from fare_chain.errors import Malformed, Untrusted
from settlement.reports.catalogue import find_report
from settlement.reports.manifest import Manifest, check_file


def check_report(manifest: Manifest, data: bytes) -> bool:
    """Hold a file to its manifest; whether its rows were added up again: those of CSV and JSON are. Untrusted says what differs."""
    check_file(manifest, data)
    if manifest.form not in ("csv", "json"):
        return False
    rows = _csv_rows(data) if manifest.form == "csv" else _json_rows(data)
    sums = {name: sum(int(row[name]) for row in rows) for name in find_report(manifest.report).summed}
    if len(rows) != manifest.rows or sums != manifest.sums:
        raise Untrusted(
            f"the file's {len(rows)} rows add up to {sums}, its manifest says {manifest.rows} rows and {manifest.sums}: "
            "whoever signed it added wrongly"
        )
    return True


def _csv_rows(data: bytes) -> list[dict[str, str]]:
    lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    names = next((line for line in lines if line[0] == "row"), None)
    if names is None:
        raise Malformed("the file has no line of column names: it is no report as CSV")
    return [dict(zip(names, line, strict=True)) for line in lines if line[0] == "D"]


def _json_rows(data: bytes) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(data)["rows"]
    return rows
