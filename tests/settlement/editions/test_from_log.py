"""Reports made again from an exported log alone: the same bytes, and a refusal for every lie."""

import csv
import io
import shutil
from dataclasses import replace

import pytest

from fare_chain.audit import AuditFailure
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.log_reader import open_log
from settlement.editions.checking import check_report
from settlement.editions.from_log import reproduce
from settlement.reports.catalogue import REPORTS
from settlement.reports.manifest import read_manifest, read_manifest_text, reports_verifier
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key

VERIFIER = reports_verifier(ORIGIN, small_key(0, KeyUse.REPORT).public)


KEYS = [(report.name, basis, form) for report in REPORTS.values() for basis in report.bases for form in report.forms]


@pytest.mark.parametrize("key", KEYS, ids="-".join)
def test_the_ledger_alone_gives_the_same_bytes(pulled, key):
    folder, files = pulled
    data, note = files[key]
    sink = io.BytesIO()
    manifest = reproduce(open_log(str(folder)), [LOG_VERIFIER], note, sink)
    assert sink.getvalue() == data
    assert manifest.rows > 0
    assert check_report(manifest, data) == (key[2] in ("csv", "json"))


def signed_again(note, **changed):
    manifest = read_manifest(note, [VERIFIER])
    return replace(manifest, **changed).sign(ORIGIN, small_key(0, KeyUse.REPORT))


@pytest.mark.parametrize(
    ("changed", "refusal", "why"),
    [
        ({"sums": {"receivable_fen": 1, "payable_fen": 1, "net_fen": 0}}, Untrusted, "the report says sums"),
        ({"rows": 1}, Untrusted, "the report says rows 1"),
        ({"sha256": bytes(32)}, Untrusted, "the report says sha256"),
        ({"as_of_root": bytes(32)}, Untrusted, "with root 0000"),
        ({"last_state_root": bytes(32)}, Untrusted, "the report says last_state_root"),
        ({"as_of_size": 10**6}, Unknown, "export the log again"),
        ({"as_of_size": 20}, Untrusted, "was never signed"),
    ],
)
def test_a_signed_lie_is_refused_by_what_it_says(pulled, changed, refusal, why):
    folder, files = pulled
    _data, note = files["window-net", "settlement", "csv"]
    with pytest.raises(refusal, match=why):
        reproduce(open_log(str(folder)), [LOG_VERIFIER], signed_again(note, **changed))


def test_no_key_signs_but_the_one_that_the_ledger_registers_for_the_schemes_reports(pulled):
    folder, files = pulled
    manifest = read_manifest(files["window-net", "settlement", "csv"][1], [VERIFIER])
    for key in (small_key(0, KeyUse.LOG), small_key(0, KeyUse.ACCESS), small_key(2, KeyUse.REPORT), small_key(9, KeyUse.REPORT)):
        with pytest.raises(Untrusted, match="no signature of the note"):
            reproduce(open_log(str(folder)), [LOG_VERIFIER], manifest.sign(ORIGIN, key))


def test_a_log_with_one_tap_changed_reproduces_nothing(pulled, tmp_path):
    folder, files = pulled
    copy = tmp_path / "log"
    shutil.copytree(folder, copy)
    body = min((copy / "body").iterdir())
    data = bytearray(body.read_bytes())
    data[3] ^= 1
    body.write_bytes(data)
    with pytest.raises(AuditFailure):
        reproduce(open_log(str(copy)), [LOG_VERIFIER], files["window-net", "settlement", "csv"][1])


def test_a_file_is_held_to_its_manifest(pulled):
    _folder, files = pulled
    data, note = files["member-statement", "settlement", "csv"]
    manifest = read_manifest(note, [VERIFIER])
    assert check_report(manifest, data)
    for at in range(0, len(data), 37):
        bent = bytearray(data)
        bent[at] ^= 1
        with pytest.raises(Untrusted, match="the file was changed"):
            check_report(manifest, bytes(bent))
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    credit = rows[[row[0] for row in rows].index("row")].index("fares_credit_fen")
    first = next(row for row in rows if row[0] == "D")
    wrong = data.replace(
        ",".join(first).encode(), ",".join([*first[:credit], str(int(first[credit]) + 1), *first[credit + 1 :]]).encode()
    )
    with pytest.raises(Untrusted, match="added wrongly"):
        check_report(replace(manifest, length=len(wrong), sha256=sha256(wrong)), wrong)


def test_every_byte_of_a_manifest_is_signed(pulled):
    note = pulled[1]["window-net", "settlement", "csv"][1]
    for at in range(len(note.rpartition("\n\n")[0])):
        bent = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(FareChainError):
            read_manifest(bent, [VERIFIER])


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("rows ", "rowz "),
        ("schema 1", "schema 01"),
        ("edition 0", "edition -0"),
        ("sum net_fen 0", "sum net_fen 0.0"),
        ("report/v1", "report/v2"),
    ],
)
def test_a_manifest_has_one_spelling(pulled, found, instead):
    text = pulled[1]["window-net", "settlement", "csv"][1].rpartition("\n\n")[0] + "\n"
    assert read_manifest_text(text).to_text() == text
    with pytest.raises(Malformed):
        read_manifest_text(text.replace(found, instead, 1))
