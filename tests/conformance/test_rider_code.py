"""The published vectors of the rider code, good and bad; `python tests/conformance/test_rider_code.py` writes them anew."""

import hashlib
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from city_adapters.gate import Reason
from fare_chain import key_files, rider_code
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.rider_code import CODE_BYTES, Credential, JourneyState
from fare_chain.tap import Category

FILE = Path(__file__).with_name("rider-code.json")
PAGE = Path(__file__).parents[2] / "docs/formats/rider-code.md"
NOW_US = 1_790_000_000_000_000
NOW_S = NOW_US // 1_000_000
DAY_S = 86_400
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def signing_key(name: str) -> SigningKey:
    """The key of a name: its seed is the SHA-256 of the name."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


HANGZHOU, NINGBO, WITHDRAWN, ABSENT = (signing_key(name) for name in ("issuer 2", "issuer 3", "issuer 2, withdrawn", "issuer 9"))
DEVICE, THIEF = signing_key("device"), signing_key("thief")
RING = [
    PublicKey(2, KeyUse.ISSUER, HANGZHOU.public, 0, NOW_US + 365 * DAY_S * 1_000_000),
    PublicKey(3, KeyUse.ISSUER, NINGBO.public, 0, NOW_US + 365 * DAY_S * 1_000_000),
    PublicKey(2, KeyUse.ISSUER, WITHDRAWN.public, 0, NOW_US - 1_000_000),
]


def attested(key=HANGZHOU, issuer=2, device_public=DEVICE.public, **fields) -> Credential:
    period = {"not_before_s": NOW_S - 60, "not_after_s": NOW_S + DAY_S}
    return rider_code.issue_credential(key, issuer, device_public, **{**period, **fields})


CREDENTIAL = attested()
JOURNEY = JourneyState(host=1, station=345, entered_at_s=NOW_S - 900)
SHORT = rider_code.issue(DEVICE, CREDENTIAL, NOW_US, 7)
LONG = rider_code.issue(DEVICE, CREDENTIAL, NOW_US, 8, JOURNEY)


def issued(credential=CREDENTIAL, now_us=NOW_US) -> bytes:
    return rider_code.issue(DEVICE, credential, now_us, 7)


def put(code: bytes, at: int, data: bytes) -> bytes:
    """Write over some bytes of a code, all signatures left as they are."""
    return code[:at] + data + code[at + len(data) :]


def signed(unsigned: bytes, device=DEVICE) -> bytes:
    return unsigned + device.sign_in("rider-code", unsigned)


def good_codes() -> dict[str, bytes]:
    return {
        "without-journey-state": SHORT,
        "with-journey-state": LONG,
        "student": issued(attested(category=Category.STUDENT)),
        "third-step-of-the-month": issued(attested(entitlement=3)),
        "senior-of-another-issuer": issued(attested(NINGBO, 3, category=Category.SENIOR)),
        "oldest-fresh": issued(now_us=NOW_US - 29_999_000),
        "furthest-ahead": issued(now_us=NOW_US + 5_000_000),
        "first-second-of-its-credential": issued(attested(not_before_s=NOW_S)),
        "last-second-of-its-credential": issued(attested(not_after_s=NOW_S + 1)),
    }


def bad_codes() -> dict[str, tuple[str, bytes, str]]:
    """Name of the tampering -> what was done, the code, the reason."""
    key_of_ningbo = attested(NINGBO, 3).key_id
    forged = replace(CREDENTIAL, signature=THIEF.sign_in("credential", CREDENTIAL.attested()))
    no_context = replace(CREDENTIAL, signature=HANGZHOU.sign(CREDENTIAL.attested()))
    second_scalar = (int.from_bytes(SHORT[-32:], "little") + GROUP_ORDER).to_bytes(32, "little")
    small_order = attested(device_public=bytes(32)).to_bytes() + SHORT[114:124] + bytes([1]) + bytes(63)
    return {
        "empty": ("no bytes", b"", "MALFORMED"),
        "truncated": ("the last byte is missing", SHORT[:-1], "MALFORMED"),
        "extended": ("one byte follows", SHORT + b"\0", "MALFORMED"),
        "unknown-version": ("version = 2", put(SHORT, 0, b"\2"), "UNKNOWN_VERSION"),
        "unknown-version-of-another-length": ("version = 2 and 40 bytes more", put(SHORT + bytes(40), 0, b"\2"), "UNKNOWN_VERSION"),
        "unknown-suite": ("suite = 2", put(SHORT, 1, b"\2"), "UNKNOWN_SUITE"),
        "stripped-device-signature": ("the last 64 bytes are missing", SHORT[:124], "STRIPPED"),
        "stripped-device-signature-after-journey-state": ("the last 64 bytes are missing", LONG[:132], "STRIPPED"),
        "zeroed-device-signature": ("the last 64 bytes are zero", SHORT[:124] + bytes(64), "STRIPPED"),
        "stripped-to-the-credential": ("only bytes 0..114", SHORT[:114], "STRIPPED"),
        "unknown-category": ("category = 3", put(SHORT, 48, b"\3"), "UNKNOWN_CATEGORY"),
        "expired": ("the credential ended this second", issued(attested(not_after_s=NOW_S)), "EXPIRED"),
        "not-yet-valid": ("the credential begins next second", issued(attested(not_before_s=NOW_S + 1)), "NOT_YET_VALID"),
        "stale": ("made 30 s ago", issued(now_us=NOW_US - 30_000_000), "STALE"),
        "from-the-future": ("made 5.001 s ahead", issued(now_us=NOW_US + 5_001_000), "FROM_FUTURE"),
        "unknown-issuer": ("the issuer is on no ring", issued(attested(ABSENT, 9)), "UNKNOWN_ISSUER"),
        "issuer-swapped": ("issuer = 3, its key id left", put(SHORT, 2, b"\3\0"), "UNKNOWN_ISSUER"),
        "issuer-and-key-id-swapped": ("issuer = 3 and its key id", put(SHORT, 2, b"\3\0" + key_of_ningbo), "FORGED_CREDENTIAL"),
        "withdrawn-issuer-key": ("the key ended a second ago", issued(attested(WITHDRAWN)), "ISSUER_KEY_NOT_VALID"),
        "device-key-swapped": (
            "the thief's device key and signature",
            signed(put(SHORT[:124], 8, THIEF.public), THIEF),
            "FORGED_CREDENTIAL",
        ),
        "category-raised": ("category = 2, signed anew by the device", signed(put(SHORT[:124], 48, b"\2")), "FORGED_CREDENTIAL"),
        "entitlement-raised": (
            "entitlement = 3, signed anew by the device",
            signed(put(SHORT[:124], 49, b"\3")),
            "FORGED_CREDENTIAL",
        ),
        "validity-extended": (
            "not_after_s + 2^24, signed anew",
            signed(put(SHORT[:124], 47, bytes([SHORT[47] + 1]))),
            "FORGED_CREDENTIAL",
        ),
        "self-made-credential": ("the issuer's signature is the thief's", issued(forged), "FORGED_CREDENTIAL"),
        "credential-signed-without-context": ("the context is left out", issued(no_context), "FORGED_CREDENTIAL"),
        "issued-at-moved": ("issued_at_ms + 1", put(SHORT, 114, bytes([SHORT[114] + 1])), "BAD_DEVICE_SIGNATURE"),
        "counter-moved": ("counter + 1", put(SHORT, 120, b"\x08"), "BAD_DEVICE_SIGNATURE"),
        "station-moved": ("the journey state's station + 1", put(LONG, 126, bytes([LONG[126] + 1])), "BAD_DEVICE_SIGNATURE"),
        "journey-state-removed": ("bytes 124..132 cut out", LONG[:124] + LONG[132:], "BAD_DEVICE_SIGNATURE"),
        "journey-state-added": ("eight bytes put in", SHORT[:124] + LONG[124:132] + SHORT[124:], "BAD_DEVICE_SIGNATURE"),
        "signed-by-another-device": ("the thief signs", signed(SHORT[:124], THIEF), "BAD_DEVICE_SIGNATURE"),
        "signed-without-context": ("the context is left out", SHORT[:124] + DEVICE.sign(SHORT[:124]), "BAD_DEVICE_SIGNATURE"),
        "device-signature-malleated": ("S + the group's order for S", SHORT[:-32] + second_scalar, "BAD_DEVICE_SIGNATURE"),
        "small-order-device-key": ("an attested device key of zeros, R = 1, S = 0", small_order, "BAD_DEVICE_SIGNATURE"),
    }


def vectors() -> dict:
    return {
        "about": "Rider codes of docs/formats/rider-code.md, each checked at now_us with the keys of ring.",
        "now_us": NOW_US,
        "seeds": "A seed is the SHA-256 of the key's name: issuer 2; issuer 3; issuer 2, withdrawn; issuer 9; device; thief",
        "ring": [key_files.public_line(key) for key in RING],
        "good": [{"name": name, **shown(code)} for name, code in good_codes().items()],
        "bad": [
            {"name": name, "tampering": tampering, "reason": reason, "number": Reason[reason].value, "code": code.hex()}
            for name, (tampering, code, reason) in bad_codes().items()
        ],
    }


def shown(code: bytes) -> dict:
    read = rider_code.read(code)
    journey = asdict(read.journey) if read.journey else None
    fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(read.credential).items()}
    return {
        "code": code.hex(),
        "text": rider_code.to_symbol_text(code),
        "digest": read.digest.hex(),
        "medium": read.medium.hex(),
        "fields": {**fields, "issued_at_ms": read.issued_at_ms, "counter": read.counter, "journey": journey},
    }


def stored() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"ring": [], "good": [], "bad": []}


def named(kind: str):
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in stored()[kind]])


def ring() -> KeyRing:
    return KeyRing(key_files.parse_public_line(line) for line in stored()["ring"])


def test_the_file_is_what_its_seeds_make():
    assert json.loads(json.dumps(vectors())) == stored()


@named("good")
def test_a_good_code_is_good(vector):
    code = rider_code.read(rider_code.from_symbol_text(vector["text"]))
    rider_code.verify(code, ring(), stored()["now_us"])
    assert {"name": vector["name"], **shown(code.code)} == vector


@named("bad")
def test_a_bad_code_is_refused_for_its_reason(vector):
    with pytest.raises(rider_code.CodeRefused) as refused:
        rider_code.verify(rider_code.read(bytes.fromhex(vector["code"])), ring(), stored()["now_us"])
    assert (refused.value.reason.name, refused.value.reason.value) == (vector["reason"], vector["number"])


@named("good")
def test_a_stranger_reads_the_same_from_the_byte_table(vector):
    """With the documented offsets, SHA-256 and any Ed25519; not a line of ours."""
    code, fields = bytes.fromhex(vector["code"]), vector["fields"]

    def number(begin, end):
        return int.from_bytes(code[begin:end], "little")

    assert (number(0, 1), number(1, 2)) == (1, 1)
    assert [number(2, 4), number(40, 44), number(44, 48), number(48, 49), number(49, 50)] == [
        fields[name] for name in ("issuer", "not_before_s", "not_after_s", "category", "entitlement")
    ]
    assert (number(114, 120), number(120, 124)) == (fields["issued_at_ms"], fields["counter"])
    journey = (
        {"host": number(124, 126), "station": number(126, 128), "entered_at_s": number(128, 132)} if len(code) == 196 else None
    )
    assert journey == fields["journey"]
    assert [code[4:8].hex(), code[8:40].hex(), code[50:114].hex()] == [
        fields[name] for name in ("key_id", "device_public", "signature")
    ]
    assert hashlib.sha256(code[8:40]).hexdigest()[:32] == vector["medium"]
    assert hashlib.sha256(code).hexdigest() == vector["digest"]
    line = next(line for line in stored()["ring"] if line.startswith(f"fare-chain-key/v1 owner={fields['issuer']} use=ISSUER "))
    issuer = bytes.fromhex(line.rpartition("=")[2])
    key_id = hashlib.sha256(b"fare-chain/key-id/v1\n" + code[2:4] + b"\x03" + issuer).digest()[:4]
    assert key_id == code[4:8]
    VerifyKey(issuer).verify(b"fare-chain/credential/v1\n" + code[:50], code[50:114])
    VerifyKey(code[8:40]).verify(b"fare-chain/rider-code/v1\n" + code[:-64], code[-64:])
    with pytest.raises(BadSignatureError):
        VerifyKey(code[8:40]).verify(code[:-64], code[-64:])


def test_every_reason_a_code_can_have_by_itself_has_a_bad_vector():
    assert {vector["reason"] for vector in stored()["bad"]} == set(rider_code.CodeReason.__members__)


def test_the_page_documents_every_reason_and_every_vector():
    page = PAGE.read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", page, re.MULTILINE)) == {
        str(reason.value): reason.name for reason in Reason
    }
    assert [vector["name"] for vector in stored()["bad"] if f"`{vector['name']}`" not in page] == []


def test_the_page_has_the_byte_table():
    rows = re.findall(r"^\| (\d+) \| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    spans = [(int(offset), int(size)) for offset, size in rows]
    ends = [offset + size for offset, size in spans]
    assert [offset for offset, _ in spans[1:]] == ends[:-1]
    assert (spans[0][0], ends[-1]) == (0, CODE_BYTES[1])


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
