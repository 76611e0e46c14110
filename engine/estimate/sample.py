"""The probability sample behind an estimate, and the two variances of a total over it.

`history`: the audit alone is random. Simple random sampling within strata with finite-population correction
(Särndal, Swensson, Wretman 1992, eq. 3.7.4), Poisson sampling (eq. 3.5.3). Answers are taken as a simple random part of
what was drawn within a stratum (labels missing at random within a stratum), so their number replaces the drawn one.

`future`: advertisers are primary units drawn with replacement from creatives like these (ibid., eq. 4.6.2, the
ultimate-cluster variance), without finite-population correction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import F64, I32, I64, Design, Flags, LabelledRows

HISTORY, FUTURE = "history", "future"
INFERENCES = (HISTORY, FUTURE)


@dataclass(frozen=True)
class Sample:
    """n rows with their design weight; what the variances of Σ weight · value need.

    take_H : rows per stratum that the weights stand for. lonely : some stratum has one row that stands for more.
    """

    rows_n: I64
    weight_n: F64
    stratum_n: I32
    advertiser_n: I64
    srs_H: Flags
    population_H: I64
    take_H: I64

    def history_variance(self, value_n: F64, at: I64) -> float:
        """Return the variance of Σ weight · value over the rows `at`, all other rows being 0."""
        u = self.weight_n[at] * value_n
        h = self.stratum_n[at]
        size = len(self.take_H)
        first, second = np.bincount(h, u, size), np.bincount(h, u * u, size)
        take = np.maximum(self.take_H, 1)
        spread = np.where(take > 1, take / np.maximum(take - 1, 1) * (second - first**2 / take), second)
        variance = (1 - self.take_H / np.maximum(self.population_H, 1)) * spread
        if not self.srs_H.all():
            poisson = np.bincount(h, u * u * (1 - 1 / self.weight_n[at]), size)
            variance = np.where(self.srs_H, variance, poisson)
        return max(0.0, float(variance.sum()))

    def is_census(self, at: I64) -> bool:
        """Return whether each of the rows `at` stands for itself alone."""
        return bool((self.weight_n[at] <= 1.0).all())

    def cluster_totals(self, value_n: F64, at: I64) -> F64:
        """Return Σ weight · value of each advertiser among the rows `at`."""
        code = self.advertiser_n[at]
        present = np.bincount(code) > 0
        return np.asarray(np.bincount(code, self.weight_n[at] * value_n)[present])


@dataclass(frozen=True)
class ClusterSpread:
    """Variance between advertisers. effective: (Σv)²/Σv² of their shares v. largest: the biggest share of the variance."""

    variance: float
    clusters: int
    effective: float
    largest: float


def cluster_spread(total_A: F64) -> ClusterSpread:
    """Return the with-replacement variance of a sum of advertiser totals whose expected value is 0 (residuals)."""
    count = len(total_A)
    v = total_A**2
    whole = float(v.sum())
    if count < 2 or whole == 0.0:
        return ClusterSpread(0.0 if count > 1 else float("nan"), count, float(count), 1.0 if count == 1 else 0.0)
    variance = count / (count - 1) * float(((total_A - total_A.mean()) ** 2).sum())
    return ClusterSpread(variance, count, whole**2 / float((v**2).sum()), float(v.max()) / whole)


def answered_sample(rows: LabelledRows, policy: int) -> Sample:
    """Return the drawn rows whose label for a policy is concluded, weights corrected for the unanswered."""
    chosen = np.flatnonzero((rows.stratum_n >= 0) & (rows.y_nQ[:, policy] >= 0))
    return _sample(rows, chosen, rows.design.answered_HQ[:, policy])


def drawn_sample(rows: LabelledRows) -> Sample:
    """Return all drawn rows: enough for numbers that read no label."""
    return _sample(rows, np.flatnonzero(rows.stratum_n >= 0), rows.design.drawn_H)


def _sample(rows: LabelledRows, chosen: I64, take_H: I64) -> Sample:
    design: Design = rows.design
    stratum_n = rows.stratum_n[chosen]
    answered = take_H / np.maximum(design.drawn_H, 1)
    return Sample(
        rows_n=chosen,
        weight_n=1.0 / (rows.pi_n[chosen] * answered[stratum_n]),
        stratum_n=stratum_n,
        advertiser_n=rows.advertiser_n[chosen],
        srs_H=np.array([method == "srs" for method in design.method_H], bool),
        population_H=design.population_H,
        take_H=take_H,
    )
