"""Day types and hours of the day: when a rule holds that does not hold always."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from city_adapters.fields import Fields

DAY_MINUTES = 24 * 60


class DayType(StrEnum):
    """What kind of service day it is: by its weekday, unless the city's calendar says otherwise."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"

    @property
    def bit(self) -> int:
        """Its bit in a set of day types: 1, 2, 4."""
        return 1 << list(DayType).index(self)


EVERY_DAY = sum(day.bit for day in DayType)


@dataclass(frozen=True, slots=True)
class DayHours:
    """On days of these types (bits), from one minute of the local day until before another."""

    days: int = EVERY_DAY
    from_min: int = 0
    to_min: int = DAY_MINUTES

    def meets(self, other: "DayHours") -> bool:
        """Tell whether both hold at some moment."""
        return bool(self.days & other.days) and self.from_min < other.to_min and other.from_min < self.to_min


def read_day_hours(fields: Fields) -> tuple[DayHours, ...]:
    """Read the optional fields `days` (day types) and `hours` (as "07:00-09:00"); without them, always."""
    days = _read_days(fields)
    if not fields.has("hours"):
        return (DayHours(days),)
    read = [_read_hours(fields, text) for text in fields.texts("hours")]
    return tuple(DayHours(days, begin, end) for begin, end in read)


def _read_days(fields: Fields) -> int:
    if not fields.has("days"):
        return EVERY_DAY
    names = fields.texts("days")
    known = {day.value: day.bit for day in DayType}
    for name in names:
        if name not in known:
            fields.wrong("days", f"has {name!r}", f"give some of {', '.join(known)}")
    return sum(known.get(name, 0) for name in names)


def _read_hours(fields: Fields, text: str) -> tuple[int, int]:
    begin, dash, end = text.partition("-")
    minutes = [_minute(begin), _minute(end)]
    if not dash or None in minutes or not _rises(minutes):
        fields.wrong("hours", f"has {text!r}", 'give hours of one day as "07:00-09:00", up to "24:00"')
        return 0, DAY_MINUTES
    return minutes[0] or 0, minutes[1] or 0


def _minute(text: str) -> int | None:
    hour, colon, minute = text.partition(":")
    if not (colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit()):
        return None
    at = int(hour) * 60 + int(minute)
    return at if int(minute) < 60 and at <= DAY_MINUTES else None


def _rises(minutes: Sequence[int | None]) -> bool:
    first, last = minutes
    return first is not None and last is not None and first < last
