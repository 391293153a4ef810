"""What clearing keeps of a tick and of the books, as a proof shows it: read without the house that wrote it.

The layouts are those of docs/formats/clearing.md; money is whole fen. A delta leaf begins with its type:

    1 ‖ journey (128 B) ‖ each of its shares (beneficiary u16, 6 zero bytes, amount_fen i64)      2 ‖ sum (24 B)

Leaves of exceptions (3) and joins (4) stand in the same tree; nothing here reads them.
"""

import struct
from dataclasses import dataclass

from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import WindowEntry
from fare_chain.hashing import tagged_hash

JOURNEY_LEAF, SUM_LEAF = 1, 2
JOURNEY_BYTES, SHARE_BYTES, SUM_BYTES, BALANCE_BYTES = 128, 16, 24, 16
JOURNEY_VERSION = 1
_JOURNEY = struct.Struct("<16s16sqqIIHHHBBqIIqqIIIIIIIBBBB")
_BALANCE = struct.Struct("<H6sq")
_SUM = struct.Struct("<BBHHHQq")
assert (_JOURNEY.size, _BALANCE.size, _SUM.size) == (JOURNEY_BYTES, SHARE_BYTES, SUM_BYTES)


@dataclass(frozen=True, slots=True)
class Journey:
    """One cleared journey, field for field in the order of its 128 bytes; stations, gates and cities by number."""

    journey_id: bytes
    medium: bytes
    entered_at_us: int
    exited_at_us: int
    from_station: int
    to_station: int
    host: int
    issuer: int
    version: int
    category: int
    state: int
    fare_fen: int
    distance_m: int
    tariff: int
    commission_fen: int
    fee_fen: int
    nominal_fen: int
    discount_fen: int
    surcharge_fen: int
    from_gate: int
    to_gate: int
    legs: int
    markers: int
    entitlement: int
    funder: int
    weight_set: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What one beneficiary has: its part of a fare, or all that it has earned."""

    owner: int
    fen: int


@dataclass(frozen=True, slots=True)
class Sum:
    """All that one party owes another in a tick, of one level and kind, for `n` obligations."""

    level: int
    kind: int
    debtor: int
    creditor: int
    n: int
    amount_fen: int

    @property
    def line(self) -> tuple[int, int, int, int]:
        """Whose sum it is, and of what: level, kind, debtor, creditor."""
        return self.level, self.kind, self.debtor, self.creditor


def read_journey_leaf(leaf: bytes) -> tuple[Journey, tuple[Balance, ...]]:
    """A journey and its shares from a delta leaf; Malformed where it is no such leaf, Untrusted where shares miss the fare."""
    record, run = leaf[1 : 1 + JOURNEY_BYTES], leaf[1 + JOURNEY_BYTES :]
    if leaf[:1] != bytes([JOURNEY_LEAF]) or len(record) != JOURNEY_BYTES or len(run) % SHARE_BYTES:
        raise Malformed(f"a journey's leaf is 01, {JOURNEY_BYTES} bytes and {SHARE_BYTES} for each share; found {len(leaf)} bytes")
    *fields, reserved = _JOURNEY.unpack(record)
    journey = Journey(*fields)
    if journey.version != JOURNEY_VERSION or reserved:
        raise Malformed(f"a journey of version {journey.version} (reserved {reserved}) cannot be read: expected version 1")
    shares = tuple(read_balance(run[at : at + SHARE_BYTES]) for at in range(0, len(run), SHARE_BYTES))
    if sum(share.fen for share in shares) != journey.fare_fen:
        raise Untrusted(f"the shares sum to {sum(share.fen for share in shares)} fen, the fare is {journey.fare_fen}")
    return journey, shares


def read_sum_leaf(leaf: bytes) -> Sum:
    """A sum of obligations from a delta leaf; Malformed where it is no such leaf."""
    if leaf[:1] != bytes([SUM_LEAF]) or len(leaf) != 1 + SUM_BYTES:
        raise Malformed(f"a sum's leaf is 02 and {SUM_BYTES} bytes; found {leaf[:1].hex()!r} and {max(0, len(leaf) - 1)}")
    level, kind, debtor, creditor, reserved, n, amount_fen = _SUM.unpack(leaf[1:])
    if reserved:
        raise Malformed("a sum's reserved bytes are not zero (offset 6)")
    return Sum(level, kind, debtor, creditor, n, amount_fen)


def read_balance(record: bytes) -> Balance:
    """Sixteen bytes: owner u16, 6 zero bytes, fen i64; Malformed otherwise."""
    if len(record) != BALANCE_BYTES:
        raise Malformed(f"a balance has {BALANCE_BYTES} bytes, found {len(record)}")
    owner, reserved, fen = _BALANCE.unpack(record)
    if any(reserved):
        raise Malformed("a balance's reserved bytes are not zero (offset 2)")
    return Balance(owner, fen)


def write_balance(balance: Balance) -> bytes:
    """The sixteen bytes of a balance."""
    return _BALANCE.pack(balance.owner, bytes(6), balance.fen)


def state_root_of(window: WindowEntry, previous: bytes, earned_root: bytes) -> bytes:
    """The state root that this window must have after one of root `previous`, with these earned balances (decision 12)."""
    positions = b"".join(write_balance(Balance(member, fen)) for member, fen in window.positions)
    head = struct.pack("<qI", window.second, window.seconds)
    return tagged_hash("state", [previous, head, window.delta_root, positions, window.rules_hash, earned_root])
