"""What a bench reports: how fast something went, and how that compares with a ceiling measured on this machine in the same run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

SLICES = 5
"""A figure is the median over so many slices of its time: a neighbour who takes the core for one of them does not count."""

Fact = int | float | str
"""What stands beside a figure: a count, a size, a percentile, a setting."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Items a second: the median of the slices, and how far apart the slowest and the fastest were, as part of the median."""

    per_second: float
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a bench: `unit` says of what the rate counts so many a second; a ceiling stands for itself and has no ratio."""

    name: str
    unit: str
    rate: Rate
    ceiling: str | None = None
    """The name of the figure that bounds this one."""
    ratio: float | None = None
    """How much of the ceiling was reached: 1 is all of it."""
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def ns_each(self) -> float:
        """Nanoseconds of wall time for one item."""
        return 1e9 / self.rate.per_second

    def against(self, ceiling: "Figure", *, each: float = 1.0) -> "Figure":
        """The same figure beside its ceiling, of which one item here needs `each` there."""
        return replace(self, ceiling=ceiling.name, ratio=self.rate.per_second * each / ceiling.rate.per_second)

    def to_json(self) -> dict[str, object]:
        """The figure under stable names."""
        return {
            "rate": round(self.rate.per_second, 1),
            "unit": f"{self.unit}/s",
            "ns_each": round(self.ns_each, 1),
            "spread": round(self.rate.spread, 3),
            "ceiling": self.ceiling,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "facts": dict(self.facts),
        }


def measure(work: Callable[[], int], seconds: float) -> Rate:
    """Do a piece of work again and again for so many seconds; each call says how many items it did.

    The first call is not counted: it brings code and data into the caches.
    """
    work()
    rates = []
    for _slice in range(SLICES):
        done, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds / SLICES or not done:
            done += work()
        rates.append(done / passed)
    return rate_of(rates)


def rate_of(rates: list[float]) -> Rate:
    """Slices' rates as one."""
    middle = median(rates)
    return Rate(middle, (max(rates) - min(rates)) / middle)


def percentile(values: list[float], percent: int) -> float:
    """The value that so many per cent of the values do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]


def memory_mb() -> int:
    """What this process holds in memory now, in MB; 0 where the system has no /proc."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    held = next((line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:")), "VmRSS: 0")
    return int(held.split()[1]) >> 10
