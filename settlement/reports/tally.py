"""Lines, and what they add up to: how many, and the total of every column that has one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from settlement.reports.catalogue import Report

Line = Mapping[str, int | str]
"""A row of a report by column name; a maker may give more than the report shows."""


@dataclass(slots=True)
class Tally:
    """Counts lines as they are written."""

    report: Report
    rows: int = 0
    totals: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.totals = dict.fromkeys(self.report.summed, 0)

    def cells(self, line: Line) -> list[int | str]:
        """Count a line; its values in the order of the columns."""
        self.rows += 1
        for name in self.totals:
            self.totals[name] += int(line[name])
        return [line[column.name] for column in self.report.columns]
