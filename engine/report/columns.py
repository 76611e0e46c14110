"""Rows of text as columns of a terminal. Limits: characters of ambiguous width count as one."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Pad to equal widths; a column that is empty in every row is left out."""
    kept = [i for i in range(len(head)) if i == 0 or any(row[i] for row in rows)]
    table = [[row[i] for i in kept] for row in (head, *rows)]
    widths = [max(_width(row[i]) for row in table) for i in range(len(kept))]
    return ["  ".join(_padded(row[i], widths[i], right and i > 0) for i in range(len(kept))).rstrip() for row in table]


def _padded(text: str, width: int, right: bool) -> str:
    gap = " " * (width - _width(text))
    return gap + text if right else text + gap


def _width(text: str) -> int:
    """Return the columns that a terminal gives to a text."""
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
