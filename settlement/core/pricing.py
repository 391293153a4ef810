"""Price: what each ride costs by its host's tariff in force at entry; a table look-up, because the tables are compiled."""

from dataclasses import dataclass

import numpy as np

from city_adapters.tables import NO_SET, Beyond, RideTerms, TariffVersion
from settlement.core.columns import Columns, Fens, Int64, Mask, column
from settlement.core.journeys import Rides
from settlement.core.local_hours import local_hours
from settlement.core.rules import Rules, Tariff


@dataclass(frozen=True)
class Fares(Columns):
    """What each ride costs, by which tariff and split, before any discount.

    `tariff` counts `rules.tariffs`, `version` the dated versions within the host's table; both and `nominal_fen` are -1 where no
    tariff was in force at entry or it has no fare for the pair. `from_row`, `to_row` are rows of the host's table.
    `distance_m` is 0 where the tariff counts none. `weight_set` is the version's set of weights for the moment of entry, or its
    marker set where marker taps prove the path.
    """

    tariff: Int64
    version: Int64
    from_row: Int64
    to_row: Int64
    nominal_fen: Fens
    surcharge_fen: Fens
    distance_m: Int64
    weight_set: Int64

    def priced(self) -> Mask:
        """Mark the rides that have a fare."""
        return self.nominal_fen >= 0


def price(rides: Rides, rules: Rules) -> Fares:
    """Look up every ride's fare in its host's tariff in force at the entry tap."""
    host, entered_at_us = column(rides.entries, "host"), column(rides.entries, "tapped_at_us")
    riding_us = rides.exits["tapped_at_us"] - entered_at_us
    from_row, to_row = rules.area_rows(rides.entries), rules.area_rows(rides.exits)
    tariff, version, nominal_fen = (np.full(len(rides), -1, np.int64) for _ in range(3))
    surcharge_fen, distance_m, weight_set = (np.zeros(len(rides), np.int64) for _ in range(3))
    # A station may have left its host's table while the tap waited.
    known = (from_row >= 0) & (to_row >= 0)
    hosts = np.bincount(host)
    for number, dated in enumerate(rules.tariffs):
        city, held = dated.city, dated.version
        if city.city >= len(hosts) or not hosts[city.city]:
            continue
        in_force = (entered_at_us >= held.valid_from_us) & (entered_at_us < held.valid_to_us)
        rows = np.flatnonzero((host == city.city) & known & in_force)
        fare = held.fare_fen[from_row[rows], to_row[rows]].astype(np.int64)
        rows, fare = rows[fare >= 0], fare[fare >= 0]
        start, end = from_row[rows], to_row[rows]
        fare = _same_station(fare, start == end, riding_us[rows], held.terms)
        tariff[rows], version[rows], nominal_fen[rows] = number, dated.place, fare
        surcharge_fen[rows] = _surcharge(fare, riding_us[rows], held.terms)
        distance_m[rows] = held.distance_m[start, end].clip(0)
        weight_set[rows] = _weight_set(dated, entered_at_us[rows], rides.markers[rows])
    return Fares(tariff, version, from_row, to_row, nominal_fen, surcharge_fen, distance_m, weight_set)


def _same_station(fare: Fens, same: Mask, riding_us: Int64, terms: RideTerms) -> Fens:
    """A ride to its own station is free for a while."""
    if not terms.free_within_us:
        return fare
    return np.where(same & (riding_us <= terms.free_within_us), 0, fare)


def _surcharge(fare: Fens, riding_us: Int64, terms: RideTerms) -> Fens:
    """What a ride owes on top that lasted longer than its tariff allows."""
    if not terms.limit_us or terms.beyond == Beyond.NOTHING:
        return np.zeros(len(fare), np.int64)
    owed = {
        Beyond.SURCHARGE: np.full(len(fare), terms.surcharge_fen, np.int64),
        Beyond.LOWEST_FARE: np.full(len(fare), terms.lowest_fen, np.int64),
        Beyond.HIGHEST_FARE: (terms.highest_fen - fare).clip(0),
    }
    return np.where(riding_us > terms.limit_us, owed[Beyond(terms.beyond)], 0)


def _weight_set(dated: Tariff, entered_at_us: Int64, markers: Int64) -> Int64:
    """The weights that hold at entry; a proven path has the marker set."""
    held: TariffVersion = dated.version
    chosen = np.zeros(len(entered_at_us), np.int64)
    if held.periods:
        hours = local_hours(dated.city.calendar, entered_at_us)
        for period in reversed(held.periods):
            chosen[hours.within(period)] = period.weight_set
    if held.marker_set != NO_SET:
        chosen[markers > 0] = held.marker_set
    return chosen
