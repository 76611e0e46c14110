"""What summary.json may look like: the schema that the package ships, and a check against it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import engine.report

SCHEMA = json.loads((Path(engine.report.__file__).parent / "summary.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
_EVERY = 23  # of many numbers, which are all made alike, so many are looked at


def faults(summary: dict[str, Any]) -> list[str]:
    """Return every way in which a summary breaks the schema; JSON knows no NaN."""
    json.dumps(summary, allow_nan=False)
    return [f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in VALIDATOR.iter_errors(summary)]


def faults_of_some(summary: dict[str, Any]) -> list[str]:
    """Return faults, of headline and paired numbers those of a few."""
    return faults(summary | {name: summary[name][::_EVERY] for name in ("headline", "paired")})


def objects(schema: Any) -> Iterable[dict[str, Any]]:
    """Yield every part of a schema that describes an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from objects(part)
