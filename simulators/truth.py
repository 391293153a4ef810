"""What clearing should come to, in the plainest code: one tap, one ride, one fen at a time, with dicts and whole numbers.

Written from `docs/formats/clearing.md`. Nothing here is shared with the fold in `settlement.core` but the layout of a tap and the
tables: where both agree, they agree because the rule is the same. Slow on purpose: each tick finds the rides of every tap that
waits anew.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from city_adapters.tables import NO_SET, AgreementTable, CityTable
from fare_chain.tap import Tap, TapKind, read
from simulators.truth_borders import Side, joined, sides_of
from simulators.truth_fares import Priced, cut, priced
from simulators.truth_rides import PATIENCE_US, Ride, rides_of

Row = tuple[int | bytes, ...]
"""A record as its fields, in the order of the record's layout, reserved bytes left out."""

_UNKNOWN_STATION, _UNKNOWN_ISSUER, _FROM_FUTURE, _REPEATED, _NO_FARE, _KIND_NOT_CLEARED, _NO_AGREEMENT, _OBJECTED = range(1, 9)
_FARE, _COMMISSION, _FEE, _DELTA, _LOCAL_FARE = 1, 2, 3, 4, 7
_CONTEST_SECONDS = 3600
_RULE_REVISION = 4
_DAY_US = 86_400_000_000
_FIRST_BENEFICIARY = 256


@dataclass
class Told:
    """What one tick should come to; shares are (beneficiary, journey row, fen), sums (level, kind, debtor, creditor, n, fen)."""

    journeys: list[Row] = field(default_factory=list)
    shares: list[Row] = field(default_factory=list)
    sums: list[Row] = field(default_factory=list)
    exceptions: list[Row] = field(default_factory=list)
    joins: list[Row] = field(default_factory=list)
    adjustments: list[Row] = field(default_factory=list)
    adjusted_shares: dict[int | bytes, list[Row]] = field(default_factory=dict)
    delta_root: bytes = b""


@dataclass
class Truth:
    """Everything that clearing remembers: tables, waiting taps, border sides, positions, earnings, and the open second's sums.

    `counted` names every tap that was taken by host, gate and gate_seq; `history` has every journey with its second and shares.
    """

    state_root: bytes = bytes(32)
    cities: dict[int, tuple[CityTable, bytes]] = field(default_factory=dict)
    agreements: dict[int, tuple[AgreementTable, bytes]] = field(default_factory=dict)
    waiting: list[Tap] = field(default_factory=list)
    counted: set[tuple[int, int, int]] = field(default_factory=set)
    sides: list[Side] = field(default_factory=list)
    history: list[tuple[int, Row, list[Row]]] = field(default_factory=list)
    fallen: set[bytes] = field(default_factory=set)
    closed: list[int] = field(default_factory=list)
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
        objections: Iterable[tuple[int, bytes, bool]] = (),
    ) -> Told:
        """Clear one tick's taps, given as their 80-byte records; objections are (entry, tap, whether it brings the journey)."""
        for table, sha256 in tables:
            if isinstance(table, CityTable):
                self.cities[table.city] = (table, sha256)
            else:
                self.agreements[table.valid_from_us] = (table, sha256)
        told = Told()
        objections = list(objections)
        self._take_in([read(record) for record in records], recorded_us, told)
        self._deny({read(tap) for _index, tap, _brings in objections}, told)
        rides = sorted(self._rides(recorded_us), key=lambda ride: ride.journey_id)
        cleared = [ride for ride in rides if self._tell(ride, seed, told)]
        self._join(cleared, recorded_us, told)
        for index, tap, brings in objections:
            if brings:
                self._fall(index, read(tap), tap, told)
        told.adjustments.sort()
        sums = self._sum_up(told)
        second = recorded_us // 1_000_000
        for row, journey in enumerate(told.journeys):
            self.history.append((second, journey, [share for share in told.shares if share[1] == row]))
        told.exceptions.sort()
        told.delta_root = tree_root(sorted(_leaves(told)))
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
                for party, change in ((debtor, -fen), (creditor, fen)):
                    self.earned[party] += change if party >= _FIRST_BENEFICIARY else 0
        members = {0}.union(*(table.members for table, _hash in self.agreements.values()))
        positions = b"".join(struct.pack("<H6xq", member, self.positions[member]) for member in sorted(members))
        hashes = [sha256 for held in (self.cities, self.agreements) for _number, (_table, sha256) in sorted(held.items())]
        rules_hash = hashlib.sha256(b"fare-chain/rules/v1\n" + struct.pack("<I", _RULE_REVISION) + b"".join(hashes)).digest()
        told = self.state_root + struct.pack("<qI", second, seconds) + tree_root(self.second_roots) + positions + rules_hash
        told += tree_root([struct.pack("<H6xq", beneficiary, fen) for beneficiary, fen in sorted(self.earned.items()) if fen])
        self.state_root = hashlib.sha256(b"fare-chain/state/v1\n" + told).digest()
        self.second_sums, self.second_roots = Counter(), []
        self.closed = [each for each in self.closed if each > second - _CONTEST_SECONDS] + [second]
        return self.state_root

    def _take_in(self, taps: list[Tap], recorded_us: int, told: Told) -> None:
        """Let taps wait that make sense and whose gate has not told them before."""
        for tap in sorted(taps, key=Tap.to_bytes):
            name = (tap.host, tap.gate, tap.gate_seq)
            reason = self._reason(tap, recorded_us) or (_REPEATED if name in self.counted else 0)
            if reason:
                told.exceptions.append(_exception(tap, reason))
            else:
                self.counted.add(name)
                self.waiting.append(tap)

    def _deny(self, objected: set[Tap], told: Told) -> None:
        """What is objected to waits no longer."""
        told.exceptions += [_exception(tap, _OBJECTED) for tap in self.waiting if tap in objected]
        self.waiting = [tap for tap in self.waiting if tap not in objected]

    def _fall(self, index: int, tap: Tap, record: bytes, told: Told) -> None:
        """The journey that begins or ends with this tap falls, once, if its window is one of the last hour's."""
        journey_id = hashlib.sha256(b"fare-chain/journey/v1\n" + record).digest()[:16]
        last = (tap.medium, tap.host, tap.station, tap.gate, tap.tapped_at_us)
        for second, journey, shares in self.history:
            ends = tap.kind in (2, 4) and (journey[1], journey[6], journey[5], journey[20], journey[3]) == last
            name = journey[0]
            assert isinstance(name, bytes)
            if (name == journey_id or ends) and second in self.closed and name not in self.fallen:
                self.fallen.add(name)
                owed = (journey[11], journey[14], journey[15], journey[6], journey[7])
                told.adjustments.append((name, index, second, *owed, 2, 1))
                told.adjusted_shares[name] = [(share[0], share[2]) for share in shares]

    def _reason(self, tap: Tap, recorded_us: int) -> int:
        if tap.host not in self.cities or tap.station not in self.cities[tap.host][0].station_numbers:
            return _UNKNOWN_STATION
        if not any(tap.issuer in table.members for table, _hash in self.agreements.values()):
            return _UNKNOWN_ISSUER
        if tap.tapped_at_us > recorded_us + PATIENCE_US:
            return _FROM_FUTURE
        reads_markers = any(version.marker_set != NO_SET for version in self.cities[tap.host][0].versions)
        return _KIND_NOT_CLEARED if tap.kind == TapKind.MARKER and not reads_markers else 0

    def _rides(self, recorded_us: int) -> list[Ride]:
        """Take the rides that are over out of what waits."""
        lanes: dict[tuple[int, bytes], list[Tap]] = {}
        for tap in self.waiting:
            lanes.setdefault((tap.host, tap.medium), []).append(tap)
        rides = []
        for (host, _medium), lane in lanes.items():
            rides += rides_of(lane, self.cities[host][0], self._longest_us, recorded_us)[0]
        gone = {tap for ride in rides for tap in ride.taps}
        self.waiting = [tap for tap in self.waiting if tap not in gone]
        return rides

    def _tell(self, ride: Ride, seed: bytes, told: Told) -> bool:
        """Tell a ride as a journey with its shares, or each of its taps as an exception: whether it is a journey."""
        entry = ride.entry
        agreement = self._agreement(entry.tapped_at_us)
        draw = ((int.from_bytes(ride.journey_id[:8], "little") + int.from_bytes(seed[:8], "little")) % 2**64) >> 1
        price = priced(ride, self.cities[entry.host][0], agreement, draw)
        charges = None if price is None else _charges(entry, price.fare_fen, agreement, draw)
        if price is None or charges is None:
            reason = _NO_FARE if price is None else _NO_AGREEMENT
            told.exceptions += [_exception(tap, reason) for tap in ride.taps]
            return False
        told.shares += [(beneficiary, len(told.journeys), fen) for beneficiary, fen in price.shares]
        told.journeys.append(_journey(ride, price, charges))
        return True

    def _join(self, rides: list[Ride], recorded_us: int, told: Told) -> None:
        tables = [table for table, _hash in self.cities.values()]
        self.sides += [side for ride in rides for side in sides_of(ride, tables)]
        pairs, self.sides = joined(self.sides, tables)
        told.joins = sorted(pairs)
        self.sides = [side for side in self.sides if side.at_us >= recorded_us - _DAY_US]

    def _sum_up(self, told: Told) -> Counter[tuple[int, int, int, int]]:
        sums, counts = Counter[tuple[int, int, int, int]](), Counter[tuple[int, int, int, int]]()
        for row, journey in enumerate(told.journeys):
            for owed, fen in _owed(journey, [share for share in told.shares if share[1] == row]):
                if fen:
                    sums[owed] += fen
                    counts[owed] += 1
        for adjustment in told.adjustments:
            for owed, fen in _owed_back(adjustment, told.adjusted_shares[adjustment[0]]):
                if fen:
                    sums[owed] += fen
                    counts[owed] += 1
        told.sums = [(*owed, counts[owed], sums[owed]) for owed in sorted(sums)]
        return sums

    def _agreement(self, moment_us: int) -> AgreementTable | None:
        dates = [date for date in self.agreements if date <= moment_us]
        return self.agreements[max(dates)][0] if dates else None

    def _longest_us(self, entered_at_us: int) -> int:
        agreement = self._agreement(entered_at_us)
        return -1 if agreement is None else agreement.longest_ride_us


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


def _leaves(told: Told) -> list[bytes]:
    journeys = [
        b"\x01" + struct.pack("<16s16sqqIIHHHBBqIIqqIIIIIIIBBBx", *journey)
        + b"".join(struct.pack("<H6xq", share[0], share[2]) for share in told.shares if share[1] == row)
        for row, journey in enumerate(told.journeys)
    ]  # fmt: skip
    sums = [b"\x02" + struct.pack("<BBHH2xQq", *row) for row in told.sums]
    exceptions = [b"\x03" + struct.pack("<q16sIIIHHBB6x", *row) for row in told.exceptions]
    adjustments = [
        b"\x05" + struct.pack("<16sQqqqqHHHB9x", *row)
        + b"".join(struct.pack("<H6xq", *share) for share in told.adjusted_shares[row[0]])
        for row in told.adjustments
    ]  # fmt: skip
    return journeys + adjustments + sums + exceptions + [b"\x04" + struct.pack("<16s16s", *row) for row in told.joins]


def _exception(tap: Tap, reason: int) -> Row:
    return tap.tapped_at_us, tap.medium, tap.gate_seq, tap.gate, tap.station, tap.host, tap.issuer, int(tap.kind), reason


def _charges(entry: Tap, fare: int, agreement: AgreementTable | None, draw: int) -> tuple[int, int] | None:
    """Commission and fee; None where issuer and host have no agreement."""
    if entry.issuer == entry.host:
        return 0, 0
    if agreement is None or not {entry.issuer, entry.host} <= set(agreement.members):
        return None
    parties = agreement.members.index(entry.issuer), agreement.members.index(entry.host)
    rate = int(agreement.commission_ppm[parties])
    return cut(fare, [rate, 1_000_000 - rate], draw)[0], int(agreement.fee_fen[parties])


def _journey(ride: Ride, price: Priced, charges: tuple[int, int]) -> Row:
    entry, leave = ride.entry, ride.leave
    return (
        ride.journey_id, entry.medium, entry.tapped_at_us, leave.tapped_at_us, entry.station, leave.station, entry.host,
        entry.issuer, 1, entry.category, 2, price.fare_fen, price.distance_m, price.tariff, *charges, price.nominal_fen,
        price.discount_fen, price.surcharge_fen, entry.gate, leave.gate, len(ride.legs), len(ride.markers), entry.entitlement,
        price.funder, price.weight_set,
    )  # fmt: skip


def _owed(journey: Row, shares: list[Row]) -> list[tuple[tuple[int, int, int, int], int]]:
    """Who owes whom for one journey: (level, kind, debtor, creditor), fen."""
    host, issuer, fare, commission, fee = (int(journey[at]) for at in (6, 7, 11, 14, 15))
    kind = _LOCAL_FARE if host == issuer else _FARE
    inside = [((2, kind, host, int(beneficiary)), int(fen)) for beneficiary, _row, fen in shares]
    if host == issuer:
        return inside
    return [((1, _FARE, issuer, host), fare), ((1, _COMMISSION, host, issuer), commission), ((1, _FEE, issuer, 0), fee), *inside]


def _owed_back(adjustment: Row, shares: list[Row]) -> list[tuple[tuple[int, int, int, int], int]]:
    """Who owes whom for one journey that fell: what it made owed, the other way."""
    fare, commission, fee, host, issuer = (int(adjustment[at]) for at in range(3, 8))
    inside = [((2, _DELTA, int(beneficiary), host), int(fen)) for beneficiary, fen in shares]
    if host == issuer:
        return inside
    return [((1, _DELTA, host, issuer), fare), ((1, _DELTA, issuer, host), commission), ((1, _DELTA, 0, issuer), fee), *inside]
