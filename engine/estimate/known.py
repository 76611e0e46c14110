"""Sums that are known of every creative, by segment: no label is needed, and no audit interval applies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import F64, I64, WEIGHTINGS, WEIGHTS, Segments, Totals


@dataclass(frozen=True)
class KnownTotals:
    """Exposure by outcome, float64, fractions applied after the exact sums.

    known_SOGW, imputed_SOGW : exposure; missing_SOGW : creatives that lack it; W by WEIGHTINGS, G segments.
    framed_SOGW : the part (known and imputed) that some audit could have drawn.
    """

    known_SOGW: F64
    imputed_SOGW: F64
    missing_SOGW: F64
    framed_SOGW: F64

    def exposure(self, strategy: int, segment: int, weighting: int) -> F64:
        """Return known + imputed exposure by outcome, shape (O,)."""
        return self.known_SOGW[strategy, :, segment, weighting] + self.imputed_SOGW[strategy, :, segment, weighting]


def sum_segments(totals: Totals, segments: Segments) -> KnownTotals:
    """Contract cells into segments."""
    member_GC = segments.member_GC.astype(np.int64)
    by_frame = np.einsum("sofcw,gc->sofgw", totals.sum_SOFCW, member_GC, optimize=True)
    known, imputed, missing = (_pick(by_frame, part) for part in range(3))
    return KnownTotals(
        known.sum(2).astype(np.float64),
        imputed.sum(2).astype(np.float64),
        missing.sum(2).astype(np.float64),
        (known + imputed)[:, :, 1].astype(np.float64),
    )


def _pick(sums: I64, part: int) -> I64:
    """Return the known (0), imputed (1) or missing (2) part by WEIGHTINGS; creatives are always known."""
    none = np.zeros_like(sums[..., 0])
    suffix = ("", "_imputed", "_missing")[part]
    columns = []
    for weighting in WEIGHTINGS:
        name = weighting + suffix
        columns.append(sums[..., WEIGHTS.index(name)] if name in WEIGHTS else none)
    return np.stack(columns, axis=-1)
