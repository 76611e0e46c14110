"""The variance that `future` asks for: of sums over advertisers who might as well have been others, seen by an audit.

Model and design variance add up (Graubard and Korn 2002, Statistical Science 17, 73–96): the spread between advertisers
of the sums over all their creatives, and the audit's own. The plain spread of weighted sums (`Sample.cluster_spread`)
has both, but takes a stratified audit for an unstratified one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.estimate.sample import ClusterSpread, Sample
from engine.estimate.sum_kernels import power_sums
from engine.records import F64, I64

LARGE = 0.25  # of the pairs of creatives of one advertiser
MOST_DOUBT = 0.25  # of the variance


def between_advertisers(sample: Sample, residual_m: F64) -> ClusterSpread:
    """Return the spread between advertisers of the sums over all their creatives: the audit's own doubt is taken off.

    An advertiser's weighted sum has the variance of draws that know nothing of each other, Σ (1 − π) u² (its share of a
    stratum is small); where clusters were drawn, that of the audit. Never below the spread of independent creatives.
    """
    spread = sample.cluster_spread(residual_m)
    if sample.clustered or sample.strata.clustered:
        doubt = sample.history_spread(residual_m)[0]
    else:
        doubt = sample.one_by_one_doubt(residual_m)
    return replace(spread, variance=np.maximum(spread.variance - doubt, sample.independent_spread(residual_m)))


def known_spread(sample: Sample, residual_m: F64, exposure_m: F64) -> ClusterSpread:
    """Return the spread between advertisers for a sum that is known: nothing but advertisers is random.

    How far a large advertiser happens to lie off says little about how far it might: the others say it too
    (`_as_others`), and the larger of the two counts. Where the audit's doubt is most of what shows between advertisers,
    half of the standard error that it adds is on top, up to MOST_DOUBT: degrees of freedom do not know of it.
    """
    plain, spread = sample.cluster_spread(residual_m), between_advertisers(sample, residual_m)
    variance = np.maximum(spread.variance, _as_others(sample, residual_m, exposure_m))
    hidden = np.maximum(plain.variance**2 - variance**2, 0.0) * 2.0 / np.maximum(spread.effective, 1.0)
    return replace(spread, variance=variance + np.minimum(np.sqrt(hidden) / 2, MOST_DOUBT * variance))


def _as_others(sample: Sample, residual_m: F64, exposure_m: F64) -> F64:
    """Return the variance if creatives of the largest advertiser resembled each other as those of others do.

    What creatives of one advertiser have in common adds to the variance as many times as there are pairs of them,
    weighted by exposure. 0 where no advertiser has LARGE of all pairs.
    """
    expected = np.zeros(sample.segments)
    if sample.clustered or sample.strata.clustered:
        return expected
    pairs, most, biggest_G = _pairs(sample, exposure_m)
    large = (most > LARGE * pairs) & (pairs > 0)
    if not large.any():
        return expected
    less = sample.without(biggest_G[large].tolist())
    rest, kept = less.sample, less.kept
    other_m, exposure_m = residual_m[less.at] * kept, exposure_m[less.at] * kept
    alike = np.nan_to_num(rest.cluster_spread(other_m).variance) - _single(rest, other_m)
    others, _, _ = _pairs(rest, exposure_m)
    times = np.where(others > 0, pairs / np.where(others > 0, others, 1.0), 0.0)
    expected = sample.independent_spread(residual_m) + np.maximum(alike, 0.0) * times
    return np.where(large, expected, 0.0)


def _pairs(sample: Sample, value_m: F64) -> tuple[F64, F64, I64]:
    """Return Σ (weight · value)(weight · value) over pairs of an advertiser's creatives, the largest total, and whose.

    The largest is squared: what it adds to the sum, but for creatives paired with themselves.
    """
    (_, whole, _, _, most), biggest_G = power_sums(sample.cluster_edge_G, sample.cluster_totals(value_m))
    return whole - _single(sample, value_m), most, biggest_G


def _single(sample: Sample, value_m: F64) -> F64:
    """Return Σ (weight · value)² of each segment: of creatives, paired with themselves."""
    return sample.one_by_one_doubt(value_m) + sample.independent_spread(value_m)


def future_spread(sample: Sample, residual_m: F64) -> ClusterSpread:
    """Return the spread of a weighted sum over redrawn histories; of clusters drawn whole, the plain one."""
    if sample.clustered or sample.strata.clustered:
        return sample.cluster_spread(residual_m)
    spread = between_advertisers(sample, residual_m)
    return replace(spread, variance=spread.variance + sample.history_spread(residual_m)[0])
