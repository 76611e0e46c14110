"""One number over all segments at once, and its rows for the estimates table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan
from sys import intern

import numpy as np
from numpy.typing import NDArray

from engine.estimate.interval import Intervals
from engine.estimate.question import Question
from engine.records import F64, Estimate


@dataclass(frozen=True)
class Subject:
    """What a block of numbers is about."""

    strategy: str
    policy: str
    weighting: str
    reading: str
    metric: str
    formula: str
    baseline: str | None = None


@dataclass
class Block:
    """A number for each of the G segments. A null reason beats everything else of its segment.

    estimator : one name, or one a segment. intervals : None where an estimate has no interval (imputed totals).
    least, most : limits whatever the labels are that could not be had, NaN where there are none or nothing is lacking.
    """

    estimator: str | NDArray[np.str_]
    estimate: F64
    intervals: Intervals | None
    labels: F64
    size: F64
    events: F64
    support: F64
    null: list[str | None]
    warnings: list[list[str]] = field(default_factory=list)
    least: F64 | None = None
    most: F64 | None = None

    def bound(self, limits: tuple[F64, F64] | None, drowned: Sequence[str | None] = ()) -> None:
        """Set `least` and `most` of every segment that has a number, or would have had but for reviewer error.

        limits : None where nothing is lacking. drowned : by segment why reviewer error leaves none; its interval is
        then all that is known, or, where no value is compatible with the labels, its ends the other way round.
        """
        if limits is None and not any(drowned):
            return
        none = np.full(len(self.null), np.nan)
        shown = np.array([reason is None for reason in self.null])
        least, most = limits if limits is not None else (none, none)
        if any(drowned) and self.intervals is not None:
            deep = np.array([reason is not None for reason in drowned])
            low, high = self.intervals.low, self.intervals.high
            least = np.where(deep & ~(least <= low), np.minimum(low, high), least)
            most = np.where(deep & ~(most >= high), np.maximum(low, high), most)
            told = [why and f"{why}; it lies in [{least[g]:.4g}, {most[g]:.4g}]" for g, why in enumerate(drowned)]
            self.null = [reason or why for reason, why in zip(self.null, told, strict=True)]
        self.least, self.most = np.where(shown, least, np.nan), np.where(shown, most, np.nan)

    def tell_support(self) -> None:
        """Warn of every segment where some of the exposure could not have been drawn, with the bounds that hold."""
        for g in (int(x) for x in np.flatnonzero(self.support < 1.0)):
            least, most = (_known(limit, len(self.null))[g] for limit in (self.least, self.most))
            held = "" if least is None else f"; whatever its labels would be: [{least:.4g}, {most:.4g}]"
            self.warn(g, f"no audit could have drawn {1 - self.support[g]:.1%} of the exposure behind it{held}")

    def warn(self, segment: int, text: str) -> None:
        """Add a warning to one segment."""
        if not self.warnings:
            self.warnings = [[] for _ in self.null]
        self.warnings[segment].append(text)


def empty_block(null: Sequence[str | None]) -> Block:
    """Return a block of which nothing is known but why."""
    none = np.full(len(null), np.nan)
    zero = np.zeros(len(null))
    return Block("", none, None, zero, zero, zero, none, list(null))


def rows_of(block: Block, subject: Subject, inference: str, question: Question) -> Iterator[Estimate]:
    """Yield the rows of a block, one per segment."""
    segments, size = question.segments, len(block.null)
    of_G = question.of_G or (subject.strategy,) * size
    nothing: list[float | None] = [None] * size
    found = block.intervals
    named_G = np.broadcast_to(np.asarray(block.estimator), (size,)).tolist()
    if found is not None:  # a few names stand in all rows
        named_G = [intern(f"{name}/{rule}") for name, rule in zip(named_G, found.rule.tolist(), strict=True)]
    columns = zip(
        block.null,
        of_G,
        segments.by,
        segments.name,
        named_G,
        block.estimate.tolist(),
        nothing if found is None else found.low.tolist(),
        nothing if found is None else found.high.tolist(),
        block.labels.tolist(),
        block.size.tolist(),
        block.events.tolist(),
        block.support.tolist(),
        _known(block.least, size),
        _known(block.most, size),
        block.warnings or [[]] * size,
        strict=True,
    )
    given = (subject.weighting, subject.reading, subject.metric, inference)
    for reason, name, by, segment, estimator, point, low, high, *sizes, support, least, most, warnings in columns:
        about = (name, subject.baseline, subject.policy, by, segment, *given)
        if reason is not None:
            none = (None, None, None, None, question.confidence, 0, 0.0, 0.0, None)
            yield Estimate(*about, *none, least, most, None, reason, subject.formula)
            continue
        labels, effective, events = sizes
        warning = "; ".join(warnings) or None
        known = (estimator, point, low, high, question.confidence, int(labels), effective, events, support)
        yield Estimate(*about, *known, least, most, warning, None, subject.formula)


def _known(value_G: F64 | None, size: int) -> list[float | None]:
    if value_G is None:
        return [None] * size
    return [None if isnan(value) else value for value in value_G.tolist()]
