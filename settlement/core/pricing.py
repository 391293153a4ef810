"""Price: the fare of each ride by its host's tariff in force at entry; a table look-up, because the tables are compiled."""

from dataclasses import dataclass

import numpy as np

from settlement.core.columns import Columns, Fens, Int64, Mask, column
from settlement.core.journeys import Rides
from settlement.core.rules import Rules


@dataclass(frozen=True)
class Fares(Columns):
    """What each ride costs, and by which tariff.

    `tariff` counts `rules.tariffs`, `version` the dated versions within the host's table; both and `fare_fen` are -1 where no
    tariff was in force at entry or it has no fare for the pair. `from_row`, `to_row` are station rows of the host's table.
    `distance_m` is 0 where the tariff counts none.
    """

    tariff: Int64
    version: Int64
    from_row: Int64
    to_row: Int64
    fare_fen: Fens
    distance_m: Int64

    def priced(self) -> Mask:
        """Mark the rides that have a fare."""
        return self.fare_fen >= 0


def price(rides: Rides, rules: Rules) -> Fares:
    """Look up every ride's fare in its host's tariff in force at the entry tap."""
    host, entered_at_us = column(rides.entries, "host"), column(rides.entries, "tapped_at_us")
    from_row = rules.station_rows(host, rides.entries["station"])
    to_row = rules.station_rows(host, rides.exits["station"])
    tariff, version, fare_fen = (np.full(len(rides), -1, np.int64) for _ in range(3))
    distance_m = np.zeros(len(rides), np.int64)
    # A station may have left its host's table while the tap waited.
    known = (from_row >= 0) & (to_row >= 0)
    hosts = np.bincount(host)
    for number, (city, place, dated, _beneficiaries) in enumerate(rules.tariffs):
        if city.city >= len(hosts) or not hosts[city.city]:
            continue
        in_force = (entered_at_us >= dated.valid_from_us) & (entered_at_us < dated.valid_to_us)
        rows = np.flatnonzero((host == city.city) & known & in_force)
        fare = dated.fare_fen[from_row[rows], to_row[rows]]
        rows, fare = rows[fare >= 0], fare[fare >= 0]
        tariff[rows], version[rows], fare_fen[rows] = number, place, fare
        distance_m[rows] = dated.distance_m[from_row[rows], to_row[rows]].clip(0)
    return Fares(tariff, version, from_row, to_row, fare_fen, distance_m)
