"""A city's signed batch: up to 4,096 taps under one signature, linked to the city's batch before.

The header of 144 bytes, little-endian, is what the city's batch key signs; its magic separates it from everything else:

      0 magic "FCBATCH1"   8 city u16   10 tap_format u16 = 1   12 key_id 4 B   16 city_seq u64   24 prev_header 32 B
     56 first_us i64   64 last_us i64   72 count u32   76 reserved u32 = 0   80 body_hash 32 B   112 taps_root 32 B

prev_header is SHA-256 of the city's previous header, zeros at city_seq 0. body_hash is SHA-256 over the taps as they stand;
taps_root is the RFC 6962 root with one leaf for each tap. On the wire a batch is header, signature (64 B), taps, and the rider
codes as scanned, each with its length as u16. The codes are evidence beside the batch: no hash covers them but each tap's
own code_digest, so that they can be dropped after their retention.
"""

import hashlib
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fare_chain import tap
from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import ZERO_HASH, sha256
from fare_chain.keys import SIGNATURE_BYTES, KeyRing, KeyUse, SigningKey, is_signed
from fare_chain.merkle import root_of_run
from fare_chain.tap import TAP_BYTES, TAP_FORMAT

HEADER_BYTES = 144
SIGNED_HEADER_BYTES = HEADER_BYTES + SIGNATURE_BYTES
MOST_TAPS = 4_096
LONGEST_CODE = 512
_MAGIC = b"FCBATCH1"
_HEADER = struct.Struct("<8sHH4sQ32sqqII32s32s")
assert _HEADER.size == HEADER_BYTES


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What a city signs of one batch."""

    city: int
    key_id: bytes
    city_seq: int
    prev_header: bytes
    first_us: int
    last_us: int
    count: int
    body_hash: bytes
    taps_root: bytes

    def to_bytes(self) -> bytes:
        """Write the 144 bytes."""
        return _HEADER.pack(
            _MAGIC, self.city, TAP_FORMAT, self.key_id, self.city_seq, self.prev_header,
            self.first_us, self.last_us, self.count, 0, self.body_hash, self.taps_root,
        )  # fmt: skip

    def hash(self) -> bytes:
        """The name by which the city's next batch links to this one."""
        return sha256(self.to_bytes())


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A header with its signature, the taps it covers and, beside them, the rider codes as scanned (or none)."""

    header: BatchHeader
    signature: bytes
    body: bytes
    codes: bytes = b""

    @property
    def signed_header(self) -> bytes:
        """Header and signature: what stands on the ledger."""
        return self.header.to_bytes() + self.signature

    def to_bytes(self) -> bytes:
        """Write the batch as it travels."""
        return self.signed_header + self.body + self.codes


@dataclass(frozen=True, slots=True)
class CityTail:
    """The end of a city's chain: the sequence its next batch must have, and the header hash it must name."""

    next_seq: int = 0
    header_hash: bytes = ZERO_HASH

    def after(self, header: BatchHeader) -> "CityTail":
        """The end once this batch is taken."""
        return CityTail(header.city_seq + 1, header.hash())


def seal(taps: bytes, codes: Sequence[bytes], *, city: int, tail: CityTail, key: SigningKey, key_id: bytes) -> SealedBatch:
    """Sign a run of taps as the city's next batch; Malformed where the run is empty, too long, or not well-formed."""
    count = len(taps) // TAP_BYTES
    check_count(count)
    tap.check_run(taps)
    tap.check_hosts(taps, city)
    times = tap.times_us(taps)
    header = BatchHeader(
        city, key_id, tail.next_seq, tail.header_hash, min(times), max(times), count,
        sha256(taps), root_of_run(taps, TAP_BYTES),
    )  # fmt: skip
    return SealedBatch(header, key.sign(header.to_bytes()), taps, write_codes(codes))


def read_header(data: bytes | memoryview) -> BatchHeader:
    """Read a header of 144 bytes; Malformed names the field and its offset."""
    if len(data) < HEADER_BYTES:
        raise Malformed(f"a batch header has {HEADER_BYTES} bytes, found {len(data)}")
    magic, city, tap_format, key_id, seq, prev, first_us, last_us, count, reserved, body_hash, taps_root = _HEADER.unpack(
        data[:HEADER_BYTES]
    )
    if magic != _MAGIC:
        raise Malformed(f"magic is {magic!r}, expected {_MAGIC!r} (offset 0)")
    if tap_format != TAP_FORMAT:
        raise Malformed(f"tap_format is {tap_format}, expected {TAP_FORMAT} (offset 10)")
    check_count(count)
    if reserved:
        raise Malformed(f"reserved is {reserved}, expected 0 (offset 76)")
    if seq == 0 and prev != ZERO_HASH:
        raise Malformed("prev_header of a city's first batch must be zeros (offset 24)")
    if last_us < first_us:
        raise Malformed(f"last_us {last_us} is before first_us {first_us} (offset 64)")
    return BatchHeader(city, key_id, seq, prev, first_us, last_us, count, body_hash, taps_root)


def check_count(count: int) -> None:
    """Malformed unless a batch may hold that many taps."""
    if not 1 <= count <= MOST_TAPS:
        raise Malformed(f"count is {count}, expected 1 to {MOST_TAPS} (offset 72)")


def read_batch(data: bytes) -> SealedBatch:
    """Cut a batch into header, signature, taps and codes, checking lengths alone; `unseal` checks that it holds."""
    header = read_header(data)
    body_end = SIGNED_HEADER_BYTES + header.count * TAP_BYTES
    if len(data) < body_end:
        raise Malformed(f"the batch says {header.count} taps and has {len(data)} bytes, expected at least {body_end} (offset 72)")
    return SealedBatch(header, data[HEADER_BYTES:SIGNED_HEADER_BYTES], data[SIGNED_HEADER_BYTES:body_end], data[body_end:])


def unseal(data: bytes, ring: KeyRing) -> SealedBatch:
    """Read a batch and hold it to all that it claims: Malformed or Untrusted names the first thing that is wrong."""
    batch = read_batch(data)
    check_signature(batch.header, batch.signature, ring)
    check_body(batch.header, batch.body)
    check_codes(batch.body, batch.codes)
    return batch


def check_signature(header: BatchHeader, signature: bytes, ring: KeyRing) -> None:
    """Untrusted unless the city's batch key, valid at the last tap, signed the header."""
    key = ring.valid(owner=header.city, use=KeyUse.BATCH, key_id=header.key_id, at_us=header.last_us)
    if not is_signed(key.public, header.to_bytes(), signature):
        raise Untrusted(
            f"the signature of city {header.city}'s batch {header.city_seq} does not verify under key {key.key_id.hex()}"
        )


def check_body(header: BatchHeader, body: bytes, *, with_root: bool = True) -> None:
    """Hold the taps to their header: hash, root (unless a caller samples roots), well-formed records, host and times."""
    name = f"city {header.city}'s batch {header.city_seq}"
    if sha256(body) != header.body_hash:
        raise Untrusted(f"body_hash of {name} does not fit its taps: a tap was changed, lost or added")
    if with_root and root_of_run(body, TAP_BYTES) != header.taps_root:
        raise Untrusted(f"taps_root of {name} does not fit its taps: the city signed a false root")
    tap.check_run(body)
    if len(body) != header.count * TAP_BYTES:
        raise Malformed(f"{name} says {header.count} taps, its body has {len(body) // TAP_BYTES} (offset 72)")
    tap.check_hosts(body, header.city)
    times = tap.times_us(body)
    if min(times) != header.first_us or max(times) != header.last_us:
        raise Malformed(f"first_us and last_us of {name} are not the times of its first and last tap (offset 56)")


def check_codes(body: bytes, codes: bytes, *, withheld: bool = False) -> int:
    """Untrusted unless the codes are those the taps digest, tap for tap; how many there are.

    No codes at all is fine (dropped evidence); so is one of 0 bytes where the reader may see only some (`withheld`).
    """
    if not codes:
        return 0
    scanned, digests = read_codes(codes), tap.code_digests(body)
    if len(scanned) != len(digests):
        raise Malformed(f"the batch carries {len(scanned)} rider codes for {len(digests)} taps: send one a tap, or none")
    kept = 0
    for number, (code, digest) in enumerate(zip(scanned, digests, strict=True)):
        if withheld and not code:
            continue
        if hashlib.sha256(code).digest() != digest:
            raise Untrusted(f"the rider code of tap {number} does not fit its code_digest (offset {number * TAP_BYTES + 24})")
        kept += 1
    return kept


def withhold_codes(body: bytes, codes: bytes, issuer: int) -> bytes:
    """The codes of one issuer's riders; those of others have 0 bytes."""
    if not codes:
        return b""
    return write_codes(
        [
            code if tap.read(record).issuer == issuer else b""
            for record, code in zip(tap.records(body), read_codes(codes), strict=True)
        ]
    )


def erase_codes(codes: bytes, taps: Collection[int]) -> bytes:
    """The codes without those of these taps, which have 0 bytes from here on; those that have gone already stay gone."""
    return write_codes([b"" if number in taps else code for number, code in enumerate(read_codes(codes))])


def write_codes(codes: Sequence[bytes]) -> bytes:
    """Put rider codes one behind the other, each with its length as u16 little-endian."""
    return b"".join(len(code).to_bytes(2, "little") + code for code in codes)


def read_codes(data: bytes) -> list[bytes]:
    """Take rider codes apart; Malformed where one is cut or longer than any code."""
    codes: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "little")
        if length > LONGEST_CODE or at + 2 + length > len(data):
            raise Malformed(f"rider code {len(codes)} is cut or too long (offset {at} of the codes)")
        codes.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return codes
