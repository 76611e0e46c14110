"""Hours and weekdays on the team's clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.calendar import hour_column, is_time_zone, local_time, weekday_column

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
NO_ZONES = ("", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "America", "a\0b", "UTC+1", "é")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(*moments: datetime) -> np.ndarray:
    return np.array([round(moment.timestamp()) * 1_000_000 for moment in moments], np.int64)


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_and_weekday_is_what_the_clock_shows(zone: str) -> None:
    at_N = np.random.default_rng(7).integers(-(10**16), 2 * 10**15, 3000)  # from 1653 to 2033
    shown = [(EPOCH + timedelta(microseconds=int(at))).astimezone(ZoneInfo(zone)) for at in at_N]
    assert hour_column(at_N, zone).values_N.tolist() == [moment.hour for moment in shown]
    assert weekday_column(at_N, zone).values_N.tolist() == [moment.weekday() for moment in shown]
    read = [(moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) for moment in shown]
    assert local_time(at_N, zone).tolist() == read


@pytest.mark.parametrize(
    ("zone", "turn", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), (1, 3)),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC), (2, 2)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), (1, 1)),
        ("Asia/Kolkata", datetime(2026, 1, 1, 18, 30, tzinfo=UTC), (23, 0)),
    ],
)
def test_the_second_before_and_the_second_of_a_turn_show_their_own_hours(
    zone: str, turn: datetime, hours: tuple[int, int]
) -> None:
    at_N = micros(turn - timedelta(seconds=1), turn)
    assert hour_column(at_N, zone).values_N.tolist() == list(hours)


def test_clocks_that_are_set_within_an_hour_turn_where_they_are_set() -> None:
    turn = datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC)  # Monrovia went from 44 minutes and a half behind UTC to UTC
    at_N = micros(turn - timedelta(seconds=1), turn, turn - timedelta(minutes=44))
    assert hour_column(at_N, "Africa/Monrovia").values_N.tolist() == [23, 0, 23]


def test_monday_is_0_and_no_creative_has_no_hour() -> None:
    at_N = micros(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC))
    assert weekday_column(at_N, "UTC").values_N.tolist() == [0, 6]
    assert len(hour_column(np.zeros(0, np.int64), "Europe/Berlin").values_N) == 0


@pytest.mark.parametrize("name", NO_ZONES)
def test_what_is_no_zone_is_known_as_none(name: str) -> None:
    assert not is_time_zone(name)
    assert is_time_zone("Europe/Berlin")
