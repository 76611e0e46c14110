"""The probability sample behind an estimate, its segments, and the two variances of a total over it.

`history`: the audit alone is random. Simple random sampling within strata with finite-population correction
(Särndal, Swensson, Wretman 1992, eq. 3.7.4), Poisson sampling (eq. 3.5.3). Answers are taken as a simple random part of
what was drawn within a stratum (labels missing at random within a stratum), so their number replaces the drawn one.

`future`: advertisers are primary units drawn with replacement from creatives like these (ibid., eq. 4.6.2, the
ultimate-cluster variance), without finite-population correction.

Everything is computed for all G segments at once: the rows stand once per attribute (m entries), each with its segment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import F64, I32, I64, Flags, LabelledRows, ScoredSample, Segments

HISTORY, FUTURE = "history", "future"
_PLENTY = 1e6  # degrees of freedom where nothing varies
INFERENCES = (HISTORY, FUTURE)


@dataclass(frozen=True)
class Sample:
    """n rows with design weights, spread over segments.

    rows_n : positions in LabelledRows. weight_n : 1/π, corrected for the unanswered.
    at_m, segment_m : for every segment the sample rows in it. key_m : segment × stratum. cluster_m : (segment,
    advertiser)
    pair. cluster_segment_T : segment of each of the T pairs. take_H : rows per stratum that the weights stand for.
    census_G : the rows are all creatives of the segment. clustered : advertisers were drawn whole (Poisson sampling of
    advertisers), so that they are the units of `history` too.
    """

    rows_n: I64
    weight_n: F64
    weight_m: F64
    at_m: I64
    segment_m: I64
    key_m: I64
    cluster_m: I64
    cluster_segment_T: I64
    census_G: Flags
    srs_H: Flags
    population_H: I64
    take_H: I64
    clustered: bool = False

    @property
    def segments(self) -> int:
        return len(self.census_G)

    def sums(self, value_m: F64) -> F64:
        """Return Σ value of each segment, shape (G,)."""
        return np.bincount(self.segment_m, value_m, self.segments).astype(np.float64)

    def history_spread(self, residual_m: F64) -> tuple[F64, F64]:
        """Return the audit variance of Σ weight · residual of each segment (0 outside it), and its degrees of freedom.

        Degrees of freedom are 2 (Σv)²/Σv² over the rows' parts v of the variance (Satterthwaite 1946, with Σv² for the
        variance of Σv): a variance that few rows of a thinly drawn stratum carry is itself uncertain.
        """
        u = self.weight_m * residual_m
        if self.clustered:
            return self._drawn_whole(u)
        shape = (self.segments, len(self.take_H))
        first = np.bincount(self.key_m, u, shape[0] * shape[1]).reshape(shape)
        second = np.bincount(self.key_m, u * u, shape[0] * shape[1]).reshape(shape)
        take = np.maximum(self.take_H, 1)
        spread = np.where(take > 1, take / np.maximum(take - 1, 1) * (second - first**2 / take), second)
        variance = (1 - self.take_H / np.maximum(self.population_H, 1)) * spread
        if not self.srs_H.all():
            poisson = np.bincount(self.key_m, u * u * (1 - 1 / self.weight_m), shape[0] * shape[1])
            variance = np.where(self.srs_H, variance, poisson.reshape(shape))
        left = 1 - self.take_H / np.maximum(self.population_H, 1)
        v = (
            u
            * u
            * np.where(self.srs_H, left, 1.0)[self.key_m % shape[1]]
            * np.where(self.srs_H[self.key_m % shape[1]], 1.0, 1 - 1 / self.weight_m)
        )
        fourth = self.sums(v * v)
        effective = np.where(fourth > 0, self.sums(v) ** 2 / np.where(fourth > 0, fourth, 1.0), _PLENTY)
        return np.maximum(variance.sum(1), 0.0), np.maximum(2.0 * effective, 1.0)

    def _drawn_whole(self, u: F64) -> tuple[F64, F64]:
        """Return the spread of Poisson sampling of advertisers: Σ (1 − p) U², U the weighted sum of an advertiser."""
        part_m = u * np.sqrt(1 - 1 / self.weight_m)  # what is certain to be in the sample does not vary
        v_T = np.bincount(self.cluster_m, part_m, len(self.cluster_segment_T)) ** 2
        variance = np.bincount(self.cluster_segment_T, v_T, self.segments).astype(np.float64)
        fourth = np.bincount(self.cluster_segment_T, v_T**2, self.segments)
        effective = np.where(fourth > 0, variance**2 / np.where(fourth > 0, fourth, 1.0), _PLENTY)
        return variance, np.maximum(2.0 * effective, 1.0)

    def cluster_totals(self, value_m: F64) -> F64:
        """Return Σ weight · value of each (segment, advertiser), shape (T,)."""
        return np.bincount(self.cluster_m, self.weight_m * value_m, len(self.cluster_segment_T)).astype(np.float64)


@dataclass(frozen=True)
class ClusterSpread:
    """Between-advertiser variance of each segment, shape (G,).

    effective : (Σv)²/Σv² of the advertisers' parts v. largest : the biggest part over the whole.
    """

    variance: F64
    clusters: F64
    effective: F64
    largest: F64


def cluster_spread(sample: Sample, total_T: F64) -> ClusterSpread:
    """Return the with-replacement variance of sums of advertiser totals; NaN where there are fewer than two."""
    g_T, size = sample.cluster_segment_T, sample.segments
    clusters = np.bincount(g_T, minlength=size).astype(np.float64)
    mean = np.bincount(g_T, total_T, size) / np.maximum(clusters, 1)
    v_T = total_T**2
    whole, fourth = np.bincount(g_T, v_T, size), np.bincount(g_T, v_T**2, size)
    centred = np.maximum(whole - clusters * mean**2, 0.0)
    variance = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1) * centred, np.nan)
    effective = np.where(fourth > 0, whole**2 / np.where(fourth > 0, fourth, 1), clusters)
    biggest = np.zeros(size)
    filled = clusters > 0
    first = np.searchsorted(g_T, np.arange(size))  # the pairs of a segment stand together
    if filled.any():
        biggest[filled] = np.maximum.reduceat(v_T, first[filled])
    largest = np.where(whole > 0, biggest / np.where(whole > 0, whole, 1), 0.0)
    return ClusterSpread(variance, clusters, effective, largest)


def largest_cluster(sample: Sample, total_T: F64, segment: int) -> int:
    """Return the (segment, advertiser) pair with the largest total of a segment."""
    first, last = np.searchsorted(sample.cluster_segment_T, [segment, segment + 1])
    return int(first + np.argmax(total_T[first:last] ** 2))


def answered_sample(rows: LabelledRows, policy: int, segments: Segments, creatives_G: F64) -> Sample:
    """Return the drawn rows whose label for a policy is concluded, weights corrected for the unanswered.

    creatives_G : how many creatives each segment holds.
    """
    chosen = np.flatnonzero((rows.stratum_n >= 0) & (rows.y_nQ[:, policy] >= 0))
    return _sample(rows, chosen, rows.design.answered_HQ[:, policy], segments, creatives_G)


def drawn_sample(rows: LabelledRows, segments: Segments, creatives_G: F64) -> Sample:
    """Return all drawn rows: enough for numbers that read no label."""
    return _sample(rows, np.flatnonzero(rows.stratum_n >= 0), rows.design.drawn_H, segments, creatives_G)


def sample_of_all(scored: ScoredSample, segments: Segments, creatives_G: F64) -> Sample:
    """Return the scored creatives as a sample of all: Poisson sampling, or the audit's own design where share is 0."""
    if scored.share == 0.0:
        return drawn_sample(scored.rows, segments, creatives_G)
    everybody = np.arange(len(scored.weight_n))
    one = np.ones(1, np.int64)
    methods = _Methods(np.zeros(1, bool), one, one, scored.clustered)
    stratum_n = np.zeros(len(everybody), np.int32)
    return _spread(scored.rows, everybody, scored.weight_n, stratum_n, methods, segments, creatives_G)


@dataclass(frozen=True)
class _Methods:
    """How each stratum was drawn."""

    srs_H: Flags
    population_H: I64
    take_H: I64
    clustered: bool = False


def _sample(rows: LabelledRows, chosen: I64, take_H: I64, segments: Segments, creatives_G: F64) -> Sample:
    stratum_n: I32 = rows.stratum_n[chosen]
    answered = take_H / np.maximum(rows.design.drawn_H, 1)
    weight_n = 1.0 / (rows.pi_n[chosen] * answered[stratum_n])
    srs_H = np.array([method == "srs" for method in rows.design.method_H], bool)
    methods = _Methods(srs_H, rows.design.population_H, take_H)
    return _spread(rows, chosen, weight_n, stratum_n, methods, segments, creatives_G)


def _spread(
    rows: LabelledRows,
    chosen: I64,
    weight_n: F64,
    stratum_n: I32,
    methods: _Methods,
    segments: Segments,
    creatives_G: F64,
) -> Sample:
    at_m, segment_m = _spread_rows(rows.cell_n[chosen], segments)
    advertiser_n = rows.advertiser_n[chosen]
    pair, cluster_m = np.unique(segment_m * (advertiser_n.max(initial=0) + 1) + advertiser_n[at_m], return_inverse=True)
    return Sample(
        rows_n=chosen,
        weight_n=weight_n,
        weight_m=weight_n[at_m],
        at_m=at_m,
        segment_m=segment_m,
        key_m=segment_m * len(methods.take_H) + stratum_n[at_m],
        cluster_m=cluster_m,
        cluster_segment_T=pair // (advertiser_n.max(initial=0) + 1),
        census_G=np.bincount(segment_m, minlength=len(segments.name)) == creatives_G,
        srs_H=methods.srs_H,
        population_H=methods.population_H,
        take_H=methods.take_H,
        clustered=methods.clustered,
    )


def _spread_rows(cell_n: I64, segments: Segments) -> tuple[I64, I64]:
    """Return (row, segment) of every pair in which the segment contains the row."""
    parts = [np.flatnonzero(member_C[cell_n]) for member_C in segments.member_GC]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
