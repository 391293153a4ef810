"""How far a value is known, of which day, and from whom: each value of a city folder carries it."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Confidence(StrEnum):
    """How far a value can be relied on."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNCONFIRMED = "unconfirmed"
    """Nobody has confirmed it, or it stands in for a value that was not found."""
    ILLUSTRATIVE = "illustrative"
    """Chosen here so that the system can run; no such figure is public."""

    @property
    def is_firm(self) -> bool:
        """Whether a quote may show the value without a remark."""
        return self not in (Confidence.UNCONFIRMED, Confidence.ILLUSTRATIVE)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Confidence, the day the value was read, and where (empty where the file as a whole says it).

    `line` is where the value stands in its file, so that whoever finds it wrong can say where; two values differ by no line.
    """

    confidence: Confidence
    as_of: date
    source: str = ""
    line: int = field(default=0, compare=False)
