"""How the ledger itself is ruled, as entries: terms, evidence, erasures, retention, looks at protected data.

Every payload is a fixed layout, little-endian, in numbers and hashes alone: nothing personal and no message can enter.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from fare_chain.batch import MOST_TAPS
from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import HASH_BYTES, sha256
from fare_chain.keys import SIGNATURE_BYTES, SigningKey, in_context, is_signed

_TERM_CONTEXT = "term"


@dataclass(frozen=True, slots=True)
class Term:
    """Who may sequence from a size on: what the cities sign, context "term", with their clearing keys.

    0 number u64   8 size u64   16 root 32 B   48 log_public 32 B   80 origin_hash 32 B (SHA-256 of the origin)
    """

    number: int
    size: int
    root: bytes
    log_public: bytes
    origin_hash: bytes

    def to_bytes(self) -> bytes:
        """Write the 112 bytes that are signed."""
        return _TERM.pack(self.number, self.size, self.root, self.log_public, self.origin_hash)

    def sign(self, key: SigningKey) -> bytes:
        """A city's signature: it will cosign this sequencer from that size on, and no other of the same number."""
        return key.sign_in(_TERM_CONTEXT, self.to_bytes())

    def is_signed_by(self, public: bytes, signature: bytes) -> bool:
        """Tell whether a clearing key signed this term."""
        return is_signed(public, in_context(_TERM_CONTEXT, self.to_bytes()), signature)


@dataclass(frozen=True, slots=True)
class TermEntry:
    """A term with the cities' signatures over it; the ledger takes it at exactly the size that the term names.

    0 term 112 B   112 count u32   116 reserved u32 = 0   120 count x (member u16, 6 zero bytes, signature 64 B), by member
    """

    term: Term
    signatures: tuple[tuple[int, bytes], ...]

    def to_bytes(self) -> bytes:
        """Write 120 bytes and 72 for each signature."""
        signed = b"".join(_SIGNED.pack(member, bytes(6), signature) for member, signature in self.signatures)
        return self.term.to_bytes() + _COUNT.pack(len(self.signatures), 0) + signed


_TERM = struct.Struct("<QQ32s32s32s")
_COUNT = struct.Struct("<II")
_SIGNED = struct.Struct("<H6s64s")
TERM_BYTES = _TERM.size
assert TERM_BYTES == 112
assert _SIGNED.size == 8 + SIGNATURE_BYTES


def read_term(data: bytes) -> Term:
    """Read the 112 bytes of a term; Malformed unless there are just so many and its number counts from 1."""
    if len(data) != TERM_BYTES:
        raise Malformed(f"a term has {TERM_BYTES} bytes, found {len(data)}")
    term = Term(*_TERM.unpack(data))
    if not term.number:
        raise Malformed("terms count from 1, found 0 (offset 0)")
    return term


def read_term_entry(payload: bytes) -> TermEntry:
    """Read a TERM payload, its signatures unchecked; Malformed names what is wrong."""
    if len(payload) < TERM_BYTES + _COUNT.size:
        raise Malformed(f"a term entry has at least {TERM_BYTES + _COUNT.size} bytes, found {len(payload)}")
    count, reserved = _COUNT.unpack_from(payload, TERM_BYTES)
    begin = TERM_BYTES + _COUNT.size
    if reserved or len(payload) != begin + count * _SIGNED.size:
        raise Malformed(f"a term entry of {count} signatures has {begin + count * _SIGNED.size} bytes (offset 112)")
    rows = [_SIGNED.unpack_from(payload, begin + at * _SIGNED.size) for at in range(count)]
    members = [member for member, _zeros, _signature in rows]
    if any(any(zeros) for _member, zeros, _signature in rows) or members != sorted(set(members)):
        raise Malformed("a term entry's signatures stand by member, each once, reserved bytes zero (offset 120)")
    return TermEntry(read_term(payload[:TERM_BYTES]), tuple((member, signature) for member, _zeros, signature in rows))


class EvidenceKind(IntEnum):
    """What a piece of evidence shows. Numbers are never used twice."""

    FORK_SAME_SIZE = 1
    FORK_ANY_SIZE = 2
    DOUBLE_BATCH = 3
    BAD_ROOT = 4
    BAD_RIDER_SIGNATURE = 5
    WRONG_STATE = 6
    ROLLBACK = 7
    DOUBLE_TERM = 8
    BROKEN_RECEIPT = 9


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """A piece of evidence is on record: its file travels beside the log at `evidence/<hex of file_hash>`.

     0 kind u16   2 accused u16 (member; 0 the house)   4 tap u32   8 file_bytes u64   16 file_hash 32 B   48 index u64

    `index` is the entry that it is about and `tap` the tap in that batch; 0 where the kind has none.
    """

    kind: EvidenceKind
    accused: int
    tap: int
    file_bytes: int
    file_hash: bytes
    index: int

    def to_bytes(self) -> bytes:
        """Write the 56 bytes."""
        return _EVIDENCE.pack(self.kind, self.accused, self.tap, self.file_bytes, self.file_hash, self.index)


_EVIDENCE = struct.Struct("<HHIQ32sQ")
assert _EVIDENCE.size == 24 + HASH_BYTES


def read_evidence_entry(payload: bytes) -> EvidenceEntry:
    """Read an EVIDENCE payload; Malformed names what is wrong."""
    if len(payload) != _EVIDENCE.size:
        raise Malformed(f"an evidence entry has {_EVIDENCE.size} bytes, found {len(payload)}")
    kind, accused, tap, file_bytes, file_hash, index = _EVIDENCE.unpack(payload)
    if kind not in set(EvidenceKind):
        raise Malformed(f"evidence entry: kind {kind} is unknown (offset 0)")
    if tap >= MOST_TAPS:
        raise Malformed(f"evidence entry: tap {tap} is in no batch (offset 4)")
    return EvidenceEntry(EvidenceKind(kind), accused, tap, file_bytes, file_hash, index)


class Basis(IntEnum):
    """Why something is erased or looked at. Numbers are never used twice."""

    RETENTION_OVER = 1
    RIDER_ASKED = 2
    DISPUTE = 3
    SUPERVISION = 4
    COURT_ORDER = 5
    AUDIT = 6


class ErasureLevel(IntEnum):
    """What is dropped, from least to most."""

    SCANNED_CODES = 1
    PSEUDONYMS = 2
    TAPS = 3


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """Taps of one batch of which something is dropped from here on; what stays on the ledger still verifies.

    0 level u8   1 reserved u8 = 0   2 basis u16   4 count u32   8 index u64 (of the BATCH entry)   16 count x tap number u16
    """

    level: ErasureLevel
    basis: Basis
    index: int
    taps: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Write 16 bytes and 2 for each tap."""
        return _ERASURE.pack(self.level, 0, self.basis, len(self.taps), self.index) + struct.pack(f"<{len(self.taps)}H", *self.taps)


_ERASURE = struct.Struct("<BBHIQ")


def read_erasure_entry(payload: bytes) -> ErasureEntry:
    """Read an ERASURE payload; Malformed names what is wrong."""
    if len(payload) < _ERASURE.size:
        raise Malformed(f"an erasure entry has at least {_ERASURE.size} bytes, found {len(payload)}")
    level, reserved, basis, count, index = _ERASURE.unpack(payload[: _ERASURE.size])
    if reserved or level not in set(ErasureLevel) or basis not in set(Basis):
        raise Malformed(f"erasure entry: level {level} or basis {basis} is unknown, or reserved bytes are not zero (offset 0)")
    if not 1 <= count <= MOST_TAPS or len(payload) != _ERASURE.size + 2 * count:
        raise Malformed(f"erasure entry: {count} taps do not fit {len(payload)} bytes, expected 1 to {MOST_TAPS} taps (offset 4)")
    taps = struct.unpack(f"<{count}H", payload[_ERASURE.size :])
    if list(taps) != sorted(set(taps)) or taps[-1] >= MOST_TAPS:
        raise Malformed("erasure entry: tap numbers stand in order, each once, below 4096 (offset 16)")
    return ErasureEntry(ErasureLevel(level), Basis(basis), index, taps)


@dataclass(frozen=True, slots=True)
class RetentionEntry:
    """What is kept, and from which entry on; entries, tiles and windows stay for ever.

    0 codes_days u32   4 bodies_days u32   8 codes_from u64   16 bodies_from u64   24 state_at u64   32 state_hash 32 B

    Rider codes of batches below `codes_from` and bodies below `bodies_from` may be gone. `state_hash` is SHA-256 of the clearing's
    snapshot with `state_at` entries cleared, from which a replay can begin; zeros as long as no body is dropped.
    """

    codes_days: int
    bodies_days: int
    codes_from: int
    bodies_from: int
    state_at: int
    state_hash: bytes

    def to_bytes(self) -> bytes:
        """Write the 64 bytes."""
        return _RETENTION.pack(self.codes_days, self.bodies_days, self.codes_from, self.bodies_from, self.state_at, self.state_hash)


_RETENTION = struct.Struct("<IIQQQ32s")


def read_retention_entry(payload: bytes) -> RetentionEntry:
    """Read a RETENTION payload; Malformed names what is wrong."""
    if len(payload) != _RETENTION.size:
        raise Malformed(f"a retention entry has {_RETENTION.size} bytes, found {len(payload)}")
    entry = RetentionEntry(*_RETENTION.unpack(payload))
    if entry.bodies_from > entry.codes_from or entry.bodies_from > entry.state_at:
        raise Malformed(
            "retention entry: bodies are kept at least as long as codes, and a replay can begin where they do (offset 8)"
        )
    return entry


class Scope(IntEnum):
    """What a look showed. Numbers are never used twice."""

    JOURNEY = 1
    TAP = 2
    RIDER_CODE = 3
    BODY = 4
    LOG_EXPORT = 5


@dataclass(frozen=True, slots=True)
class LookEntry:
    """A reader who is no party looked at protected data: durable here before the answer goes out.

    0 reader u16   2 scope u8   3 reserved u8 = 0   4 basis u16   6 reserved u16 = 0   8 looked_at_us i64
    16 subject 32 B: SHA-256 of the name under which it was asked for, as `journey/<hex>`
    """

    reader: int
    scope: Scope
    basis: Basis
    looked_at_us: int
    subject: bytes

    @classmethod
    def of(cls, reader: int, scope: Scope, basis: Basis, looked_at_us: int, name: str) -> "LookEntry":
        """A look at what is named so."""
        return cls(reader, scope, basis, looked_at_us, sha256(name.encode()))

    def to_bytes(self) -> bytes:
        """Write the 48 bytes."""
        return _LOOK.pack(self.reader, self.scope, 0, self.basis, 0, self.looked_at_us, self.subject)


_LOOK = struct.Struct("<HBBHHq32s")
assert _LOOK.size == 16 + HASH_BYTES


def read_look_entry(payload: bytes) -> LookEntry:
    """Read a LOOK payload; Malformed names what is wrong."""
    if len(payload) != _LOOK.size:
        raise Malformed(f"a look entry has {_LOOK.size} bytes, found {len(payload)}")
    reader, scope, reserved, basis, more, looked_at_us, subject = _LOOK.unpack(payload)
    if scope not in set(Scope) or basis not in set(Basis) or reserved or more:
        raise Malformed(f"look entry: scope {scope} or basis {basis} is unknown, or reserved bytes are not zero (offset 2)")
    return LookEntry(reader, Scope(scope), Basis(basis), looked_at_us, subject)


def check_term(entry: TermEntry, clearing_keys: Sequence[tuple[int, bytes]], quorum: int) -> None:
    """Untrusted unless at least `quorum` members signed the term, each with one of its clearing keys (member, public)."""
    signed = 0
    for member, signature in entry.signatures:
        publics = [public for owner, public in clearing_keys if owner == member]
        if not any(entry.term.is_signed_by(public, signature) for public in publics):
            raise Untrusted(f"term {entry.term.number}: the signature of member {member} is by none of its clearing keys")
        signed += 1
    if signed < quorum:
        raise Untrusted(f"term {entry.term.number} has {signed} cities' signatures, {quorum} are needed")
