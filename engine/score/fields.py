"""Several text fields a content, one score: joined into one text, or scored apart and combined."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Literal

import numpy as np

from engine.records import F32, I64, Contents


@dataclass(frozen=True)
class FieldRule:
    """How the text fields of a content make its score.

    separator : between fields, where there is no template. template : literal texts and numbers of fields.
    apart : score every field that is not empty by itself, and take the highest or the mean score, per policy.
    """

    separator: str = "\n"
    template: tuple[str | int, ...] = ()
    apart: Literal["max", "mean"] | None = None

    def texts(self, contents: Contents) -> tuple[list[str], I64]:
        """Return the texts to score and, rising, the content of each; a field that is None reads as empty.

        A content without any text is one empty text.
        """
        if self.apart is None:
            return [self._joined(fields) for fields in contents.fields], np.arange(len(contents))
        filled = [[field for field in fields if field] or [""] for fields in contents.fields]
        owner = np.repeat(np.arange(len(filled)), [len(fields) for fields in filled])
        return [field for fields in filled for field in fields], owner

    def combine(self, score_TP: F32, owner_T: I64, contents: int) -> F32:
        """Return the scores of contents from those of their texts, float32, shape (contents, P)."""
        if self.apart is None or not contents:
            return score_TP
        first = np.searchsorted(owner_T, np.arange(contents))
        if self.apart == "max":
            return np.maximum.reduceat(score_TP, first, axis=0)
        sums = np.add.reduceat(score_TP.astype(np.float64), first, axis=0)
        return (sums / np.diff(np.append(first, len(owner_T)))[:, None]).astype(np.float32)

    def _joined(self, fields: tuple[str | None, ...]) -> str:
        if not self.template:
            return self.separator.join(field or "" for field in fields)
        return "".join(part if isinstance(part, str) else fields[part] or "" for part in self.template)


def parse_template(template: str, columns: tuple[str, ...]) -> tuple[str | int, ...]:
    """Return the parts of a template such as `{title} [SEP] {body}`; a brace of its own is doubled.

    Raises
    ------
    ValueError : a brace that nothing closes, a column the model does not read, or none at all.
    """
    parts: list[str | int] = []
    for literal, name, form, conversion in Formatter().parse(template):
        if literal:
            parts.append(literal)
        if name is None:
            continue
        if name not in columns or form or conversion:
            raise ValueError(f"{{{name}}} is no text column of the model ({', '.join(columns)})")
        parts.append(columns.index(name))
    if not any(isinstance(part, int) for part in parts):
        raise ValueError("names no text column; write one in braces, as in {title} [SEP] {body}")
    return tuple(parts)
