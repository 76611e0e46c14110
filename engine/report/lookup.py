"""Numbers by key: a typed view over rows of estimates.parquet and the lists of summary.json."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NOT_ESTIMATED = "not estimated in this run"


@dataclass(frozen=True)
class Key:
    """What a number is about. `baseline` is set where it is the paired difference strategy − baseline."""

    strategy: str
    policy: str
    metric: str
    weighting: str
    reading: str
    inference: str = "history"
    segment_by: str = "all"
    segment: str = "all"
    baseline: str | None = None


@dataclass(frozen=True)
class Number:
    """One estimate and what stands behind it; `truth` is known only where a simulation made the history.

    least, most : what it may be whatever the labels are that nobody could give.
    """

    key: Key
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    labels: int = 0
    effective_size: float | None = None
    effective_events: float | None = None
    support: float | None = None
    least: float | None = None
    most: float | None = None
    estimator: str | None = None
    warning: str | None = None
    null_reason: str | None = None
    formula: str = ""
    truth: float | None = None

    @property
    def exact(self) -> bool:
        """Whether it is a known total: an interval of width 0."""
        return self.estimate is not None and self.low == self.estimate == self.high


@dataclass(frozen=True)
class Numbers:
    """Numbers by their key, in the order of the file; of two with one key the first counts."""

    by_key: Mapping[Key, Number] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Number]:
        return iter(self.by_key.values())

    def __len__(self) -> int:
        return len(self.by_key)

    def get(self, key: Key) -> Number:
        """Return the number, or a null one that says it was not estimated."""
        return self.by_key.get(key) or Number(key, null_reason=NOT_ESTIMATED)


def numbers_of(rows: Iterable[Mapping[str, Any]]) -> Numbers:
    """Read rows with the columns of schema.ESTIMATES and, where known, `truth`. Segments default to `all`."""
    found: dict[Key, Number] = {}
    for row in rows:
        number = _number(row)
        found.setdefault(number.key, number)
    return Numbers(found)


def segment_numbers(
    estimates: pa.Table, truth: pa.Table | None, wanted: Sequence[Key], segments: Sequence[tuple[str, str]]
) -> Numbers:
    """Look up the wanted numbers in each segment, with the truth beside them where it is known.

    Filters in Arrow first, so that a sweep's millions of rows never become Python objects.
    """
    rows = _rows(estimates, wanted, segments)
    if truth is not None:
        true = {_truth_key(row): row["truth"] for row in _rows(truth, wanted, segments)}
        rows = [{**row, "truth": true.get(_truth_key(row))} for row in rows]
    asked = set(wanted)
    every = numbers_of(rows)
    return Numbers({key: n for key, n in every.by_key.items() if _anywhere(key) in asked})


def _rows(table: pa.Table, wanted: Sequence[Key], segments: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the unpaired rows whose columns each take some wanted value."""
    mask = pc.is_null(table["baseline"])
    for column in ("strategy", "policy", "metric", "weighting", "reading", "inference"):
        if column in table.column_names:
            mask = pc.and_(mask, _is_in(table[column], {getattr(key, column) for key in wanted}))
    mask = pc.and_(mask, _is_in(table["segment_by"], {by for by, _ in segments}))
    mask = pc.and_(mask, _is_in(table["segment"], {name for _, name in segments}))
    rows: list[dict[str, Any]] = table.filter(mask).to_pylist()
    return rows


def _is_in(column: pa.ChunkedArray, values: set[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))


def _anywhere(key: Key) -> Key:
    return Key(key.strategy, key.policy, key.metric, key.weighting, key.reading, key.inference)


def _truth_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("strategy", "policy", "segment_by", "segment", "weighting", "reading", "metric")
    return tuple(row[name] for name in names)


def _number(row: Mapping[str, Any]) -> Number:
    key = Key(
        strategy=row["strategy"],
        policy=row["policy"],
        metric=row["metric"],
        weighting=row["weighting"],
        reading=row["reading"],
        inference=row["inference"],
        segment_by=row.get("segment_by", "all"),
        segment=row.get("segment", "all"),
        baseline=row.get("baseline"),
    )
    return Number(
        key=key,
        estimate=_finite(row["estimate"]),
        low=_finite(row["low"]),
        high=_finite(row["high"]),
        labels=row["labels"],
        effective_size=_finite(row.get("effective_size")),
        effective_events=_finite(row.get("effective_events")),
        support=_finite(row.get("support")),
        least=_finite(row.get("least")),
        most=_finite(row.get("most")),
        estimator=row.get("estimator"),
        warning=row.get("warning"),
        null_reason=row.get("null_reason"),
        formula=row.get("formula") or "",
        truth=_finite(row.get("truth")),
    )


def _finite(value: float | None) -> float | None:
    """Return the number; NaN and infinity are no numbers to show."""
    return value if value is not None and math.isfinite(value) else None
