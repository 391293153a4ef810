"""Compiled tables as bytes, by whose SHA-256 the ledger names them, and back; the layout stands in docs/formats/city-table.md.

One table has one spelling: bytes that are not what `pack_city` or `pack_agreement` would write are refused.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from city_adapters.day_hours import DAY_MINUTES, EVERY_DAY
from city_adapters.paths import Int32s
from city_adapters.table_bytes import TableReader, TableWriter
from city_adapters.tables import (
    NO_SET,
    AgreementTable,
    Beyond,
    Border,
    Calendar,
    CityTable,
    Concession,
    Funder,
    GateArea,
    Period,
    RideTerms,
    TariffVersion,
    Walk,
)

CITY_MAGIC = b"FCCITY\x00\x02"
AGREEMENT_MAGIC = b"FCAGRE\x00\x02"
PPM = 1_000_000

_AREA, _WALK, _BORDER, _CALENDAR, _DAY = "III", "IIq", "Iq", "iIH", "iB"
_VERSION, _TERMS, _PERIOD, _CONCESSION = "qqHHBB", "qqBiii", "BHHB", "IBiBBHH"
_MOST_SETS = 255


class _Arrays(NamedTuple):
    """The arrays that versions share, each once, numbered in the order in which they first occur."""

    fares: dict[bytes, int]
    distances: dict[bytes, int]
    weights: dict[bytes, int]

    @classmethod
    def of(cls, versions: Sequence[TariffVersion]) -> "_Arrays":
        return cls(
            _once(version.fare_fen for version in versions),
            _once(version.distance_m for version in versions),
            _once(weights for version in versions for weights in version.weights),
        )


def pack_city(table: CityTable) -> bytes:
    """Write a city's table; arrays that several versions share are written once."""
    arrays = _Arrays.of(table.versions)
    to = TableWriter(CITY_MAGIC)
    to.numbers(
        "HHIHHHHHHH", table.city, len(table.beneficiaries), len(table.station_ids), len(table.versions), len(table.gate_areas),
        len(table.walks), len(table.borders), *map(len, arrays),
    )  # fmt: skip
    to.texts([table.slug, table.code, *table.station_ids])
    to.array(table.station_numbers)
    to.numbers(f"{len(table.beneficiaries)}B", *table.beneficiaries)
    for area in table.gate_areas:
        to.numbers(_AREA, *area[:3])
        to.text(area.line_id)
    for walk in table.walks:
        to.numbers(_WALK, *walk)
    for border in table.borders:
        to.numbers(_BORDER, border.row, border.limit_us)
        to.text(border.other_id)
    to.numbers(_CALENDAR, table.calendar.utc_offset_s, table.calendar.day_starts_s, len(table.calendar.days))
    for day in table.calendar.days:
        to.numbers(_DAY, *day)
    for version in table.versions:
        _pack_version(to, version, arrays)
    for array in (*arrays.fares, *arrays.distances, *arrays.weights):
        to.array(np.frombuffer(array, dtype="<i4"))
    return to.done()


def _pack_version(to: TableWriter, version: TariffVersion, arrays: _Arrays) -> None:
    which = arrays.fares[version.fare_fen.tobytes()], arrays.distances[version.distance_m.tobytes()]
    to.numbers(_VERSION, version.valid_from_us, version.valid_to_us, *which, len(version.periods), len(version.concessions))
    to.text(version.name)
    to.numbers(_TERMS, *version.terms)
    sets = [arrays.weights[weights.tobytes()] for weights in version.weights]
    to.numbers(f"BH{len(sets)}H", len(sets), version.marker_set, *sets)
    for period in version.periods:
        to.numbers(_PERIOD, *period)
    for concession in version.concessions:
        to.numbers(_CONCESSION, *concession)


class _VersionHead(NamedTuple):
    """A version as it stands before the arrays that it names."""

    valid_from_us: int
    valid_to_us: int
    fare: int
    distance: int
    name: str
    terms: RideTerms
    marker_set: int
    sets: tuple[int, ...]
    periods: tuple[Period, ...]
    concessions: tuple[Concession, ...]


def unpack_city(data: bytes) -> CityTable:
    """Read a city's table, its matrices as read-only arrays, or refuse it as Malformed."""
    of = TableReader(data, CITY_MAGIC, "city table")
    city, operators, count, versions, areas, walks, borders, *arrays = of.numbers("HHIHHHHHHH", "the counts")
    slug, code, *station_ids = of.texts(2 + count, "slug, code and station ids")
    numbers = of.int32s((count,), "station numbers")
    beneficiaries = of.numbers(f"{operators}B", "beneficiaries")
    gate_areas = tuple(_gate_area(of) for _ in range(areas))
    walked = tuple(Walk(*of.numbers(_WALK, "a walk")) for _ in range(walks))
    joints = [(of.numbers(_BORDER, "a border"), of.text("a border's station")) for _ in range(borders)]
    offset, starts, days = of.numbers(_CALENDAR, "the calendar")
    dated = tuple((day, kind) for day, kind in (of.numbers(_DAY, "a day") for _ in range(days)))
    heads = [_unpack_version(of) for _ in range(versions)]
    rows = count + areas
    fares = [of.int32s((rows, rows), "fares") for _ in range(arrays[0])]
    metres = [of.int32s((rows, rows), "distances") for _ in range(arrays[1])]
    weights = [of.int32s((rows, rows, operators), "weights") for _ in range(arrays[2])]
    of.done()
    named = [max((head.fare for head in heads), default=-1), max((head.distance for head in heads), default=-1)]
    named.append(max((at for head in heads for at in head.sets), default=-1))
    if any(at >= held for at, held in zip(named, arrays, strict=True)) or not all(head.sets for head in heads):
        raise of.wrong("a version", "names an array that is not there, or no weights")
    table = CityTable(
        city, slug, code, numbers, tuple(station_ids), beneficiaries,
        tuple(
            TariffVersion(
                head.valid_from_us, head.valid_to_us, head.name, fares[head.fare], metres[head.distance],
                stacked([weights[at] for at in head.sets]), head.periods, head.marker_set, head.terms, head.concessions,
            )
            for head in heads
        ),
        gate_areas, walked, tuple(Border(row, other, limit) for (row, limit), other in joints), Calendar(offset, starts, dated),
    )  # fmt: skip
    _refuse_nonsense(table, of)
    if pack_city(table) != data:
        raise of.wrong("the table", "is not written as this program writes it")
    return table


def _gate_area(of: TableReader) -> GateArea:
    row, first, last = of.numbers(_AREA, "a gate area")
    return GateArea(row, first, last, of.text("a gate area's line"))


def _unpack_version(of: TableReader) -> _VersionHead:
    begin, end, fare, distance, periods, concessions = of.numbers(_VERSION, "a version")
    name = of.text("a version's name")
    terms = RideTerms(*of.numbers(_TERMS, "a version's terms"))
    count, marker_set = of.numbers("BH", "a version's weights")
    return _VersionHead(
        begin, end, fare, distance, name, terms, marker_set, of.numbers(f"{count}H", "a version's weights"),
        tuple(Period(*of.numbers(_PERIOD, "a period")) for _ in range(periods)),
        tuple(Concession(*of.numbers(_CONCESSION, "a concession")) for _ in range(concessions)),
    )  # fmt: skip


def stacked(sets: Sequence[Int32s]) -> Int32s:
    """Put sets of weights into one read-only array (sets, rows, rows, beneficiaries); a single one stays a view."""
    array = sets[0][None] if len(sets) == 1 else np.stack(sets)
    array.flags.writeable = False
    return array


def pack_agreement(table: AgreementTable) -> bytes:
    """Write an agreement's table."""
    to = TableWriter(AGREEMENT_MAGIC)
    to.numbers("qqH", table.valid_from_us, table.longest_ride_us, len(table.members))
    to.numbers(f"{len(table.members)}H", *table.members)
    for array in (table.commission_ppm, table.fee_fen, table.visitors_earn):
        to.array(array)
    return to.done()


def unpack_agreement(data: bytes) -> AgreementTable:
    """Read an agreement's table as views of the bytes, or refuse it as Malformed."""
    of = TableReader(data, AGREEMENT_MAGIC, "agreement table")
    valid_from_us, longest_ride_us, count = of.numbers("qqH", "the head")
    members = of.numbers(f"{count}H", "members")
    commission, fee, earn = (of.int64s((count, count), what) for what in ("commissions", "fees", "visitors' discounts"))
    of.done()
    if not (count and _rise(members) and members[0] > 0 and longest_ride_us > 0):
        raise of.wrong("the head", "has no members, members out of order, or no longest ride")
    if commission.min() < 0 or commission.max() > PPM or fee.min() < 0 or commission.diagonal().any() or fee.diagonal().any():
        raise of.wrong("the terms", "are negative, beyond the whole fare, or for a city with itself")
    if not np.isin(earn, (0, 1)).all() or not earn.diagonal().all():
        raise of.wrong("visitors' discounts", "are not 0 or 1, or not 1 for a city's own riders")
    table = AgreementTable(valid_from_us, members, commission, fee, earn, longest_ride_us)
    if pack_agreement(table) != data:
        raise of.wrong("the table", "is not written as this program writes it")
    return table


def _once(arrays: Iterable[Int32s]) -> dict[bytes, int]:
    """Number different arrays in the order in which they first occur."""
    numbers: dict[bytes, int] = {}
    for array in arrays:
        numbers.setdefault(array.tobytes(), len(numbers))
    return numbers


def _rise(values: Sequence[int]) -> bool:
    return all(before < after for before, after in pairwise(values))


def _refuse_nonsense(table: CityTable, of: TableReader) -> None:
    """Refuse numbers and arrays that clearing could not rely on."""
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
    _refuse_stray_places(table, of)
    times = [(version.valid_from_us, version.valid_to_us) for version in table.versions]
    if any(begin >= end for begin, end in times) or any(end > begin for (_, end), (begin, _) in pairwise(times)):
        raise of.wrong("the versions", "overlap, or end before they begin")
    for version in table.versions:
        if version.fare_fen.min() < -1 or version.distance_m.min() < -1 or version.weights.min() < 0:
            raise of.wrong(version.name, "has a negative fare, distance or weight")
        earned = version.weights.sum(axis=-1, dtype=np.int64) > 0
        carried = earned[[at for at in range(len(earned)) if at != version.marker_set]]
        if ((version.fare_fen >= 0) & ~carried).any():
            raise of.wrong(version.name, "has a fare that nobody earned")
        _refuse_stray_terms(version, of)


def _refuse_stray_places(table: CityTable, of: TableReader) -> None:
    """Refuse areas, walks and borders at stations that are not there, and gates in two areas."""
    count = len(table.station_ids)
    rows = [area.station_row for area in table.gate_areas] + [border.row for border in table.borders]
    rows += [row for walk in table.walks for row in walk[:2]]
    if any(row >= count for row in rows):
        raise of.wrong("the gate areas, walks and borders", "name a station that is not there")
    gates = sorted(table.gate_areas, key=lambda area: area.from_gate)
    if any(area.from_gate > area.to_gate for area in gates) or any(
        earlier.to_gate >= later.from_gate for earlier, later in pairwise(gates)
    ):
        raise of.wrong("the gate areas", "overlap, or end before they begin")
    limits = [*(walk.limit_us for walk in table.walks), *(border.limit_us for border in table.borders)]
    if any(limit <= 0 for limit in limits) or len({walk[:2] for walk in table.walks}) < len(table.walks):
        raise of.wrong("the walks and borders", "have no time limit, or stand there twice")
    if not _rise([day for day, _kind in table.calendar.days]) or any(kind > 2 for _day, kind in table.calendar.days):
        raise of.wrong("the calendar", "has days out of order or of an unknown type")
    if abs(table.calendar.utc_offset_s) > 86_400 or table.calendar.day_starts_s >= 86_400:
        raise of.wrong("the calendar", "is more than a day off")


def _refuse_stray_terms(version: TariffVersion, of: TableReader) -> None:
    """Refuse terms, periods and concessions that say what cannot be."""
    terms, sets = version.terms, len(version.weights)
    if min(terms) < 0 or terms.beyond not in set(Beyond) or sets > _MOST_SETS:
        raise of.wrong(version.name, "has negative terms, an unknown rule, or too many weights")
    if version.marker_set != NO_SET and not 0 < version.marker_set < sets:
        raise of.wrong(version.name, "names a set of marker weights that is not there")
    held: list[Period | Concession] = [*version.periods, *version.concessions]
    for hours in held:
        if not 0 < hours.days <= EVERY_DAY or not 0 <= hours.from_min < hours.to_min <= DAY_MINUTES:
            raise of.wrong(version.name, "has a period or concession for no day or no hour")
    if any(period.weight_set >= sets or period.weight_set == version.marker_set for period in version.periods):
        raise of.wrong(version.name, "has a period whose weights are not there")
    for concession in version.concessions:
        if concession.pays_ppm > PPM or concession.funder not in set(Funder) or not concession.categories:
            raise of.wrong(version.name, "has a concession beyond the whole fare, for nobody, or funded by nobody known")
