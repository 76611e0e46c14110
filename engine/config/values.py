"""What every section of a config is made of: strict fields, instants, durations, shares, names."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from engine.calendar import is_time_zone
from engine.errors import did_you_mean

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _instant(value: object) -> object:
    """Read a date as midnight UTC and a time without a zone as UTC; a bare number is no date."""
    if isinstance(value, int | float):
        raise ValueError("write a date, as in 2026-01-15")
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def _duration(value: object) -> object:
    """Read `90s`, `15m`, `36h` or `14d` as seconds."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())
        if not found:
            raise ValueError("a duration is a number and s, m, h or d, as in 36h")
        return float(found[1]) * _SECONDS[found[2]]
    return value


def _days(value: object) -> object:
    """Read a number as days, `36h` as a day and a half."""
    seconds = _duration(value)
    return seconds / _SECONDS["d"] if isinstance(value, str) and isinstance(seconds, float) else value


def _time_zone(name: str) -> str:
    if not is_time_zone(name):
        raise ValueError(f"is no IANA time zone{did_you_mean(name, zoneinfo.available_timezones())}")
    return name


def each_once(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("holds a name twice")
    return values


Instant = Annotated[datetime, BeforeValidator(_instant)]
Seconds = Annotated[float, BeforeValidator(_duration), Field(ge=0)]
Days = Annotated[float, BeforeValidator(_days), Field(gt=0, le=3650)]
Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Names = Annotated[list[str], AfterValidator(each_once)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
