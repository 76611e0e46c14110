"""Typed view of a row of examples.parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Way:
    """What a strategy decided, and by which rule, in words."""

    strategy: str
    decision: str
    rule: str


@dataclass(frozen=True)
class ExampleSummary:
    """A creative that leaked, was overkilled or swapped: a row of schema.EXAMPLES.

    labels, texts : name → words; scores : column → score, None where nobody asked. exposure : weighting → value and
    where it comes from.
    """

    kind: str
    strategy: str | None
    creative_id: str
    labels: Mapping[str, str]
    ways: tuple[Way, ...]
    scores: Mapping[str, float | None]
    exposure: Mapping[str, tuple[float | None, str]]
    texts: Mapping[str, str | None]
    pictures: tuple[bytes, ...]
    notes: tuple[str, ...]


def read_example(row: Mapping[str, Any]) -> ExampleSummary:
    """Read a row of schema.EXAMPLES."""
    return ExampleSummary(
        kind=row["kind"],
        strategy=row["strategy"],
        creative_id=row["creative_id"],
        labels={label["policy"]: label["label"] for label in row["labels"]},
        ways=tuple(Way(**way) for way in row["ways"]),
        scores={score["column"]: score["score"] for score in row["scores"]},
        exposure={each["weighting"]: (each["value"], each["source"]) for each in row["exposure"]},
        texts={text["field"]: text["text"] for text in row["texts"]},
        pictures=tuple(row["pictures"]),
        notes=tuple(row["notes"]),
    )
