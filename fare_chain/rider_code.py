"""The rider code: what a rider shows at a gate, signed by the issuing city and, a moment ago, by the rider's own device.

Little-endian, no padding; the length tells whether a journey state is there.

      0 version u8 = 1      1 suite u8 = 1 (Ed25519, SHA-256)      2 issuer u16      4 issuer key id 4 B
      8 device public key 32 B      40 not_before_s u32      44 not_after_s u32      48 category u8      49 entitlement u8
     50 issuer signature 64 B, in context "credential", over bytes 0..50             (0..114 is the credential)
    114 issued_at_ms u48    120 counter u32
    124 journey state, or nothing: host u16, station u16, entered_at_s u32
    124 or 132 device signature 64 B, in context "rider-code", over all bytes before it

A device key without its signature is a fraud and never a "static ticket": there is no code without a device signature.
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum

from fare_chain import base45
from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.hashing import sha256
from fare_chain.identifiers import Medium, MemberNumber, Micros
from fare_chain.keys import PUBLIC_BYTES, SIGNATURE_BYTES, KeyRing, KeyUse, PublicKey, SigningKey, in_context, is_signed
from fare_chain.tap import Category

VERSION = 1
SUITE_ED25519 = 1
CREDENTIAL_BYTES = 114
CODE_BYTES = (188, 196)
"""Length of a code without and with a journey state."""
LIFETIME_US = 30_000_000
"""How long a code may be shown after it was made."""
CLOCK_SKEW_US = 5_000_000
"""How far ahead of the gate's clock a device's clock may run."""
LONGEST_SYMBOL_TEXT = 4296
"""What the largest QR symbol holds: longer text was never scanned."""

_STRIPPED_BYTES = frozenset({CREDENTIAL_BYTES, *(length - SIGNATURE_BYTES for length in CODE_BYTES)})
_ATTESTED = struct.Struct("<BBH4s32sIIBB")
_MOMENT = struct.Struct("<IHI")  # issued_at_ms as its low 32 and high 16 bits: struct has no u48
_JOURNEY = struct.Struct("<HHI")
_CATEGORIES = {int(category): category for category in Category}
_JOURNEY_AT = CREDENTIAL_BYTES + _MOMENT.size
assert (_ATTESTED.size, _MOMENT.size, _JOURNEY.size) == (50, 10, 8)
assert CODE_BYTES[0] == _JOURNEY_AT + SIGNATURE_BYTES


class CodeReason(IntEnum):
    """Why a code is no good by itself, whatever the gate knows. 1 to 31; numbers are never used twice."""

    MALFORMED = 1
    UNKNOWN_VERSION = 2
    UNKNOWN_SUITE = 3
    STRIPPED = 4
    UNKNOWN_CATEGORY = 5
    EXPIRED = 6
    NOT_YET_VALID = 7
    STALE = 8
    FROM_FUTURE = 9
    UNKNOWN_ISSUER = 10
    ISSUER_KEY_NOT_VALID = 11
    FORGED_CREDENTIAL = 12
    BAD_DEVICE_SIGNATURE = 13


class CodeRefused(FareChainError):
    """A code that no gate may open for; `reason` is its number, the text is for people."""

    def __init__(self, reason: CodeReason, text: str) -> None:
        """Name the reason and say what was found, what was expected and what to do."""
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Credential:
    """The issuer's word that this device's rides are paid for, from `not_before_s` to just before `not_after_s`."""

    issuer: MemberNumber
    key_id: bytes
    device_public: bytes
    not_before_s: int
    not_after_s: int
    category: Category
    entitlement: int
    """The step of the rider's month at the issuer, from 1; 0 attests none."""
    signature: bytes

    @property
    def medium(self) -> Medium:
        """The pseudonym under which this device's taps travel."""
        return medium_of(self.device_public)

    def attested(self) -> bytes:
        """The 50 bytes under the issuer's signature."""
        try:
            return _ATTESTED.pack(
                VERSION, SUITE_ED25519, self.issuer, self.key_id, self.device_public,
                self.not_before_s, self.not_after_s, self.category, self.entitlement,
            )  # fmt: skip
        except struct.error as error:
            raise Malformed(f"a credential's field does not fit its place: {error}") from error

    def to_bytes(self) -> bytes:
        """The 114 bytes with which every code of this device begins."""
        return self.attested() + self.signature


@dataclass(frozen=True, slots=True)
class JourneyState:
    """What the device says of the journey it is on, for an exit gate that cannot ask; `station` is the host's number."""

    host: MemberNumber
    station: int
    entered_at_s: int


@dataclass(frozen=True, slots=True)
class RiderCode:
    """A code that has the right shape. Nothing in it is proved yet: that is for the checks below."""

    code: bytes
    credential: Credential
    issued_at_ms: int
    counter: int
    journey: JourneyState | None
    medium: Medium
    digest: bytes
    """SHA-256 of the code as scanned, which its tap carries."""

    @property
    def issued_at_us(self) -> Micros:
        """When the device says it made the code."""
        return Micros(self.issued_at_ms * 1000)


def medium_of(device_public: bytes) -> Medium:
    """The pseudonym of a device key: the first 16 bytes of its SHA-256."""
    return Medium(sha256(device_public)[:16])


def issue_credential(
    issuer_key: SigningKey,
    issuer: int,
    device_public: bytes,
    *,
    not_before_s: int,
    not_after_s: int,
    category: Category = Category.ADULT,
    entitlement: int = 0,
) -> Credential:
    """Attest a device key for a time (Unix seconds); Malformed where something does not fit or the time is empty."""
    if len(device_public) != PUBLIC_BYTES:
        raise Malformed(f"a device public key has {len(device_public)} bytes, expected {PUBLIC_BYTES}")
    if not 0 <= issuer <= 0xFFFF:
        raise Malformed(f"a credential's issuer is {issuer}, expected a member's number up to 65535")
    if not_before_s >= not_after_s:
        raise Malformed(f"a credential from {not_before_s} to {not_after_s} is never valid: let it end after it begins")
    owner = MemberNumber(issuer)
    key_id = PublicKey(owner, KeyUse.ISSUER, issuer_key.public, Micros(0), Micros(0)).key_id
    unsigned = Credential(owner, key_id, device_public, not_before_s, not_after_s, category, entitlement, b"")
    return replace(unsigned, signature=issuer_key.sign_in("credential", unsigned.attested()))


def issue(device_key: SigningKey, credential: Credential, now_us: int, counter: int, journey: JourneyState | None = None) -> bytes:
    """Make the code to show now: 188 bytes, or 196 with a journey state.

    `counter` counts the device's codes, so that two of the same millisecond differ. Untrusted when the credential is for
    another device: no gate would open for such a code.
    """
    if device_key.public != credential.device_public:
        raise Untrusted("the credential attests another device key: ask the issuer for one for this device")
    issued_at_ms = now_us // 1000
    try:
        moment = _MOMENT.pack(issued_at_ms & 0xFFFFFFFF, issued_at_ms >> 32, counter)
        state = b"" if journey is None else _JOURNEY.pack(journey.host, journey.station, journey.entered_at_s)
    except struct.error as error:
        raise Malformed(f"a rider code's field does not fit its place: {error}") from error
    unsigned = credential.to_bytes() + moment + state
    return unsigned + device_key.sign_in("rider-code", unsigned)


def to_symbol_text(code: bytes) -> str:
    """Write a code as the text of its QR symbol."""
    return base45.encode(code)


def from_symbol_text(text: str) -> bytes:
    """Read the text of a scanned symbol; CodeRefused MALFORMED where it is no Base45."""
    if len(text) > LONGEST_SYMBOL_TEXT:
        raise CodeRefused(
            CodeReason.MALFORMED, f"a scanned text has {len(text)} characters, no symbol holds over {LONGEST_SYMBOL_TEXT}"
        )
    try:
        return base45.decode(text)
    except Malformed as error:
        raise CodeRefused(CodeReason.MALFORMED, f"{error}: show a rider code") from error


def read(code: bytes) -> RiderCode:
    """Take a code apart by its shape alone, no signature checked; CodeRefused says what is wrong with the shape."""
    _check_shape(code)
    _, _, issuer, key_id, device_public, not_before_s, not_after_s, category, entitlement = _ATTESTED.unpack_from(code)
    if category not in _CATEGORIES:
        raise CodeRefused(CodeReason.UNKNOWN_CATEGORY, f"category is {category}, expected one of {sorted(_CATEGORIES)} (offset 48)")
    low, high, counter = _MOMENT.unpack_from(code, CREDENTIAL_BYTES)
    journey = JourneyState(*_JOURNEY.unpack_from(code, _JOURNEY_AT)) if len(code) == CODE_BYTES[1] else None
    credential = Credential(
        issuer, key_id, device_public, not_before_s, not_after_s, _CATEGORIES[category], entitlement,
        code[_ATTESTED.size : CREDENTIAL_BYTES],
    )  # fmt: skip
    return RiderCode(code, credential, high << 32 | low, counter, journey, medium_of(device_public), sha256(code))


def verify(code: RiderCode, ring: KeyRing, now_us: int) -> None:
    """Check all that can be checked of a code without knowing any gate; CodeRefused names the first that fails."""
    check_period(code, now_us)
    check_fresh(code, now_us)
    verify_credential(code, issuer_key(code, ring, now_us))
    verify_device(code)


def check_period(code: RiderCode, now_us: int) -> None:
    """Check that the credential is valid now: from `not_before_s` to just before `not_after_s`."""
    begins, ends = code.credential.not_before_s, code.credential.not_after_s
    if now_us >= ends * 1_000_000:
        raise CodeRefused(CodeReason.EXPIRED, f"the credential ended at {ends} s, it is {now_us} us: let the app fetch a new one")
    if now_us < begins * 1_000_000:
        raise CodeRefused(
            CodeReason.NOT_YET_VALID, f"the credential begins at {begins} s, it is {now_us} us: wait, or set the clock"
        )


def check_fresh(code: RiderCode, now_us: int, lifetime_us: int = LIFETIME_US, skew_us: int = CLOCK_SKEW_US) -> None:
    """Check that the code was made just now: less than `lifetime_us` ago, at most `skew_us` ahead of the gate's clock."""
    age_us = now_us - code.issued_at_us
    if age_us >= lifetime_us:
        raise CodeRefused(
            CodeReason.STALE, f"the code was made {age_us} us ago, expected less than {lifetime_us}: show a fresh one"
        )
    if age_us < -skew_us:
        raise CodeRefused(
            CodeReason.FROM_FUTURE, f"the code is {-age_us} us ahead, expected at most {skew_us}: set the device's clock"
        )


def issuer_key(code: RiderCode, ring: KeyRing, now_us: int) -> PublicKey:
    """The key that the code says attested the device, good now: a withdrawn key ends every credential it signed."""
    issuer, key_id = code.credential.issuer, code.credential.key_id
    key = ring.find(owner=issuer, use=KeyUse.ISSUER, key_id=key_id)
    if key is None:
        raise CodeRefused(
            CodeReason.UNKNOWN_ISSUER, f"member {issuer} has no issuer key {key_id.hex()} on the ring: update the ring"
        )
    if not key.is_valid_at(now_us):
        raise CodeRefused(
            CodeReason.ISSUER_KEY_NOT_VALID,
            f"member {issuer}'s key {key_id.hex()} is valid from {key.not_before_us} to {key.not_after_us}, not at {now_us}",
        )
    return key


def verify_credential(code: RiderCode, key: PublicKey) -> None:
    """Check the issuer's signature; its result depends on the credential's 114 bytes and the key alone, and may be kept."""
    if not is_signed(key.public, in_context("credential", code.code[: _ATTESTED.size]), code.credential.signature):
        raise CodeRefused(
            CodeReason.FORGED_CREDENTIAL,
            f"member {key.owner}'s key {key.key_id.hex()} did not sign this credential: call the staff",
        )


def verify_device(code: RiderCode) -> None:
    """Check the device's signature over everything before it."""
    unsigned, signature = code.code[:-SIGNATURE_BYTES], code.code[-SIGNATURE_BYTES:]
    if not is_signed(code.credential.device_public, in_context("rider-code", unsigned), signature):
        raise CodeRefused(CodeReason.BAD_DEVICE_SIGNATURE, "the device key did not sign this code: show a fresh one")


def _check_shape(code: bytes) -> None:
    """Check version, suite, length and presence of the device signature, in that order: a later version has its own length."""
    if len(code) < 2:
        raise CodeRefused(CodeReason.MALFORMED, f"a rider code has {len(code)} bytes, expected {CODE_BYTES[0]} or {CODE_BYTES[1]}")
    if code[0] != VERSION:
        raise CodeRefused(CodeReason.UNKNOWN_VERSION, f"version is {code[0]}, expected {VERSION} (offset 0)")
    if code[1] != SUITE_ED25519:
        raise CodeRefused(CodeReason.UNKNOWN_SUITE, f"suite is {code[1]}, expected {SUITE_ED25519} (offset 1)")
    if len(code) in _STRIPPED_BYTES or (len(code) in CODE_BYTES and not any(code[-SIGNATURE_BYTES:])):
        raise CodeRefused(CodeReason.STRIPPED, "the device signature is missing: a device key without it opens no gate")
    if len(code) not in CODE_BYTES:
        raise CodeRefused(CodeReason.MALFORMED, f"a rider code has {len(code)} bytes, expected {CODE_BYTES[0]} or {CODE_BYTES[1]}")
