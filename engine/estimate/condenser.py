"""What condenses a sample for one strategy after the other: draws with their powers of weighted exposure, in order.

It exists where creatives were drawn one by one, and none was drawn twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from engine.estimate.condense_kernels import MOMENTS, moments_by_kind, spread_sums_of, sums_of_rows, weight_by_kind
from engine.estimate.condensed import Condensed
from engine.estimate.groups import edges
from engine.estimate.sample import Sample
from engine.records import F64, I8, I16, I64, LabelledRows

ONE_BY_ONE = frozenset({"srs", "poisson"})


@dataclass(frozen=True)
class Adder:
    """Adds rows up in two steps: by group (n to groups), then groups to where they belong (one entry e for each)."""

    group_n: I64
    from_e: I64
    to_e: I64
    size: int

    def ordered(self, order_n: I64) -> Adder:
        """Return what adds up the same rows in another order."""
        return replace(self, group_n=self.group_n[order_n])

    @cached_property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group_n.max(initial=-1)) + 1

    def moments(self, power_nK: F64, outcome_n: I16, y_n: I8, outcomes: int) -> F64:
        """Return Σ power by place and kind, (size · 2 · O, MOMENTS)."""
        by_group = moments_by_kind(self.group_n, self.groups, power_nK, outcome_n, y_n, outcomes)
        return self._spread(by_group.reshape(self.groups, -1)).reshape(-1, MOMENTS)

    def weight(self, x_n: F64, outcome_n: I16, y_n: I8, outcomes: int) -> F64:
        """Return Σ x by place and kind, (size, 2 · O)."""
        return self._spread(weight_by_kind(self.group_n, self.groups, x_n, outcome_n, y_n, outcomes))

    def _spread(self, sum_CX: F64) -> F64:
        return spread_sums_of(sum_CX, self.from_e, self.to_e, self.size)


def adder(code_n: I64, at_m: I64, to_m: I64, size: int) -> Adder:
    """Return what adds up rows; those of one code have the same places. at_m, to_m : row and place of entries."""
    _, first_C, group_n = np.unique(code_n, return_index=True, return_inverse=True)
    chosen_m = first_C[group_n[at_m]] == at_m
    return Adder(group_n, group_n[at_m[chosen_m]], to_m[chosen_m], size)


@dataclass(frozen=True)
class Condenser:
    """Draws (n) of a sample under one policy and weighting, ready to be added up for any strategy.

    order_n : the draws advertiser by advertiser, which is how they stand in y_n and power_nK. power_nK : what each adds
    to the power sums, see `Condensed`. places, pairs : add rows up by place, a segment's part of a stratum, and by
    (segment, advertiser). key_P : segment × stratum of every place. place_m : that of every entry.
    """

    sample: Sample
    order_n: I64
    y_n: I8
    power_nK: F64
    places: Adder
    pairs: Adder
    key_P: I64
    place_m: I64

    @cached_property
    def segment_P(self) -> I64:
        """Segment of every place."""
        return self.key_P // len(self.sample.strata.take_H)

    @cached_property
    def place_edge_G(self) -> I64:
        """Where the places of each segment start, and last where all end."""
        return edges(self.segment_P, self.sample.segments)

    @cached_property
    def by_cluster(self) -> tuple[I64, I64, I64]:
        """Rows and places pair by pair, and where those of each (segment, advertiser) start, and last where all end."""
        pairs, cluster_m = len(self.sample.cluster_segment_T), self.sample.cluster_m
        row_n = np.empty_like(self.order_n)
        row_n[self.order_n] = np.arange(len(row_n))
        row_m = row_n[self.sample.at_m]
        order = np.lexsort((row_m, cluster_m))
        return row_m[order], self.place_m[order], edges(cluster_m[order], pairs)

    @cached_property
    def x_n(self) -> F64:
        """Weight · w of each draw."""
        return np.ascontiguousarray(self.power_nK[:, 0])

    @cached_property
    def rows_KG(self) -> F64:
        """Creatives, effective number and largest weight of each segment."""
        return np.array((self.sample.entries_G, self.sample.size_G, self.sample.heaviest_G))

    def condense(self, outcome_n: I16, outcomes: int) -> Condensed:
        """Return the power sums of what a strategy decided; outcome_n : of every draw, below `outcomes`."""
        sample, kinds, places = self.sample, 2 * outcomes, len(self.key_P)
        outcome_n = outcome_n[self.order_n]
        moment_MK = self.places.moments(self.power_nK, outcome_n, self.y_n, outcomes)
        total_TK = self.pairs.weight(self.x_n, outcome_n, self.y_n, outcomes)
        kept = {f.name: getattr(sample, f.name) for f in fields(Sample)}
        kind_m = np.tile(np.arange(kinds), places)
        moment_KM = np.ascontiguousarray(moment_MK.T)
        of_kinds = {
            "weight_m": moment_KM[0],
            "at_m": np.arange(len(kind_m)),
            "segment_m": np.repeat(self.segment_P, kinds),
            "key_m": np.repeat(self.key_P, kinds),
        }
        return Condensed(
            **(kept | of_kinds),
            moment_KM=moment_KM,
            outcome_m=(kind_m // 2).astype(np.int16),
            truth_m=(kind_m % 2).astype(np.int8),
            total_KT=np.ascontiguousarray(total_TK.T),
            key_P=self.key_P,
            rows_KG=self.rows_KG,
            origins=(Decided(self, outcome_n, outcomes),),
        )


@dataclass(frozen=True)
class Decided:
    """The rows behind one strategy's power sums. asked : the power sums of pairs that were asked for."""

    condenser: Condenser
    outcome_n: I16
    outcomes: int
    asked: dict[int, F64] = field(default_factory=dict)

    def of_pair(self, pair: int) -> F64:
        """Return the power sums of one (segment, advertiser) pair, over the kinds of its segment, (MOMENTS, M)."""
        if pair not in self.asked:  # every metric asks for the same few
            self.asked[pair] = self._of_pair(pair)
        return self.asked[pair]

    def _of_pair(self, pair: int) -> F64:
        of, (row_e, place_e, edge_T) = self.condenser, self.condenser.by_cluster
        g, mine = int(of.sample.cluster_segment_T[pair]), slice(edge_T[pair], edge_T[pair + 1])
        first, places = of.place_edge_G[g], of.place_edge_G[g + 1] - of.place_edge_G[g]
        found = sums_of_rows(
            row_e[mine], place_e[mine] - first, of.power_nK, self.outcome_n, of.y_n, places, self.outcomes
        )
        return np.ascontiguousarray(found.reshape(-1, MOMENTS).T)


def condenser_of(sample: Sample, rows: LabelledRows, policy: int, weighting: int) -> Condenser | None:
    """Return what condenses a sample, None where its entries cannot stand for themselves."""
    strata = sample.strata
    if (
        not set(strata.method_H) <= ONE_BY_ONE
        or sample.clustered
        or not sample.creatives.alone
        or not len(sample.rows_n)
    ):
        return None
    known_n, imputed_n = rows.known_Wn[weighting, sample.rows_n], rows.imputed_Wn[weighting, sample.rows_n]
    w_n = np.nan_to_num(known_n) + imputed_n
    stratum_n = np.zeros(len(w_n), np.int64)
    stratum_n[sample.at_m] = sample.key_m % len(strata.take_H)
    x_n, some_n, spare_n = sample.weight_n * w_n, (w_n > 0).astype(np.float64), 1.0 - 1.0 / sample.base_n
    left_n = np.where(strata.drawn_by("srs")[stratum_n], strata.left_H[stratum_n], spare_n)
    part_n, cube_n = left_n * x_n**2, left_n * x_n**3
    powers = (x_n, x_n**2, some_n, some_n * sample.weight_n, x_n * w_n, spare_n * x_n**2, part_n, part_n**2)
    cubes = (cube_n * (2 * left_n - 1), cube_n * left_n)
    power_nK = np.stack((*powers, sample.weight_n * imputed_n, *cubes), axis=1)
    key_P, place_m = np.unique(sample.key_m, return_inverse=True)
    cell_n, advertiser_n = rows.cell_n[sample.rows_n], rows.advertiser_n[sample.rows_n]
    code_n = cell_n * (advertiser_n.max(initial=0) + 1) + advertiser_n
    order_n = np.argsort(advertiser_n, kind="stable")
    return Condenser(
        sample=sample,
        order_n=order_n,
        y_n=rows.y_nQ[sample.rows_n, policy][order_n],
        power_nK=power_nK[order_n],
        places=adder(cell_n * len(strata.take_H) + stratum_n, sample.at_m, place_m, len(key_P)).ordered(order_n),
        pairs=adder(code_n, sample.at_m, sample.cluster_m, len(sample.cluster_segment_T)).ordered(order_n),
        key_P=key_P,
        place_m=place_m,
    )
