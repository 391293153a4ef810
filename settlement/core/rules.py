"""The tables in force, pinned by their hashes: who is a member, which stations exist, what a ride costs and who earned it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from city_adapters.tables import AGREEMENT_MAGIC, AgreementTable, CityTable, TariffVersion, unpack_agreement, unpack_city
from fare_chain.errors import Malformed
from fare_chain.hashing import HASH_BYTES, sha256, tagged_hash
from fare_chain.identifiers import SCHEME
from settlement.core.columns import Int64, Mask, Taps, column

RULE_REVISION = 1
"""Raised by every change of the fold that could change a result: entries before it are folded by the earlier rules."""

FUTURE_TOLERANCE_US = 5 * 60 * 1_000_000
"""How far a gate's clock may run ahead of the ledger's before its tap is an exception (design.md, section 7)."""

_LARGEST = 2**63 - 1
_NUMBERS = 2**16


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
        priced = version.fare_fen >= 0
        if int(version.weights.min(initial=0)) < 0 or (priced & (total <= 0)).any():
            raise Malformed(f"city {city.city}, {version.name}: every pair with a fare needs weights that sum to more than 0")
        if (int(version.fare_fen.max(initial=0)) + 1) * int(total.max(initial=0)) > _LARGEST:
            raise Malformed(f"city {city.city}, {version.name}: fare times total weight passes 2^63: use smaller weights")


def _check_agreement(agreement: AgreementTable) -> None:
    if list(agreement.members) != sorted(set(agreement.members)) or not all(0 <= member < _NUMBERS for member in agreement.members):
        raise Malformed(f"agreement of {agreement.valid_from_us}: members stand in order, each once, found {agreement.members}")
    ppm = agreement.commission_ppm
    if int(ppm.min(initial=0)) < 0 or int(ppm.max(initial=0)) > 1_000_000 or int(agreement.fee_fen.min(initial=0)) < 0:
        raise Malformed(f"agreement of {agreement.valid_from_us}: commission lies in 0..1,000,000 ppm and no fee is negative")
    if not 0 <= agreement.longest_ride_us < 2**62:
        raise Malformed(f"agreement of {agreement.valid_from_us}: longest ride is {agreement.longest_ride_us} us, expected 0..2^62")
