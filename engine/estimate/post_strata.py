"""Post-stratification: weights calibrated to creatives that are counted, of each category within each segment.

A category is a combination of attribute values. With N_k framed creatives of category k in a segment (an exact count),
and S_k the labelled ones there, every weight is multiplied by g = N_k / Σ_{S_k} w̃, so that the labels stand for each
category as it is. What g says of a category is known, so the variance of Σ w̃ g u is that of Σ w̃ g (u − ū_k), with ū_k
the weighted mean over S_k and u the linearised residual: only what categories do not explain varies.

Source: Särndal, Swensson, Wretman 1992, sections 6.6 (g weights in the variance) and 7.6 (post-strata); Valliant 1993,
J. Am. Stat. Assoc. 88, 89–96. It is what `postStratify` and `svyratio` of R's survey do; there the categories within a
segment are `interaction(category, inside)`, so that a creative outside of it still counts 0.

Assumes that ū_k is steady: categories with fewer than LEAST labels in a segment stand together, and if they are still
fewer, with the smallest category that has enough. A segment of one post-stratum has nothing to calibrate.

For `history` alone: what the categories of the `future` will be nobody has counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from engine.estimate.question import Question
from engine.estimate.sample import Sample
from engine.records import F64, I64, Flags

LEAST = 20  # labels of a post-stratum


@dataclass(frozen=True, kw_only=True)
class PostStratified(Sample):
    """A sample whose weight_m are calibrated; weight_n are those of the design.

    post_m : post-stratum of every entry, within its segment. calibrated_G : segments with at least two of them.
    """

    post_m: I64
    calibrated_G: Flags

    def unexplained(self, residual_m: F64) -> F64:
        """Return residuals about their weighted means over post-strata; of other segments as they are."""
        size = int(self.post_m.max(initial=-1)) + 1
        weight_P, total_P = (_totals(self.post_m, u_m, size) for u_m in (self.weight_m, self.weight_m * residual_m))
        mean_P = _over(total_P, weight_P)
        return np.where(self.calibrated_G[self.segment_m], residual_m - mean_P[self.post_m], residual_m)

    def history_spread(self, residual_m: F64) -> tuple[F64, F64]:
        """Return the audits' variance of Σ weight · residual of each segment, and degrees of freedom."""
        return super().history_spread(self.unexplained(residual_m))


def calibrated_sample(question: Question, answered: Sample) -> PostStratified | None:
    """Return the answered draws with weights calibrated as a question asks, None where it does not."""
    if not question.post_strata:
        return None
    segments = question.segments
    chosen = [segments.attributes.index(name) for name in question.post_strata]
    category_C = np.unique(segments.cell_level_CK[:, chosen], axis=0, return_inverse=True)[1].reshape(-1)
    framed_CG = (segments.member_GC * question.totals.whole_FCW[1, :, 0]).T
    framed_KG = np.zeros((int(category_C.max()) + 1, len(segments.name)))
    np.add.at(framed_KG, category_C, framed_CG)
    category_n = category_C[question.rows.cell_n[answered.rows_n]]
    return post_stratified(answered, category_n[answered.at_m], framed_KG.T)


def post_stratified(sample: Sample, category_m: I64, framed_GK: F64, least: int = LEAST) -> PostStratified:
    """Return a sample with weights calibrated to counts.

    Parameters
    ----------
    category_m : of every entry. framed_GK : creatives that could have been drawn, by segment and category.
    """
    categories = framed_GK.shape[1]
    place_m = sample.segment_m * categories + category_m
    labels_GK = np.bincount(place_m, minlength=framed_GK.size).reshape(framed_GK.shape)
    together = [merged(*row, least) for row in zip(labels_GK, framed_GK, strict=True)]
    post_GK = np.array(together, np.int64).reshape(framed_GK.shape) + np.arange(sample.segments)[:, None] * categories
    held_GK = (labels_GK > 0) & (framed_GK > 0)
    calibrated_G = np.array([len(set(row[held])) > 1 for row, held in zip(post_GK, held_GK, strict=True)], bool)
    post_m = post_GK.ravel()[place_m]
    framed_P = _totals(post_GK.ravel(), framed_GK.ravel(), framed_GK.size)
    g_P = _over(framed_P, _totals(post_m, sample.weight_m, framed_GK.size))
    weight_m = sample.weight_m * np.where(calibrated_G[sample.segment_m], g_P[post_m], 1.0)
    kept = {f.name: getattr(sample, f.name) for f in fields(Sample)}
    return PostStratified(**(kept | {"weight_m": weight_m}), post_m=post_m, calibrated_G=calibrated_G)


def merged(labels_K: I64, framed_K: F64, least: int) -> list[int]:
    """Return the post-stratum of each category of a segment: its own number, or that of those it stands with."""
    enough_K = (labels_K >= least) & (framed_K > 0)
    rest_K = ~enough_K & ((labels_K > 0) | (framed_K > 0))
    place = int(np.argmax(rest_K))
    if enough_K.any() and (labels_K[rest_K].sum() < least or not framed_K[rest_K].any()):
        place = int(np.argmin(np.where(enough_K, labels_K, np.iinfo(np.int64).max)))
    return [place if rest else k for k, rest in enumerate(rest_K.tolist())]


def post_strata_words(attributes: Sequence[str]) -> str:
    """Return what a report says of rates whose weights are calibrated."""
    return (
        "Rates of this history that need labels are Hájek ratios whose weights are calibrated to the counted creatives "
        f"by {' × '.join(attributes)} within each segment, where `estimator` says `post_strata`; "
        f"categories with fewer than {LEAST} labels stand together."
    )


def _totals(place_m: I64, value_m: F64, size: int) -> F64:
    return np.bincount(place_m, value_m, size).astype(np.float64)


def _over(top: F64, whole: F64) -> F64:
    return np.where(whole > 0, top / np.where(whole > 0, whole, 1.0), 0.0)
