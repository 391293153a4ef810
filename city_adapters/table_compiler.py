"""City folders and agreements compiled into the tables that clearing reads: every pair of a city's stations priced and split."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

import numpy as np

from city_adapters.agreed_shares import AgreedShares
from city_adapters.agreement import Agreement
from city_adapters.city import City
from city_adapters.day_hours import DayType
from city_adapters.discount import PERCENT_PPM, Discount
from city_adapters.network import TransferKind
from city_adapters.overrides import Overrides
from city_adapters.paths import Int64s
from city_adapters.service_day import YEARS
from city_adapters.split_rule import SplitRule
from city_adapters.station_pairs import StationPairs, charge_pairs, narrow, station_pairs
from city_adapters.table_packing import stacked
from city_adapters.tables import (
    NO_SET,
    AgreementTable,
    Beyond,
    Border,
    Calendar,
    CityTable,
    Concession,
    GateArea,
    Period,
    RideTerms,
    TariffVersion,
    Walk,
)
from city_adapters.tariff import Overstayed, SameStation, Tariff
from city_adapters.validity import Validity
from fare_chain.errors import Malformed

MINUTE_US = 60_000_000
ALWAYS_US = 2**62
"""Longer than any ride: a ride to its own station is free whenever it ends."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEYOND = {
    Overstayed.NOT_STATED: Beyond.NOTHING,
    Overstayed.SURCHARGE: Beyond.SURCHARGE,
    Overstayed.HIGHEST_FARE: Beyond.HIGHEST_FARE,
    Overstayed.LOWEST_FARE: Beyond.LOWEST_FARE,
}


class Dated(Protocol):
    """Anything that holds for a time."""

    @property
    def validity(self) -> Validity:
        """From when until when."""


AnyDated = TypeVar("AnyDated", bound=Dated)


def compile_city(city: City) -> CityTable:
    """Price and split every pair for every stretch of time in which no dated file of the folder changes."""
    operators = tuple(operator.number for operator in city.operators)
    areas = _gate_areas(city)
    rows = city.network.rows
    return CityTable(
        city=city.number,
        slug=city.slug,
        code=city.code,
        station_numbers=narrow(np.array([station.number for station in city.stations], dtype=np.int64)),
        station_ids=tuple(station.station_id for station in city.stations),
        beneficiaries=operators,
        versions=tuple(_versions(city, operators, areas)),
        gate_areas=areas,
        walks=_walks(city),
        borders=tuple(
            Border(rows[change.from_id], change.to_id, change.time_limit_min * MINUTE_US)
            for change in city.network.transfers
            if change.kind is TransferKind.BETWEEN_CITIES and change.time_limit_min
        ),
        calendar=_calendar(city),
    )


def compile_agreement(agreement: Agreement, members: dict[str, int]) -> AgreementTable:
    """Lay out an agreement by member; `members` gives the member number of each city code."""
    codes = sorted(agreement.members, key=lambda code: members[code])
    commission, fee, earn = (np.zeros((len(codes), len(codes)), dtype="<i8") for _ in range(3))
    for terms in agreement.terms:
        where = np.ix_(_meant(terms.issuer, codes), _meant(terms.host, codes))
        commission[where], fee[where], earn[where] = terms.commission_ppm, terms.fee_fen, terms.visitors_earn
    for array, own in ((commission, 0), (fee, 0), (earn, 1)):
        np.fill_diagonal(array, own)
        array.flags.writeable = False
    numbers = tuple(members[code] for code in codes)
    return AgreementTable(agreement.validity.from_us, numbers, commission, fee, earn, agreement.longest_ride_min * MINUTE_US)


class _InForce(NamedTuple):
    """What holds together in a stretch of time in which no dated file changes."""

    tariff: Tariff
    split: SplitRule
    overrides: Overrides | None
    agreed: AgreedShares | None
    stretch: Validity


def _stretches(city: City) -> Iterator[_InForce]:
    """The stretches of time between two changes of any dated file, with what is in force."""
    dated: Sequence[Dated] = [*city.tariffs, *city.splits, *city.overrides, *city.agreed]
    edges = sorted({edge for one in dated for edge in (one.validity.from_us, one.validity.to_us)})
    for begin, end in pairwise(edges):
        tariff, split = _in_force(city.tariffs, begin), _in_force(city.splits, begin)
        if tariff is not None and split is not None:
            amended, agreed = _in_force(city.overrides, begin), _in_force(city.agreed, begin)
            yield _InForce(tariff, split, amended, agreed, Validity(begin, end))


def _in_force(versions: Sequence[AnyDated], at_us: int) -> AnyDated | None:
    return next((one for one in versions if one.validity.from_us <= at_us < one.validity.to_us), None)


def _versions(city: City, operators: tuple[int, ...], areas: Sequence[GateArea]) -> Iterator[TariffVersion]:
    """A version for each stretch; pairs are priced and split once for all that differ in overrides alone."""
    known: dict[tuple[object, ...], StationPairs] = {}
    for in_force in _stretches(city):
        files = in_force.tariff.file, in_force.split.file, in_force.agreed and in_force.agreed.file
        if files not in known:
            known[files] = _with_areas(city, operators, areas, in_force)
        yield _version(city, areas, in_force, known[files])


def _version(city: City, areas: Sequence[GateArea], in_force: _InForce, pairs: StationPairs) -> TariffVersion:
    tariff, split, stretch = in_force.tariff, in_force.split, in_force.stretch
    fare_fen = pairs.fare_fen.copy()
    if in_force.overrides is not None:
        _override(fare_fen, city, areas, tariff, in_force.overrides)
    sets = [pairs.weights, *pairs.period_weights]
    if split.markers:
        sets.append(pairs.marked_metres)
    return TariffVersion(
        valid_from_us=stretch.from_us,
        valid_to_us=stretch.to_us,
        name=tariff.name,
        fare_fen=narrow(fare_fen),
        distance_m=narrow(pairs.distance_m),
        weights=stacked([narrow(weights) for weights in sets]),
        periods=tuple(
            Period(hours.days, hours.from_min, hours.to_min, number)
            for number, period in enumerate(split.periods, 1)
            for hours in period.hours
        ),
        marker_set=len(sets) - 1 if split.markers else NO_SET,
        terms=_terms(tariff, fare_fen[: len(city.stations), : len(city.stations)]),
        concessions=tuple(row for discount in tariff.discounts for row in _concessions(discount)),
    )


def _with_areas(city: City, operators: tuple[int, ...], areas: Sequence[GateArea], in_force: _InForce) -> StationPairs:
    """Price rows of gate areas as their stations, but those of one charge among each other by that charge alone."""
    tariff, split, agreed = in_force.tariff, in_force.split, in_force.agreed
    stations = station_pairs(city.network, operators, tariff, split, agreed)
    row_of = np.array([*range(len(city.stations)), *(area.station_row for area in areas)], dtype=np.int64)
    pairs = _taken(stations, row_of)
    for charge in tariff.charges:
        own = [len(city.stations) + at for at, area in enumerate(areas) if area.line_id in charge.lines]
        if own:
            alone = _taken(charge_pairs(city.network, operators, tariff, split, charge, agreed), row_of[own])
            for held, new in zip(_matrices(pairs), _matrices(alone), strict=True):
                held[np.ix_(own, own)] = new
    return pairs


def _matrices(pairs: StationPairs) -> tuple[Int64s, ...]:
    return pairs.fare_fen, pairs.distance_m, pairs.weights, *pairs.period_weights, pairs.marked_metres


def _override(fare_fen: Int64s, city: City, areas: Sequence[GateArea], tariff: Tariff, overrides: Overrides) -> None:
    """Put official fares in place of the rule's, both ways: at every gate of two stations, or between two lines' own gates.

    Gates of a line that has a charge of its own keep that charge unless a row names them.
    """
    apart = {line for charge in tariff.charges for line in charge.lines}
    rows_at: dict[tuple[int, str], int] = {}
    open_rows = {row: [row] for row in range(len(city.stations))}
    for at, area in enumerate(areas, len(city.stations)):
        rows_at[area.station_row, area.line_id] = at
        if area.line_id not in apart:
            open_rows[area.station_row].append(at)
    for row in sorted(overrides.rows, key=lambda row: row.is_narrowed):
        one, other = city.network.rows[row.from_id], city.network.rows[row.to_id]
        ends = open_rows[one], open_rows[other]
        if row.is_narrowed:
            ends = [rows_at.get((one, row.from_line), one)], [rows_at.get((other, row.to_line), other)]
            if ends == ([one], [other]):
                continue  # neither line has gates of its own: nothing tells these rides from others
        fare_fen[np.ix_(*ends)] = row.fare_fen
        fare_fen[np.ix_(*reversed(ends))] = row.fare_fen


def _taken(pairs: StationPairs, rows: Int64s) -> StationPairs:
    """The pairs of these rows, each as an array of its own."""
    fare_fen, distance_m, weights, *of_periods, metres = (matrix[np.ix_(rows, rows)] for matrix in _matrices(pairs))
    return StationPairs(fare_fen, distance_m, weights, tuple(of_periods), metres)


def _gate_areas(city: City) -> tuple[GateArea, ...]:
    rows = city.network.rows
    return tuple(GateArea(rows[gates.station_id], gates.from_gate, gates.to_gate, gates.line_id) for gates in city.gates)


def _walks(city: City) -> tuple[Walk, ...]:
    """The virtual transfers, one each way; of several rows for the same two stations the longest limit counts."""
    limits: dict[tuple[int, int], int] = {}
    for change in city.network.transfers:
        if change.kind is TransferKind.EXIT_AND_REENTER and change.time_limit_min:
            one, other = city.network.rows[change.from_id], city.network.rows[change.to_id]
            for way in ((one, other), (other, one)):
                limits[way] = max(limits.get(way, 0), change.time_limit_min * MINUTE_US)
    return tuple(Walk(*way, limit_us) for way, limit_us in limits.items())


def _terms(tariff: Tariff, fare_fen: Int64s) -> RideTerms:
    same, limits = tariff.same_station, tariff.ride_time
    free_us = ALWAYS_US if same.charge is SameStation.FREE else same.free_within_min * MINUTE_US
    priced = fare_fen[fare_fen >= 0]
    lowest, highest = (int(priced.min()), int(priced.max())) if priced.size else (0, 0)
    if limits is None:
        return RideTerms(free_us, lowest_fen=lowest, highest_fen=highest)
    beyond = _BEYOND[limits.beyond]
    return RideTerms(free_us, limits.limit_min * MINUTE_US, beyond, limits.surcharge_fen, lowest, highest)


def _concessions(discount: Discount) -> Iterator[Concession]:
    """A row for each tier and stretch of hours, the highest step first: the first row that fits a rider is the one."""
    categories = sum(1 << category for category in discount.categories)
    steps = range(len(discount.tiers), 0, -1) if discount.needs_step else (0,)
    for step in steps:
        pays_ppm = discount.tiers[max(step - 1, 0)].pays_percent * PERCENT_PPM
        for hours in discount.hours:
            yield Concession(categories, step, pays_ppm, discount.funder, hours.days, hours.from_min, hours.to_min)


def _calendar(city: City) -> Calendar:
    """The city's hours as whole numbers; Malformed for a zone that moves its clocks, whose hours no single offset tells."""
    if city.days.moves_its_clocks:
        raise Malformed(f"{city.slug}: {city.days.time_zone} moves its clocks; hours of such a city cannot be told yet")
    offset = datetime(YEARS[0], 1, 1, 12, tzinfo=ZoneInfo(city.days.time_zone)).utcoffset() or timedelta()
    days = sorted(((day.date - _EPOCH.date()).days, list(DayType).index(day.day)) for day in city.calendar)
    return Calendar(offset // timedelta(seconds=1), city.days.starts_at_hour * 3600, tuple(days))


def _meant(code: str, codes: Sequence[str]) -> list[int]:
    return [at for at, member in enumerate(codes) if code in ("", member)]
