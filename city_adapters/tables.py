"""What clearing reads of a city and of an agreement: plain arrays and numbers, compiled from the folders.

Axes called *row* count a city's paid areas: first its stations by number, each the area of all gates that no line has for itself,
then the areas of `gate_areas`, which one line has for itself (a maglev inside a metro station).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from city_adapters.day_hours import DAY_MINUTES, EVERY_DAY
from city_adapters.paths import Int32s, Int64s

NO_SET = 0xFFFF
"""No set of weights: this city's split reads no marker taps."""


class Beyond(IntEnum):
    """What a ride that lasted longer than allowed owes on top; numbers stand in the table."""

    NOTHING = 0
    SURCHARGE = 1
    HIGHEST_FARE = 2
    LOWEST_FARE = 3


class Funder(IntEnum):
    """Who bears a discount; numbers stand in the table and in journeys.

    The issuer pays its host the whole fare and takes less from its rider. Where the host funds it, the host's beneficiaries earn
    that much less; where a third party does (a city's budget), they earn less in clearing and claim the rest elsewhere.
    """

    NOBODY = 0
    ISSUER = 1
    HOST = 2
    THIRD_PARTY = 3


class GateArea(NamedTuple):
    """Gates `from_gate` to `to_gate` of a station, inclusive: the paid area that `line_id` has for itself there."""

    station_row: int
    from_gate: int
    to_gate: int
    line_id: str


class Walk(NamedTuple):
    """A virtual transfer: out at one station, in at the other within `limit_us`, and the journey goes on."""

    from_row: int
    to_row: int
    limit_us: int


class Border(NamedTuple):
    """A station where this network meets another city's, at that city's station `other_id`; change within `limit_us`."""

    row: int
    other_id: str
    limit_us: int


class Calendar(NamedTuple):
    """How a city tells local hours and day types; `days` are days since 1970-01-01 that their weekday does not tell, by number."""

    utc_offset_s: int
    day_starts_s: int
    days: tuple[tuple[int, int], ...]


class Period(NamedTuple):
    """On day types `days` (bits), from minute `from_min` of the local day until before `to_min`: split by `weight_set`."""

    days: int
    from_min: int
    to_min: int
    weight_set: int


class Concession(NamedTuple):
    """A discount: riders of `categories` (bits) whose attested step is at least `least_step` pay `pays_ppm` of the fare.

    The first concession of a version that fits the rider, day type and minute of entry is the one.
    """

    categories: int
    least_step: int
    pays_ppm: int
    funder: int
    days: int = EVERY_DAY
    from_min: int = 0
    to_min: int = DAY_MINUTES


class RideTerms(NamedTuple):
    """What a ride owes beside its fare, and what it owes where it went nowhere.

    `limit_us` is 0 where no limit is known. A ride that ends where it began is free within `free_within_us` and costs the fare of
    no metres after that.
    """

    free_within_us: int = 0
    limit_us: int = 0
    beyond: int = Beyond.NOTHING
    surcharge_fen: int = 0
    lowest_fen: int = 0
    highest_fen: int = 0


NO_TERMS = RideTerms()
"""No limit, nothing free: what a ride costs is its fare."""
PLAIN_CALENDAR = Calendar(0, 0, ())
"""Universal time, days from midnight, all as their weekday."""


@dataclass(frozen=True, eq=False)
class TariffVersion:
    """Every pair's fare and split while one tariff, its overrides, one split rule and its pair table hold together.

    From `valid_from_us` until before `valid_to_us`. `fare_fen` and `distance_m` are (rows, rows), entry first, -1 where there is
    none; `weights` is (sets, rows, rows, beneficiaries): only the ratio within a pair counts, and set 0 holds outside all
    `periods`. `marker_set` is the set that is added up along a proven path, or NO_SET.
    """

    valid_from_us: int
    valid_to_us: int
    name: str
    fare_fen: Int32s
    distance_m: Int32s
    weights: Int32s
    periods: tuple[Period, ...] = ()
    marker_set: int = NO_SET
    terms: RideTerms = NO_TERMS
    concessions: tuple[Concession, ...] = ()


@dataclass(frozen=True, eq=False)
class CityTable:
    """One city for clearing; `station_numbers` rise, and the first rows are the stations in that order."""

    city: int
    slug: str
    code: str
    station_numbers: Int32s
    station_ids: tuple[str, ...]
    beneficiaries: tuple[int, ...]
    versions: tuple[TariffVersion, ...]
    gate_areas: tuple[GateArea, ...] = ()
    walks: tuple[Walk, ...] = ()
    borders: tuple[Border, ...] = ()
    calendar: Calendar = PLAIN_CALENDAR

    @property
    def row_count(self) -> int:
        """How many rows every matrix of the city has."""
        return len(self.station_ids) + len(self.gate_areas)

    def rows(self, numbers: ArrayLike) -> Int64s:
        """Find the rows of station numbers, -1 for a number that no station has."""
        wanted = np.asarray(numbers, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.station_numbers, wanted), len(self.station_numbers) - 1)
        return np.where(self.station_numbers[at] == wanted, at, -1).astype(np.int64)

    def area_row(self, station_row: int, line_id: str) -> int:
        """Find the row of a line's own gates at a station; the station's own row where the line has none."""
        own = (at for at, area in enumerate(self.gate_areas) if (area.station_row, area.line_id) == (station_row, line_id))
        return next((len(self.station_ids) + at for at in own), station_row)

    def version_at(self, at_us: int) -> TariffVersion | None:
        """Find the version in force at a moment, if there is one."""
        return next((version for version in self.versions if version.valid_from_us <= at_us < version.valid_to_us), None)


@dataclass(frozen=True, eq=False)
class AgreementTable:
    """The terms between members from `valid_from_us` until the next agreement; axes are issuer, host by place in `members`.

    The host owes the issuer `commission_ppm` millionths of a visitor's fare; the issuer owes the scheme `fee_fen` for it.
    Where `visitors_earn` is 1 the host's discounts are for the issuer's riders too. The diagonals of the first two are zero, that
    of the last is one: a city's own riders are nobody else's business, and its discounts are theirs.
    """

    valid_from_us: int
    members: tuple[int, ...]
    commission_ppm: Int64s
    fee_fen: Int64s
    visitors_earn: Int64s
    longest_ride_us: int
