"""The tables in force, pinned by their hashes: who is a member, which stations exist, what a ride costs and who earned it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from city_adapters.table_packing import AGREEMENT_MAGIC, unpack_agreement, unpack_city
from city_adapters.tables import NO_SET, AgreementTable, CityTable, TariffVersion
from fare_chain.errors import Malformed
from fare_chain.hashing import HASH_BYTES, sha256, tagged_hash
from fare_chain.identifiers import SCHEME
from settlement.core.columns import Int64, Keys, Mask, Taps, column

RULE_REVISION = 4
"""Raised by every change of the fold that could change a result: entries before it are folded by the earlier rules."""

FUTURE_TOLERANCE_US = 5 * 60 * 1_000_000
"""How far a gate's clock may run ahead of the ledger's before its tap is an exception (design.md, section 7)."""

_LARGEST = 2**63 - 1
_NUMBERS = 2**16
_STATION_BITS = 24
_MOST_STRETCHES = 2**20
"""Far more marker taps than one ride can pass; a path's weights are their sum."""


class Ways(NamedTuple):
    """Ways from one station to another that a ride may go on by, sorted by (from, to); keys as `place_keys` makes them."""

    from_key: Keys
    to_key: Keys
    limit_us: Int64

    def longest_us(self, key: Keys) -> Int64:
        """The longest time limit of any way that begins at each place; 0 where none does."""
        if not len(self.from_key):
            return np.zeros(len(key), np.int64)
        begins = np.flatnonzero(np.diff(self.from_key, prepend=~self.from_key[:1]))
        starts, longest = self.from_key[begins], np.maximum.reduceat(self.limit_us, begins)
        at = np.minimum(np.searchsorted(starts, key), len(starts) - 1)
        return np.where(starts[at] == key, longest[at], 0)

    def limit_between(self, from_key: Keys, to_key: Keys) -> Int64:
        """The time limit of the way between each two places; 0 where there is none."""
        limit_us = np.zeros(len(from_key), np.int64)
        for begin, end, limit in zip(self.from_key, self.to_key, self.limit_us, strict=True):
            limit_us[(from_key == begin) & (to_key == end)] = limit
        return limit_us


def place_keys(host: npt.NDArray[np.uint16], station: npt.NDArray[np.uint32]) -> Keys:
    """One number for a host's station (below 2^24, as every station of a table is)."""
    return (host.astype(np.uint64) << np.uint64(_STATION_BITS)) | station.astype(np.uint64)


class PinnedTable(NamedTuple):
    """A table and the hash under which the ledger names it: SHA-256 of its packed bytes, 32 bytes."""

    table: CityTable | AgreementTable
    sha256: bytes


def pin(data: bytes) -> PinnedTable:
    """Read a packed table, whichever it is, and pin it by the hash of its bytes; Malformed where it is neither."""
    agreed = data[: len(AGREEMENT_MAGIC)] == AGREEMENT_MAGIC
    return PinnedTable(unpack_agreement(data) if agreed else unpack_city(data), sha256(data))


class Tariff(NamedTuple):
    """One dated version of one city's table; `place` counts the city's versions from 0."""

    city: CityTable
    place: int
    version: TariffVersion
    beneficiaries: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Rules:
    """All tables in force: one for a city, one for each date of the agreement. A new table gives new rules."""

    pins: tuple[PinnedTable, ...] = ()

    def including(self, tables: Iterable[PinnedTable]) -> "Rules":
        """Put tables in force: a city's replaces its last, an agreement's the one of the same date. Malformed where unusable."""
        held = {_name(pin.table): pin for pin in self.pins}
        given = list(tables)
        for pin in given:
            _check(pin)
            held[_name(pin.table)] = pin
        return Rules(tuple(held[name] for name in sorted(held))) if given else self

    @cached_property
    def rules_hash(self) -> bytes:
        """What the WINDOW entry pins: the rule revision and the hash of every table, in order."""
        return tagged_hash("rules", [RULE_REVISION.to_bytes(4, "little"), *(pin.sha256 for pin in self.pins)])

    @cached_property
    def cities(self) -> tuple[CityTable, ...]:
        """Cities by number."""
        return tuple(pin.table for pin in self.pins if isinstance(pin.table, CityTable))

    @cached_property
    def agreements(self) -> tuple[AgreementTable, ...]:
        """Agreements by the moment from which they hold; each holds until the next."""
        return tuple(pin.table for pin in self.pins if isinstance(pin.table, AgreementTable))

    @cached_property
    def tariffs(self) -> tuple[Tariff, ...]:
        """Every dated version of every city, by city and date: the only things that pricing loops over."""
        return tuple(
            Tariff(city, place, version, np.array([city.city * 256 + number for number in city.beneficiaries], "<u2"))
            for city in self.cities
            for place, version in enumerate(city.versions)
        )

    @cached_property
    def members(self) -> tuple[int, ...]:
        """The scheme and whoever any agreement names, by number."""
        return tuple(sorted({int(SCHEME)}.union(*(agreement.members for agreement in self.agreements))))

    def agreement_at(self, moment_us: Int64) -> Int64:
        """Which agreement (counted from 0) is in force at each moment; -1 before the first."""
        dates = np.array([agreement.valid_from_us for agreement in self.agreements], np.int64)
        return np.searchsorted(dates, moment_us, "right") - 1

    def longest_ride_us(self, entered_at_us: Int64) -> Int64:
        """How long after its entry tap an exit may still belong to it; -1 before the first agreement."""
        longest = np.array([*(agreement.longest_ride_us for agreement in self.agreements), -1], np.int64)
        return longest[self.agreement_at(entered_at_us)]

    def knows_issuer(self, taps: Taps) -> Mask:
        """Whether each tap's issuer is a city of the scheme."""
        known = np.zeros(_NUMBERS, np.bool_)
        known[list(self.members)] = True
        known[SCHEME] = False
        is_known: Mask = known[column(taps, "issuer")]
        return is_known

    def knows_station(self, taps: Taps) -> Mask:
        """Whether each tap's station is one of its host's."""
        return self.station_rows(column(taps, "host"), column(taps, "station")) >= 0

    def station_rows(self, host: npt.NDArray[np.uint16], station: npt.NDArray[np.uint32]) -> Int64:
        """Each station's row in its host's table, -1 where host or station is unknown."""
        begin, size, rows = self._stations
        # Number 0 is no station's, so every unknown number is looked up there.
        return rows[begin[host] + np.where(station < size[host], station, 0)]

    def area_rows(self, taps: Taps) -> Int64:
        """Each tap's row in its host's table: its station's, or that of the line whose own gate it is; -1 where unknown."""
        host, station = column(taps, "host"), column(taps, "station")
        rows = self.station_rows(host, station)
        for city in self.cities:
            if not city.gate_areas:
                continue
            begin, end, row = self._gates[city.city]
            here = np.flatnonzero(host == city.city)
            gate = taps["gate"][here].astype(np.int64)
            at = np.searchsorted(begin, gate, "right") - 1
            own = (at >= 0) & (gate <= end[at])
            own &= row[at] == rows[here]
            rows[here[own]] = len(city.station_ids) + self._gate_order[city.city][at[own]]
        return rows

    @cached_property
    def _gate_order(self) -> dict[int, Int64]:
        """For each city with gate areas, the areas in the order of their gates."""
        return {
            city.city: np.argsort(np.array([area.from_gate for area in city.gate_areas], np.int64), kind="stable")
            for city in self.cities
            if city.gate_areas
        }

    @cached_property
    def _gates(self) -> dict[int, tuple[Int64, Int64, Int64]]:
        """First gate, last gate and station row of each city's gate areas, by first gate."""
        found = {}
        for city in self.cities:
            if city.gate_areas:
                ordered = [city.gate_areas[at] for at in self._gate_order[city.city].tolist()]
                columns = zip(*((area.from_gate, area.to_gate, area.station_row) for area in ordered), strict=True)
                begin, end, row = (np.array(values, np.int64) for values in columns)
                found[city.city] = begin, end, row
        return found

    def takes_marker(self, taps: Taps) -> Mask:
        """Whether some split of each tap's host reads marker taps."""
        takes = np.zeros(_NUMBERS, np.bool_)
        takes[[tariff.city.city for tariff in self.tariffs if tariff.version.marker_set != NO_SET]] = True
        is_taken: Mask = takes[column(taps, "host")]
        return is_taken

    @cached_property
    def walks(self) -> Ways:
        """The virtual transfers inside the cities: the journey goes on."""
        return _ways(
            (city.city, int(city.station_numbers[walk.from_row]), city.city, int(city.station_numbers[walk.to_row]), walk.limit_us)
            for city in self.cities
            for walk in city.walks
        )

    @cached_property
    def borders(self) -> Ways:
        """The ways from one city into another: the ride goes on, as another city's journey."""
        numbers = {
            name: (city.city, int(number))
            for city in self.cities
            for name, number in zip(city.station_ids, city.station_numbers, strict=True)
        }
        return _ways(
            (city.city, int(city.station_numbers[border.row]), *numbers[border.other_id], border.limit_us)
            for city in self.cities
            for border in city.borders
            if border.other_id in numbers
        )

    @cached_property
    def _stations(self) -> tuple[Int64, npt.NDArray[np.uint32], Int64]:
        begin, size, rows = np.zeros(_NUMBERS, np.int64), np.zeros(_NUMBERS, np.uint32), [np.full(1, -1, np.int64)]
        at = 1
        for city in self.cities:
            row_of = np.full(int(city.station_numbers.max(initial=0)) + 1, -1, np.int64)
            row_of[city.station_numbers] = np.arange(len(city.station_numbers))
            begin[city.city], size[city.city] = at, len(row_of)
            rows.append(row_of)
            at += len(row_of)
        return begin, size, np.concatenate(rows)


def _ways(told: Iterable[tuple[int, int, int, int, int]]) -> Ways:
    """Make ways of (host, station, host, station, limit)."""
    rows = sorted(told)
    columns = [np.array([row[at] for row in rows], np.int64) for at in range(5)]
    begin, end = (place_keys(columns[at].astype(np.uint16), columns[at + 1].astype(np.uint32)) for at in (0, 2))
    return Ways(begin, end, columns[4])


def _name(table: CityTable | AgreementTable) -> tuple[int, int]:
    """What a table replaces: a city's number, or an agreement's date; cities sort before agreements."""
    return (0, table.city) if isinstance(table, CityTable) else (1, table.valid_from_us)


def _check(pin: PinnedTable) -> None:
    """Refuse a table that clearing could not use without overflow or ambiguity; Malformed says which number is wrong."""
    if len(pin.sha256) != HASH_BYTES:
        raise Malformed(f"a table is pinned by a hash of {HASH_BYTES} bytes, found {len(pin.sha256)}")
    if isinstance(pin.table, AgreementTable):
        _check_agreement(pin.table)
    else:
        _check_city(pin.table)


def _check_city(city: CityTable) -> None:
    if not 0 < city.city < 256 or not all(0 <= number < 256 for number in city.beneficiaries):
        raise Malformed(f"city {city.city}: city and beneficiary numbers fit one byte each, found {city.beneficiaries}")
    if not len(city.station_numbers) or int(city.station_numbers.min()) < 1 or int(city.station_numbers.max()) >= 2**24:
        raise Malformed(f"city {city.city}: station numbers run from 1 to {2**24 - 1}, and there is at least one")
    for version in city.versions:
        total = version.weights.sum(axis=-1, dtype=np.int64)
        carried = total[[at for at in range(len(total)) if at != version.marker_set]]
        if int(version.weights.min(initial=0)) < 0 or ((version.fare_fen >= 0) & (carried <= 0)).any():
            raise Malformed(f"city {city.city}, {version.name}: every pair with a fare needs weights that sum to more than 0")
        terms = version.terms
        dearest = int(version.fare_fen.max(initial=0)) + max(terms.surcharge_fen, terms.lowest_fen, terms.highest_fen)
        if (dearest + 1) * int(total.max(initial=0)) > _LARGEST:
            raise Malformed(f"city {city.city}, {version.name}: fare times total weight passes 2^63: use smaller weights")
        if version.marker_set != NO_SET and (dearest + 1) * int(total[version.marker_set].max()) * _MOST_STRETCHES > _LARGEST:
            raise Malformed(
                f"city {city.city}, {version.name}: marker weights are added up along a path of up to {_MOST_STRETCHES} stretches, "
                "and fare times that passes 2^63: use smaller weights"
            )


def _check_agreement(agreement: AgreementTable) -> None:
    if list(agreement.members) != sorted(set(agreement.members)) or not all(0 <= member < _NUMBERS for member in agreement.members):
        raise Malformed(f"agreement of {agreement.valid_from_us}: members stand in order, each once, found {agreement.members}")
    if not np.isin(agreement.visitors_earn, (0, 1)).all():
        raise Malformed(f"agreement of {agreement.valid_from_us}: visitors have the host's discounts or not, 1 or 0")
    ppm = agreement.commission_ppm
    if int(ppm.min(initial=0)) < 0 or int(ppm.max(initial=0)) > 1_000_000 or int(agreement.fee_fen.min(initial=0)) < 0:
        raise Malformed(f"agreement of {agreement.valid_from_us}: commission lies in 0..1,000,000 ppm and no fee is negative")
    if not 0 <= agreement.longest_ride_us < 2**62:
        raise Malformed(f"agreement of {agreement.valid_from_us}: longest ride is {agreement.longest_ride_us} us, expected 0..2^62")
