"""Columns that the engine derives from when a creative was submitted and by whom. Names and meaning only.

hour              0 to 23, of `submitted_at` in the team's time zone (period.time_zone)
weekday           0 Monday to 6 Sunday, there
advertiser_age    days since the advertiser's first creative in the data
velocity(24)      the advertiser's submissions in the last 24 hours before this one
"""

from __future__ import annotations

import re

HOUR, WEEKDAY, ADVERTISER_AGE = "hour", "weekday", "advertiser_age"
FEATURES = (HOUR, WEEKDAY, ADVERTISER_AGE)
VELOCITY = "velocity"
MOST_HOURS = 24 * 366
_VELOCITY = re.compile(rf"{VELOCITY}\(([1-9][0-9]*)\)")


def velocity_name(hours: int) -> str:
    """Return the name of the column that counts the submissions of the last so many hours."""
    return f"{VELOCITY}({hours})"


def velocity_hours(column: str) -> int | None:
    """Return the hours that a velocity column looks back, None for any other column."""
    found = _VELOCITY.fullmatch(column)
    return int(found[1]) if found else None


def is_feature(column: str) -> bool:
    """Say whether the engine derives a column itself."""
    return column in FEATURES or velocity_hours(column) is not None
