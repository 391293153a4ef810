"""The published vectors of the tap, good and bad; `python tests/conformance/test_tap.py` writes them anew."""

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from fare_chain import tap
from fare_chain.errors import Malformed
from fare_chain.tap import Tap, TapKind

FILE = Path(__file__).with_name("tap.json")
PAGE = Path(__file__).parents[2] / "docs/formats/tap.md"
RULE = (
    "tapped_at_us = 1790000000000000 + 250 i; medium = SHA-256('medium-<i mod 97>')[:16]; code_digest = SHA-256('code-<i>'); "
    "gate_seq = i; gate = 7 + i mod 3; station = 1001 + i mod 5; host = 1 + i mod 9; issuer = 1 + 4 i mod 9; kind = 1 + i mod 2; "
    "mode = 1; category = flags = entitlement = 0"
)
TAP_0 = (
    "00e025dafe5b06002baacaa1b155929648bf7ab3af098fdba5a4cec6c907cf0c8c0f63980dc4e3a34543839c32c676f70ef984eceb059298"
    "0000000007000000e9030000010001000101000000000000"
)
# Agreed before the first line of `tap` was written.
TAPS_ROOTS = {
    1: "2ca0e9e357bb78dacb9f4e093f75f4f9929b963f2344f08dfafe7b6f8b2a58ad",
    2: "7b2740074bb82c0847f5d1dbd11993791ebf02a4bbc50af7aa681dc13facd633",
    3: "40dc0989644a3209453a3258dae55f47afec5aa737b366675f4ef153493834dc",
    5: "e567049aafc254c62cd777b1c1ecd59990e18cc9fecdbb7dfb622d719c3eb6d4",
    4095: "46492e3481ebad364c2c49f2a944a282cc1610feacefe67edf550ebd7ec1655b",
    4096: "8ca3cd887e0f966eaa340dd9ad924ebe4084182818b3c130076d38519646a721",
}
BODY_HASHES = {
    1: "141159435f667244718c913c6048b83b9704eab66464d6577f08ce445f6ad3f1",
    2: "be3bbc8a163c886c86fdaf6ffe8e9ba361ce95e1ecdd076bcef11abd27cc0ad6",
    3: "0b650608080d9ff48a6180d202efc581fd3c30c740398f9d148edb985cef1448",
    5: "2dbd76ee7e5c9775e4c6ffc5eacb028bd11bb58af90d16ea718cb89289c8bb7a",
    4095: "a0f7079604ff600fb9f54138bc0af66821a8a14197166b59bde7b6264f50b725",
    4096: "6de2d28654b690e9d451cde7fcfac0f1a2221c59229dda6231aab09a672e6470",
}


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tap_number(i: int) -> Tap:
    """Tap i of the rule."""
    return Tap(
        1_790_000_000_000_000 + 250 * i, sha256(f"medium-{i % 97}".encode())[:16], sha256(f"code-{i}".encode()),
        i, 7 + i % 3, 1001 + i % 5, 1 + i % 9, 1 + 4 * i % 9, TapKind(1 + i % 2),
    )  # fmt: skip


def run_of(count: int) -> bytes:
    return b"".join(tap_number(i).to_bytes() for i in range(count))


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word for word: split at the largest power of two below the count."""
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + plain_root(leaves[:split]) + plain_root(leaves[split:]))


def put(run: bytes, at: int, data: bytes) -> bytes:
    return run[:at] + data + run[at + len(data) :]


def bad_runs() -> dict[str, tuple[bytes, str, int | None]]:
    """Name of the tampering -> the run, and the field and offset that a refusal names."""
    run = run_of(3)
    return {
        "cut-record": (run[:-1], "whole records", None),
        "one-byte-more": (run + b"\0", "whole records", None),
        "kind-zero": (put(run, 72, b"\0"), "kind", 72),
        "kind-refused-in-a-batch": (put(run, 72, b"\6"), "kind", 72),
        "kind-unknown": (put(run, 152, b"\7"), "kind", 152),
        "mode-unknown": (put(run, 73, b"\2"), "mode", 73),
        "category-unknown": (put(run, 74, b"\3"), "category", 74),
        "flag-unknown": (put(run, 235, b"\2"), "flags", 235),
        "reserved-first-byte-set": (put(run, 77, b"\1"), "reserved", 77),
        "reserved-last-byte-set": (put(run, 239, b"\x80"), "reserved", 239),
        "shifted-by-one": (b"\1" + run[:-1], "kind", 72),
    }


def vectors() -> dict:
    return {
        "about": "Taps of docs/formats/tap.md; a run is taps 0 .. count - 1 of the rule, one behind the other.",
        "rule": RULE,
        "taps": [
            {"tap": i, "fields": fields(tap_number(i)), "record": tap_number(i).to_bytes().hex()} for i in (0, 1, 2, 96, 97, 4095)
        ],
        "runs": [{"count": count, "taps_root": root, "body_hash": BODY_HASHES[count]} for count, root in TAPS_ROOTS.items()],
        "bad": [
            {"name": name, "run": run.hex(), "field": field, "offset": offset} for name, (run, field, offset) in bad_runs().items()
        ],
    }


def fields(one: Tap) -> dict:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(one).items()}


def stored() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"bad": [], "runs": [], "taps": []}


def test_the_file_is_what_its_rule_makes():
    assert json.loads(json.dumps(vectors())) == stored()


def test_tap_0_is_the_agreed_record():
    assert stored()["taps"][0]["record"] == tap_number(0).to_bytes().hex() == TAP_0


@pytest.mark.parametrize("vector", stored()["taps"], ids=lambda vector: f"tap {vector['tap']}")
def test_a_good_tap_reads_and_writes(vector):
    read = tap.read(bytes.fromhex(vector["record"]))
    assert fields(read) == vector["fields"]
    assert read.to_bytes().hex() == vector["record"]


@pytest.mark.parametrize("vector", stored()["runs"], ids=lambda vector: f"{vector['count']} taps")
def test_a_run_has_the_agreed_hashes(vector):
    run = run_of(vector["count"])
    tap.check_run(run)
    assert sha256(run).hex() == vector["body_hash"]
    assert plain_root(tap.records(run)).hex() == vector["taps_root"]


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in stored()["bad"]])
def test_a_bad_run_is_refused_by_field_and_offset(vector):
    place = "" if vector["offset"] is None else rf".*\(offset {vector['offset']}\)"
    with pytest.raises(Malformed, match=vector["field"] + place):
        tap.check_run(bytes.fromhex(vector["run"]))


def test_the_page_has_the_byte_table_of_the_field_table():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    found = [(name, int(offset), int(size)) for offset, size, name in rows]
    assert found == [(name, offset, int(kind.lstrip("<VSiu"))) for name, kind, offset in tap.FIELDS]
    assert sum(size for _, _, size in found) == tap.TAP_BYTES


def test_the_page_documents_every_kind_mode_category_and_flag():
    page = PAGE.read_text(encoding="utf-8")
    known = [*tap.TapKind, *tap.StationMode, *tap.Category, *tap.TapFlag]
    assert [f"{one.value} `{one.name}`" for one in known if f"{one.value} `{one.name}`" not in page] == []


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
