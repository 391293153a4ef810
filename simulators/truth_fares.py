"""What one ride costs and who earned it, in the plainest code: whole numbers, one ride at a time."""

from dataclasses import dataclass
from itertools import pairwise

from city_adapters.tables import NO_SET, AgreementTable, Beyond, Calendar, CityTable, Concession, Funder, Period, TariffVersion
from fare_chain.tap import Tap
from simulators.truth_rides import Ride

PPM = 1_000_000
_WEEKDAY, _WEEKEND, _SATURDAY = 0, 1, 5


@dataclass(frozen=True)
class Priced:
    """One ride's price and split; shares are (beneficiary, fen)."""

    tariff: int
    distance_m: int
    nominal_fen: int
    discount_fen: int
    surcharge_fen: int
    funder: int
    fare_fen: int
    weight_set: int
    shares: list[tuple[int, int]]


def priced(ride: Ride, table: CityTable, agreement: AgreementTable | None, draw: int) -> Priced | None:
    """Price and split a ride by its first entry's version; None where there is no fare."""
    rows = [area_of(tap, table) for tap in (ride.entry, ride.leave)]
    at_us, lasted_us = ride.entry.tapped_at_us, ride.leave.tapped_at_us - ride.entry.tapped_at_us
    found = [(at, one) for at, one in enumerate(table.versions) if one.valid_from_us <= at_us < one.valid_to_us]
    if not found or rows[0] is None or rows[1] is None:
        return None
    tariff, version = found[0]
    begin, end = rows[0], rows[1]
    nominal = int(version.fare_fen[begin, end])
    if nominal < 0:
        return None
    if begin == end and version.terms.free_within_us and lasted_us <= version.terms.free_within_us:
        nominal = 0
    surcharge = surcharge_of(version, nominal, lasted_us)
    discount, funder = 0, int(Funder.NOBODY)
    if earns(ride.entry, agreement):
        discount, funder = discount_of(ride.entry, version, nominal, table.calendar)
    fare = nominal + surcharge - (0 if funder == Funder.ISSUER else discount)
    weight_set, weights = split_of(ride, table, version, (begin, end))
    numbers = [table.city * 256 + number for number in table.beneficiaries]
    parts = zip(numbers, weights, cut(fare, weights, draw), strict=True)
    shares = [(number, fen) for number, weight, fen in parts if weight]
    distance = max(0, int(version.distance_m[begin, end]))
    return Priced(tariff, distance, nominal, discount, surcharge, funder, fare, weight_set, shares)


def area_of(tap: Tap, table: CityTable) -> int | None:
    """The row of the paid area that a tap's gate leads into; None where the station left the table."""
    numbers = table.station_numbers.tolist()
    if tap.station not in numbers:
        return None
    station_row = numbers.index(tap.station)
    for at, area in enumerate(table.gate_areas):
        if area.station_row == station_row and area.from_gate <= tap.gate <= area.to_gate:
            return len(numbers) + at
    return int(station_row)


def surcharge_of(version: TariffVersion, nominal: int, lasted_us: int) -> int:
    """What a ride owes that lasted longer than allowed."""
    terms = version.terms
    if not terms.limit_us or lasted_us <= terms.limit_us:
        return 0
    return {
        Beyond.NOTHING: 0,
        Beyond.SURCHARGE: terms.surcharge_fen,
        Beyond.HIGHEST_FARE: max(0, terms.highest_fen - nominal),
        Beyond.LOWEST_FARE: terms.lowest_fen,
    }[Beyond(terms.beyond)]


def earns(entry: Tap, agreement: AgreementTable | None) -> bool:
    """Tell whether the host's discounts are for this rider."""
    if entry.host == entry.issuer:
        return True
    if agreement is None or not {entry.host, entry.issuer} <= set(agreement.members):
        return False
    issuer, host = agreement.members.index(entry.issuer), agreement.members.index(entry.host)
    return bool(agreement.visitors_earn[issuer, host])


def discount_of(entry: Tap, version: TariffVersion, nominal: int, calendar: Calendar) -> tuple[int, int]:
    """What the first concession that fits takes off, and who funds it."""
    for concession in version.concessions:
        fits = concession.categories >> entry.category & 1 and entry.entitlement >= concession.least_step
        if fits and holds(concession, calendar, entry.tapped_at_us):
            discount = nominal - nominal * concession.pays_ppm // PPM
            return discount, concession.funder if discount else int(Funder.NOBODY)
    return 0, int(Funder.NOBODY)


def split_of(ride: Ride, table: CityTable, version: TariffVersion, pair: tuple[int, int]) -> tuple[int, list[int]]:
    """By which weights the fare is split, and these."""
    if ride.markers and version.marker_set != NO_SET:
        known = set(table.station_numbers.tolist())
        markers = [tap for tap in ride.markers if tap.station in known]
        path = [area_of(tap, table) for tap in (ride.entry, *markers, ride.leave)]
        stretches = [version.weights[version.marker_set, begin, end] for begin, end in pairwise(path)]
        weights = [sum(int(stretch[at]) for stretch in stretches) for at in range(len(table.beneficiaries))]
        return version.marker_set, weights if markers and sum(weights) else version.weights[0, *pair].tolist()
    for period in version.periods:
        if holds(period, table.calendar, ride.entry.tapped_at_us):
            return period.weight_set, version.weights[period.weight_set, *pair].tolist()
    return 0, version.weights[0, *pair].tolist()


def holds(rule: Period | Concession, calendar: Calendar, at_us: int) -> bool:
    """Tell whether a rule for some day types and hours holds at a moment."""
    local_s = at_us // PPM + calendar.utc_offset_s
    return bool(rule.days >> day_type(calendar, local_s) & 1) and rule.from_min <= local_s % 86_400 // 60 < rule.to_min


def day_type(calendar: Calendar, local_s: int) -> int:
    """0 weekday, 1 weekend, 2 holiday: of the service day, which begins some hours after midnight."""
    day = (local_s - calendar.day_starts_s) // 86_400
    by_weekday = _WEEKEND if (day + 3) % 7 >= _SATURDAY else _WEEKDAY  # 1970-01-01 was a Thursday
    return dict(calendar.days).get(day, by_weekday)


def cut(amount: int, weights: list[int], draw: int) -> list[int]:
    """House rule of the drawn point: each edge scaled to the amount, shifted by the drawn part of a fen, cut down."""
    total, edge, before, parts = sum(weights), 0, 0, []
    for weight in weights:
        edge += weight
        after = (amount * edge + draw % total) // total
        parts.append(after - before)
        before = after
    return parts
