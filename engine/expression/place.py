"""Where an expression goes wrong: the text with a caret under the place."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_SHOWN = 100  # characters of the text; of a longer one those around the place
_MARGIN = "    "


class ExpressionError(ValueError):
    """The text is not an expression of this language, or cannot be bound or evaluated. The message is for operators."""


@dataclass(frozen=True)
class Written:
    """An expression as it was written. places : column, or `$name` → where it first stands."""

    text: str
    places: Mapping[str, int] = field(default_factory=dict)

    def fault(self, name: str, why: str) -> str:
        """Return a fault about a column or parameter, with a caret under it."""
        return f"{why}\n{pointed(self.text, self.places.get(name, 0))}"

    def renamed(self, names: Mapping[str, str]) -> Written:
        """Return it with the places of columns under their new names."""
        return replace(self, places={names.get(name, name): at for name, at in reversed(list(self.places.items()))})


def fault_at(text: str, at: int, why: str) -> ExpressionError:
    """Return the error that names a place of a text, counted from 0."""
    at = min(max(at, 0), len(text))
    return ExpressionError(f"at column {at + 1}: {why}\n{pointed(text, at)}")


def pointed(text: str, at: int) -> str:
    """Return two lines: the text, and a caret under one of its characters. What cannot be printed shows as U+FFFD."""
    first = max(0, min(at - _SHOWN * 2 // 3, len(text) - _SHOWN))
    before, after = "…" * (first > 0), "…" * (first + _SHOWN < len(text))
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text[first : first + _SHOWN])
    room = sum(_width(c) for c in before + shown[: at - first])
    return f"{_MARGIN}{before}{shown}{after}\n{_MARGIN}{' ' * room}^"


def _width(character: str) -> int:
    """Return the terminal cells that a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
