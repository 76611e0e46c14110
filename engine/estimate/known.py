"""Sums that are known of every creative, by segment: no label is needed, and no audit interval applies.

Where a run scores a sample, what is decided is known of the sample alone; then the sums by outcome are estimates, and
only the exposure of all creatives together is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.sample import Sample
from engine.records import F64, I64, WEIGHTINGS, WEIGHTS, Flags, ScoredSample, Segments, Totals


@dataclass(frozen=True)
class KnownTotals:
    """Exposure by outcome, float64, fractions applied after the exact sums.

    known_SOGW, imputed_SOGW : exposure; missing_SOGW : creatives that lack it; W by WEIGHTINGS, G segments.
    framed_SOGW : the part (known and imputed) that some audit could have drawn.
    lacking_GW : creatives that lack the exposure, over all creatives, scored or not.
    """

    known_SOGW: F64
    imputed_SOGW: F64
    missing_SOGW: F64
    framed_SOGW: F64
    lacking_GW: F64

    def exposure(self, strategy: int, segment: int, weighting: int) -> F64:
        """Return known + imputed exposure by outcome, shape (O,)."""
        return self.known_SOGW[strategy, :, segment, weighting] + self.imputed_SOGW[strategy, :, segment, weighting]


def sum_segments(totals: Totals, segments: Segments) -> KnownTotals:
    """Contract cells into segments."""
    member_GC = segments.member_GC.astype(np.int64)
    by_frame = totals.sum_SOFCW
    if not totals.folded:
        by_frame = np.einsum("sofcw,gc->sofgw", by_frame, member_GC, optimize=True)
    known, imputed, missing = (_pick(by_frame, part) for part in range(3))
    return KnownTotals(
        known.sum(2).astype(np.float64),
        imputed.sum(2).astype(np.float64),
        missing.sum(2).astype(np.float64),
        (known + imputed)[:, :, 1].astype(np.float64),
        whole_exposure(totals, segments)[2],
    )


def estimated_totals(
    scored: ScoredSample, sample: Sample, totals: Totals, segments: Segments, outcomes: int
) -> KnownTotals:
    """Return the sums as the scored sample (`sample`, its rows by segment) estimates them.

    framed_SOGW : outcome by outcome nobody knows what lies outside the frame, so it is the segment's own share of all.
    """
    rows, chosen = scored.rows, sample.rows_n
    known_Wn, imputed_Wn = rows.known_Wn[:, chosen], rows.imputed_Wn[:, chosen]
    missing_Wn = (np.isnan(known_Wn) & (imputed_Wn == 0)).astype(np.float64)
    shape = (len(rows.outcome_Sn), outcomes, len(segments.name), len(WEIGHTINGS))
    sums = []
    for value_Wn in (np.nan_to_num(known_Wn), imputed_Wn, missing_Wn):
        sum_SOGW = np.zeros(shape)
        for s, outcome_n in enumerate(rows.outcome_Sn[:, chosen]):
            key_m = outcome_n[sample.at_m].astype(np.int64) * shape[2] + sample.segment_m
            for w in range(len(WEIGHTINGS)):
                values = sample.weight_m * value_Wn[w, sample.at_m]
                sum_SOGW[s, :, :, w] = np.bincount(key_m, values, shape[1] * shape[2]).reshape(shape[1:3])
        sums.append(sum_SOGW)
    known, imputed, missing = sums
    lacking = whole_exposure(totals, segments)[2]
    return KnownTotals(known, imputed, missing, (known + imputed) * _framed_share(totals, segments), lacking)


def whole_exposure(totals: Totals, segments: Segments) -> tuple[F64, F64, F64]:
    """Return known and imputed exposure, and creatives that lack it, of all creatives, each (G, W) by WEIGHTINGS."""
    whole_CW = totals.whole_FCW.sum(0)
    by_segment = segments.member_GC.astype(np.int64) @ whole_CW
    known, imputed, lacking = (_pick(by_segment, part).astype(np.float64) for part in range(3))
    return known, imputed, lacking


def creatives_of(totals: Totals, segments: Segments) -> F64:
    """Return how many creatives each segment holds, scored or not."""
    whole_C = totals.whole_FCW[..., 0].sum(0)
    return (segments.member_GC.astype(np.int64) @ whole_C).astype(np.float64)


def framed_creatives(totals: Totals, segments: Segments) -> F64:
    """Return how many creatives of each segment some audit could have drawn."""
    return (segments.member_GC.astype(np.int64) @ totals.whole_FCW[1, :, 0]).astype(np.float64)


def _framed_share(totals: Totals, segments: Segments) -> F64:
    """Return the share of each segment's exposure that some audit could have drawn, shape (G, W) by WEIGHTINGS."""
    by_frame = np.einsum("fcw,gc->fgw", totals.whole_FCW, segments.member_GC.astype(np.int64))
    exposure = (_pick(by_frame, 0) + _pick(by_frame, 1)).astype(np.float64)
    whole = exposure.sum(0)
    return np.where(whole > 0, exposure[1] / np.where(whole > 0, whole, 1.0), 1.0)


def outside_exposure(totals: Totals, segments: Segments) -> F64:
    """Return the exposure of each segment that no audit could have drawn, shape (G, W) by WEIGHTINGS."""
    by_segment = segments.member_GC.astype(np.int64) @ totals.whole_FCW[0]
    return (_pick(by_segment, 0) + _pick(by_segment, 1)).astype(np.float64)


def any_swap(totals: Totals, segments: Segments, baseline_OX: F64, candidate_QX: F64) -> Flags:
    """Return, per segment, whether any creative counts otherwise under the compared strategies (known of all).

    baseline_OX, candidate_QX : all that a creative of an outcome can count, one column each.
    """
    count_OQG = totals.swap_OQCW[..., 0] @ segments.member_GC.T.astype(np.int64)
    differ_OQ = np.zeros(count_OQG.shape[:2], bool)
    differ = (baseline_OX[:, None, :] != candidate_QX[None, :, :]).any(2)
    differ_OQ[: len(baseline_OX), : len(candidate_QX)] = differ
    return np.asarray((count_OQG * differ_OQ[..., None]).any((0, 1)))


def _pick(sums: I64, part: int) -> I64:
    """Return the known (0), imputed (1) or missing (2) part by WEIGHTINGS; creatives are always known."""
    none = np.zeros_like(sums[..., 0])
    suffix = ("", "_imputed", "_missing")[part]
    columns = []
    for weighting in WEIGHTINGS:
        name = weighting + suffix
        columns.append(sums[..., WEIGHTS.index(name)] if name in WEIGHTS else none)
    return np.stack(columns, axis=-1)
