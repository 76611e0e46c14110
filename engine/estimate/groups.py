"""Entries of a sample that belong together: the draws of one creative, the creatives of one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.estimate.sum_kernels import segment_sums
from engine.records import F64, I64, Flags


@dataclass(frozen=True)
class Groups:
    """Entries of a sample that belong together within a segment; T groups.

    of_m : group of every entry. first_T : the first entry of a group (of_m itself where every entry is alone).
    segment_T : its segment, one of `segments`.
    """

    of_m: I64
    first_T: I64
    segment_T: I64
    segments: int

    @property
    def alone(self) -> bool:
        """Whether every entry is a group of its own."""
        return self.first_T is self.of_m

    @cached_property
    def edge_G(self) -> I64:
        """Where the groups of each segment start, and last where all end."""
        return edges(self.segment_T, self.segments)

    def totals(self, value_m: F64) -> F64:
        """Return Σ value of each group, shape (T,)."""
        if self.alone:
            return value_m
        return np.bincount(self.of_m, value_m, len(self.first_T)).astype(np.float64)

    def products(self, u_m: F64, v_m: F64) -> F64:
        """Return Σ (Σu)(Σv) over the groups of each segment, shape (G,)."""
        return self.by_segment(self.totals(u_m) * self.totals(v_m))

    def count(self, chosen_m: Flags) -> F64:
        """Return how many groups of each segment have a chosen entry, shape (G,)."""
        return self.by_segment((self.totals(chosen_m.astype(np.float64)) > 0).astype(np.float64))

    def equal(self, value_m: F64) -> Flags:
        """Return the segments whose groups all have the same total."""
        total_T = self.totals(value_m)
        least, most = np.full(self.segments, np.inf), np.zeros(self.segments)
        np.minimum.at(least, self.segment_T, total_T)
        np.maximum.at(most, self.segment_T, total_T)
        return np.asarray(most <= least * (1 + 1e-9))

    def by_segment(self, value_T: F64) -> F64:
        """Return Σ value of the groups of each segment, shape (G,)."""
        return segment_sums(self.edge_G, value_T)


def group(code_m: I64, segment_m: I64, segments: int) -> Groups:
    """Return the groups of equal codes within a segment."""
    size = int(code_m.max(initial=0)) + 1
    key_m = segment_m * size + code_m
    if (key_m[1:] > key_m[:-1]).all():  # each entry alone, which is the rule
        alone = np.arange(len(key_m))
        return Groups(alone, alone, segment_m, segments)
    key_T, first_T, of_m = np.unique(key_m, return_index=True, return_inverse=True)
    return Groups(of_m, first_T, key_T // size, segments)


def edges(segment_m: I64, segments: int) -> I64:
    """Return where each segment starts among entries that are sorted by it, and last where all end."""
    return np.searchsorted(segment_m, np.arange(segments + 1)).astype(np.int64)
