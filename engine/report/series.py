"""What summary.json says about numbers over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.report.lookup import Key, Number, Numbers, numbers_of

VIOLATING = "violating_share"  # what the numbers that belong to no strategy are called


@dataclass(frozen=True)
class SeriesSummary:
    """Pieces of the period and their numbers, machine alone, by creatives.

    by : day, week or four_weeks. starts : dates. days : of each piece. creatives : submitted in each.
    """

    by: str
    starts: tuple[str, ...]
    days: tuple[float, ...]
    policy: str
    creatives: tuple[int, ...]
    numbers: Numbers

    @property
    def names(self) -> tuple[str, ...]:
        """The strategies that were followed, in order."""
        return tuple(dict.fromkeys(number.key.strategy for number in self.numbers if number.key.strategy))

    def line(self, strategy: str, metric: str) -> tuple[Number, ...]:
        """Return a number of every piece."""
        return tuple(
            self.numbers.get(_key(strategy, self.policy, metric, self.by, piece)) for piece in range(len(self.starts))
        )


def read_series(row: Mapping[str, Any] | None) -> SeriesSummary | None:
    """Read the key `series`."""
    if row is None:
        return None
    policy, by = row["policy"], row["by"]
    own = ({"strategy": "", "metric": VIOLATING} | violating for violating in row["violating"])
    more = {"policy": policy, "segment_by": by, "weighting": "creatives", "reading": "machine", "inference": "history"}
    found = numbers_of(number | more | {"segment": str(number["piece"])} for number in (*own, *row["numbers"]))
    return SeriesSummary(by, tuple(row["starts"]), tuple(row["days"]), policy, tuple(row["creatives"]), found)


def _key(strategy: str, policy: str, metric: str, by: str, piece: int) -> Key:
    return Key(strategy, policy, metric, "creatives", "machine", segment_by=by, segment=str(piece))
