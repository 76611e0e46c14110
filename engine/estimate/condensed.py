"""A sample of which power sums alone are kept: what a strategy decides of a creative is all that its rows differ in.

Under one weighting a creative counts w · α in a sum, w its exposure and α what its outcome and truth are worth. Σ
weight w α, and all that the variances of such sums rest on, are therefore sums over few kinds of creatives (segment ×
stratum × outcome × truth) of powers of weight · w, which are the same for every metric and reading. They are added up
once for a strategy; after that a number costs some dozens of operations, however many labels there are.

A condensed sample stands for the rows: each kind of a segment is one entry of exposure 1, and what `Sample` says of
entries it answers from the power sums. Those of several strategies may stand side by side, each with its own segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from engine.estimate.condense_kernels import (
    ALL,
    NOBODY,
    kind_power_sums,
    kind_products,
    segment_sums_of,
    totals_by_kind,
)
from engine.estimate.groups import Groups
from engine.estimate.sample import ClusterSpread, Reduced, Sample, spread_of
from engine.records import F64, I8, I16, I64, Flags, LabelledRows


class Origin(Protocol):
    """The rows behind power sums."""

    def of_pair(self, pair: int) -> F64:
        """Return the power sums of one (segment, advertiser) pair, over the kinds of its segment, (MOMENTS, M)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Condensed(Sample):
    """Power sums of a sample; its entries are kinds of creatives, whose weight is Σ weight · w.

    moment_KM : Σx, Σx², creatives of w > 0, their Σ weight, Σ weight w², Σ (1 − π) x², Σ c x², Σ (c x²)², Σ weight ·
    imputed, Σ c (2c − 1) x³ and Σ c² x³ of every entry, with x = weight · w, and c the share of a square that is its
    part of the audit's variance (what srs left of the stratum, 1 − π under Poisson sampling). outcome_m, truth_m : what
    an entry's creatives are.
    total_KT : Σ x of every (segment, advertiser) pair by kind, 2 · outcome + truth. key_P : segment × stratum of every
    place, a segment's part of a stratum; it has an entry for each kind. rows_G : creatives, effective number of them
    (Kish) and largest weight of each segment, of all rows. origins : whose power sums stand here, one after the other.
    left_out_G : the pair of each segment that does not count, NOBODY, or ALL where nobody asks.
    """

    moment_KM: F64
    outcome_m: I16
    truth_m: I8
    total_KT: F64
    key_P: I64
    rows_KG: F64
    origins: tuple[Origin, ...]
    left_out_G: I64 | None = None

    @property
    def creatives(self) -> Groups:
        """The entries, each of which is alone: no creative was drawn twice."""
        return Groups(self.at_m, self.at_m, self.segment_m, self.segments)

    @property
    def entries_G(self) -> F64:
        """Creatives of each segment."""
        return self.rows_KG[0]

    @property
    def size_G(self) -> F64:
        """The effective number of creatives of each segment (Kish)."""
        return self.rows_KG[1]

    @property
    def heaviest_G(self) -> F64:
        """The largest weight of each segment."""
        return self.rows_KG[2]

    def outcomes(self, rows: LabelledRows, strategy: int) -> I16:  # noqa: ARG002
        """Return the outcome of every entry."""
        return self.outcome_m

    def truths(self, rows: LabelledRows, policy: int) -> I8:  # noqa: ARG002
        """Return the truth of every entry."""
        return self.truth_m

    def exposures(self, rows: LabelledRows, weighting: int, imputed_times: float) -> F64:  # noqa: ARG002
        """Return 1 for every entry, or what it changes to where imputed exposure counts `imputed_times`."""
        if imputed_times == 1.0:
            return np.ones(len(self.weight_m))
        safe = np.where(self.weight_m != 0, self.weight_m, 1.0)
        return 1.0 + (imputed_times - 1.0) * self.moment_KM[8] / safe

    def count(self, chosen_m: Flags) -> F64:
        """Return how many creatives of positive exposure each segment has among the chosen kinds."""
        return self.sums(self.moment_KM[2] * chosen_m)

    def counted(self, chosen_m: Flags) -> F64:
        """Return their Σ weight."""
        return self.sums(self.moment_KM[3] * chosen_m)

    def squares(self, a_m: F64, b_m: F64) -> F64:
        """Return Σ (weight · a)(weight · b) over the creatives of each segment."""
        return self.sums(self.moment_KM[1] * a_m * b_m)

    def drawn_squares(self, b_m: F64) -> F64:
        """Return Σ (weight · b)² over the creatives of each segment."""
        return self.squares(b_m, b_m)

    def drawn_count(self, b_m: F64) -> F64:
        """Return how many creatives have a positive b."""
        return self.count(b_m > 0)

    def parts(self, a_m: F64, b_m: F64, low: float, high: float) -> F64:
        """Return what the ratio Σ weight a / Σ weight b rests on: see `sum_kernels.ratio_sums`."""
        first, second = self.moment_KM[0], self.moment_KM[1]
        part_m = np.minimum(np.maximum((a_m - low * b_m) / (high - low), 0.0), b_m)
        v, v2, within, within2 = first * b_m, second * b_m * b_m, first * part_m, second * part_m * b_m
        sums = np.array((first * a_m, v, self.moment_KM[2] * (b_m > 0), v2, within, within2, v - within, v2 - within2))
        return segment_sums_of(self.edge_G, sums)

    def independent_spread(self, residual_m: F64) -> F64:
        """Return Σ weight · residual² of each segment."""
        return self.sums(self.moment_KM[4] * residual_m * residual_m)

    def one_by_one_doubt(self, residual_m: F64) -> F64:
        """Return Σ (1 − π) (weight · residual)² of each segment."""
        return self.sums(self.moment_KM[5] * residual_m * residual_m)

    def history_spread(self, residual_m: F64) -> tuple[F64, F64]:
        """Return the audits' variance of Σ weight · residual of each segment, and degrees of freedom."""
        square_m = residual_m * residual_m
        part_m = self.moment_KM[6] * square_m
        values = np.array((self.moment_KM[0] * residual_m, self.moment_KM[1] * square_m, part_m))
        shape = (3, self.segments, len(self.strata.take_H))
        sums = np.zeros((3, shape[1] * shape[2]))
        sums[:, self.key_P] = segment_sums_of(self._place_edges, values)
        variance = self.strata.one_by_one(*sums.reshape(shape))
        whole, fourth = segment_sums_of(self.edge_G, np.array((part_m, self.moment_KM[7] * square_m * square_m)))
        return np.maximum(variance.sum(1), 0.0), self._satterthwaite(whole, fourth)

    def history_cubes(self, residual_m: F64) -> tuple[F64, F64]:
        """Return third moments of Σ weight · residual as the audits drew: see `Sample`."""
        square_m = residual_m * residual_m
        cube_m = square_m * residual_m
        moment_KM = self.moment_KM
        values = (moment_KM[0] * residual_m, moment_KM[1] * square_m, moment_KM[9] * cube_m, moment_KM[10] * cube_m)
        shape = (4, self.segments, len(self.strata.take_H))
        sums = np.zeros((4, shape[1] * shape[2]))
        sums[:, self.key_P] = segment_sums_of(self._place_edges, np.array(values))
        return self.strata.cubes(*sums.reshape(shape))

    def cluster_totals(self, value_m: F64) -> F64:
        """Return Σ weight · value of each (segment, advertiser), the value the same in all strata of a segment."""
        return totals_by_kind(self.total_KT, self.cluster_edge_G, self._of_kinds(value_m), self._left_out_G)

    def cluster_spread(self, value_m: F64) -> ClusterSpread:
        """Return the spread of these totals between advertisers."""
        powers = kind_power_sums(self.total_KT, self.cluster_edge_G, self._of_kinds(value_m), self._left_out_G)
        return spread_of(self.cluster_edge_G, *powers)

    def cluster_squares(self, value_m: F64) -> F64:
        """Return the sum of the squares of these totals of each segment, of all pairs."""
        value_GK = self._of_kinds(value_m)
        return np.asarray(((self._products_GKK * value_GK[:, None]).sum(2) * value_GK).sum(1))

    def without(self, dropped: Sequence[int]) -> Reduced:
        """Return the segments of some (segment, advertiser) pairs, one each, without them; pairs keep their places."""
        moment_KM, left_out_G = self.moment_KM.copy(), np.full(self.segments, ALL)
        pairs = self.total_KT.shape[1] // len(self.origins)
        for pair in dropped:
            g = int(self.cluster_segment_T[pair])
            rest = moment_KM[:, self.edge_G[g] : self.edge_G[g + 1]]
            rest -= self.origins[pair // pairs].of_pair(pair % pairs)
            rest[:, rest[2] == 0] = 0.0  # nobody is left: what remains is rounding
            left_out_G[g] = pair
        less = replace(self, moment_KM=moment_KM, weight_m=moment_KM[0], left_out_G=left_out_G)
        return Reduced(less, self.at_m, np.ones(len(self.at_m), bool))

    @cached_property
    def _products_GKK(self) -> F64:
        return kind_products(self.total_KT, self.cluster_edge_G)

    @property
    def _left_out_G(self) -> I64:
        return np.full(self.segments, NOBODY) if self.left_out_G is None else self.left_out_G

    @property
    def _kinds(self) -> int:
        return len(self.total_KT)

    @cached_property
    def _place_edges(self) -> I64:
        return np.arange(0, len(self.weight_m) + 1, self._kinds)

    def _of_kinds(self, value_m: F64) -> F64:
        """Return the value of every kind of each segment, (G, K): the same in all strata."""
        first_G = np.minimum(self.edge_G[:-1], len(value_m) - self._kinds)  # not read of segments without rows
        return value_m[first_G[:, None] + np.arange(self._kinds)]


def side_by_side(parts: Sequence[Condensed]) -> Condensed:
    """Return the power sums of several strategies as one sample, that has the segments of each, one after the other.

    parts : of one sample, with as many outcomes each.
    """
    first, times = parts[0], len(parts)
    if times == 1:
        return first
    G, H, pairs = first.segments, len(first.strata.take_H), len(first.cluster_segment_T)
    entries = len(first.weight_m)
    moment_KM = np.concatenate([part.moment_KM for part in parts], axis=1)

    def shifted(index: I64, by: int) -> I64:
        return (index[None] + by * np.arange(times)[:, None]).ravel()

    assert all(part.total_KT.shape == first.total_KT.shape for part in parts)
    found = {f.name: getattr(first, f.name) for f in fields(Condensed)} | {
        "moment_KM": moment_KM,
        "weight_m": moment_KM[0],
        "outcome_m": np.tile(first.outcome_m, times),
        "truth_m": np.tile(first.truth_m, times),
        "at_m": np.arange(times * entries),
        "segment_m": shifted(first.segment_m, G),
        "key_m": shifted(first.key_m, G * H),
        "key_P": shifted(first.key_P, G * H),
        "cluster_segment_T": shifted(first.cluster_segment_T, G),
        "total_KT": np.concatenate([part.total_KT for part in parts], axis=1),
        "census_G": np.tile(first.census_G, times),
        "rows_KG": np.tile(first.rows_KG, times),
        "origins": tuple(origin for part in parts for origin in part.origins),
    }
    assert len(found["cluster_segment_T"]) == times * pairs
    return Condensed(**found)
