"""What changed between two trees of plain values, key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A key that differs. was, now : plain values; `absent` where one of the runs has no such key."""

    key: str
    was: object
    now: object

    def as_plain(self) -> dict[str, Any]:
        """Return the change for JSON; a side that lacks the key is left out."""
        sides = {"was": self.was, "now": self.now}
        return {"key": self.key} | {side: value for side, value in sides.items() if value is not ABSENT}


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def changes(was: object, now: object, key: str = "") -> tuple[Change, ...]:
    """Return the keys under which two trees differ, in the order they are written; list items count from 0."""
    return tuple(_changes(was, now, key))


def value_words(value: object, limit: int = 60) -> str:
    """Write a value on one line: JSON, cut."""
    text = "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _changes(was: object, now: object, key: str) -> Iterator[Change]:
    mine, theirs = _children(was), _children(now)
    if mine is None or theirs is None:
        if repr(was) != repr(now):  # True and 1 are equal, and are not the same to write
            yield Change(key, was, now)
        return
    for name in dict.fromkeys([*mine, *theirs]):
        inner = f"{key}.{name}" if key else name
        yield from _changes(mine.get(name, ABSENT), theirs.get(name, ABSENT), inner)


def _children(value: object) -> dict[str, object] | None:
    """Return what lies below a value; a list of plain values is one value."""
    if isinstance(value, Mapping):
        return {str(name): inner for name, inner in value.items()}
    if isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        return {str(i): item for i, item in enumerate(value)}
    return None
