"""What the team's clocks show at an instant, daylight saving included. Arrays of int64 microseconds since 1970 UTC."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, time, timedelta, tzinfo

import numpy as np

from engine.expression.features import HOUR, WEEKDAY
from engine.records import I64, Column, Flags

MICROSECONDS_OF_HOUR = 3_600_000_000
MICROSECONDS_OF_DAY = 24 * MICROSECONDS_OF_HOUR
_THURSDAY = 3  # 1970-01-01 was one; Monday is 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_ZONE = (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError)  # unknown, no name at all, a folder of zones


def is_time_zone(name: str) -> bool:
    """Say whether a name is an IANA time zone that this machine knows."""
    try:
        _zone(name)
    except _NO_ZONE:
        return False
    return True


def local_time(at_N: I64, time_zone: str) -> I64:
    """Return what the clock shows, int64 microseconds since midnight of 1970-01-01 on that clock.

    Parameters
    ----------
    at_N : years 2 to 9998. time_zone : see is_time_zone. An hour that a clock shows twice is shown twice.
    """
    zone = _zone(time_zone)
    if zone is UTC:
        return at_N
    hour_U, hour_N = np.unique(at_N // MICROSECONDS_OF_HOUR, return_inverse=True)
    first_U = _offsets(hour_U * MICROSECONDS_OF_HOUR, zone)
    last_U = _offsets((hour_U + 1) * MICROSECONDS_OF_HOUR - 1, zone)
    local_N: I64 = at_N + first_U[hour_N]
    turning_N: Flags = (first_U != last_U)[hour_N]  # clocks are set within this hour
    local_N[turning_N] = at_N[turning_N] + _offsets(at_N[turning_N], zone)
    return local_N


def hour_column(at_N: I64, time_zone: str) -> Column:
    """Return the hour of the day, 0 to 23, as rules read it."""
    of_day_N = local_time(at_N, time_zone) % MICROSECONDS_OF_DAY
    return Column(HOUR, (of_day_N // MICROSECONDS_OF_HOUR).astype(np.float32))


def weekday_column(at_N: I64, time_zone: str) -> Column:
    """Return the day of the week, 0 Monday to 6 Sunday, as rules read it."""
    day_N = local_time(at_N, time_zone) // MICROSECONDS_OF_DAY
    return Column(WEEKDAY, ((day_N + _THURSDAY) % 7).astype(np.float32))


def midnights(first: int, until: int, time_zone: str) -> I64:
    """Return the ends of the local days from that of `first` to the first one at or after `until`, and one more.

    Parameters
    ----------
    first, until : microseconds since 1970 UTC. Where clocks skip midnight, a day ends with the hour that they skip.
    """
    zone = _zone(time_zone)
    day = (_EPOCH + timedelta(microseconds=first)).astimezone(zone).date()
    ends: list[int] = []
    while len(ends) < 2 or ends[-2] < until:
        day += timedelta(days=1)
        midnight = datetime.combine(day, time(), zone)
        ends.append((midnight - _EPOCH) // timedelta(microseconds=1))
    return np.array(ends, np.int64)


def cuts_of_days(since: int, until: int, time_zone: str, days: int) -> tuple[int, ...]:
    """Return the midnights inside [since, until) that end every so many local days; `since` lies in the first of them.

    Parameters
    ----------
    since, until : microseconds since 1970 UTC, as what is returned. What the last cut leaves may be shorter.
    """
    return tuple(int(end) for end in midnights(since, until, time_zone)[days - 1 :: days] if since < end < until)


def even_cuts_of_days(since: int, until: int, time_zone: str, days: int) -> tuple[int, ...]:
    """Return the same cuts, less the last one where it leaves less than half of a piece."""
    cuts = cuts_of_days(since, until, time_zone, days)
    return cuts[:-1] if cuts and 2 * (until - cuts[-1]) < days * MICROSECONDS_OF_DAY else cuts


def local_date(at: int, time_zone: str) -> str:
    """Return the date that the clock shows, as 2026-01-31."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(_zone(time_zone)).date().isoformat()


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


def _offsets(at_U: I64, zone: tzinfo) -> I64:
    """Return what clocks are ahead of UTC, microseconds."""
    found = [(_EPOCH + timedelta(microseconds=int(at))).astimezone(zone).utcoffset() for at in at_U]
    return np.array([offset // timedelta(microseconds=1) for offset in found if offset is not None], np.int64)
