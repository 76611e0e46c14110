"""Compiled power sums of weighted exposure by segment, stratum, outcome and truth, and what is read off them."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.records import F64, I8, I16, I64

MOMENTS = 9
NOBODY, ALL = -1, -2  # for a (segment, advertiser) pair that is left out


@njit(cache=True, nogil=True)
def sums_by_kind(group_n: I64, groups: int, power_nK: F64, outcome_n: I16, y_n: I8, outcomes: int) -> F64:
    """Return Σ power of the rows of each group by kind, 2 · outcome + y, shape (groups, 2 · O, K)."""
    out_PKX = np.zeros((groups, 2 * outcomes, power_nK.shape[1]))
    for n in range(len(outcome_n)):
        kind = 2 * outcome_n[n] + max(y_n[n], 0)
        for p in range(power_nK.shape[1]):
            out_PKX[group_n[n], kind, p] += power_nK[n, p]
    return out_PKX


@njit(cache=True, nogil=True)
def spread_sums_of(sum_CX: F64, from_e: I64, to_e: I64, size: int) -> F64:
    """Return sums of rows of sums, one after the other: row `from` is added to row `to`, shape (size, X)."""
    out_PX = np.zeros((size, sum_CX.shape[1]))
    for e in range(len(from_e)):
        for x in range(sum_CX.shape[1]):
            out_PX[to_e[e], x] += sum_CX[from_e[e], x]
    return out_PX


@njit(cache=True, nogil=True)
def sums_of_entries(
    entry_e: I64,
    at_m: I64,
    place_m: I64,
    first: int,
    power_nK: F64,
    outcome_n: I16,
    y_n: I8,
    places: int,
    outcomes: int,
) -> F64:
    """Return Σ power of some entries by kind, (P, 2 · O, MOMENTS), over the `places` from `first` on."""
    out_PKX = np.zeros((places, 2 * outcomes, MOMENTS))
    for m in entry_e:
        n = at_m[m]
        kind = 2 * outcome_n[n] + max(y_n[n], 0)
        for p in range(MOMENTS):
            out_PKX[place_m[m] - first, kind, p] += power_nK[n, p]
    return out_PKX


@njit(cache=True, nogil=True)
def segment_sums_of(edge_G: I64, value_KM: F64) -> F64:
    """Return Σ value of each segment, row by row, (K, G)."""
    out_KG = np.zeros((len(value_KM), len(edge_G) - 1))
    for k in range(len(value_KM)):
        for g in range(len(edge_G) - 1):
            total = 0.0
            for m in range(edge_G[g], edge_G[g + 1]):
                total += value_KM[k, m]
            out_KG[k, g] = total
    return out_KG


@njit(cache=True, nogil=True)
def totals_by_kind(sum_TK: F64, edge_G: I64, value_GK: F64, left_out_G: I64) -> F64:
    """Return Σ sum · value of every pair, value by segment and kind; 0 of the pair that is left out."""
    out_T = np.zeros(len(sum_TK))
    for g in range(len(edge_G) - 1):
        for t in range(edge_G[g], edge_G[g + 1]):
            if t != left_out_G[g]:
                total = 0.0
                for k in range(sum_TK.shape[1]):
                    total += sum_TK[t, k] * value_GK[g, k]
                out_T[t] = total
    return out_T


@njit(cache=True, nogil=True)
def kind_power_sums(sum_TK: F64, edge_G: I64, value_GK: F64, left_out_G: I64) -> tuple[F64, I64]:
    """Return what `sum_kernels.power_sums` returns of these totals, which it does not keep; 0 where all is left out."""
    out_XG = np.zeros((4, len(edge_G) - 1))
    largest_G = edge_G[:-1].copy()
    used_K = np.zeros(sum_TK.shape[1], np.int64)
    for g in range(len(edge_G) - 1):
        if left_out_G[g] == ALL:
            continue
        used = 0
        for k in range(sum_TK.shape[1]):
            if value_GK[g, k] != 0.0:
                used_K[used] = k
                used += 1
        first = second = fourth = most = 0.0
        for t in range(edge_G[g], edge_G[g + 1]):
            if t == left_out_G[g]:
                continue
            total = 0.0
            for i in range(used):
                total += sum_TK[t, used_K[i]] * value_GK[g, used_K[i]]
            v = total * total
            first += total
            second += v
            fourth += v * v
            if v > most * (1.0 + 1e-9):  # how sums are rounded decides no tie
                most, largest_G[g] = v, t
        out_XG[:, g] = (first, second, fourth, most)
    return out_XG, largest_G


@njit(cache=True, nogil=True)
def kind_products(sum_TK: F64, edge_G: I64) -> F64:
    """Return Σ sum · sum over the pairs of each segment, kind by kind, (G, K, K)."""
    kinds = sum_TK.shape[1]
    out_GKK = np.zeros((len(edge_G) - 1, kinds, kinds))
    for g in range(len(edge_G) - 1):
        for t in range(edge_G[g], edge_G[g + 1]):
            for k in range(kinds):
                if sum_TK[t, k] != 0.0:
                    for j in range(k, kinds):
                        out_GKK[g, k, j] += sum_TK[t, k] * sum_TK[t, j]
        for k in range(kinds):
            for j in range(k):
                out_GKK[g, k, j] = out_GKK[g, j, k]
    return out_GKK
