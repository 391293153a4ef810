"""A city's own clock: minutes from its midnight, day types from the hour at which its service day begins."""

import random
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from city_adapters.tables import Calendar, Period
from settlement.core.local_hours import local_hours

WEEKDAY, WEEKEND, HOLIDAY = 1, 2, 4
NEW_YEAR = (date(2025, 1, 1) - date(1970, 1, 1)).days
SUNDAY = (date(2024, 10, 13) - date(1970, 1, 1)).days
DOGWOOD = Calendar(8 * 3600, 4 * 3600, ((SUNDAY, 0), (NEW_YEAR, 2)))


def moment(text, ahead_hours=8):
    """Microseconds of a local date and time."""
    local = datetime.fromisoformat(text).replace(tzinfo=UTC) - timedelta(hours=ahead_hours)
    return round(local.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("local", "day", "minute"),
    [
        ("2024-10-11 12:00:00", WEEKDAY, 720),
        ("2024-10-12 03:59:59", WEEKDAY, 239),  # Friday's service day still
        ("2024-10-12 04:00:00", WEEKEND, 240),
        ("2024-10-13 12:00:00", WEEKDAY, 720),  # a Sunday that the calendar calls a weekday
        ("2024-10-14 03:59:59", WEEKDAY, 239),
        ("2024-12-31 23:58:00", WEEKDAY, 1438),
        ("2025-01-01 00:40:00", WEEKDAY, 40),
        ("2025-01-01 04:00:00", HOLIDAY, 240),
        ("2025-01-02 03:59:59", HOLIDAY, 239),
        ("2025-01-02 04:00:00", WEEKDAY, 240),
        ("1969-12-28 12:00:00", WEEKEND, 720),  # before 1970, a Sunday
    ],
)
def test_a_moment_falls_on_a_day_type_and_a_minute(local, day, minute):
    hours = local_hours(DOGWOOD, np.array([moment(local)]))
    assert (hours.day.tolist(), hours.minute.tolist()) == ([day], [minute])


def test_day_types_follow_the_weekday_as_datetime_tells_it():
    chance = random.Random(5)
    moments = [chance.randrange(-(10**15), 4 * 10**15) for _ in range(500)]
    west = Calendar(-5 * 3600 - 1800, 3 * 3600 + 1, ())
    hours = local_hours(west, np.array(moments))
    for at_us, day, minute in zip(moments, hours.day.tolist(), hours.minute.tolist(), strict=True):
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us, seconds=west.utc_offset_s)
        assert minute == local.hour * 60 + local.minute
        assert day == (WEEKEND if (local - timedelta(seconds=west.day_starts_s)).weekday() >= 5 else WEEKDAY)


def test_a_period_holds_from_its_first_minute_until_before_its_last_on_its_days():
    at_us = np.array(
        [moment(f"2024-10-{day} {clock}") for day in (11, 12) for clock in ("06:59:59", "07:00:00", "08:59:59", "09:00:00")]
    )
    hours = local_hours(DOGWOOD, at_us)
    assert hours.within(Period(WEEKDAY, 7 * 60, 9 * 60, 1)).tolist() == [False, True, True, False] + [False] * 4
    assert hours.within(Period(WEEKDAY | WEEKEND, 0, 24 * 60, 1)).all()
    assert not hours.within(Period(HOLIDAY, 0, 24 * 60, 1)).any()
