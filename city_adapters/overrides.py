"""Official fares that the rule does not give: a dated table of station pairs, some for one pair of gate lines alone.

A row is undirected. `from_line` and `to_line` name the line of the gate at either end, in the order of the stations; where both
are blank the fare holds at every gate of the two stations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from city_adapters.fields import Fields
from city_adapters.findings import Finding, error
from city_adapters.network import Network
from city_adapters.provenance import Provenance
from city_adapters.tariff import MOST_FEN, Tariff
from city_adapters.validity import Validity
from fare_chain.identifiers import Fen, StationId

OVERRIDE_COLUMNS = ("from_id", "to_id", "from_line", "to_line", "fare_fen", "reason", "confidence", "as_of")


@dataclass(frozen=True, slots=True)
class Override:
    """One official fare; `line` is its line in the file."""

    line: int
    from_id: StationId
    to_id: StationId
    from_line: str
    to_line: str
    fare_fen: Fen
    reason: str
    provenance: Provenance

    @property
    def is_narrowed(self) -> bool:
        """Whether it holds for gates of certain lines only."""
        return bool(self.from_line or self.to_line)

    @property
    def pair(self) -> tuple[StationId, StationId]:
        """The two stations, whichever stands first."""
        first, second = sorted((self.from_id, self.to_id))
        return first, second

    @property
    def key(self) -> tuple[tuple[StationId, str], ...]:
        """What no other row of the file may name: both ends with their gate lines, in either order."""
        return tuple(sorted(((self.from_id, self.from_line), (self.to_id, self.to_line))))


@dataclass(frozen=True, slots=True)
class Overrides:
    """One dated version: it amends the tariff that is in force on its first day, and ends with it at the latest."""

    file: str
    validity: Validity
    rows: tuple[Override, ...]


def read_override(row: Fields) -> Override:
    """Read one row; what is wrong becomes findings of `row`."""
    read = Override(
        row.line,
        StationId(row.text("from_id")),
        StationId(row.text("to_id")),
        row.optional_text("from_line"),
        row.optional_text("to_line"),
        Fen(row.whole("fare_fen", least=1, most=MOST_FEN)),
        row.text("reason"),
        row.provenance(),
    )
    if bool(read.from_line) != bool(read.to_line):
        row.wrong("from_line", f"is {read.from_line!r} where to_line is {read.to_line!r}", "name both gate lines, or neither")
    return read


def bounded(file: str, validity: Validity, tariffs: Sequence[Tariff], findings: list[Finding]) -> Validity:
    """End a version with the tariff that it amends: the one in force when it begins."""
    amended = [tariff.validity for tariff in tariffs if tariff.validity.from_us <= validity.from_us < tariff.validity.to_us]
    if not amended:
        findings.append(error(file, "no tariff is in force on its first day", "name the file for a day on which one is"))
        return validity
    return Validity(validity.from_us, min(validity.to_us, amended[0].to_us))


def contradictory_overrides(network: Network, overrides: Overrides) -> list[Finding]:
    """Say which rows name what the network does not have, or a pair that another row names already."""
    findings, seen = [], dict[tuple[tuple[StationId, str], ...], int]()
    for row in overrides.rows:
        for station, line in ((row.from_id, row.from_line), (row.to_id, row.to_line)):
            if station not in network.rows:
                findings.append(error(overrides.file, f"{station} is no station of this city", "correct the id", line=row.line))
            elif line and line not in network.lines_at[station]:
                stops = ", ".join(network.lines_at[station])
                findings.append(error(overrides.file, f"{station} is no stop of {line}", f"give one of {stops}", line=row.line))
        if (first := seen.setdefault(row.key, row.line)) != row.line:
            found = f"{row.from_id} - {row.to_id} stands in line {first} already"
            findings.append(error(overrides.file, found, "keep one of the two", line=row.line))
    return findings
