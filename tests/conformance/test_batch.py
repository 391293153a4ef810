"""The published vectors of the batch, good and bad; `python tests/conformance/test_batch.py` writes them anew."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from fare_chain import batch, errors, key_files
from fare_chain.batch import HEADER_BYTES, MOST_TAPS, SIGNED_HEADER_BYTES, CityTail, SealedBatch
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.merkle import leaf_hashes, root, subtree_root
from fare_chain.proofs import inclusion_ranges
from fare_chain.tap import TAP_BYTES, Tap, TapKind

FILE = Path(__file__).with_name("batch.json")
PAGE = Path(__file__).parents[2] / "docs/formats/batch.md"
CITY = 2
BEGIN_US = 1_790_000_000_000_000
RULE = (
    "tapped_at_us = 1790000000000000 + 250 (i ^ 1); medium = SHA-256('medium-<i mod 97>')[:16]; the code is the 188 bytes of "
    "SHA-256('code-<i>') repeated, code_digest its SHA-256; gate_seq = i; gate = 7 + i mod 3; station = 1001 + i mod 5; host = 2; "
    "issuer = 1 + 4 i mod 9; kind = 1 + i mod 2; mode = 1; category = flags = 0"
)
# Agreed before the first line of `batch` was written, for taps whose hosts vary: root and flat hash of 4,096, and a path.
AGREED_ROOT = "8ca3cd887e0f966eaa340dd9ad924ebe4084182818b3c130076d38519646a721"
AGREED_BODY_HASH = "6de2d28654b690e9d451cde7fcfac0f1a2221c59229dda6231aab09a672e6470"
AGREED_PATH_OF_146 = "a42ae1b8749d1942e6085a410682b5b248f74e1d75e8d7198d3c6c116eef8b57"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def signing_key(name: str) -> SigningKey:
    """The key of a name: its seed is the SHA-256 of the name."""
    return SigningKey(sha256(name.encode()))


KEY, OTHER_CITY, ENDED, NOT_BEGUN, ISSUER, ABSENT = (
    signing_key(name) for name in ("batch 2", "batch 3", "batch 2, ended", "batch 2, not begun", "issuer 2", "batch 9")
)
LATER_US = BEGIN_US + 365 * 86_400 * 1_000_000
PUBLIC = PublicKey(CITY, KeyUse.BATCH, KEY.public, 0, LATER_US)
PUBLIC_ENDED = PublicKey(CITY, KeyUse.BATCH, ENDED.public, 0, BEGIN_US)
PUBLIC_NOT_BEGUN = PublicKey(CITY, KeyUse.BATCH, NOT_BEGUN.public, LATER_US, LATER_US + 1)
PUBLIC_ISSUER = PublicKey(CITY, KeyUse.ISSUER, ISSUER.public, 0, LATER_US)
RING = [PUBLIC, PublicKey(3, KeyUse.BATCH, OTHER_CITY.public, 0, LATER_US), PUBLIC_ENDED, PUBLIC_NOT_BEGUN, PUBLIC_ISSUER]


def code_number(i: int) -> bytes:
    return (sha256(f"code-{i}".encode()) * 6)[:188]


def tap_number(i: int, host: int = CITY) -> Tap:
    """Tap i of the rule: neighbours change places in time, as gates do."""
    return Tap(
        BEGIN_US + 250 * (i ^ 1), sha256(f"medium-{i % 97}".encode())[:16], sha256(code_number(i)),
        i, 7 + i % 3, 1001 + i % 5, host, 1 + 4 * i % 9, TapKind(1 + i % 2),
    )  # fmt: skip


def run_of(begin: int, end: int) -> bytes:
    return b"".join(tap_number(i).to_bytes() for i in range(begin, end))


def good_batches() -> list[tuple[SealedBatch, int, int]]:
    """A chain of four, the last one full; with the numbers of its taps. The third one's codes were dropped."""
    tail, begin, chain = CityTail(), 0, []
    for count in (1, 3, 5, MOST_TAPS):
        codes = [] if count == 5 else [code_number(i) for i in range(begin, begin + count)]
        sealed = batch.seal(run_of(begin, begin + count), codes, city=CITY, tail=tail, key=KEY, key_id=PUBLIC.key_id)
        chain.append((sealed, begin, begin + count))
        tail, begin = tail.after(sealed.header), begin + count
    return chain


def plain_header(sealed: SealedBatch) -> bytes:
    """The header by its byte table alone: written a second time, field for field."""
    times = [int.from_bytes(sealed.body[at : at + 8], "little") for at in range(0, len(sealed.body), TAP_BYTES)]
    header = sealed.header
    return b"".join([
        b"FCBATCH1", (2).to_bytes(2, "little"), (1).to_bytes(2, "little"), PUBLIC.key_id, header.city_seq.to_bytes(8, "little"),
        header.prev_header, min(times).to_bytes(8, "little"), max(times).to_bytes(8, "little"), len(times).to_bytes(4, "little"),
        bytes(4), sha256(sealed.body), root(leaf_hashes(sealed.body, TAP_BYTES)),
    ])  # fmt: skip


def put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def resigned(sealed: SealedBatch, key: SigningKey = KEY, *, at: int | None = None, new: bytes = b"", **fields) -> bytes:
    """The batch with header fields or bytes changed and signed anew: what a city could do that lies."""
    header = replace(sealed.header, **fields).to_bytes()
    header = header if at is None else put(header, at, new)
    return header + key.sign(header) + sealed.body + sealed.codes


def rebodied(sealed: SealedBatch, body: bytes) -> bytes:
    """The batch with other taps, hashed and signed as if they were good."""
    header = replace(sealed.header, body_hash=sha256(body), taps_root=root(leaf_hashes(body, TAP_BYTES)))
    return header.to_bytes() + KEY.sign(header.to_bytes()) + body


def bad_batches() -> dict[str, tuple[str, str, bytes]]:
    """Name of the tampering -> the kind of refusal, what it names, and the bytes."""
    one, _, _ = good_batches()[1]
    first, _, _ = good_batches()[0]
    whole, body, codes = one.to_bytes(), one.body, one.codes
    swapped = body[TAP_BYTES : 2 * TAP_BYTES] + body[:TAP_BYTES] + body[2 * TAP_BYTES :]
    parts = batch.read_codes(codes)
    malformed = {
        "magic-swapped": ("magic is", resigned(one, at=0, new=b"FCBATCH2")),
        "tap-format-unknown": ("tap_format is 2", resigned(one, at=10, new=b"\2")),
        "count-zero": ("count is 0", resigned(one, count=0)),
        "count-too-large": ("count is 4097", resigned(one, count=4097)),
        "reserved-set": ("reserved is 1", resigned(one, at=76, new=b"\1")),
        "times-swapped": ("last_us", resigned(one, first_us=one.header.last_us, last_us=one.header.first_us)),
        "first-batch-names-another-before": ("prev_header", resigned(first, prev_header=bytes([1] * 32))),
        "header-cut": ("a batch header has 144 bytes", whole[: HEADER_BYTES - 1]),
        "body-cut": ("expected at least", whole[: SIGNED_HEADER_BYTES + 3 * TAP_BYTES - 1]),
        "foreign-host": ("tap 1: host is 3", rebodied(one, put(body, TAP_BYTES + 68, b"\3"))),
        "refused-tap": ("tap 2: kind is 6", rebodied(one, put(body, 2 * TAP_BYTES + 72, b"\6"))),
        "reserved-byte-of-a-tap-set": ("tap 0: reserved is 1", rebodied(one, put(body, 77, b"\1"))),
        "first-time-false": ("first_us", resigned(one, first_us=one.header.first_us - 1)),
        "last-time-false": ("last_us", resigned(one, last_us=one.header.last_us + 1)),
        "code-missing": ("2 rider codes for 3 taps", one.signed_header + body + batch.write_codes(parts[:2])),
        "code-too-many": ("4 rider codes for 3 taps", one.signed_header + body + batch.write_codes([*parts, parts[0]])),
        "codes-cut": ("rider code 2 is cut", whole[:-1]),
        "code-too-long": ("rider code 0 is cut or too long", one.signed_header + body + batch.write_codes([bytes(513)])),
    }
    untrusted = {
        "signature-flipped": ("does not verify", put(whole, HEADER_BYTES, bytes([whole[HEADER_BYTES] ^ 1]))),
        "signature-zero": ("does not verify", put(whole, HEADER_BYTES, bytes(64))),
        "another-citys-key": ("does not verify", resigned(one, OTHER_CITY)),
        "key-unknown": ("has no BATCH key", resigned(one, ABSENT, key_id=replace(PUBLIC, public=ABSENT.public).key_id)),
        "key-of-another-use": ("has no BATCH key", resigned(one, ISSUER, key_id=PUBLIC_ISSUER.key_id)),
        "key-ended": ("is valid from", resigned(one, ENDED, key_id=PUBLIC_ENDED.key_id)),
        "key-not-begun": ("is valid from", resigned(one, NOT_BEGUN, key_id=PUBLIC_NOT_BEGUN.key_id)),
        "city-swapped": ("member 3 has no BATCH key", put(whole, 8, b"\3")),
        "sequence-swapped": ("does not verify", put(whole, 16, b"\2")),
        "previous-swapped": ("does not verify", put(whole, 24, bytes(32))),
        "tap-changed": ("body_hash", put(whole, SIGNED_HEADER_BYTES + 60, b"\x55")),
        "taps-in-another-order": ("body_hash", one.signed_header + swapped + codes),
        "body-hash-false": ("body_hash", resigned(one, body_hash=first.header.body_hash)),
        "root-swapped": ("taps_root", resigned(one, taps_root=first.header.taps_root)),
        "code-changed": ("rider code of tap 0", put(whole, len(whole) - len(codes) + 50, b"\x55")),
        "codes-in-another-order": ("rider code of tap 0", one.signed_header + body + batch.write_codes(parts[::-1])),
    }
    return {
        **{name: ("Malformed", says, data) for name, (says, data) in malformed.items()},
        **{name: ("Untrusted", says, data) for name, (says, data) in untrusted.items()},
    }


def vectors() -> dict:
    return {
        "about": "Batches of docs/formats/batch.md; a seed is the SHA-256 of its key's name, 'batch 2' for the good ones.",
        "rule": RULE,
        "ring": [key_files.public_line(key) for key in RING],
        "good": [
            {
                "city_seq": sealed.header.city_seq, "taps": [begin, end], "with_codes": bool(sealed.codes),
                "header": sealed.header.to_bytes().hex(), "signature": sealed.signature.hex(),
                "header_hash": sealed.header.hash().hex(), "batch_hash": sha256(sealed.to_bytes()).hex(),
            }
            for sealed, begin, end in good_batches()
        ],
        "bad": [
            {"name": name, "error": error, "says": says, "batch": data.hex()} for name, (error, says, data) in bad_batches().items()
        ],
    }  # fmt: skip


def stored() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"bad": [], "good": [], "ring": []}


def ring() -> KeyRing:
    return KeyRing(key_files.parse_public_line(line) for line in stored()["ring"])


def rebuilt(vector: dict) -> bytes:
    """A good batch from the file and its rule, without the code under test."""
    numbers = range(*vector["taps"])
    codes = [len(code_number(i)).to_bytes(2, "little") + code_number(i) for i in numbers] if vector["with_codes"] else []
    return bytes.fromhex(vector["header"] + vector["signature"]) + run_of(numbers.start, numbers.stop) + b"".join(codes)


def test_the_file_is_what_its_rule_makes():
    assert json.loads(json.dumps(vectors())) == stored()


@pytest.mark.parametrize("vector", stored()["good"], ids=lambda vector: f"batch {vector['city_seq']}")
def test_a_good_batch_unseals_and_is_its_bytes(vector):
    data = rebuilt(vector)
    sealed = batch.unseal(data, ring())
    assert sealed.to_bytes() == data
    assert sha256(data).hex() == vector["batch_hash"]
    assert sealed.header.to_bytes() == plain_header(sealed)
    assert sha256(plain_header(sealed)).hex() == vector["header_hash"]
    VerifyKey(KEY.public).verify(bytes.fromhex(vector["header"]), bytes.fromhex(vector["signature"]))


def test_the_good_batches_follow_one_another():
    headers = [batch.read_header(bytes.fromhex(vector["header"])) for vector in stored()["good"]]
    tail = CityTail()
    for header in headers:
        assert (header.city_seq, header.prev_header) == (tail.next_seq, tail.header_hash)
        tail = tail.after(header)


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in stored()["bad"]])
def test_a_bad_batch_is_refused_for_its_reason(vector):
    with pytest.raises(getattr(errors, vector["error"]), match=re.escape(vector["says"])):
        batch.unseal(bytes.fromhex(vector["batch"]), ring())


def test_a_bad_batch_is_bad_for_one_reason_alone():
    """Undo nothing, but see that the batch they were made from is good: a vector of a bad original would prove nothing."""
    sealed, _, _ = good_batches()[1]
    assert batch.unseal(sealed.to_bytes(), ring()).to_bytes() == sealed.to_bytes()
    assert all(data != sealed.to_bytes() for _, _, data in bad_batches().values())


def test_the_root_and_a_path_are_those_agreed():
    leaves = []
    run = b""
    for i in range(MOST_TAPS):
        one = replace(
            tap_number(i, 1 + i % 9), tapped_at_us=BEGIN_US + 250 * i, code_digest=sha256(f"code-{i}".encode())
        ).to_bytes()  # fmt: skip
        run += one
        leaves.append(sha256(b"\0" + one))
    assert root(leaf_hashes(run, TAP_BYTES)).hex() == AGREED_ROOT
    assert sha256(run).hex() == AGREED_BODY_HASH
    path = [
        subtree_root(begin, end, lambda level, index: root(leaves[index << level : (index + 1) << level]))
        for begin, end in inclusion_ranges(index=146, size=MOST_TAPS)
    ]
    assert sha256(b"".join(path)).hex() == AGREED_PATH_OF_146


def test_the_page_has_the_byte_table_of_the_header():
    table = PAGE.read_text(encoding="utf-8").partition("## On the wire")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \| (\w+) \|", table, re.MULTILINE)
    at = 0
    for offset, size, _, kind in rows:
        assert int(offset) == at
        assert kind == "bytes" or int(kind[1:]) == 8 * int(size)
        at += int(size)
    assert at == HEADER_BYTES
    header = good_batches()[1][0].header
    data = header.to_bytes()
    for offset, size, name, kind in rows:
        found = data[int(offset) : int(offset) + int(size)]
        expected = {"magic": b"FCBATCH1", "tap_format": 1, "reserved": 0}.get(name, getattr(header, name, None))
        assert (found if kind == "bytes" else int.from_bytes(found, "little")) == expected, name


def test_the_page_names_every_bad_vector():
    page = PAGE.read_text(encoding="utf-8")
    assert [vector["name"] for vector in stored()["bad"] if f"`{vector['name']}`" not in page] == []


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
