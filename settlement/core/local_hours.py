"""Which day type and minute of a city's own day a moment falls on: whole numbers, for rules that hold at some hours only."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from city_adapters.tables import Calendar, Concession, Period
from settlement.core.columns import Int64, Mask

_SECOND_US, _MINUTE_US, _DAY_US, _DAY_MINUTES = 1_000_000, 60_000_000, 86_400_000_000, 1_440
_MONDAY = 3  # 1970-01-01, day 0, was a Thursday
_SATURDAY = 5
_WEEKDAY_BIT, _WEEKEND_BIT = 1, 2


class LocalHours(NamedTuple):
    """For each moment: its day type as a bit, and the minute of the clock (00:40 is minute 40 of the evening's service day)."""

    day: npt.NDArray[np.int64]
    minute: Int64

    def within(self, hours: Period | Concession) -> Mask:
        """Mark the moments at which a period or concession holds."""
        holds: Mask = (self.day & hours.days > 0) & (self.minute >= hours.from_min) & (self.minute < hours.to_min)
        return holds


def local_hours(calendar: Calendar, at_us: Int64) -> LocalHours:
    """Tell day types and minutes of moments (microseconds since 1970 UTC) by a city's calendar."""
    local_us = at_us + calendar.utc_offset_s * _SECOND_US
    day = (local_us - calendar.day_starts_s * _SECOND_US) // _DAY_US
    kind = np.where((day + _MONDAY) % 7 >= _SATURDAY, _WEEKEND_BIT, _WEEKDAY_BIT)
    if calendar.days:
        named, kinds = (np.array(column, np.int64) for column in zip(*calendar.days, strict=True))
        at = np.minimum(np.searchsorted(named, day), len(named) - 1)
        kind = np.where(named[at] == day, 1 << kinds[at], kind)
    return LocalHours(kind, local_us // _MINUTE_US % _DAY_MINUTES)
