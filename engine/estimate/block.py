"""One number over all segments at once, and its rows for the estimates table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
            least, most = _known(self.least, g), _known(self.most, g)
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
    segments = question.segments
    names_G = np.broadcast_to(np.asarray(block.estimator), (len(block.null),))
    for g, reason in enumerate(block.null):
        null = reason is not None
        bounded = block.intervals is not None and not null
        rule = f"/{block.intervals.rule[g]}" if bounded and block.intervals is not None else ""
        yield Estimate(
            strategy=subject.strategy,
            baseline=subject.baseline,
            policy=subject.policy,
            segment_by=segments.by[g],
            segment=segments.name[g],
            weighting=subject.weighting,
            reading=subject.reading,
            metric=subject.metric,
            inference=inference,
            estimator=None if null else str(names_G[g]) + rule,
            estimate=None if null else float(block.estimate[g]),
            low=float(block.intervals.low[g]) if bounded and block.intervals is not None else None,
            high=float(block.intervals.high[g]) if bounded and block.intervals is not None else None,
            confidence=question.confidence,
            labels=0 if null else int(block.labels[g]),
            effective_size=0.0 if null else float(block.size[g]),
            effective_events=0.0 if null else float(block.events[g]),
            support=None if null else float(block.support[g]),
            least=_known(block.least, g),
            most=_known(block.most, g),
            warning=("; ".join(block.warnings[g]) or None) if block.warnings and not null else None,
            null_reason=reason,
            formula=subject.formula,
        )


def _known(value_G: F64 | None, segment: int) -> float | None:
    return None if value_G is None or np.isnan(value_G[segment]) else float(value_G[segment])
