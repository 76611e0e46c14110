"""What summary.json says about numbers over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.report.lookup import Key, Number, Numbers, numbers_of

VIOLATING = "violating_share"  # what the numbers that belong to no strategy are called


@dataclass(frozen=True)
class ColumnDrift:
    """A score column, a value for each piece after the reference: PSI, what chance makes of it, KS distance."""

    column: str
    psi: tuple[float, ...]
    threshold: tuple[float, ...]
    distance: tuple[float, ...]
    drifts: tuple[bool, ...]


@dataclass(frozen=True)
class ScoreDrifts:
    """by : week or day. starts : dates of all pieces, the first `reference` of which others are held against."""

    by: str
    starts: tuple[str, ...]
    reference: int
    columns: tuple[ColumnDrift, ...]


@dataclass(frozen=True)
class SeriesSummary:
    """Pieces of the period and their numbers, machine alone, by creatives.

    by : day, week or four_weeks. starts : dates. days : of each piece. creatives : submitted in each.
    label_p : that violating shares differ so by chance, None where nothing is tested. label_piece : the farthest one,
    where they drift.
    """

    by: str
    starts: tuple[str, ...]
    days: tuple[float, ...]
    policy: str
    creatives: tuple[int, ...]
    numbers: Numbers
    label_p: float | None = None
    label_piece: int | None = None
    scores: ScoreDrifts | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The strategies that were followed, in order."""
        return tuple(dict.fromkeys(number.key.strategy for number in self.numbers if number.key.strategy))

    def line(self, strategy: str, metric: str) -> tuple[Number, ...]:
        """Return a number of every piece."""
        return tuple(
            self.numbers.get(_key(strategy, self.policy, metric, self.by, piece)) for piece in range(len(self.starts))
        )


@dataclass(frozen=True)
class QueueSummary:
    """What the queues of a strategy do by day, in creatives. mean, ninth : days waited, None where all still wait."""

    strategy: str
    per_day: int
    asked: tuple[int, ...]
    reviewed: tuple[int, ...]
    late: tuple[int, ...]
    waiting: tuple[int, ...]
    mean: tuple[float | None, ...]
    ninth: tuple[int | None, ...]


@dataclass(frozen=True)
class WaitingSummary:
    """starts : dates."""

    starts: tuple[str, ...]
    queues: tuple[QueueSummary, ...]


def read_waiting(row: Mapping[str, Any] | None) -> WaitingSummary | None:
    """Read the key `waiting`."""
    if row is None:
        return None
    lists = ("asked", "reviewed", "late", "waiting", "mean", "ninth")
    queues = (QueueSummary(q["strategy"], q["per_day"], *(tuple(q[name]) for name in lists)) for q in row["strategies"])
    return WaitingSummary(tuple(row["starts"]), tuple(queues))


def read_series(row: Mapping[str, Any] | None) -> SeriesSummary | None:
    """Read the key `series`."""
    if row is None:
        return None
    policy, by = row["policy"], row["by"]
    own = ({"strategy": "", "metric": VIOLATING} | violating for violating in row["violating"])
    more = {"policy": policy, "segment_by": by, "weighting": "creatives", "reading": "machine", "inference": "history"}
    found = numbers_of(number | more | {"segment": str(number["piece"])} for number in (*own, *row["numbers"]))
    pieces = by, tuple(row["starts"]), tuple(row["days"]), policy, tuple(row["creatives"])
    label = row["label_drift"]
    return SeriesSummary(*pieces, found, label["p"], label["piece"], _scores(row["scores"]))


def _scores(row: Mapping[str, Any] | None) -> ScoreDrifts | None:
    if row is None:
        return None
    lists = ("psi", "threshold", "distance", "drifts")
    columns = (ColumnDrift(found["column"], *(tuple(found[name]) for name in lists)) for found in row["columns"])
    return ScoreDrifts(row["by"], tuple(row["starts"]), row["reference"], tuple(columns))


def _key(strategy: str, policy: str, metric: str, by: str, piece: int) -> Key:
    return Key(strategy, policy, metric, "creatives", "machine", segment_by=by, segment=str(piece))
