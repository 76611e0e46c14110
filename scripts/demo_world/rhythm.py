"""When creatives are submitted: sixty days with a daily and a weekly rhythm."""

from datetime import UTC, datetime

import numpy as np

from demo_world.arrays import F64, I64

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DAYS = 60
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
END_US = START_US + DAYS * DAY_US  # 2026-03-02 00:00 UTC, excluded


def submission_times(rng: np.random.Generator, from_day_N: F64, until_day_N: F64) -> I64:
    """Draw a moment for every creative inside its advertiser's active days.

    Parameters
    ----------
    from_day_N, until_day_N : days since the start of the period, 0 <= from < until <= 60.

    Returns
    -------
    submitted_N : microseconds, START_US <= t < END_US, not sorted.
    """
    passed = np.concatenate([[0.0], np.cumsum(_hourly_rate())])
    hour = np.arange(len(passed), dtype=np.float64)
    low_N = np.interp(from_day_N * 24, hour, passed)
    high_N = np.interp(until_day_N * 24, hour, passed)
    hour_N = np.interp(rng.uniform(low_N, high_N), passed, hour)
    submitted_N: I64 = START_US + np.minimum((hour_N * HOUR_US).astype(np.int64), DAYS * DAY_US - 1)
    return submitted_N


def _hourly_rate() -> F64:
    """Relative number of submissions in each of the period's hours; peak 14:00 UTC, weekends at 60 %."""
    hour = np.arange(DAYS * 24)
    daily = 1.0 + 0.8 * np.cos((hour % 24 - 14) * 2 * np.pi / 24)
    weekday = (hour // 24 + 3) % 7  # 2026-01-01 is a Thursday; Monday is 0
    rate: F64 = daily * np.where(weekday >= 5, 0.6, 1.0)
    return rate
