"""What summary.json says about segments that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FindingSummary:
    """A named segment: candidate − baseline of one number, with the interval of the chosen. inside : a wider one."""

    policy: str
    metric: str
    segment_by: str
    segment: str
    estimate: float
    low: float
    high: float
    adjusted: float
    events: float
    labels: int
    creatives: int
    inside: str | None

    @property
    def worse(self) -> bool:
        """Whether the candidate is worse there: it leaks or refuses more."""
        return self.estimate > 0


@dataclass(frozen=True)
class FindingsSummary:
    """Named segments in order; how many were tested, had too few events, and hold nothing that swaps."""

    named: tuple[FindingSummary, ...]
    tested: int
    few: int
    still: int
    rate: float


def read_findings(row: Mapping[str, Any] | None) -> FindingsSummary | None:
    """Return what the file says; None where nothing was sought."""
    if row is None:
        return None
    named = tuple(FindingSummary(**one) for one in row["named"])
    return FindingsSummary(named, row["tested"], row["few"], row["still"], row["rate"])
