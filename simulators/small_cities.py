"""A scheme small enough to work out by hand: three cities, uneven splits, a dated tariff change, two agreements.

Tests, golden cases and measurements clear against it; no number here is any real city's.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from city_adapters.table_packing import pack_agreement, pack_city
from city_adapters.tables import AgreementTable, CityTable, TariffVersion
from fare_chain.tap import Tap, TapKind
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


def small_scheme() -> tuple[PinnedTable, ...]:
    """All tables of the scheme, pinned: alder (1), birch (2), cedar (3), and the agreements of both days."""
    alder = small_city(
        1, "alder", [(OPENING_US, FOREVER_US, 300)], kilometres=(1.3, 2.2, 0.9), beneficiaries=(1, 2, 3), unpriced=(4, 1)
    )
    birch = small_city(
        2, "birch", [(OPENING_US, CHANGE_US, 200), (CHANGE_US, FOREVER_US, 275)], kilometres=(0.004, 5.1), beneficiaries=(1, 4)
    )
    cedar = small_city(3, "cedar", [(OPENING_US, FOREVER_US, 250)], kilometres=(3.0,), beneficiaries=(7,))
    agreements = [small_agreement(OPENING_US, ppm=10_000, fee_fen=1), small_agreement(CHANGE_US, ppm=12_345, fee_fen=2)]
    tables: list[CityTable | AgreementTable] = [alder, birch, cedar, *agreements]
    return tuple(pinned(table) for table in tables)


def small_city(
    number: int,
    slug: str,
    prices: list[tuple[int, int, int]],
    *,
    kilometres: tuple[float, ...],
    beneficiaries: tuple[int, ...],
    unpriced: tuple[int, int] | None = None,
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
    versions = [
        TariffVersion(begin, end, f"{slug}-{index}", _fares(size, price, unpriced), distance_m, weights[None])
        for index, (begin, end, price) in enumerate(prices)
    ]
    stations = np.arange(1, size + 1, dtype="<i4")
    names = tuple(f"{slug[:3].upper()}-{station}" for station in stations)
    return CityTable(number, slug, slug[:3].upper(), stations, names, beneficiaries, tuple(versions))


def small_agreement(valid_from_us: int, *, ppm: int, fee_fen: int, members: tuple[int, ...] = (1, 2, 3)) -> AgreementTable:
    """One commission and one fee between all cities."""
    between = 1 - np.eye(len(members), dtype="<i8")
    return AgreementTable(valid_from_us, members, ppm * between, fee_fen * between, 1 - between, LONGEST_RIDE_US)


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
) -> Tap:
    """A tap of medium number `medium` (its bytes little-endian), at home unless an issuer is named."""
    name = medium.to_bytes(16, "little")
    return Tap(
        at_us, name, name * 2, at_us % 2**32, gate, station, host, host if issuer is None else issuer, kind, category=category
    )


def tap_records(taps: Iterable[Tap]) -> Taps:
    """Taps as clearing takes them: TAP_DTYPE, in the order given."""
    return np.frombuffer(b"".join(tap.to_bytes() for tap in taps), TAP_DTYPE)


def _fares(size: int, price: int, unpriced: tuple[int, int] | None) -> npt.NDArray[np.int32]:
    links = np.abs(np.arange(size)[:, None] - np.arange(size)[None, :])
    fares = np.where(links == 0, 90, price + 100 * (links - 1)).astype("<i4")
    if unpriced:
        fares[unpriced[0] - 1, unpriced[1] - 1] = -1
    return fares
