"""Estimates → estimates.parquet and truth.parquet."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from engine.records import Estimate
from engine.schema import ESTIMATES

KEY = ("strategy", "baseline", "policy", "segment_by", "segment", "weighting", "reading", "metric")


def estimates_table(estimates: Sequence[Estimate]) -> pa.Table:
    """Return the rows as a table of schema.ESTIMATES."""
    arrays = [pa.array([getattr(row, field.name) for row in estimates], field.type) for field in ESTIMATES]
    return pa.Table.from_arrays(arrays, schema=ESTIMATES)


def truth_table(truths: Sequence[Estimate]) -> pa.Table:
    """Return the true value of every number, by the same key."""
    fields = [ESTIMATES.field(name) for name in KEY]
    arrays = [pa.array([getattr(t, field.name) for t in truths], field.type) for field in fields]
    arrays.append(pa.array([t.estimate for t in truths], pa.float64()))
    return pa.Table.from_arrays(arrays, schema=pa.schema([*fields, pa.field("truth", pa.float64())]))


def key_of(estimate: Estimate) -> tuple[str | None, ...]:
    """Return what a number is about, whatever the question."""
    return tuple(getattr(estimate, name) for name in KEY)
