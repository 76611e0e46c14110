"""What repetitions say about one number: bias, coverage, width; and the bars over all numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import nan, sqrt

import numpy as np
from coverage_batches import WEIGHTED, Batch, Key, key_of
from coverage_worlds import F64
from record import Bar

from engine.estimate.interval import exact_bounds
from engine.estimate.naive import NaiveCount
from engine.estimate.sample import HISTORY
from engine.estimate.shortfall import UNSEEN
from engine.records import Estimate

ENOUGH = 30.0
REPETITIONS = 10_000  # that the bars ask for
Truth = Mapping[Key, float | None]
_CERTAIN = ("exact", "no_swap", "census")


@dataclass
class Sums:
    """Sums over the repetitions of a cell; `+=` joins those of two processes.

    inside : intervals that contain the truth; a null makes no claim and counts as one, and as warned.
    true, blocks, square_share, chance : Σ of the truth; groups of repetitions that share a history (for the future:
    that were computed together), Σ of their squared shares inside, Σ of the variances that chance gives these.
    certain : repetitions in which nothing is random. exact : width of the exact interval of a simple random sample of
    the same effective size (of advertisers, where `future` has fewer of them), for rates of one strategy whose labels
    are taken as they are.
    """

    repetitions: int = 0
    inside: int = 0
    null: int = 0
    warned: int = 0
    certain: int = 0
    known: int = 0
    error: float = 0.0
    square: float = 0.0
    width: float = 0.0
    exact: float = 0.0
    events: float = 0.0
    clusters: float = 0.0
    true: float = 0.0
    blocks: int = 0
    square_share: float = 0.0
    chance: float = 0.0

    def __iadd__(self, other: Sums) -> Sums:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self

    def add(self, rows: Sequence[Estimate], clusters: F64, true: float) -> None:
        """Add repetitions, one row each."""
        at = [r for r, row in enumerate(rows) if None not in (row.estimate, row.low, row.high)]
        given, drawn = [rows[r] for r in at], clusters[at]
        point, low, high, size = (
            np.array([getattr(row, name) for row in given], np.float64)
            for name in ("estimate", "low", "high", "effective_size")
        )
        slack = 1e-9 * max(1.0, abs(true))
        inside = len(rows) - len(given) + int(((low - slack <= true) & (true <= high + slack)).sum())
        self.repetitions += len(rows)
        self.null += len(rows) - len(given)
        self.inside += inside
        self.true += true * len(rows)
        self.blocks += 1
        self.square_share += (inside / len(rows)) ** 2
        self.chance += inside * (len(rows) - inside) / (len(rows) ** 2 * max(1, len(rows) - 1))
        self.warned += len(rows) - len(given) + sum(_excused(row) for row in given)
        self.certain += sum(str(row.estimator).endswith(_CERTAIN) for row in given)
        self.known += sum(str(row.estimator).startswith("known_total/") for row in given)
        self.error += float((point - true).sum())
        self.square += float(((point - true) ** 2).sum())
        self.width += float((high - low).sum())
        self.events += sum(row.effective_events for row in given)
        self.clusters += float(clusters.sum())
        if rows[0].baseline is None and not any("+rogan_gladen" in str(row.estimator) for row in given):
            n = np.maximum(size if rows[0].inference == HISTORY else np.minimum(size, drawn), 1e-9)
            least, most = exact_bounds(np.clip(point, 0.0, 1.0) * n, n, rows[0].confidence)
            self.exact += float((most - least).sum())

    @property
    def differing(self) -> float:
        """Standard deviation of the coverage between blocks: what their shares inside differ by beyond chance."""
        share = self.inside / self.repetitions
        between = (self.square_share - self.blocks * share**2) / max(1, self.blocks - 1)
        return sqrt(max(between - self.chance / self.blocks, 0.0))


def settled(rows: Sequence[Estimate], true: float) -> bool:
    """Return whether every repetition of a history says the same of a number: the truth."""
    return all(row.estimate is not None and abs(row.estimate - true) <= 1e-9 * abs(true) for row in rows)


def _excused(row: Estimate) -> bool:
    """Return whether a warning excuses an interval: not where it says that the interval allows for what is unseen."""
    return row.warning is not None and not str(row.estimator).endswith(UNSEEN)


@dataclass(frozen=True)
class Cell:
    """One number of a world under one question.

    true : mean over histories. coverage : over all of them; differing : how much it does so between them (standard
    deviation, chance left out): a promise that is kept on average may be kept better in one history than in another.
    bias : mean error in standard errors of the estimator. exact : mean width over that of a simple random sample's
    exact interval, NaN for differences and where reviewers err: that sample's do not.
    """

    world: str
    question: str
    key: Key
    true: float
    repetitions: int
    coverage: float
    bias: float
    deviation: float
    width: float
    exact: float
    null: float
    warned: float
    events: float
    clusters: float
    known: bool
    differing: float = 0.0

    @property
    def excused(self) -> bool:
        """Whether half of the repetitions warn."""
        return self.warned >= 0.5

    @property
    def plenty(self) -> bool:
        """Whether events (and clusters, for the future) suffice."""
        return self.events >= ENOUGH and (self.question == "history" or self.clusters >= ENOUGH)

    @property
    def name(self) -> str:
        """The number in words."""
        strategy, paired, weighting, reading, metric = self.key
        return f"{metric} {'difference' if paired else strategy}, {weighting}, {reading}"


class Tally:
    """Sums of every number of one world and question. naive : errors of the naive count, by strategy and metric."""

    def __init__(self) -> None:
        self.sums: dict[Key, Sums] = {}
        self.naive: dict[tuple[str, str], list[float]] = {}

    def add(self, batch: Batch, estimates: Sequence[Estimate], truth: Truth) -> None:
        """Add a batch: estimates stand segment by segment, a repetition each.

        A history whose strata were drawn whole, as far as a number goes, is left out of that: nothing is random in it.
        """
        size = len(batch.question.segments.name)
        for first in range(0, len(estimates), size):
            rows = estimates[first : first + size]
            key = key_of(rows[0])
            true = truth.get(key)
            if true is not None and not settled(rows, true):
                self.sums.setdefault(key, Sums()).add(rows, batch.clusters_WR[WEIGHTED.index(key[2])], true)

    def add_naive(self, counts: Iterable[NaiveCount], truth: Truth) -> None:
        """Add the naive count over all rows of a batch."""
        for n in counts:
            true = truth.get((n.strategy, False, "creatives", "machine", n.metric))
            if n.estimate is not None and true is not None:
                self.naive.setdefault((n.strategy, n.metric), []).append(n.estimate - true)

    def naive_errors(self) -> Iterator[tuple[str, str, float, float, float]]:
        """Yield strategy, metric, truth, the engine's mean error and that of the naive count."""
        for (strategy, metric), errors in self.naive.items():
            key = (strategy, False, "creatives", "machine", metric)
            s = self.sums[key]
            yield (
                strategy,
                metric,
                s.true / s.repetitions,
                s.error / max(1, s.repetitions - s.null),
                float(np.mean(errors)),
            )

    def cells(self, world: str, question: str) -> list[Cell]:
        """Return the numbers that are random at all."""
        found = []
        for key, s in self.sums.items():
            given = s.repetitions - s.null
            true = s.true / s.repetitions
            if s.certain == given:
                continue
            mean = s.error / given
            deviation = sqrt(max(s.square / given - mean**2, 0.0))
            if deviation <= 1e-9 * abs(true):  # its strata were drawn whole
                continue
            found.append(
                Cell(
                    world,
                    question,
                    key,
                    true,
                    s.repetitions,
                    s.inside / s.repetitions,
                    mean / deviation,
                    deviation,
                    s.width / given,
                    s.width / s.exact if s.exact else nan,
                    s.null / s.repetitions,
                    s.warned / s.repetitions,
                    s.events / given,
                    s.clusters / s.repetitions,
                    s.known > 0,
                    s.differing,
                )
            )
        return found


def bars_of(cells: Iterable[Cell]) -> list[Bar]:
    """Return the bars of the design; they hold with REPETITIONS of every cell only."""
    judged = list(cells)
    silent = [cell for cell in judged if not cell.excused]
    warned = [cell.exact for cell in judged if cell.excused and not np.isnan(cell.exact)]
    high = [cell.coverage for cell in judged if cell.plenty and not cell.known]
    enough = bool(judged) and min(cell.repetitions for cell in judged) >= REPETITIONS
    found = [
        ("coverage.worst_low", min((cell.coverage for cell in silent), default=None), ">= 0.935"),
        ("coverage.worst_high", max(high, default=None), "<= 0.965"),
        ("coverage.warned_share", 1 - len(silent) / len(judged) if judged else None, "<= 0.2"),
        ("coverage.warned_width", max(warned, default=None), "<= 1.25"),
    ]
    return [_bar(name, value, bar, enough) for name, value, bar in found]


def _bar(name: str, value: float | None, bar: str, enough: bool) -> Bar:
    sign, limit = bar.split()
    reached = value is not None and (value <= float(limit) if sign == "<=" else value >= float(limit))
    return Bar(name, value, f"{bar} ({REPETITIONS:,} repetitions a cell)", reached and enough)
