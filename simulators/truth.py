"""What clearing should come to, in the plainest code: one tap, one ride, one fen at a time, with dicts and whole numbers.

Nothing here is shared with the fold in `settlement.core` but the layout of a tap and the tables: where both agree, they agree
because the rule is the same. Slow on purpose.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from city_adapters.tables import AgreementTable, CityTable, TariffVersion
from fare_chain.tap import Tap, TapKind, read

Row = tuple[int | bytes, ...]
"""A record as its fields, in the order of the record's layout, reserved bytes left out."""

_UNKNOWN_STATION, _UNKNOWN_ISSUER, _FROM_FUTURE, _REPEATED, _NO_FARE, _KIND_NOT_CLEARED, _NO_AGREEMENT = range(1, 8)
_FARE, _COMMISSION, _FEE, _LOCAL_FARE = 1, 2, 3, 7
_FIVE_MINUTES_US = 300_000_000


@dataclass
class Told:
    """What one tick should come to; shares are (beneficiary, journey row, fen), sums (level, kind, debtor, creditor, n, fen)."""

    journeys: list[Row] = field(default_factory=list)
    shares: list[Row] = field(default_factory=list)
    sums: list[Row] = field(default_factory=list)
    exceptions: list[Row] = field(default_factory=list)
    delta_root: bytes = b""


@dataclass
class Truth:
    """Everything that clearing remembers: tables, waiting taps, positions, earnings, and the open second's sums."""

    state_root: bytes = bytes(32)
    cities: dict[int, tuple[CityTable, bytes]] = field(default_factory=dict)
    agreements: dict[int, tuple[AgreementTable, bytes]] = field(default_factory=dict)
    waiting: list[Tap] = field(default_factory=list)
    positions: Counter[int] = field(default_factory=Counter)
    earned: Counter[int] = field(default_factory=Counter)
    second_sums: Counter[tuple[int, int, int, int]] = field(default_factory=Counter)
    second_roots: list[bytes] = field(default_factory=list)

    def clear(
        self,
        recorded_us: int,
        seed: bytes,
        records: Iterable[bytes],
        tables: Iterable[tuple[CityTable | AgreementTable, bytes]] = (),
    ) -> Told:
        """Clear one tick's taps, given as their 80-byte records."""
        for table, sha256 in tables:
            if isinstance(table, CityTable):
                self.cities[table.city] = (table, sha256)
            else:
                self.agreements[table.valid_from_us] = (table, sha256)
        told, leaves, counts = Told(), [], Counter[tuple[int, int, int, int]]()
        rides = self._pair([read(record) for record in records], recorded_us, told)
        sums: Counter[tuple[int, int, int, int]] = Counter()
        for journey_id, entry, leave in sorted(rides, key=lambda ride: ride[0]):
            reason, journey, shares = self._ride(journey_id, entry, leave, seed)
            if reason:
                told.exceptions += [_exception(entry, reason), _exception(leave, reason)]
                continue
            leaves.append(b"\x01" + _journey_bytes(journey) + b"".join(struct.pack("<H6xq", *share) for share in shares))
            told.shares += [(beneficiary, len(told.journeys), fen) for beneficiary, fen in shares]
            told.journeys.append(journey)
            for owed, fen in _owed(journey, shares):
                if fen:
                    sums[owed] += fen
                    counts[owed] += 1
        told.sums = [(*owed, counts[owed], sums[owed]) for owed in sorted(sums)]
        told.exceptions.sort()
        leaves += [b"\x02" + struct.pack("<BBHH2xQq", *row) for row in told.sums]
        leaves += [b"\x03" + struct.pack("<q16sIIIHHBB6x", *row) for row in told.exceptions]
        told.delta_root = tree_root(sorted(leaves))
        self.second_roots.append(told.delta_root)
        self.second_sums.update(sums)
        return told

    def close(self, second: int, seconds: int = 1) -> bytes:
        """Book the open second (or a run of empty ones) and give the state root."""
        for (level, _kind, debtor, creditor), fen in self.second_sums.items():
            if level == 1:
                self.positions[debtor] -= fen
                self.positions[creditor] += fen
            else:
                self.earned[creditor] += fen
        members = {0}.union(*(table.members for table, _hash in self.agreements.values()))
        positions = b"".join(struct.pack("<H6xq", member, self.positions[member]) for member in sorted(members))
        hashes = [sha256 for held in (self.cities, self.agreements) for _number, (_table, sha256) in sorted(held.items())]
        rules_hash = hashlib.sha256(b"fare-chain/rules/v1\n" + struct.pack("<I", 1) + b"".join(hashes)).digest()
        told = self.state_root + struct.pack("<qI", second, seconds) + tree_root(self.second_roots) + positions + rules_hash
        self.state_root = hashlib.sha256(b"fare-chain/state/v1\n" + told).digest()
        self.second_sums, self.second_roots = Counter(), []
        return self.state_root

    def _pair(self, taps: list[Tap], recorded_us: int, told: Told) -> list[tuple[bytes, Tap, Tap]]:
        """Take the rides out of what waits and what came."""
        touched, seen = set(), set(self.waiting)
        for tap in taps:
            reason = self._reason(tap, recorded_us)
            if not reason:
                touched.add((tap.host, tap.medium))
                reason = _REPEATED if tap in seen else 0
            if reason:
                told.exceptions.append(_exception(tap, reason))
            else:
                seen.add(tap)
                self.waiting.append(tap)
        rides = []
        for lane in touched:
            inside: list[Tap] = []
            for tap in sorted((tap for tap in self.waiting if (tap.host, tap.medium) == lane), key=_place):
                if tap.kind == TapKind.ENTRY:
                    inside.append(tap)
                elif inside:
                    entry = inside.pop()
                    if tap.tapped_at_us - entry.tapped_at_us <= self._agreement(entry.tapped_at_us)[1]:
                        self.waiting.remove(entry)
                        self.waiting.remove(tap)
                        rides.append((_journey_id(entry), entry, tap))
        return rides

    def _reason(self, tap: Tap, recorded_us: int) -> int:
        if tap.host not in self.cities or tap.station not in self.cities[tap.host][0].station_numbers:
            return _UNKNOWN_STATION
        if not any(tap.issuer in table.members for table, _hash in self.agreements.values()):
            return _UNKNOWN_ISSUER
        if tap.tapped_at_us > recorded_us + _FIVE_MINUTES_US:
            return _FROM_FUTURE
        return 0 if tap.kind in (TapKind.ENTRY, TapKind.EXIT) else _KIND_NOT_CLEARED

    def _ride(self, journey_id: bytes, entry: Tap, leave: Tap, seed: bytes) -> tuple[int, Row, list[tuple[int, int]]]:
        """Price and split one ride; the reason where that cannot be done."""
        table = self.cities[entry.host][0]
        numbers = table.station_numbers.tolist()
        version = _version(table, entry.tapped_at_us)
        if version is None or entry.station not in numbers or leave.station not in numbers:
            return _NO_FARE, (), []
        pair = numbers.index(entry.station), numbers.index(leave.station)
        fare = int(version.fare_fen[pair])
        if fare < 0:
            return _NO_FARE, (), []
        draw = ((int.from_bytes(journey_id[:8], "little") + int.from_bytes(seed[:8], "little")) % 2**64) >> 1
        commission = fee = 0
        if entry.issuer != entry.host:
            terms, _longest = self._agreement(entry.tapped_at_us)
            if terms is None or entry.issuer not in terms.members or entry.host not in terms.members:
                return _NO_AGREEMENT, (), []
            parties = terms.members.index(entry.issuer), terms.members.index(entry.host)
            rate = int(terms.commission_ppm[parties])
            commission, fee = _cut(fare, [rate, 1_000_000 - rate], draw)[0], int(terms.fee_fen[parties])
        weights = [int(weight) for weight in version.weights[pair]]
        amounts = zip(table.beneficiaries, weights, _cut(fare, weights, draw), strict=True)
        shares = [(entry.host * 256 + number, fen) for number, weight, fen in amounts if weight]
        journey = (
            journey_id, entry.medium, entry.tapped_at_us, leave.tapped_at_us, entry.station, leave.station, entry.host,
            entry.issuer, 1, entry.category, 2, fare, max(0, int(version.distance_m[pair])), table.versions.index(version),
            commission, fee,
        )  # fmt: skip
        return 0, journey, shares

    def _agreement(self, moment_us: int) -> tuple[AgreementTable | None, int]:
        """The agreement in force, and the longest ride it allows."""
        dates = [date for date in self.agreements if date <= moment_us]
        if not dates:
            return None, -1
        table = self.agreements[max(dates)][0]
        return table, table.longest_ride_us


def tree_root(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(entries[:split]) + tree_root(entries[split:])).digest()


def _cut(amount: int, weights: list[int], draw: int) -> list[int]:
    """House rule of the drawn point: each edge scaled to the amount, shifted by the drawn part of a fen, cut down."""
    total, edge, before, parts = sum(weights), 0, 0, []
    for weight in weights:
        edge += weight
        after = (amount * edge + draw % total) // total
        parts.append(after - before)
        before = after
    return parts


def _version(table: CityTable, moment_us: int) -> TariffVersion | None:
    return next((version for version in table.versions if version.valid_from_us <= moment_us < version.valid_to_us), None)


def _journey_id(entry: Tap) -> bytes:
    return hashlib.sha256(b"fare-chain/journey/v1\n" + entry.to_bytes()).digest()[:16]


def _place(tap: Tap) -> Row:
    """Where a tap stands among those of its medium in its host."""
    return (
        tap.tapped_at_us, tap.kind, tap.gate, tap.gate_seq, tap.issuer, tap.station, tap.flags, tap.category, tap.mode,
        tap.code_digest,
    )  # fmt: skip


def _exception(tap: Tap, reason: int) -> Row:
    return tap.tapped_at_us, tap.medium, tap.gate_seq, tap.gate, tap.station, tap.host, tap.issuer, int(tap.kind), reason


def _journey_bytes(journey: Row) -> bytes:
    return struct.pack("<16s16sqqIIHHHBBqIIqq", *journey)


def _owed(journey: Row, shares: list[tuple[int, int]]) -> list[tuple[tuple[int, int, int, int], int]]:
    """Who owes whom for one journey: (level, kind, debtor, creditor), fen."""
    host, issuer, fare, commission, fee = (journey[at] for at in (6, 7, 11, 14, 15))
    assert isinstance(host, int)
    assert isinstance(issuer, int)
    assert isinstance(fare, int)
    assert isinstance(commission, int)
    assert isinstance(fee, int)
    kind = _LOCAL_FARE if host == issuer else _FARE
    inside = [((2, kind, host, beneficiary), fen) for beneficiary, fen in shares]
    if host == issuer:
        return inside
    return [((1, _FARE, issuer, host), fare), ((1, _COMMISSION, host, issuer), commission), ((1, _FEE, issuer, 0), fee), *inside]
