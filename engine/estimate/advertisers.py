"""The variance that `future` asks for: of sums over advertisers who might as well have been others, seen by an audit.

Model and design variance add up (Graubard and Korn 2002, Statistical Science 17, 73–96): the spread between advertisers
of the sums over all their creatives, and the audit's own. The plain spread of weighted sums (`Sample.cluster_spread`)
has both, but takes a stratified audit for an unstratified one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.estimate.sample import ClusterSpread, Sample
from engine.records import F64


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


def future_spread(sample: Sample, residual_m: F64) -> ClusterSpread:
    """Return the spread of a weighted sum over redrawn histories; of clusters drawn whole, the plain one."""
    if sample.clustered or sample.strata.clustered:
        return sample.cluster_spread(residual_m)
    spread = between_advertisers(sample, residual_m)
    return replace(spread, variance=spread.variance + sample.history_spread(residual_m)[0])
