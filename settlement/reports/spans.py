"""Cut time into the spans that a report has lines for: seconds, hours and days by the scheme's clock, or the whole of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from settlement.reports.facts import DAY_S, Asked

_LENGTHS = {"second": 1, "hour": 3_600, "day": DAY_S}


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of `length_s` seconds, cut by a clock `offset_s` ahead of UTC; one span from `begin` on where there is no length."""

    length_s: int
    offset_s: int
    begin: int

    @classmethod
    def of(cls, asked: Asked, per: str) -> "Spans":
        """The spans that were asked for."""
        return cls(_LENGTHS.get(per, 0), asked.utc_offset_s, asked.from_second)

    def begin_of(self, second: int) -> int:
        """The second at which the span of a second begins."""
        if not self.length_s:
            return self.begin
        return second - (second + self.offset_s) % self.length_s

    def pieces(self, second: int, seconds: int) -> Iterator[tuple[int, int]]:
        """A run of seconds cut at the spans' ends: (begin of the span, how many seconds of the run lie in it)."""
        end = second + seconds
        while second < end:
            begin = self.begin_of(second)
            upto = min(end, begin + self.length_s) if self.length_s else end
            yield begin, upto - second
            second = upto
