"""What else stands on the ledger beside batches: keys, tables of tariffs and agreements, windows. `governance` has the rest.

Every payload is a fixed layout, little-endian, without free text: nothing personal and no message can enter.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import HASH_BYTES
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.keys import KEY_ID_BYTES, PUBLIC_BYTES, SIGNATURE_BYTES, KeyUse, PublicKey, SigningKey, in_context, is_signed

_KEY_CONTEXT = "key-entry"


class EntryKind(IntEnum):
    """What an entry of the ledger is. Numbers are never used twice.

    5 to 9 are kept for deny lists, station modes, disputes, adjustments and limits.
    """

    BATCH = 1
    WINDOW = 2
    TARIFF = 3
    KEY = 4
    ERASURE = 10
    TERM = 11
    RETENTION = 12
    EVIDENCE = 13
    LOOK = 14


class Suite(IntEnum):
    """The signature and hash of a key. Numbers are never used twice."""

    ED25519_SHA256 = 1


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A member's key enters the ring (or gets a new validity), with the key's own signature: proof that its owner holds it.

     0 owner u16   2 use u8   3 suite u8 = 1   4 key_id 4 B   8 not_before_us i64   16 not_after_us i64   24 public 32 B
    56 signature 64 B over context "key-entry", bytes 0..55
    """

    key: PublicKey
    signature: bytes

    @classmethod
    def of(cls, key: PublicKey, signing_key: SigningKey) -> "KeyEntry":
        """Sign a key into an entry with its private half; Untrusted where the halves do not belong together."""
        if signing_key.public != key.public:
            raise Untrusted(f"the private key given is not that of member {key.owner}'s {key.use.name} key {key.key_id.hex()}")
        return cls(key, signing_key.sign_in(_KEY_CONTEXT, _key_bytes(key)))

    def to_bytes(self) -> bytes:
        """Write the 120 bytes."""
        return _key_bytes(self.key) + self.signature


_KEY = struct.Struct("<HBB4sqq32s")
KEY_ENTRY_BYTES = _KEY.size + SIGNATURE_BYTES
assert _KEY.size == 24 + PUBLIC_BYTES
assert KEY_ID_BYTES == 4


def _key_bytes(key: PublicKey) -> bytes:
    return _KEY.pack(key.owner, key.use, Suite.ED25519_SHA256, key.key_id, key.not_before_us, key.not_after_us, key.public)


def read_key_entry(payload: bytes) -> KeyEntry:
    """Read a KEY payload and check its possession signature; Malformed or Untrusted says what is wrong."""
    if len(payload) != KEY_ENTRY_BYTES:
        raise Malformed(f"a key entry has {KEY_ENTRY_BYTES} bytes, found {len(payload)}")
    owner, use, suite, key_id, not_before_us, not_after_us, public = _KEY.unpack(payload[: _KEY.size])
    if use not in set(KeyUse) or suite not in set(Suite):
        raise Malformed(f"key entry: use {use} or suite {suite} is unknown (offset 2)")
    if not_after_us <= not_before_us:
        raise Malformed("key entry: not_after_us is not after not_before_us (offset 16)")
    key = PublicKey(MemberNumber(owner), KeyUse(use), public, Micros(not_before_us), Micros(not_after_us))
    if key.key_id != key_id:
        raise Malformed(f"key entry: key_id is {key_id.hex()}, its key gives {key.key_id.hex()} (offset 4)")
    if not is_signed(public, in_context(_KEY_CONTEXT, payload[: _KEY.size]), payload[_KEY.size :]):
        raise Untrusted(f"key entry: member {owner} does not prove that it holds {use=} key {key_id.hex()}")
    return KeyEntry(key, payload[_KEY.size :])


@dataclass(frozen=True, slots=True)
class TariffEntry:
    """A table comes into force from this entry on: a city's tariffs and splits, or the scheme's agreement for member 0.

         0 member u16   2 reserved 6 B = 0   8 table_bytes u64   16 table_hash 32 B

    The table travels beside the log, named by its SHA-256. Which dated version prices a ride is the table's own matter.
    """

    member: int
    table_bytes: int
    table_hash: bytes

    def to_bytes(self) -> bytes:
        """Write the 48 bytes."""
        return _TARIFF.pack(self.member, bytes(6), self.table_bytes, self.table_hash)


_TARIFF = struct.Struct("<H6sQ32s")


def read_tariff_entry(payload: bytes) -> TariffEntry:
    """Read a TARIFF payload; Malformed names what is wrong."""
    if len(payload) != _TARIFF.size:
        raise Malformed(f"a tariff entry has {_TARIFF.size} bytes, found {len(payload)}")
    member, reserved, table_bytes, table_hash = _TARIFF.unpack(payload)
    if any(reserved):
        raise Malformed("tariff entry: reserved bytes are not zero (offset 2)")
    return TariffEntry(member, table_bytes, table_hash)


@dataclass(frozen=True, slots=True)
class WindowEntry:
    """One recorded second cleared (or a run of seconds without taps), and where every member stands after it.

      0 second i64   8 seconds u32   12 members u32   16 from_index u64   24 to_index u64   32 taps u64   40 journeys u64
     48 gross_fen i64   56 net_fen i64   64 state_root 32 B   96 delta_root 32 B   128 rules_hash 32 B
    160 members x (member u16, reserved 6 B = 0, position_fen i64), by member number, sum zero
    """

    second: int
    seconds: int
    from_index: int
    to_index: int
    taps: int
    journeys: int
    gross_fen: int
    net_fen: int
    state_root: bytes
    delta_root: bytes
    rules_hash: bytes
    positions: tuple[tuple[int, int], ...]

    def to_bytes(self) -> bytes:
        """Write 160 bytes and 16 for each member."""
        head = _WINDOW.pack(
            self.second, self.seconds, len(self.positions), self.from_index, self.to_index, self.taps, self.journeys,
            self.gross_fen, self.net_fen, self.state_root, self.delta_root, self.rules_hash,
        )  # fmt: skip
        return head + b"".join(_POSITION.pack(member, bytes(6), fen) for member, fen in self.positions)


_WINDOW = struct.Struct("<qIIQQQQqq32s32s32s")
_POSITION = struct.Struct("<H6sq")
assert _WINDOW.size == 64 + 3 * HASH_BYTES


def read_window_entry(payload: bytes) -> WindowEntry:
    """Read a WINDOW payload; Malformed where it contradicts itself: order, range, or positions that do not sum to zero."""
    if len(payload) < _WINDOW.size:
        raise Malformed(f"a window entry has at least {_WINDOW.size} bytes, found {len(payload)}")
    (second, seconds, members, from_index, to_index, taps, journeys, gross_fen, net_fen, state_root, delta_root, rules_hash) = (
        _WINDOW.unpack(payload[: _WINDOW.size])
    )
    if len(payload) != _WINDOW.size + members * _POSITION.size:
        raise Malformed(
            f"window {second}: {members} members need {_WINDOW.size + members * _POSITION.size} bytes, found {len(payload)}"
        )
    rows = [_POSITION.unpack_from(payload, _WINDOW.size + i * _POSITION.size) for i in range(members)]
    if any(any(reserved) for _member, reserved, _fen in rows):
        raise Malformed(f"window {second}: reserved bytes are not zero (offset 162)")
    positions = tuple((member, fen) for member, _reserved, fen in rows)
    numbers = [member for member, _fen in positions]
    if numbers != sorted(set(numbers)):
        raise Malformed(f"window {second}: members are not in order, each once (offset 160)")
    if sum(fen for _member, fen in positions):
        raise Malformed(f"window {second}: positions sum to {sum(fen for _m, fen in positions)} fen, expected 0 (offset 160)")
    window = WindowEntry(
        second, seconds, from_index, to_index, taps, journeys, gross_fen, net_fen, state_root, delta_root, rules_hash, positions
    )
    if not seconds or window.to_index < window.from_index:
        raise Malformed(f"window {second}: seconds is 0 or its index range runs backwards (offset 8)")
    return window
