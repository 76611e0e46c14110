"""The probability sample behind an estimate, its segments, and the two variances of a total over it.

`history`: the audits alone are random; each stratum varies as it was drawn (see `strata`), the strata of all audits on
their own. Answers are taken as a simple random part of what was drawn within a stratum (labels missing at random within
a stratum).

`future`: advertisers are primary units drawn with replacement from creatives like these (Särndal, Swensson, Wretman
1992, eq. 4.6.2, the ultimate-cluster variance), without finite-population correction.

Everything is computed for all G segments at once: draws stand once per attribute (m entries), each with its segment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.estimate.groups import Groups, edges, group
from engine.estimate.strata import (
    Strata,
    answering_spread,
    fixed_size_spread,
    one_by_one_parts,
    one_by_one_spread,
    one_poisson_stratum,
    strata_of,
)
from engine.estimate.sum_kernels import power_sums, segment_sums, weighted_totals
from engine.records import F64, I64, Draws, Flags, LabelledRows, ScoredSample, Segments, single_draws

HISTORY, FUTURE = "history", "future"
_PLENTY = 1e6  # degrees of freedom where nothing varies
INFERENCES = (HISTORY, FUTURE)


@dataclass(frozen=True)
class Sample:
    """n draws with design weights, spread over segments.

    rows_n : positions in LabelledRows; a creative that two audits drew stands there twice, a part of it each.
    weight_n : part/π, corrected for the unanswered. base_n : 1/π, so corrected. chance_n : π itself (of the cluster,
    where clusters were drawn). unit_n : the cluster, -1 where the creative itself was drawn.
    at_m, segment_m : for every segment the draws in it. key_m : segment × stratum. cluster_m : (segment, advertiser)
    pair. cluster_segment_T : segment of each of the T pairs.
    census_G : the rows are all creatives of the segment, and weigh the same. clustered : advertisers were drawn whole
    (Poisson sampling of advertisers), so that they are the units of `history` too.
    """

    rows_n: I64
    weight_n: F64
    base_n: F64
    chance_n: F64
    unit_n: I64
    strata: Strata
    weight_m: F64
    at_m: I64
    segment_m: I64
    key_m: I64
    cluster_m: I64
    cluster_segment_T: I64
    census_G: Flags
    clustered: bool = False

    @property
    def segments(self) -> int:
        return len(self.census_G)

    def sums(self, value_m: F64) -> F64:
        """Return Σ value of each segment, shape (G,)."""
        return segment_sums(self.edge_G, value_m)

    @cached_property
    def edge_G(self) -> I64:
        """Where the entries of each segment start, and last where all end."""
        return edges(self.segment_m, self.segments)

    @cached_property
    def cluster_edge_G(self) -> I64:
        """Where the (segment, advertiser) pairs of each segment start, and last where all end."""
        return edges(self.cluster_segment_T, self.segments)

    @cached_property
    def base_m(self) -> F64:
        """1/π of every entry, corrected for the unanswered."""
        return self.base_n[self.at_m]

    @cached_property
    def creatives(self) -> Groups:
        """The entries by creative: draws of several audits are one."""
        return self._groups(self.rows_n)

    @cached_property
    def units(self) -> Groups:
        """The entries by what was drawn: a cluster, else a creative."""
        own = self.rows_n + int(self.unit_n.max(initial=-1)) + 1
        return self._groups(np.where(self.unit_n >= 0, self.unit_n, own))

    def history_spread(self, residual_m: F64) -> tuple[F64, F64]:
        """Return the audits' variance of Σ weight · residual of each segment (0 outside it), and degrees of freedom.

        Degrees of freedom are 2 (Σv)²/Σv² over the units' parts v of the variance (Satterthwaite 1946, with Σv² for the
        variance of Σv): a variance that few rows of a thinly drawn stratum carry is itself uncertain.
        """
        if self.clustered:
            return self._drawn_whole(self.weight_m * residual_m)
        strata = self.strata
        variance, whole, fourth = one_by_one_spread(
            strata, self.edge_G, self.key_m, self.weight_m, residual_m, self.base_m
        )
        if "pps" in strata.method_H:
            u = self.weight_m * residual_m
            fixed = fixed_size_spread(strata, u, 1 / self.base_m, self.key_m, self.segments)
            variance = np.where(strata.drawn_by("pps"), fixed, variance)
        if strata.clustered:
            return self._clusters_drawn(self.weight_m * residual_m, variance)
        return np.maximum(variance.sum(1), 0.0), self._satterthwaite(whole, fourth)

    def _clusters_drawn(self, u: F64, variance: F64) -> tuple[F64, F64]:
        """Return variance and degrees of freedom where some strata drew clusters."""
        strata, units, H = self.strata, self.units, len(self.strata.take_H)
        chance_m = self.chance_n[self.at_m]
        drawn_whole = strata.drawn_by("cluster")
        inside_m = drawn_whole[self.key_m % H]
        chance_T, key_T = chance_m[units.first_T], self.key_m[units.first_T]
        total_T = units.totals(u * inside_m)
        between = fixed_size_spread(strata, total_T, chance_T, key_T, self.segments)
        within, answering_m = answering_spread(strata, u, chance_m, self.key_m, self.segments)
        variance = np.where(drawn_whole, np.maximum(between, 0.0) + within, variance)
        part_m = np.where(inside_m, answering_m, one_by_one_parts(strata, u, self.base_m, self.key_m))
        part_T = units.totals(part_m) + (1.0 - chance_T) * total_T**2
        df = self._satterthwaite(units.by_segment(part_T), units.by_segment(part_T**2))
        return np.maximum(variance.sum(1), 0.0), df

    def _drawn_whole(self, u: F64) -> tuple[F64, F64]:
        """Return the spread of Poisson sampling of advertisers: Σ (1 − p) U², U the weighted sum of an advertiser."""
        part_m = u * np.sqrt(1 - 1 / self.weight_m)  # what is certain to be in the sample does not vary
        v_T = np.bincount(self.cluster_m, part_m, len(self.cluster_segment_T)) ** 2
        variance = np.bincount(self.cluster_segment_T, v_T, self.segments).astype(np.float64)
        fourth = np.bincount(self.cluster_segment_T, v_T**2, self.segments).astype(np.float64)
        return variance, self._satterthwaite(variance, fourth)

    @staticmethod
    def _satterthwaite(whole: F64, fourth: F64) -> F64:
        effective = np.where(fourth > 0, whole**2 / np.where(fourth > 0, fourth, 1.0), _PLENTY)
        return np.maximum(2.0 * effective, 1.0)

    def entries(self, segments: NDArray[np.integer]) -> I64:
        """Return the places of the entries of some segments, in their order."""
        return np.concatenate([np.arange(self.edge_G[g], self.edge_G[g + 1]) for g in segments])

    def part(self, at: I64) -> Sample:
        """Return the sample with some of its entries; every pair of segment and advertiser keeps its place."""
        return replace(
            self,
            weight_m=self.weight_m[at],
            at_m=self.at_m[at],
            segment_m=self.segment_m[at],
            key_m=self.key_m[at],
            cluster_m=self.cluster_m[at],
        )

    def _groups(self, code_n: I64) -> Groups:
        return group(code_n[self.at_m], self.segment_m, self.segments)

    def cluster_totals(self, value_m: F64) -> F64:
        """Return Σ weight · value of each (segment, advertiser), shape (T,)."""
        return weighted_totals(self.cluster_m, len(self.cluster_segment_T), self.weight_m, value_m)


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
    clusters = np.diff(sample.cluster_edge_G).astype(np.float64)
    first, whole, fourth, biggest = power_sums(sample.cluster_edge_G, total_T)
    mean = first / np.maximum(clusters, 1)
    centred = np.maximum(whole - clusters * mean**2, 0.0)
    variance = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1) * centred, np.nan)
    effective = np.where(fourth > 0, whole**2 / np.where(fourth > 0, fourth, 1), clusters)
    largest = np.where(whole > 0, biggest / np.where(whole > 0, whole, 1), 0.0)
    return ClusterSpread(variance, clusters, effective, largest)


def largest_cluster(sample: Sample, total_T: F64, segment: int) -> int:
    """Return the (segment, advertiser) pair with the largest total of a segment."""
    first, last = sample.cluster_edge_G[segment : segment + 2]
    return int(first + np.argmax(total_T[first:last] ** 2))


def answered_sample(rows: LabelledRows, policy: int, segments: Segments, creatives_G: F64) -> Sample:
    """Return the draws whose label for a policy is concluded, weights corrected for the unanswered.

    creatives_G : how many creatives each segment holds.
    """
    draws = _draws(rows)
    answered_d = draws.answered_dQ[:, policy]
    return _sample(rows, draws, answered_d, rows.design.answered_HQ[:, policy], segments, creatives_G)


def drawn_sample(rows: LabelledRows, segments: Segments, creatives_G: F64) -> Sample:
    """Return all draws: enough for numbers that read no label."""
    draws = _draws(rows)
    return _sample(rows, draws, np.ones(len(draws.row_d), bool), rows.design.drawn_H, segments, creatives_G)


def sample_of_all(scored: ScoredSample, segments: Segments, creatives_G: F64) -> Sample:
    """Return the scored creatives as a sample of all: Poisson sampling, or the audits' own design where share is 0."""
    if scored.share == 0.0:
        return drawn_sample(scored.rows, segments, creatives_G)
    size = len(scored.weight_n)
    draws = Draws(
        np.arange(size),
        np.zeros(size, np.int32),
        1.0 / scored.weight_n,
        np.ones(size),
        np.full(size, -1, np.int64),
        np.ones((size, 1), bool),
    )
    sample = _spread(scored.rows, draws, scored.weight_n, one_poisson_stratum(), segments, creatives_G)
    return replace(sample, clustered=scored.clustered)


def _draws(rows: LabelledRows) -> Draws:
    return rows.draws or single_draws(rows.stratum_n, rows.pi_n, rows.y_nQ >= 0)


def _sample(
    rows: LabelledRows, draws: Draws, answered_d: Flags, take_H: I64, segments: Segments, creatives_G: F64
) -> Sample:
    strata = strata_of(rows.design, draws, take_H, answered_d)
    chosen = draws.take(answered_d & (draws.row_d >= 0))
    base_n = 1.0 / (chosen.chance_d * strata.answered_H[chosen.stratum_d])
    return _spread(rows, chosen, base_n, strata, segments, creatives_G)


def _spread(
    rows: LabelledRows, draws: Draws, base_n: F64, strata: Strata, segments: Segments, creatives_G: F64
) -> Sample:
    at_m, segment_m = _spread_rows(rows.cell_n[draws.row_d], segments)
    advertiser_n = rows.advertiser_n[draws.row_d]
    pair, cluster_m = np.unique(segment_m * (advertiser_n.max(initial=0) + 1) + advertiser_n[at_m], return_inverse=True)
    weight_n = base_n * draws.part_d
    sample = Sample(
        rows_n=draws.row_d,
        weight_n=weight_n,
        base_n=base_n,
        chance_n=draws.chance_d,
        unit_n=draws.cluster_d,
        strata=strata,
        weight_m=weight_n[at_m],
        at_m=at_m,
        segment_m=segment_m,
        key_m=segment_m * len(strata.take_H) + draws.stratum_d[at_m],
        cluster_m=cluster_m,
        cluster_segment_T=pair // (advertiser_n.max(initial=0) + 1),
        census_G=np.zeros(len(segments.name), bool),
    )
    every_G = sample.creatives.count(np.ones(len(at_m), bool)) == creatives_G
    return replace(sample, census_G=every_G & sample.creatives.equal(sample.weight_m))


def _spread_rows(cell_n: I64, segments: Segments) -> tuple[I64, I64]:
    """Return (row, segment) of every pair in which the segment contains the row."""
    parts = [np.flatnonzero(member_C[cell_n]) for member_C in segments.member_GC]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
