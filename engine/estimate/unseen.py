"""What intervals of `history` do not know: exposure that no drawn creative stands for.

How much exposure each outcome has (or each pair of outcomes of two strategies) is known of all creatives. The audit's
rows estimate it too. Where they fall short of it by far more than the audit's own error allows, few creatives have much
of it and were not drawn: the sample tells neither how they are labelled nor, by its variance, that they are there. An
interval then reaches to what the number is if all of them violate, and if none does (Manski 1989, as in `bounds`).
Other warnings, that a sample may lack the creatives which matter, have no say any more: it is known, and allowed for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.estimate.interval import Intervals
from engine.estimate.metrics import Metric
from engine.estimate.ratio import Judged, Ratio
from engine.estimate.shortfall import ROUNDING, UNSEEN, shortfall
from engine.estimate.view import View
from engine.records import F64, WEIGHTS


def reaching_unseen(view: View, counts_OX: F64, ratio: Ratio, point: F64, judged: Judged) -> Judged:
    """Return the intervals of a ratio that reach to what unseen exposure may make of it.

    counts_OX : numerator and denominator of exposure 1 of each outcome for y = 0, then for y = 1, shape (O, 4).
    ratio : of drawn rows alone. point : the estimate that the intervals are of, which may lean on predictions.
    """
    if not _has_large(view) or not view.unseen_OG.any():
        return judged
    unseen_OG = view.unseen_OG * np.asarray(counts_OX.any(1))[:, None]
    found = [_with(ratio, unseen_OG, counts_OX[:, x : x + 2]) for x in (0, 2)]
    return _reaching(view, unseen_OG, point, found, judged)


def pair_reaching_unseen(
    sides: tuple[View, View], ratios: tuple[Ratio, Ratio], metric: Metric, point: F64, judged: Judged
) -> Judged:
    """Return the same of candidate − baseline (in this order), by what creatives of each pair of outcomes have."""
    candidate, baseline = sides
    question, sample = candidate.question, candidate.sample
    if not _has_large(candidate) or question.pair != (baseline.strategy, candidate.strategy):
        return judged
    known_OQG = _swapped_exposure(candidate, baseline)
    kind_m = (baseline.outcome_n.astype(np.int64) * known_OQG.shape[1] + candidate.outcome_n)[sample.at_m]
    exposure_m, shape = candidate.exposure_n()[sample.at_m], (-1, sample.segments)
    unseen_OQG = shortfall(sample, kind_m, exposure_m, known_OQG.reshape(shape)).reshape(known_OQG.shape)
    unseen_OQG *= (candidate.exposure_OG == candidate.framed_OG).all(0)  # who swaps outside of frames nobody counted
    if not unseen_OQG.any():
        return judged
    mine, theirs = (metric.per_outcome(side.given) for side in sides)
    found = []
    for x in (0, 2):
        with_c, with_b = (
            _with(ratio, unseen_OQG.sum(axis), counts_OX[:, x : x + 2])
            for axis, ratio, counts_OX in ((0, ratios[0], mine), (1, ratios[1], theirs))
        )
        found.append((with_c[0] - with_b[0], np.fmax(with_c[1], with_b[1])))
    return _reaching(candidate, unseen_OQG.sum(0), point, found, judged)


def _has_large(view: View) -> bool:
    """Return whether exposure by outcome is known, and some creatives may have much of it: not where each counts 1."""
    return view.question.scored is None and view.weighting != "creatives"


def _swapped_exposure(candidate: View, baseline: View) -> F64:
    """Return the exposure, known and imputed, of every pair of outcomes of baseline and candidate, (O, Q, G)."""
    totals, segments = candidate.question.totals, candidate.question.segments
    at = WEIGHTS.index(candidate.weighting)
    sums_OQC = totals.swap_OQCW[..., [at, at + 1]].sum(-1)[: len(baseline.exposure_OG), : len(candidate.exposure_OG)]
    return np.asarray((sums_OQC @ segments.member_GC.T.astype(np.int64)).astype(np.float64))


def _with(ratio: Ratio, more_OG: F64, counts_OX: F64) -> tuple[F64, F64]:
    """Return the ratio with some exposure more of each outcome, and what is left of its own weight in it."""
    top, whole = (more_OG[:, :, None] * counts_OX[:, None]).sum(0).T
    bottom = np.where(ratio.denominator + whole > 0, ratio.denominator + whole, np.nan)
    return (np.nan_to_num(ratio.estimate) * ratio.denominator + top) / bottom, ratio.denominator / bottom


def _reaching(view: View, unseen_OG: F64, point: F64, found: Sequence[tuple[F64, F64]], judged: Judged) -> Judged:
    """Return intervals that hold what is estimated, as far as it goes, with all of the unseen of one kind or the other.

    found : the number with it, and the weight of what is estimated in that.
    """
    known, whole_G, known_G = judged.intervals, unseen_OG.sum(0), view.framed_OG.sum(0)
    point = np.nan_to_num(point)
    low = np.fmin(*(value + left * (known.low - point) for value, left in found))
    high = np.fmax(*(value + left * (known.high - point) for value, left in found))
    low, high = (np.where(whole_G > 0, limit, np.nan) for limit in (low, high))
    further = (low < known.low - ROUNDING) | (high > known.high + ROUNDING)
    rule = np.where(further, np.char.add(known.rule.astype(str), UNSEEN), known.rule)
    text = f"of the known {view.weighting} no drawn creative stands for"
    warnings = [
        [f"{text} {whole_G[g] / known_G[g]:.1%}: the interval holds whatever their labels are"] if further[g] else mine
        for g, mine in enumerate(judged.warnings)
    ]
    low, high = (np.where(further, limit, np.nan) for limit in (low, high))
    return Judged(Intervals(np.fmin(known.low, low), np.fmax(known.high, high), rule), warnings)
