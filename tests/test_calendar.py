"""Hours and weekdays on the team's clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.calendar import hour_column, is_time_zone, local_time, weekday_column

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Monrovia",
)


def micros(*moments: datetime) -> np.ndarray:
    return np.array([round(moment.timestamp()) * 1_000_000 for moment in moments], np.int64)


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_and_weekday_is_what_the_clock_shows(zone: str) -> None:
    generator = np.random.default_rng(7)
    at_N = generator.integers(-(10**16), 2 * 10**15, 3000)  # from 1653 to 2033
    shown = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at))).astimezone(ZoneInfo(zone)) for at in at_N
    ]
    assert hour_column(at_N, zone).values_N.tolist() == [moment.hour for moment in shown]
    at_N = micros(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC))
    assert weekday_column(at_N, "UTC").values_N.tolist() == [0, 6]
    assert len(hour_column(np.zeros(0, np.int64), "Europe/Berlin").values_N) == 0


@pytest.mark.parametrize("name", NO_ZONES)
def test_what_is_no_zone_is_known_as_none(name: str) -> None:
    assert not is_time_zone(name)
    assert is_time_zone("Europe/Berlin")
