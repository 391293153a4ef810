"""What the rider and the time changed about a fare: a ride to its own station, an overstay, a discount; and why, or why not."""

from dataclasses import dataclass

import numpy as np

from city_adapters.day_hours import DayType
from city_adapters.discount import Discount
from city_adapters.tables import Beyond, Concession, Funder
from city_adapters.tariff import Tariff
from fare_chain.tap import Category
from settlement.core.discounts import earns, suits
from settlement.core.local_hours import local_hours
from settlement.hosted_rides import HostedRide


@dataclass(frozen=True, slots=True)
class ExplainedTime:
    """How long the ride lasted, beside what the tariff allows; `is_free` for a ride to its own station in time."""

    ridden_us: int
    is_same_station: bool
    free_within_us: int
    is_free: bool
    limit_us: int
    is_overstayed: bool
    beyond: str
    surcharge_fen: int


@dataclass(frozen=True, slots=True)
class ExplainedConcession:
    """One row of the tariff's discounts, and why it does not take this fare; a blank reason says that it does."""

    name: str
    categories: tuple[str, ...]
    least_step: int
    pays_ppm: int
    funder: str
    days: tuple[str, ...]
    from_minute: int
    to_minute: int
    why_not: str


@dataclass(frozen=True, slots=True)
class ExplainedDiscount:
    """The rows in their order: the first without a `why_not` is the one. `rider_earns` is whether any is for this rider.

    The rider pays nominal_fen * pays_ppm // 1,000,000; the funder bears the rest.
    """

    category: str
    step: int
    day: str
    minute: int
    rider_earns: bool
    rows: tuple[ExplainedConcession, ...]
    nominal_fen: int
    discount_fen: int
    funder: str


def explained_time(ride: HostedRide) -> ExplainedTime:
    """Explain what the ride's time changed."""
    terms, one = ride.version.terms, ride.one
    ridden_us = int(one.rides.exits["tapped_at_us"][0]) - ride.entered_at_us
    same = ride.rows[0] == ride.rows[1]
    return ExplainedTime(
        ridden_us,
        same,
        terms.free_within_us,
        bool(same and terms.free_within_us and ridden_us <= terms.free_within_us),
        terms.limit_us,
        bool(terms.limit_us and ridden_us > terms.limit_us),
        Beyond(terms.beyond).name.lower().replace("_", " "),
        int(one.fares.surcharge_fen[0]),
    )


def explained_discount(ride: HostedRide) -> ExplainedDiscount:
    """Explain which discount the ride had, or why it had none."""
    one = ride.one
    entries = one.rides.entries
    hours = local_hours(ride.table.calendar, np.array([ride.entered_at_us]))
    is_earning = bool(earns(entries, ride.rules)[0])
    names = _names(ride.tariff)
    rows, is_taken = [], False
    for at, concession in enumerate(ride.version.concessions):
        why_not = _why_not(
            is_earning=is_earning,
            suits=bool(suits(concession, entries["category"], entries["entitlement"])[0]),
            holds=bool(hours.within(concession)[0]),
            is_taken=is_taken,
        )
        is_taken = is_taken or not why_not
        rows.append(_row(concession, names[at] if at < len(names) else "", why_not))
    return ExplainedDiscount(
        Category(int(entries["category"][0])).name.lower(),
        int(entries["entitlement"][0]),
        _days(int(hours.day[0]))[0],
        int(hours.minute[0]),
        is_earning,
        tuple(rows),
        int(one.fares.nominal_fen[0]),
        int(one.discounts.discount_fen[0]),
        _funder(int(one.discounts.funder[0])),
    )


def _why_not(*, is_earning: bool, suits: bool, holds: bool, is_taken: bool) -> str:
    """The first reason for which a row does not take a fare."""
    if not is_earning:
        return "the agreement gives visitors no discount here"
    if not suits:
        return "it is for other categories or a higher step"
    if not holds:
        return "it does not hold at the hour of entry"
    return "a row before it is the one" if is_taken else ""


def _row(concession: Concession, name: str, why_not: str) -> ExplainedConcession:
    return ExplainedConcession(
        name,
        tuple(category.name.lower() for category in Category if concession.categories >> category & 1),
        concession.least_step,
        concession.pays_ppm,
        _funder(concession.funder),
        _days(concession.days),
        concession.from_min,
        concession.to_min,
        why_not,
    )


def _names(tariff: Tariff | None) -> list[str]:
    """The name of each row's discount: a row for each tier and stretch of hours, as the compiler lays them out."""
    discounts: tuple[Discount, ...] = tariff.discounts if tariff else ()
    return [
        discount.name
        for discount in discounts
        for _step in range(len(discount.tiers) if discount.needs_step else 1)
        for _hours in discount.hours
    ]


def _days(bits: int) -> tuple[str, ...]:
    return tuple(day.value for day in DayType if bits & day.bit)


def _funder(number: int) -> str:
    return Funder(number).name.lower().replace("_", " ")
