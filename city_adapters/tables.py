"""What clearing reads of a city and of an agreement: plain arrays, and their bytes, by whose SHA-256 the ledger names them.

The layout stands in docs/formats/city-table.md. One folder gives the same bytes on every machine, and bytes that are not what
`pack_city` or `pack_agreement` would write are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from city_adapters.agreement import Agreement
from city_adapters.city import City
from city_adapters.overrides import overridden
from city_adapters.paths import Int32s, Int64s
from city_adapters.station_pairs import StationPairs, narrow, station_pairs
from city_adapters.table_bytes import TableReader, TableWriter
from city_adapters.validity import Validity

CITY_MAGIC = b"FCCITY\x00\x01"
AGREEMENT_MAGIC = b"FCAGRE\x00\x01"


@dataclass(frozen=True, eq=False)
class TariffVersion:
    """Every pair's fare while one tariff and one split rule hold together: from `valid_from_us` until before `valid_to_us`.

    Axes are the rows of the city's stations, from first and to second; `weights` has the beneficiaries last. Only the ratio
    of a pair's weights counts: they are metres, except where a fare is the sum of two charges.
    """

    valid_from_us: int
    valid_to_us: int
    name: str
    fare_fen: Int32s
    distance_m: Int32s
    weights: Int32s


@dataclass(frozen=True, eq=False)
class CityTable:
    """One city for clearing; `station_numbers` rise, and a station's row is its place among them."""

    city: int
    slug: str
    code: str
    station_numbers: Int32s
    station_ids: tuple[str, ...]
    beneficiaries: tuple[int, ...]
    versions: tuple[TariffVersion, ...]

    def rows(self, numbers: ArrayLike) -> Int64s:
        """Find the rows of station numbers, -1 for a number that no station has."""
        wanted = np.asarray(numbers, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.station_numbers, wanted), len(self.station_numbers) - 1)
        return np.where(self.station_numbers[at] == wanted, at, -1).astype(np.int64)

    def version_at(self, at_us: int) -> TariffVersion | None:
        """Find the version in force at a moment, if there is one."""
        return next((version for version in self.versions if version.valid_from_us <= at_us < version.valid_to_us), None)


@dataclass(frozen=True, eq=False)
class AgreementTable:
    """The terms between members from `valid_from_us` until the next agreement; axes are issuer, host by place in `members`.

    The host owes the issuer `commission_ppm` millionths of a visitor's fare; the issuer owes the scheme `fee_fen` for it.
    The diagonal is zero: a city's own riders are nobody else's business.
    """

    valid_from_us: int
    members: tuple[int, ...]
    commission_ppm: Int64s
    fee_fen: Int64s
    longest_ride_us: int


def compile_city(city: City) -> CityTable:
    """Price every pair of a city's stations for every stretch of time in which one tariff, split rule and overrides hold."""
    operators = tuple(operator.number for operator in city.operators)
    versions = []
    for tariff in city.tariffs:
        for split in city.splits:
            begin = max(tariff.validity.from_us, split.validity.from_us)
            end = min(tariff.validity.to_us, split.validity.to_us)
            if begin < end:
                pairs = station_pairs(city.network, operators, tariff, split)
                versions += _amended(city, tariff.name, Validity(begin, end), pairs)
    return CityTable(
        city=city.number,
        slug=city.slug,
        code=city.code,
        station_numbers=narrow(np.array([station.number for station in city.stations], dtype=np.int64)),
        station_ids=tuple(station.station_id for station in city.stations),
        beneficiaries=operators,
        versions=tuple(sorted(versions, key=lambda version: version.valid_from_us)),
    )


def _amended(city: City, name: str, validity: Validity, pairs: StationPairs) -> list[TariffVersion]:
    """Cut a stretch where overrides begin or end, and put their fares in place of the rule's."""
    bounds = {bound for one in city.overrides for bound in (one.validity.from_us, one.validity.to_us)}
    cuts = [validity.from_us, *sorted(cut for cut in bounds if validity.from_us < cut < validity.to_us), validity.to_us]
    distance_m, weights = narrow(pairs.distance_m), narrow(pairs.weights)
    versions = []
    for begin, end in pairwise(cuts):
        in_force = [one for one in city.overrides if one.validity.from_us <= begin < one.validity.to_us]
        fare_fen = overridden(pairs.fare_fen, in_force[0], city.network.rows) if in_force else pairs.fare_fen
        versions.append(TariffVersion(begin, end, name, narrow(fare_fen), distance_m, weights))
    return versions


def pack_city(table: CityTable) -> bytes:
    """Write a city's table; arrays that several versions share are written once."""
    distances = _once([version.distance_m for version in table.versions])
    weights = _once([version.weights for version in table.versions])
    to = TableWriter(CITY_MAGIC)
    to.numbers(
        "HHIHHH", table.city, len(table.beneficiaries), len(table.station_ids), len(table.versions), len(distances), len(weights)
    )
    to.texts([table.slug, table.code, *table.station_ids])
    to.array(table.station_numbers)
    to.numbers(f"{len(table.beneficiaries)}B", *table.beneficiaries)
    for version in table.versions:
        which = distances[version.distance_m.tobytes()], weights[version.weights.tobytes()]
        to.numbers("qqHH", version.valid_from_us, version.valid_to_us, *which)
        to.text(version.name)
        to.array(version.fare_fen)
    for array in (*distances, *weights):
        to.array(np.frombuffer(array, dtype="<i4"))
    return to.done()


def unpack_city(data: bytes) -> CityTable:
    """Read a city's table as views of the bytes, or refuse it as Malformed."""
    of = TableReader(data, CITY_MAGIC, "city table")
    city, operators, count, versions, distances, weights = of.numbers("HHIHHH", "the counts")
    slug, code, *station_ids = of.texts(2 + count, "slug, code and station ids")
    numbers = of.int32s((count,), "station numbers")
    beneficiaries = of.numbers(f"{operators}B", "beneficiaries")
    read = [
        (of.numbers("qqHH", "a version"), of.text("a version's name"), of.int32s((count, count), "fares")) for _ in range(versions)
    ]
    metres = [of.int32s((count, count), "distances") for _ in range(distances)]
    earned = [of.int32s((count, count, operators), "weights") for _ in range(weights)]
    of.done()
    if any(head[2] >= distances or head[3] >= weights for head, _, _ in read):
        raise of.wrong("a version", "names an array that is not there")
    in_time = tuple(TariffVersion(head[0], head[1], name, fare, metres[head[2]], earned[head[3]]) for head, name, fare in read)
    table = CityTable(city, slug, code, numbers, tuple(station_ids), beneficiaries, in_time)
    _refuse_nonsense(table, of)
    if pack_city(table) != data:
        raise of.wrong("the table", "is not written as this program writes it")
    return table


def compile_agreement(agreement: Agreement, members: dict[str, int]) -> AgreementTable:
    """Lay out an agreement by member; `members` gives the member number of each city code."""
    codes = sorted(agreement.members, key=lambda code: members[code])
    commission, fee = (np.zeros((len(codes), len(codes)), dtype="<i8") for _ in range(2))
    for terms in agreement.terms:
        where = np.ix_(_meant(terms.issuer, codes), _meant(terms.host, codes))
        commission[where], fee[where] = terms.commission_ppm, terms.fee_fen
    for array in (commission, fee):
        np.fill_diagonal(array, 0)
        array.flags.writeable = False
    numbers = tuple(members[code] for code in codes)
    return AgreementTable(agreement.validity.from_us, numbers, commission, fee, agreement.longest_ride_min * 60_000_000)


def pack_agreement(table: AgreementTable) -> bytes:
    """Write an agreement's table."""
    to = TableWriter(AGREEMENT_MAGIC)
    to.numbers("qqH", table.valid_from_us, table.longest_ride_us, len(table.members))
    to.numbers(f"{len(table.members)}H", *table.members)
    to.array(table.commission_ppm)
    to.array(table.fee_fen)
    return to.done()


def unpack_agreement(data: bytes) -> AgreementTable:
    """Read an agreement's table as views of the bytes, or refuse it as Malformed."""
    of = TableReader(data, AGREEMENT_MAGIC, "agreement table")
    valid_from_us, longest_ride_us, count = of.numbers("qqH", "the head")
    members = of.numbers(f"{count}H", "members")
    commission, fee = of.int64s((count, count), "commissions"), of.int64s((count, count), "fees")
    of.done()
    if not (count and _rise(members) and members[0] > 0 and longest_ride_us > 0):
        raise of.wrong("the head", "has no members, members out of order, or no longest ride")
    if commission.min() < 0 or commission.max() > 1_000_000 or fee.min() < 0 or commission.diagonal().any() or fee.diagonal().any():
        raise of.wrong("the terms", "are negative, beyond the whole fare, or for a city with itself")
    table = AgreementTable(valid_from_us, members, commission, fee, longest_ride_us)
    if pack_agreement(table) != data:
        raise of.wrong("the table", "is not written as this program writes it")
    return table


def _meant(code: str, codes: Sequence[str]) -> list[int]:
    return [at for at, member in enumerate(codes) if code in ("", member)]


def _once(arrays: Sequence[Int32s]) -> dict[bytes, int]:
    """Number different arrays in the order in which they first occur."""
    numbers: dict[bytes, int] = {}
    for array in arrays:
        numbers.setdefault(array.tobytes(), len(numbers))
    return numbers


def _rise(values: Sequence[int]) -> bool:
    return all(before < after for before, after in pairwise(values))


def _refuse_nonsense(table: CityTable, of: TableReader) -> None:
    """Refuse arrays that clearing could not rely on."""
    if not (table.city and table.station_ids and table.beneficiaries and table.versions):
        raise of.wrong("the head", "has no city, station, beneficiary or version")
    if not (
        _rise(table.station_numbers.tolist())
        and table.station_numbers[0] > 0
        and len(set(table.station_ids)) == len(table.station_ids)
    ):
        raise of.wrong("the stations", "do not rise by number, or stand there twice")
    if not (_rise(table.beneficiaries) and table.beneficiaries[0] > 0):
        raise of.wrong("the beneficiaries", "do not rise from 1")
    times = [(version.valid_from_us, version.valid_to_us) for version in table.versions]
    if any(begin >= end for begin, end in times) or any(end > begin for (_, end), (begin, _) in pairwise(times)):
        raise of.wrong("the versions", "overlap, or end before they begin")
    for version in table.versions:
        if version.fare_fen.min() < -1 or version.distance_m.min() < -1 or version.weights.min() < 0:
            raise of.wrong(version.name, "has a negative fare, distance or weight")
        if ((version.weights.sum(axis=2, dtype=np.int64) == 0) & (version.fare_fen >= 0)).any():
            raise of.wrong(version.name, "has a fare that nobody earned")
