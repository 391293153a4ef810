"""The day that ends after midnight: a host counts its days from its own hour, in its own time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = range(2015, 2040)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ServiceDays:
    """A host's way of counting days: `starts_at_hour` of local time cuts one service day from the next."""

    time_zone: str
    starts_at_hour: int

    @property
    def moves_its_clocks(self) -> bool:
        """Whether the zone has more than one offset in our years: then no single one tells the hours of the city."""
        zone = ZoneInfo(self.time_zone)
        return len({datetime(year, month, 1, 12, tzinfo=zone).utcoffset() for year in YEARS for month in (1, 7)}) > 1

    def start_us(self, day: date) -> int:
        """Give the moment at which a service day begins, in microseconds since 1970 UTC."""
        start = datetime.combine(day, time(self.starts_at_hour), tzinfo=ZoneInfo(self.time_zone))
        return (start - EPOCH) // _MICROSECOND

    def day_of(self, at_us: int) -> date:
        """Give the service day of a moment: 00:40 belongs to the evening before it."""
        local = (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(self.time_zone))
        return (local - timedelta(hours=self.starts_at_hour)).date()
