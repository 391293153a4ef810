"""What an import came to: counted tick by tick, told as one object with stable keys or as lines for people."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from city_adapters.tables import CityTable
from city_adapters.tap_feed import MOST_PROBLEMS, FeedTally
from fare_chain.identifiers import SCHEME
from settlement.core.clearing import Cleared
from settlement.core.columns import ClearingReason, Records
from settlement.core.state import State
from settlement.import_taps.amounts import AmountCheck, Difference
from settlement.quotes import yuan

_SHOWN = 20


@dataclass(frozen=True)
class Names:
    """What numbers are called: members by slug, stations by the city folder's ids, beneficiaries by their operator's name."""

    members: dict[int, str]
    stations: dict[tuple[int, int], str]
    beneficiaries: dict[int, str]

    @classmethod
    def of(cls, tables: list[CityTable], operators: dict[int, str]) -> "Names":
        """Read the names out of the tables."""
        members = {int(SCHEME): "scheme"} | {table.city: table.slug for table in tables}
        stations = {
            (table.city, number): station_id
            for table in tables
            for number, station_id in zip(table.station_numbers.tolist(), table.station_ids, strict=True)
        }
        return cls(members, stations, operators)

    def member(self, number: int) -> str:
        """A member's slug; its number where no table has it."""
        return self.members.get(number, str(number))

    def station(self, host: int, number: int) -> str:
        """A station's id; its number where no table has it."""
        return self.stations.get((host, number), str(number))


@dataclass(slots=True)
class ImportReport:
    """The sums of an import as it goes, and where everybody stands at its end."""

    tally: FeedTally
    amounts: AmountCheck
    ticks: int = 0
    batches: int = 0
    journeys: int = 0
    joins: int = 0
    fare_fen: int = 0
    cities: dict[int, dict[str, int]] = field(default_factory=dict)
    exceptions: Counter[str] = field(default_factory=Counter)
    one_sided: int = 0
    positions: tuple[tuple[int, int], ...] = ()
    state_root: bytes = b""
    acknowledged: int | None = None
    seconds: float = 0.0

    def count_taps(self, taps: Records) -> None:
        """Count the taps of a tick by host."""
        self._add("taps", taps["host"], np.ones(len(taps), np.int64))

    def count_cleared(self, cleared: Cleared) -> None:
        """Count what a tick came to."""
        journeys = cleared.journeys
        self.ticks += 1
        self.journeys += len(journeys)
        self.joins += len(cleared.joins)
        self.fare_fen += int(journeys["fare_fen"].sum())
        self._add("journeys", journeys["host"], np.ones(len(journeys), np.int64))
        self._add("fare_fen", journeys["host"], journeys["fare_fen"])
        self.exceptions.update(ClearingReason(reason).name for reason in cleared.exceptions["reason"].tolist())

    def close(self, state: State) -> None:
        """Take what is left at the end."""
        waiting = state.open_taps
        self.one_sided = len(waiting)
        self._add("one_sided", waiting["host"], np.ones(len(waiting), np.int64))
        self.positions = state.positions
        self.state_root = state.state_root

    def to_json(self, names: Names) -> dict[str, Any]:
        """The report under stable names; money in fen, positions credit positive."""
        tally, amounts = self.tally, self.amounts
        told = {
            "rows": tally.rows,
            "taps": tally.taps,
            "left_out": dict(tally.left_out),
            "problem_rows": tally.problem_rows,
            "problems": [{"line": one.line, "field": one.field, "message": one.message} for one in tally.problems],
            "unmapped": [{"station": label, "rows": rows} for label, rows in tally.unmapped.most_common()],
            "batches": self.batches,
            "ticks": self.ticks,
            "journeys": self.journeys,
            "joined_over_a_border": self.joins,
            "fare_fen": self.fare_fen,
            "cities": {names.member(city): sums for city, sums in sorted(self.cities.items())},
            "one_sided": self.one_sided,
            "exceptions": dict(sorted(self.exceptions.items())),
            "positions": {names.member(number): fen for number, fen in self.positions},
            "positions_sum": sum(fen for _number, fen in self.positions),
            "state_root": self.state_root.hex(),
            "amounts": {
                "compared": amounts.compared,
                "equal": amounts.equal,
                "differing": [_told(one, names) for one in sorted(amounts.differing, key=lambda each: each.line)],
                "ours_fen": amounts.ours_fen,
                "theirs_fen": amounts.theirs_fen,
                "no_fare": amounts.no_fare,
                "discounted": {"compared": amounts.discounted_compared, "equal": amounts.discounted_equal},
            },
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(tally.rows / self.seconds) if self.seconds else 0,
        }
        return told if self.acknowledged is None else told | {"acknowledged": self.acknowledged}

    def to_lines(self, names: Names) -> list[str]:
        """The report for people."""
        tally, amounts = self.tally, self.amounts
        lines = [
            f"{tally.rows:,} rows: {tally.taps:,} taps, {tally.left_out.total():,} left out, {tally.problem_rows:,} with a problem",
            f"{self.batches:,} batches in {self.ticks:,} ticks, {self.seconds:.1f} s",
            f"{self.journeys:,} journeys of {yuan(self.fare_fen)} yuan; {self.one_sided:,} taps wait for their other side",
        ]
        lines += [
            f"  {names.member(city)}: " + ", ".join(f"{name} {value:,}" for name, value in sorted(sums.items()))
            for city, sums in sorted(self.cities.items())
        ]
        lines += [f"  {reason}: {count:,} taps" for reason, count in sorted(self.exceptions.items())]
        if amounts.compared or amounts.no_fare:
            lines.append(
                f"amounts: {amounts.equal:,} of {amounts.compared:,} are ours; ours {yuan(amounts.ours_fen)}, "
                f"the log's {yuan(amounts.theirs_fen)} yuan; {amounts.no_fare:,} exits have no fare of ours; "
                f"{amounts.discounted_compared:,} are marked as discounted, {amounts.discounted_equal:,} of them are ours"
            )
            lines += [
                f"  line {one.line}: {names.station(one.host, one.from_station)} -> {names.station(one.host, one.to_station)} "
                f"is {one.theirs_fen} fen in the log, {one.ours_fen} by our tariff"
                for one in sorted(amounts.differing, key=lambda each: each.line)
            ]
        lines += [f"left out: {count:,} rows of {kind}" for kind, count in tally.left_out.most_common(_SHOWN)]
        lines += [f"unmapped: {label}, {count:,} rows" for label, count in tally.unmapped.most_common(_SHOWN)]
        lines += [f"line {one.line}: {one.message}" for one in tally.problems[:_SHOWN]]
        if tally.problem_rows > _SHOWN:
            lines.append(f"{tally.problem_rows:,} rows have a problem: --json tells the first {MOST_PROBLEMS:,}")
        lines.append("positions: " + ", ".join(f"{names.member(number)} {fen}" for number, fen in self.positions) + " fen")
        if self.acknowledged is not None:
            lines.append(f"{self.acknowledged:,} batches are acknowledged by the house")
        return lines

    def _add(self, name: str, hosts: np.ndarray, amounts: np.ndarray) -> None:
        for city in np.unique(hosts).tolist():
            sums = self.cities.setdefault(city, dict.fromkeys(("taps", "journeys", "fare_fen", "one_sided"), 0))
            sums[name] += int(amounts[hosts == city].sum())


def _told(one: Difference, names: Names) -> dict[str, Any]:
    moments = {name: moment(getattr(one, f"{name}_us")) for name in ("entered_at", "exited_at")}
    told = asdict(one) | {
        "host": names.member(one.host),
        "from_station": names.station(one.host, one.from_station),
        "to_station": names.station(one.host, one.to_station),
    }
    return {name: value for name, value in told.items() if not name.endswith("_at_us")} | moments


def moment(at_us: int) -> str:
    """A moment as ISO 8601 in UTC."""
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return at.isoformat().replace("+00:00", "Z")
