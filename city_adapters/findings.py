"""What is wrong with a city's data: which file, which line, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from fare_chain.errors import Malformed


class Severity(StrEnum):
    """How much a finding weighs: an error refuses the folder, a warning wants a look, a note only tells."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in one file; `line` is 0 only where the file as a whole is meant, as one that is missing."""

    file: str
    line: int
    severity: Severity
    message: str
    remedy: str

    def to_json(self) -> dict[str, str | int]:
        """The finding under stable names."""
        return {"file": self.file, "line": self.line, "severity": self.severity, "message": self.message, "remedy": self.remedy}

    def __str__(self) -> str:
        """One line for people: `stations.csv:12: error: ...; remedy`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.severity}: {self.message}; {self.remedy}"


class MalformedFolder(Malformed):
    """A folder of data that contradicts itself; `findings` holds everything that was found, errors first."""

    def __init__(self, folder: str, findings: Iterable[Finding]) -> None:
        self.findings = tuple(in_order(findings))
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        count = len(errors(self.findings))
        super().__init__(f"{folder} cannot be used, {count} error{'s' if count != 1 else ''}:\n{lines}")


def error(file: str, message: str, remedy: str, *, line: int = 0) -> Finding:
    """Make a finding that refuses the folder."""
    return Finding(file, line, Severity.ERROR, message, remedy)


def warning(file: str, message: str, remedy: str, *, line: int = 0) -> Finding:
    """Make a finding that someone should look at."""
    return Finding(file, line, Severity.WARNING, message, remedy)


def note(file: str, message: str, remedy: str, *, line: int = 0) -> Finding:
    """Make a finding that only tells, as that a value is unconfirmed."""
    return Finding(file, line, Severity.NOTE, message, remedy)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by severity, errors first; then by file and line."""
    ranks = list(Severity)
    return sorted(findings, key=lambda finding: (ranks.index(finding.severity), finding.file, finding.line))


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Keep the findings that refuse."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)
