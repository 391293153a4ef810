"""The packaged cities at full size for measurements: their real tables, a rush hour of taps by the real curve, sealed batches.

Keys, media and digests are drawn from a seed; nothing here belongs to anybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from city_adapters.catalogue import load_catalogue
from city_adapters.city import City
from city_adapters.tables import CityTable
from fare_chain import rider_code
from fare_chain.batch import MOST_TAPS, CityTail, SealedBatch, seal
from fare_chain.hashing import sha256
from fare_chain.identifiers import SCHEME, MemberNumber, Micros
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.rider_code import Credential
from fare_chain.tap import StationMode, TapKind
from settlement.core.columns import TAP_DTYPE, Int64, Taps, pick
from settlement.core.rules import PinnedTable, pin
from settlement.publishing import packed_tables
from simulators.clock import SECOND_US, DemoClock, actor_seed, stream
from simulators.demand import DayKind, DepartureColumns, RideColumns, World, city_demand, intended_rides, load_shape
from simulators.itineraries import LegColumns, Pace, legs_of
from simulators.riders import take_turns

RUSH_HOUR_MINUTE = 8 * 60
HOUR_S = 3_600
REAL_PACE = Pace(speed_up=1, least_us=3 * 60 * SECOND_US, most_us=2 * HOUR_S * SECOND_US)
FORGOTTEN_PER_10000 = 100
"""Rides without an exit tap, as in the demo: their entries stay open."""
AGO_US = 4 * HOUR_S * SECOND_US
"""How long before the run the rush hour was: its last rider is out again before the first batch is posted."""
_FOREVER_US = 2**62


@dataclass(frozen=True, slots=True)
class NineCities:
    """The scheme as a house loads it: every member's packed tables, the same pinned, and where people want to go."""

    packed: tuple[tuple[int, bytes], ...]
    pins: tuple[PinnedTable, ...]
    world: World
    now_us: int

    @property
    def tables(self) -> list[CityTable]:
        """The cities' tables by number."""
        return [held.table for held in self.pins if isinstance(held.table, CityTable)]

    @property
    def numbers(self) -> list[int]:
        """The cities' member numbers."""
        return [city.number for city in self.world.cities]

    def ring(self) -> KeyRing:
        """The public keys: the log's, the scheme's for access, and two of each city."""
        scheme = [(int(SCHEME), use) for use in (KeyUse.LOG, KeyUse.ACCESS)]
        owners = [*scheme, *((city, use) for city in self.numbers for use in (KeyUse.BATCH, KeyUse.ISSUER))]
        return KeyRing(public_key(owner, use) for owner, use in owners)


@dataclass(frozen=True, slots=True, eq=False)
class Hour:
    """The taps of one hour's rides (TAP_DTYPE, by time), whose tap each is, and each rider's issuer."""

    taps: Taps
    rider: Int64
    issuer: Int64


@dataclass(slots=True)
class Sealer:
    """The nine cities' batch keys at work, each with its own chain."""

    tails: dict[int, CityTail] = field(default_factory=dict)

    def seal(self, taps: Taps, codes: Sequence[bytes] = (), *, width: int = MOST_TAPS) -> list[SealedBatch]:
        """Seal taps (by time) as batches of up to `width`, city by city, in the order in which they become full."""
        sealed = []
        for city in np.unique(taps["host"]).tolist():
            key, name = member_key(city, KeyUse.BATCH), public_key(city, KeyUse.BATCH).key_id
            rows = np.flatnonzero(taps["host"] == city)
            for part in np.split(rows, range(width, len(rows), width)):
                shown = [codes[row] for row in part.tolist()] if codes else []
                tail = self.tails.get(city, CityTail())
                batch = seal(pick(taps, part).tobytes(), shown, city=city, tail=tail, key=key, key_id=name)
                self.tails[city] = tail.after(batch.header)
                sealed.append((int(part[-1]), batch))
        return [batch for _last, batch in sorted(sealed, key=lambda item: item[0])]


def load_nine_cities(now_us: int) -> NineCities:
    """Load and compile the packaged cities as of a moment."""
    return assemble(packed_tables(None), load_catalogue().cities, now_us)


def assemble(packed: Sequence[tuple[int, bytes]], cities: Sequence[City], now_us: int) -> NineCities:
    """Put members' packed tables and their cities together, as of a moment."""
    pins = tuple(pin(data) for _member, data in packed)
    tables = {held.table.city: held.table for held in pins if isinstance(held.table, CityTable)}
    demands = tuple(city_demand(city, tables[city.number], now_us) for city in cities)
    return NineCities(tuple(packed), pins, World(demands, load_shape(DayKind.WEEKDAY)), now_us)


def member_key(owner: int, use: KeyUse) -> SigningKey:
    """A member's key that every run has again."""
    return SigningKey(actor_seed(int(use), "bench-member", owner))


def public_key(owner: int, use: KeyUse) -> PublicKey:
    """The public half of a member's key, good for ever."""
    return PublicKey(MemberNumber(owner), use, member_key(owner, use).public, Micros(0), Micros(_FOREVER_US))


def rush_hour(cities: NineCities, *, rides: int, seed: int) -> Hour:
    """An hour's rides from eight o'clock on a weekday, setting out evenly, and their exits when they are; about two taps a ride."""
    depart_us = np.arange(rides, dtype=np.int64) * (HOUR_S * SECOND_US) // rides
    departures = DepartureColumns(depart_us, DemoClock(RUSH_HOUR_MINUTE, speed_up=1).slot(depart_us))
    intended = intended_rides(cities.world, departures, seed)
    legs = legs_of(intended, REAL_PACE, seed)
    forgotten = stream(seed, "forgotten").integers(0, 10_000, size=len(legs)) < FORGOTTEN_PER_10000
    issuer, rider = take_turns(intended.issuer, legs, forgotten)
    begin_us = cities.now_us - AGO_US
    entries, exits = (_taps(kind, begin_us, intended, legs) for kind in (TapKind.ENTRY, TapKind.EXIT))
    leaves = np.flatnonzero(~forgotten)
    taps = np.concatenate([entries, pick(exits, leaves)])
    whose = np.concatenate([rider, rider[leaves]]).astype(np.int64)
    media = stream(seed, "media").bytes(16 * len(issuer))
    taps["medium"] = np.frombuffer(media, "V16")[whose]
    taps["code_digest"] = np.frombuffer(stream(seed, "digests").bytes(32 * len(taps)), "V32")
    by_time = np.argsort(taps["tapped_at_us"], kind="stable")
    taps = pick(taps, by_time)
    count_on(taps, {})
    return Hour(taps, whose[by_time], issuer.astype(np.int64))


def count_on(taps: Taps, counts: dict[int, int]) -> None:
    """Give taps (by time) their gates' numbers, on from `counts` (by host * 2^32 + gate), which is brought up to date."""
    gate = taps["host"].astype(np.int64) << 32 | taps["gate"]
    rank = np.argsort(gate, kind="stable")
    names, begin, many = np.unique(gate[rank], return_index=True, return_counts=True)
    before = np.array([counts.get(name, 0) for name in names.tolist()], np.int64)
    number = np.empty(len(taps), np.int64)
    number[rank] = np.arange(1, len(taps) + 1) + np.repeat(before - begin, many)
    taps["gate_seq"] = number
    counts.update(zip(names.tolist(), (before + many).tolist(), strict=True))


def show_codes(hour: Hour, seed: int) -> tuple[Taps, list[bytes]]:
    """The same taps with real rider codes: every rider has a device key and a credential, and every tap its own fresh code."""
    keys: dict[int, tuple[SigningKey, Credential]] = {}
    taps, codes = hour.taps.copy(), []
    for number, (rider, at_us) in enumerate(zip(hour.rider.tolist(), hour.taps["tapped_at_us"].tolist(), strict=True)):
        if rider not in keys:
            keys[rider] = new_device(seed, rider, int(hour.issuer[rider]), at_us)
        key, credential = keys[rider]
        codes.append(rider_code.issue(key, credential, at_us, number))
    taps["medium"] = np.frombuffer(b"".join(keys[rider][1].medium for rider in hour.rider.tolist()), "V16")
    taps["code_digest"] = np.frombuffer(b"".join(map(sha256, codes)), "V32")
    return taps, codes


def new_device(seed: int, number: int, issuer: int, at_us: int) -> tuple[SigningKey, Credential]:
    """A device key and its issuer's word for it, good for a day around a moment."""
    key, at_s = SigningKey(actor_seed(seed, "bench-device", number)), at_us // SECOND_US
    attested = rider_code.issue_credential(
        member_key(issuer, KeyUse.ISSUER), issuer, key.public, not_before_s=at_s - 43_200, not_after_s=at_s + 43_200
    )
    return key, attested


def runs_of(taps: Taps, width: int) -> Iterator[Taps]:
    """Taps cut into runs of `width`, the last one shorter."""
    return (taps[at : at + width] for at in range(0, len(taps), width))


def _taps(kind: TapKind, begin_us: int, rides: RideColumns, legs: LegColumns) -> Taps:
    taps = np.zeros(len(legs), TAP_DTYPE)
    entering = kind is TapKind.ENTRY
    taps["tapped_at_us"] = begin_us + (legs.enter_us if entering else legs.exit_us)
    taps["gate"] = legs.from_gate if entering else legs.to_gate
    taps["station"] = rides.from_station if entering else rides.to_station
    taps["host"], taps["issuer"] = rides.host, rides.issuer
    taps["kind"], taps["mode"] = kind, StationMode.NORMAL
    return taps
