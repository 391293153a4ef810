"""The day that ends after midnight."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from city_adapters.service_day import ServiceDays

DELTA = ServiceDays("Asia/Shanghai", 3)


def local_us(text: str) -> int:
    return int((datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def test_a_ride_past_midnight_stays_in_its_evening():
    assert DELTA.day_of(local_us("2026-12-31T23:58+08:00")) == date(2026, 12, 31)
    assert DELTA.day_of(local_us("2027-01-01T00:40+08:00")) == date(2026, 12, 31)


def test_the_day_is_cut_at_its_own_hour():
    assert DELTA.day_of(local_us("2027-01-01T02:59:59.999999+08:00")) == date(2026, 12, 31)
    assert DELTA.day_of(local_us("2027-01-01T03:00+08:00")) == date(2027, 1, 1)
    assert DELTA.start_us(date(2027, 1, 1)) == local_us("2027-01-01T03:00+08:00")


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 23))
def test_a_day_begins_with_itself_and_not_a_microsecond_earlier(day, hour):
    days = ServiceDays("Asia/Shanghai", hour)
    assert days.day_of(days.start_us(day)) == day
    assert days.day_of(days.start_us(day) - 1) == day - timedelta(days=1)
