"""The probability sample behind an estimate, its segments, and the two variances of a total over it.

`history`: the audits alone are random; each stratum varies as it was drawn (see `strata`), the strata of all audits on
their own. Answers are taken as a simple random part of what was drawn within a stratum (labels missing at random within
a stratum).

`future`: advertisers are primary units drawn with replacement from creatives like these (Särndal, Swensson, Wretman
1992, eq. 4.6.2, the ultimate-cluster variance), without finite-population correction.

Everything is computed for all G segments at once: draws stand once per attribute (m entries), each with its segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.estimate.groups import Groups, edges, group
from engine.estimate.interval import kish
from engine.estimate.strata import (
    Strata,
    answering_spread,
    fixed_size_spread,
    one_by_one_cubes,
    one_by_one_parts,
    one_by_one_spread,
    one_poisson_stratum,
    strata_of,
)
from engine.estimate.sum_kernels import power_sums, ratio_sums, segment_sums, weighted_totals
from engine.records import F64, I8, I16, I64, Draws, Flags, LabelledRows, ScoredSample, Segments, single_draws

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

    def history_cubes(self, residual_m: F64) -> tuple[F64, F64]:
        """Return the third moment of Σ weight · residual as the audits drew, and its covariance with its variance's.

        Drawn without replacement at a share π (of a stratum, or a unit's own), a unit's third power counts
        (1 − π)(1 − 2π) in the first and (1 − π)² in the second. 0 where clusters were drawn.
        """
        none = np.zeros(self.segments)
        if self.strata.clustered or self.clustered:
            return none, none
        u_m = self.weight_m * self.unexplained(residual_m)
        return one_by_one_cubes(self.strata, self.segments, self.key_m, u_m, self.base_m)

    def unexplained(self, residual_m: F64) -> F64:
        """Return what varies of residuals: all of them, where no count of creatives explains a part (`post_strata`)."""
        return residual_m

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

    def outcomes(self, rows: LabelledRows, strategy: int) -> I16:
        """Return the outcome of every draw under a strategy."""
        return rows.outcome_Sn[strategy, self.rows_n]

    def truths(self, rows: LabelledRows, policy: int) -> I8:
        """Return the label of every draw for a policy, negative where there is none."""
        return rows.y_nQ[self.rows_n, policy]

    def exposures(self, rows: LabelledRows, weighting: int, imputed_times: float) -> F64:
        """Return the exposure of every draw, imputed exposure counted `imputed_times`."""
        known_n, imputed_n = rows.known_Wn[weighting, self.rows_n], rows.imputed_Wn[weighting, self.rows_n]
        return np.nan_to_num(known_n) + imputed_times * imputed_n

    def count(self, chosen_m: Flags) -> F64:
        """Return how many creatives of each segment are chosen."""
        return self.creatives.count(chosen_m)

    def counted(self, chosen_m: Flags) -> F64:
        """Return Σ weight of the chosen entries of each segment."""
        return self.sums(self.weight_m * chosen_m)

    def squares(self, a_m: F64, b_m: F64) -> F64:
        """Return Σ (weight · a)(weight · b) over the creatives of each segment."""
        return self.creatives.products(self.weight_m * a_m, self.weight_m * b_m)

    def drawn_squares(self, b_m: F64) -> F64:
        """Return Σ (weight · b)² over what was drawn: clusters, else creatives."""
        v_m = self.weight_m * b_m
        return self.units.products(v_m, v_m)

    def drawn_count(self, b_m: F64) -> F64:
        """Return how many of what was drawn have a positive b."""
        return self.units.count(b_m > 0)

    def parts(self, a_m: F64, b_m: F64, low: float, high: float) -> F64:
        """Return what the ratio Σ weight a / Σ weight b rests on where each entry is alone: see `ratio_sums`."""
        return ratio_sums(self.edge_G, self.weight_m, a_m, b_m, low, high)

    def independent_spread(self, residual_m: F64) -> F64:
        """Return Σ weight · residual² of each segment: the variance over all of independent creatives."""
        return self.sums(self.weight_m * residual_m * residual_m)

    def one_by_one_doubt(self, residual_m: F64) -> F64:
        """Return Σ (1 − π) (weight · residual)² of each segment: what draws that know nothing of each other add."""
        u = self.weight_m * residual_m
        return self.sums(u * u * (1.0 - 1.0 / self.base_m))

    @cached_property
    def entries_G(self) -> F64:
        """Creatives of each segment."""
        return self.creatives.count(np.ones(len(self.at_m), bool))

    @cached_property
    def size_G(self) -> F64:
        """The effective number of creatives of each segment (Kish)."""
        return kish(self.sums(self.weight_m), self.creatives.products(self.weight_m, self.weight_m))

    @cached_property
    def heaviest_G(self) -> F64:
        """The largest weight of each segment."""
        heaviest = np.zeros(self.segments)
        np.maximum.at(heaviest, self.segment_m, self.weight_m)
        return heaviest

    def without(self, dropped: Sequence[int]) -> Reduced:
        """Return the segments of some (segment, advertiser) pairs without them; every pair keeps its place."""
        kept = np.unique(self.cluster_segment_T[list(dropped)])
        at = np.concatenate([np.arange(self.edge_G[g], self.edge_G[g + 1]) for g in kept])
        kept_T = np.ones(len(self.cluster_segment_T), bool)
        kept_T[list(dropped)] = False
        part = replace(
            self,
            weight_m=self.weight_m[at],
            at_m=self.at_m[at],
            segment_m=self.segment_m[at],
            key_m=self.key_m[at],
            cluster_m=self.cluster_m[at],
        )
        return Reduced(part, at, kept_T[part.cluster_m])

    def _groups(self, code_n: I64) -> Groups:
        return group(code_n[self.at_m], self.segment_m, self.segments)

    def cluster_totals(self, value_m: F64) -> F64:
        """Return Σ weight · value of each (segment, advertiser), shape (T,)."""
        return weighted_totals(self.cluster_m, len(self.cluster_segment_T), self.weight_m, value_m)

    def cluster_spread(self, value_m: F64) -> ClusterSpread:
        """Return the spread of these totals between advertisers."""
        return spread_of(self.cluster_edge_G, *power_sums(self.cluster_edge_G, self.cluster_totals(value_m)))

    def cluster_squares(self, value_m: F64) -> F64:
        """Return the sum of the squares of these totals of each segment."""
        return power_sums(self.cluster_edge_G, self.cluster_totals(value_m))[0][1]


@dataclass(frozen=True)
class Reduced:
    """A sample without some of its entries.

    at : the places of the entries that its segments had. kept : which of them still count.
    """

    sample: Sample
    at: I64
    kept: Flags


@dataclass(frozen=True)
class ClusterSpread:
    """Between-advertiser variance of each segment, shape (G,).

    third : Σ (total − mean)³. effective : (Σv)²/Σv² of the advertisers' parts v. largest : the biggest part over the
    whole, of the pair `biggest`.
    """

    variance: F64
    third: F64
    clusters: F64
    effective: F64
    largest: F64
    biggest: I64


def spread_of(edge_G: I64, powers_KG: F64, biggest_G: I64) -> ClusterSpread:
    """Return the with-replacement variance of sums of advertiser totals; NaN where there are fewer than two.

    powers_KG, biggest_G : see `sum_kernels.power_sums`.
    """
    clusters = np.diff(edge_G).astype(np.float64)
    first, whole, cubes, fourth, biggest = powers_KG
    mean = first / np.maximum(clusters, 1)
    centred = np.maximum(whole - clusters * mean**2, 0.0)
    variance = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1) * centred, np.nan)
    third = cubes - 3 * mean * whole + 2 * clusters * mean**3
    effective = np.where(fourth > 0, whole**2 / np.where(fourth > 0, fourth, 1), clusters)
    largest = np.where(whole > 0, biggest / np.where(whole > 0, whole, 1), 0.0)
    return ClusterSpread(variance, third, clusters, effective, largest, biggest_G)


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
