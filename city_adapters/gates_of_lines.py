"""Gates that one line has for itself at a station: who comes through them is in that line's own paid area."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from city_adapters.findings import Finding, error
from city_adapters.network import Network
from city_adapters.provenance import Provenance
from fare_chain.identifiers import StationId


@dataclass(frozen=True, slots=True)
class LineGates:
    """The gates numbered `from_gate` to `to_gate`, inclusive, of a station: the paid area of `line_id` alone."""

    line: int
    station_id: StationId
    line_id: str
    from_gate: int
    to_gate: int
    provenance: Provenance


def stray_gates(gates: Sequence[LineGates], network: Network) -> Iterable[Finding]:
    """Say which rows name a line that does not stop there, end before they begin, or share a gate with another."""
    for row in gates:
        if row.line_id not in network.lines_at.get(row.station_id, ()):
            yield error(
                "gates.csv", f"{row.station_id} is no stop of {row.line_id}", "correct the station or the line", line=row.line
            )
        if row.from_gate > row.to_gate:
            yield error(
                "gates.csv", f"gates {row.from_gate} to {row.to_gate} are none", "give the lower number first", line=row.line
            )
    ordered = sorted(gates, key=lambda row: row.from_gate)
    for one, other in pairwise(ordered):
        if one.to_gate >= other.from_gate:
            yield error(
                "gates.csv", f"gate {other.from_gate} stands in line {one.line} too", "put each gate into one row", line=other.line
            )
