"""Which rows of a city's table an official fare stands in: every gate of its stations, or two lines' own gates alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from city_adapters.network import Network
from city_adapters.overrides import Override, Overrides
from city_adapters.tables import GateArea
from city_adapters.tariff import Tariff


class OverriddenRows(NamedTuple):
    """One official fare and the table rows at either end between which it holds, both ways."""

    override: Override
    ends: tuple[list[int], list[int]]

    def holds(self, one: int, other: int) -> bool:
        """Tell whether it holds between two rows."""
        first, second = self.ends
        return (one in first and other in second) or (other in first and one in second)


def overridden_rows(network: Network, areas: Sequence[GateArea], tariff: Tariff, overrides: Overrides) -> Iterator[OverriddenRows]:
    """Place each row of a file in the table, in the order in which they are put there: a later one stands over an earlier.

    Gates of a line that has a charge of its own keep that charge unless a row names them.
    """
    apart = {line for charge in tariff.charges for line in charge.lines}
    rows_at: dict[tuple[int, str], int] = {}
    open_rows = {row: [row] for row in range(len(network.stations))}
    for at, area in enumerate(areas, len(network.stations)):
        rows_at[area.station_row, area.line_id] = at
        if area.line_id not in apart:
            open_rows[area.station_row].append(at)
    for row in sorted(overrides.rows, key=lambda row: row.is_narrowed):
        one, other = network.rows[row.from_id], network.rows[row.to_id]
        ends = open_rows[one], open_rows[other]
        if row.is_narrowed:
            ends = [rows_at.get((one, row.from_line), one)], [rows_at.get((other, row.to_line), other)]
            if ends == ([one], [other]):
                continue  # neither line has gates of its own: nothing tells these rides from others
        yield OverriddenRows(row, ends)
