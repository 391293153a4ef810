"""A scheme small enough to work out by hand: four cities, uneven splits, dated tariff changes, two agreements.

Alder is a line and its fares. Birch and cedar meet at a border and mind how long a ride takes. Dogwood has every other rule.
Tests, golden cases and measurements clear against it; no number here is any real city's.
"""

import zlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from city_adapters.table_packing import pack_agreement, pack_city
from city_adapters.tables import (
    NO_TERMS,
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
from fare_chain.tap import Category, Tap, TapKind
from settlement.core.columns import TAP_DTYPE, Taps
from settlement.core.rules import PinnedTable, pin

FOREVER_US = 2**63 - 1
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
OPENING_US = 20_000 * DAY_US
"""The small scheme's first day: tariffs and agreement hold from here."""
CHANGE_US = OPENING_US + DAY_US
"""The second day: birch charges more, and the scheme has another agreement."""
LONGEST_RIDE_US = DAY_US
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DOGWOOD_CLOCK_S = 8 * 3600
"""Dogwood's clocks are eight hours ahead; its service day begins at four."""
NEW_YEAR_US = OPENING_US + 89 * DAY_US - 4 * HOUR_US
"""1 January 2025, 04:00 in dogwood: a holiday begins, and another tariff."""
WEEKDAY, WEEKEND, HOLIDAY = 1, 2, 4
ADULT, STUDENT, SENIOR = (1 << category for category in Category)


def small_scheme() -> tuple[PinnedTable, ...]:
    """All tables of the scheme, pinned: alder (1), birch (2), cedar (3), the agreements of both days, dogwood (4).

    Dogwood opens with the others, but its visitors and its riders abroad come from the second day on; alder's have its discounts.
    """
    alder = small_city(
        1, "alder", [(OPENING_US, FOREVER_US, 300)], kilometres=(1.3, 2.2, 0.9), beneficiaries=(1, 2, 3), unpriced=(4, 1)
    )
    birch = small_city(
        2, "birch", [(OPENING_US, CHANGE_US, 200), (CHANGE_US, FOREVER_US, 275)], kilometres=(0.004, 5.1), beneficiaries=(1, 4),
        terms=RideTerms(limit_us=4 * HOUR_US, beyond=Beyond.HIGHEST_FARE, lowest_fen=90, highest_fen=375),
    )  # fmt: skip
    cedar = small_city(
        3, "cedar", [(OPENING_US, FOREVER_US, 250)], kilometres=(3.0,), beneficiaries=(7,),
        terms=RideTerms(limit_us=3 * HOUR_US, beyond=Beyond.LOWEST_FARE, lowest_fen=90, highest_fen=250),
    )  # fmt: skip
    birch = replace(birch, borders=(Border(2, "CED-1", 30 * MINUTE_US),))
    cedar = replace(cedar, borders=(Border(0, "BIR-3", 30 * MINUTE_US),))
    first = small_agreement(OPENING_US, ppm=10_000, fee_fen=1)
    second = small_agreement(CHANGE_US, ppm=12_345, fee_fen=2, members=(1, 2, 3, 4), earning=((1, 4),))
    tables: list[CityTable | AgreementTable] = [alder, birch, cedar, first, second, dogwood()]
    return tuple(pinned(table) for table in tables)


def dogwood() -> CityTable:
    """The city with every rule: walks, gates of one line, a calendar, hours, discounts, markers, two tariffs.

    Six stations on one line. The walks: from 3 to 5 and back in 30 minutes, from 3 to 6 in 10, from 6 to 2 in 20. Gates 50 to 59
    of station 4 and 40 to 44 of station 1 are another line's.
    """
    plain = small_city(
        4, "dogwood", [(OPENING_US, NEW_YEAR_US, 275), (NEW_YEAR_US, FOREVER_US, 350)], kilometres=(1.0, 2.5, 0.7, 3.1, 1.9),
        beneficiaries=(1, 2, 3), own_gates=((4, 50, 59), (1, 40, 44)),
    )  # fmt: skip
    usual = plain.versions[0].weights[0]
    rush, proven = usual + np.array([0, 0, 1000], "<i4"), usual.copy()
    for row in range(len(proven)):
        proven[row, row] = 0
    old = replace(
        plain.versions[0], weights=np.stack([usual, rush, proven]), marker_set=2, concessions=_concessions(),
        periods=(Period(WEEKDAY, 7 * 60, 9 * 60, 1), Period(HOLIDAY, 0, 24 * 60, 1)),
        terms=RideTerms(10 * MINUTE_US, 4 * HOUR_US, Beyond.SURCHARGE, 300, 90, 1775),
    )  # fmt: skip
    new = replace(
        plain.versions[1], weights=np.stack([usual, rush]), periods=(Period(HOLIDAY, 0, 24 * 60, 1),),
        concessions=(Concession(ADULT | SENIOR, 1, 950_000, Funder.THIRD_PARTY),), terms=RideTerms(limit_us=HOUR_US),
    )  # fmt: skip
    walks = Walk(2, 4, 30 * MINUTE_US), Walk(4, 2, 30 * MINUTE_US), Walk(2, 5, 10 * MINUTE_US), Walk(5, 1, 20 * MINUTE_US)
    new_year = NEW_YEAR_US // DAY_US + 1
    working_sunday = OPENING_US // DAY_US + 9
    calendar = Calendar(DOGWOOD_CLOCK_S, 4 * 3600, ((working_sunday, 0), (new_year, 2)))
    return replace(plain, versions=(old, new), walks=walks, calendar=calendar)


def _concessions() -> tuple[Concession, ...]:
    """Seniors free on free days, whole fare in the rush hour, else half; students half; adults 90, 70, 50 % by their month."""
    return (
        Concession(SENIOR, 0, 0, Funder.THIRD_PARTY, WEEKEND | HOLIDAY),
        Concession(SENIOR, 0, 1_000_000, Funder.HOST, WEEKDAY, 7 * 60, 9 * 60),
        Concession(SENIOR, 0, 500_000, Funder.HOST),
        Concession(STUDENT, 0, 500_000, Funder.HOST),
        Concession(ADULT, 3, 500_000, Funder.ISSUER),
        Concession(ADULT, 2, 700_000, Funder.ISSUER),
        Concession(ADULT, 1, 900_000, Funder.ISSUER),
    )


def small_city(
    number: int,
    slug: str,
    prices: list[tuple[int, int, int]],
    *,
    kilometres: tuple[float, ...],
    beneficiaries: tuple[int, ...],
    unpriced: tuple[int, int] | None = None,
    terms: RideTerms = NO_TERMS,
    own_gates: tuple[tuple[int, int, int], ...] = (),
) -> CityTable:
    """One line, `kilometres` between neighbours; every link is the next beneficiary's, round about.

    Args:
        number: The city's member number.
        slug: Its name.
        prices: For each dated version: valid from, valid to (us), and the fare of one link in fen; each further link costs 100
            more, and a ride that ends where it began 90.
        kilometres: Length of each link.
        beneficiaries: Numbers within the city.
        unpriced: The stations from and to of a ride without a fare.
        terms: Of every version.
        own_gates: Station, first and last gate of another line's gates: ten yuan more, for 3 km of the last beneficiary's.

    """
    links = [round(length * 1000) for length in kilometres]
    size = len(links) + 1
    weights = np.zeros((size, size, len(beneficiaries)), "<i4")
    for begin in range(size):
        for end in range(size):
            for link in range(min(begin, end), max(begin, end)):
                weights[begin, end, link % len(beneficiaries)] += links[link]
            if begin == end:
                weights[begin, end, 0] = 1
    distance_m = weights.sum(axis=-1, dtype="<i4")
    np.fill_diagonal(distance_m, 0)
    rows = [*range(size), *(station - 1 for station, _first, _last in own_gates)]
    own = np.arange(len(rows)) >= size
    dearer = own[:, None] | own[None, :]
    weights, distance_m = weights[rows][:, rows], distance_m[rows][:, rows]
    weights[..., -1] += 3000 * dearer
    versions = [
        TariffVersion(
            begin, end, f"{slug}-{index}", _fares(size, price, unpriced)[rows][:, rows] + dearer.astype("<i4") * 1000, distance_m,
            weights[None], terms=terms,
        )
        for index, (begin, end, price) in enumerate(prices)
    ]  # fmt: skip
    areas = tuple(GateArea(station - 1, first, last, f"{slug[:3].upper()}-M") for station, first, last in own_gates)
    stations = np.arange(1, size + 1, dtype="<i4")
    names = tuple(f"{slug[:3].upper()}-{station}" for station in stations)
    return CityTable(number, slug, slug[:3].upper(), stations, names, beneficiaries, tuple(versions), areas)


def small_agreement(
    valid_from_us: int,
    *,
    ppm: int,
    fee_fen: int,
    members: tuple[int, ...] = (1, 2, 3),
    earning: tuple[tuple[int, int], ...] = (),
) -> AgreementTable:
    """One commission and one fee between all cities; `earning` are the issuers and hosts whose riders have the host's discounts."""
    between = 1 - np.eye(len(members), dtype="<i8")
    earn = 1 - between
    for issuer, host in earning:
        earn[members.index(issuer), members.index(host)] = 1
    return AgreementTable(valid_from_us, members, ppm * between, fee_fen * between, earn, LONGEST_RIDE_US)


def pinned(table: CityTable | AgreementTable) -> PinnedTable:
    """Pack a table and pin it by its bytes, as the ledger does."""
    return pin(pack_city(table) if isinstance(table, CityTable) else pack_agreement(table))


def small_tap(
    medium: int,
    kind: TapKind,
    at_us: int,
    *,
    host: int = 1,
    station: int = 1,
    issuer: int | None = None,
    gate: int = 1,
    category: int = 0,
    entitlement: int = 0,
) -> Tap:
    """A tap of medium number `medium` (its bytes little-endian), at home unless an issuer is named.

    Its gate's number for it follows from all of it: the same tap again has the same number, another one has another.
    """
    name = medium.to_bytes(16, "little")
    tap = Tap(
        at_us, name, name * 2, 0, gate, station, host, host if issuer is None else issuer, kind, category=category,
        entitlement=entitlement,
    )  # fmt: skip
    return replace(tap, gate_seq=zlib.crc32(tap.to_bytes()))


def tap_records(taps: Iterable[Tap]) -> Taps:
    """Taps as clearing takes them: TAP_DTYPE, in the order given."""
    return np.frombuffer(b"".join(tap.to_bytes() for tap in taps), TAP_DTYPE)


def _fares(size: int, price: int, unpriced: tuple[int, int] | None) -> npt.NDArray[np.int32]:
    links = np.abs(np.arange(size)[:, None] - np.arange(size)[None, :])
    fares = np.where(links == 0, 90, price + 100 * (links - 1)).astype("<i4")
    if unpriced:
        fares[unpriced[0] - 1, unpriced[1] - 1] = -1
    return fares
