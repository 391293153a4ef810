import hashlib
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain import rider_code
from fare_chain.errors import Malformed, Untrusted
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey, in_context
from fare_chain.rider_code import CLOCK_SKEW_US, LIFETIME_US, CodeReason, CodeRefused, JourneyState
from fare_chain.tap import Category

NOW_S = 1_790_000_000
NOW_US = NOW_S * 1_000_000
DAY_S = 86_400
ISSUER = SigningKey(bytes([1]) * 32)
DEVICE = SigningKey(bytes([2]) * 32)
OTHER = SigningKey(bytes([3]) * 32)
ISSUER_PUBLIC = PublicKey(2, KeyUse.ISSUER, ISSUER.public, 0, 2 * NOW_US)
RING = KeyRing([ISSUER_PUBLIC])
CREDENTIAL = rider_code.issue_credential(ISSUER, 2, DEVICE.public, not_before_s=NOW_S - 60, not_after_s=NOW_S + DAY_S)
JOURNEY = JourneyState(host=1, station=345, entered_at_s=NOW_S - 900)
SHORT = rider_code.issue(DEVICE, CREDENTIAL, NOW_US, 7)
LONG = rider_code.issue(DEVICE, CREDENTIAL, NOW_US, 7, JOURNEY)
both_lengths = pytest.mark.parametrize("code", [SHORT, LONG], ids=["188", "196"])


def reason(code, ring=RING, now_us=NOW_US):
    """The reason for which a code is refused; None where it is good."""
    try:
        rider_code.verify(rider_code.read(code), ring, now_us)
    except CodeRefused as refused:
        return refused.reason
    return None


def signed(unsigned, device=DEVICE):
    return unsigned + device.sign_in("rider-code", unsigned)


def with_byte(code, at, value):
    return code[:at] + bytes([value]) + code[at + 1 :]


@both_lengths
def test_a_fresh_code_is_good(code):
    assert reason(code) is None


def test_the_bytes_lie_where_the_table_says():
    assert (len(SHORT), len(LONG)) == (188, 196)
    assert struct.unpack("<BBH", LONG[:4]) == (1, 1, 2)
    assert LONG[4:8] == ISSUER_PUBLIC.key_id
    assert LONG[8:40] == DEVICE.public
    assert struct.unpack("<IIBB", LONG[40:50]) == (NOW_S - 60, NOW_S + DAY_S, 0, 0)
    assert int.from_bytes(LONG[114:120], "little") == NOW_US // 1000
    assert struct.unpack("<IHHI", LONG[120:132]) == (7, 1, 345, NOW_S - 900)


@given(
    category=st.sampled_from(Category),
    now_us=st.integers(0, (2**48 - 1) * 1000),
    counter=st.integers(0, 2**32 - 1),
    journey=st.none() | st.builds(JourneyState, st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)),
)
def test_every_field_reads_back_as_it_was_issued(category, now_us, counter, journey):
    credential = rider_code.issue_credential(ISSUER, 9, DEVICE.public, not_before_s=0, not_after_s=2**32 - 1, category=category)
    read = rider_code.read(rider_code.issue(DEVICE, credential, now_us, counter, journey))
    assert read.credential == credential
    assert (read.issued_at_ms, read.issued_at_us) == (now_us // 1000, now_us // 1000 * 1000)
    assert (read.counter, read.journey) == (counter, journey)


def test_medium_and_digest_are_hashes_of_device_key_and_code():
    read = rider_code.read(SHORT)
    assert read.medium == hashlib.sha256(DEVICE.public).digest()[:16] == CREDENTIAL.medium
    assert read.digest == hashlib.sha256(SHORT).digest()


@both_lengths
def test_any_flipped_bit_is_refused(code):
    for bit in range(8 * len(code)):
        flipped = bytearray(code)
        flipped[bit // 8] ^= 1 << bit % 8
        assert reason(bytes(flipped)) is not None, f"bit {bit}"


@given(code=st.sampled_from([SHORT, LONG]), patch=st.binary(min_size=1, max_size=64), data=st.data())
def test_any_overwritten_run_is_refused(code, patch, data):
    at = data.draw(st.integers(0, len(code) - len(patch)))
    changed = code[:at] + patch + code[at + len(patch) :]
    assert (reason(changed) is None) == (changed == code)


@both_lengths
def test_a_cut_or_extended_code_is_refused(code):
    for length in range(len(code)):
        assert reason(code[:length]) in (CodeReason.MALFORMED, CodeReason.STRIPPED, CodeReason.BAD_DEVICE_SIGNATURE)
    for extra in range(1, 40):
        assert reason(code + bytes(extra)) in (CodeReason.MALFORMED, CodeReason.STRIPPED, CodeReason.BAD_DEVICE_SIGNATURE)


@given(st.binary(max_size=400))
def test_no_bytes_from_outside_raise_anything_but_a_refusal(code):
    assert reason(code) is not None
    assert reason(b"\x01\x01" + code) is not None


@pytest.mark.parametrize(
    "code",
    [SHORT[:124], LONG[:132], SHORT[:114], SHORT[:124] + bytes(64), LONG[:132] + bytes(64)],
    ids=["no signature", "no signature after a journey state", "a bare credential", "zeros", "zeros after a journey state"],
)
def test_a_code_without_its_device_signature_is_fraud(code):
    assert reason(code) is CodeReason.STRIPPED


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"", CodeReason.MALFORMED),
        (b"\x01", CodeReason.MALFORMED),
        (with_byte(SHORT, 0, 2), CodeReason.UNKNOWN_VERSION),
        (b"\x02\x01" + bytes(300), CodeReason.UNKNOWN_VERSION),
        (with_byte(SHORT, 1, 0), CodeReason.UNKNOWN_SUITE),
        (with_byte(SHORT, 1, 2), CodeReason.UNKNOWN_SUITE),
        (with_byte(SHORT, 48, 3), CodeReason.UNKNOWN_CATEGORY),
    ],
)
def test_a_shape_of_another_kind_is_refused_by_its_number(code, expected):
    assert reason(code) is expected


@pytest.mark.parametrize(
    ("later_us", "expected"),
    [
        (LIFETIME_US, CodeReason.STALE),
        (LIFETIME_US - 1, None),
        (0, None),
        (-CLOCK_SKEW_US, None),
        (-CLOCK_SKEW_US - 1, CodeReason.FROM_FUTURE),
    ],
)
def test_a_code_is_fresh_for_thirty_seconds_and_five_of_skew(later_us, expected):
    assert reason(SHORT, now_us=NOW_US + later_us) is expected


@pytest.mark.parametrize(
    ("at_us", "expected"),
    [
        (CREDENTIAL.not_before_s * 1_000_000 - 1, CodeReason.NOT_YET_VALID),
        (CREDENTIAL.not_before_s * 1_000_000, None),
        (CREDENTIAL.not_after_s * 1_000_000 - 1, None),
        (CREDENTIAL.not_after_s * 1_000_000, CodeReason.EXPIRED),
    ],
)
def test_a_credential_is_good_from_its_first_second_to_just_before_its_last(at_us, expected):
    assert reason(rider_code.issue(DEVICE, CREDENTIAL, at_us, 1), now_us=at_us) is expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, CodeReason.UNKNOWN_ISSUER),
        (replace(ISSUER_PUBLIC, owner=3), CodeReason.UNKNOWN_ISSUER),
        (replace(ISSUER_PUBLIC, use=KeyUse.BATCH), CodeReason.UNKNOWN_ISSUER),
        (replace(ISSUER_PUBLIC, not_after_us=NOW_US), CodeReason.ISSUER_KEY_NOT_VALID),
        (replace(ISSUER_PUBLIC, not_before_us=NOW_US + 1), CodeReason.ISSUER_KEY_NOT_VALID),
    ],
)
def test_the_issuers_key_must_be_on_the_ring_and_valid_at_the_scan(key, expected):
    assert reason(SHORT, KeyRing([key] if key else [])) is expected


def test_a_credential_of_ones_own_making_is_forged():
    forged = replace(CREDENTIAL, signature=OTHER.sign_in("credential", CREDENTIAL.attested()))
    assert reason(rider_code.issue(DEVICE, forged, NOW_US, 1)) is CodeReason.FORGED_CREDENTIAL


def test_a_signature_out_of_its_context_is_none():
    plain = replace(CREDENTIAL, signature=ISSUER.sign(CREDENTIAL.attested()))
    assert reason(rider_code.issue(DEVICE, plain, NOW_US, 1)) is CodeReason.FORGED_CREDENTIAL
    assert reason(SHORT[:124] + DEVICE.sign(SHORT[:124])) is CodeReason.BAD_DEVICE_SIGNATURE
    assert reason(SHORT[:124] + DEVICE.sign_in("credential", SHORT[:124])) is CodeReason.BAD_DEVICE_SIGNATURE


def test_only_the_attested_device_can_sign():
    assert reason(signed(SHORT[:124], OTHER)) is CodeReason.BAD_DEVICE_SIGNATURE
    with pytest.raises(Untrusted, match="another device key"):
        rider_code.issue(OTHER, CREDENTIAL, NOW_US, 1)


def test_a_signature_cannot_be_written_in_a_second_way():
    """S and S + L satisfy the same equation: were both taken, one code would have two digests and open two gates."""
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(SHORT[-32:], "little") + order
    assert reason(SHORT[:-32] + scalar.to_bytes(32, "little")) is CodeReason.BAD_DEVICE_SIGNATURE


@pytest.mark.parametrize(
    "device_public", [bytes(32), bytes([1]) + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"], ids=["order 4", "order 1", "order 2"]
)
def test_a_device_key_that_fits_many_messages_opens_nothing(device_public):
    """Under a key of small order, R = identity and S = 0 fit one message in four or more, without any private key."""
    credential = rider_code.issue_credential(ISSUER, 2, device_public, not_before_s=NOW_S, not_after_s=NOW_S + 1)
    forgery = bytes([1]) + bytes(63)
    for counter in range(32):
        unsigned = credential.to_bytes() + (NOW_US // 1000).to_bytes(6, "little") + counter.to_bytes(4, "little")
        assert reason(unsigned + forgery) is CodeReason.BAD_DEVICE_SIGNATURE


def test_both_signatures_are_made_under_their_contexts():
    assert SHORT[50:114] == ISSUER.sign(in_context("credential", SHORT[:50]))
    assert LONG[132:] == DEVICE.sign(b"fare-chain/rider-code/v1\n" + LONG[:132])


@pytest.mark.parametrize(
    "fields",
    [
        {"issuer": 2**16},
        {"issuer": -1},
        {"device_public": bytes(31)},
        {"not_before_s": -1},
        {"not_after_s": 2**32},
        {"not_before_s": 9, "not_after_s": 9},
    ],
)
def test_a_credential_that_cannot_be_written_is_malformed(fields):
    given_fields = {"issuer": 2, "device_public": DEVICE.public, "not_before_s": 0, "not_after_s": 9} | fields
    with pytest.raises(Malformed):
        rider_code.issue_credential(ISSUER, **given_fields)


@pytest.mark.parametrize(
    ("now_us", "counter", "journey"),
    [(2**48 * 1000, 0, None), (-1, 0, None), (NOW_US, 2**32, None), (NOW_US, 0, JourneyState(1, 2**16, 0))],
)
def test_a_code_that_cannot_be_written_is_malformed(now_us, counter, journey):
    with pytest.raises(Malformed, match="does not fit"):
        rider_code.issue(DEVICE, CREDENTIAL, now_us, counter, journey)


@both_lengths
def test_a_symbols_text_gives_the_code_back(code):
    text = rider_code.to_symbol_text(code)
    assert len(text) == len(code) * 3 // 2
    assert rider_code.from_symbol_text(text) == code


@pytest.mark.parametrize("text", ["bb8", "A", "票", "0" * 4299, rider_code.to_symbol_text(SHORT)[:-2]])
def test_text_that_is_no_symbols_is_malformed(text):
    with pytest.raises(CodeRefused) as refused:
        rider_code.from_symbol_text(text)
    assert refused.value.reason is CodeReason.MALFORMED
