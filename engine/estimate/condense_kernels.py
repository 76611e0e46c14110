"""Compiled power sums of weighted exposure by segment, stratum, outcome and truth, and what is read off them."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.estimate.sum_kernels import TIE
from engine.records import F64, I8, I16, I64

MOMENTS = 11
LANES = 64  # pairs that are added up side by side
NOBODY, ALL = -1, -2  # for a (segment, advertiser) pair that is left out


@njit(cache=True, nogil=True)
def moments_by_kind(group_n: I64, groups: int, power_nK: F64, outcome_n: I16, y_n: I8, outcomes: int) -> F64:
    """Return Σ power of the rows of each group by kind, 2 · outcome + y, shape (groups, 2 · O, MOMENTS)."""
    out_PKX = np.zeros((groups, 2 * outcomes, MOMENTS))
    for n in range(len(outcome_n)):
        mine_X, power_X = out_PKX[group_n[n], 2 * outcome_n[n] + max(y_n[n], 0)], power_nK[n]
        for p in range(MOMENTS):  # a constant, so that it is one step of the machine's vectors
            mine_X[p] += power_X[p]
    return out_PKX


@njit(cache=True, nogil=True)
def weight_by_kind(group_n: I64, groups: int, x_n: F64, outcome_n: I16, y_n: I8, outcomes: int) -> F64:
    """Return Σ x of the rows of each group by kind, shape (groups, 2 · O)."""
    out_TK = np.zeros((groups, 2 * outcomes))
    for n in range(len(outcome_n)):
        out_TK[group_n[n], 2 * outcome_n[n] + max(y_n[n], 0)] += x_n[n]
    return out_TK


@njit(cache=True, nogil=True)
def spread_sums_of(sum_CX: F64, from_e: I64, to_e: I64, size: int) -> F64:
    """Return sums of rows of sums, one after the other: row `from` is added to row `to`, shape (size, X)."""
    out_PX = np.zeros((size, sum_CX.shape[1]))
    for e in range(len(from_e)):
        for x in range(sum_CX.shape[1]):
            out_PX[to_e[e], x] += sum_CX[from_e[e], x]
    return out_PX


@njit(cache=True, nogil=True)
def sums_of_rows(row_e: I64, place_e: I64, power_nK: F64, outcome_n: I16, y_n: I8, places: int, outcomes: int) -> F64:
    """Return Σ power of some rows by place and kind, (places, 2 · O, K)."""
    out_PKX = np.zeros((places, 2 * outcomes, power_nK.shape[1]))
    for e in range(len(row_e)):
        n = row_e[e]
        kind = 2 * outcome_n[n] + max(y_n[n], 0)
        for p in range(power_nK.shape[1]):
            out_PKX[place_e[e], kind, p] += power_nK[n, p]
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
def totals_by_kind(sum_KT: F64, edge_G: I64, value_GK: F64, left_out_G: I64) -> F64:
    """Return Σ sum · value of every pair, value by segment and kind; 0 of those that are left out."""
    out_T = np.zeros(sum_KT.shape[1])
    for g in range(len(edge_G) - 1):
        if left_out_G[g] == ALL:
            continue
        for k in range(len(sum_KT)):
            if value_GK[g, k] != 0.0:
                for t in range(edge_G[g], edge_G[g + 1]):
                    out_T[t] += sum_KT[k, t] * value_GK[g, k]
        if left_out_G[g] != NOBODY:
            out_T[left_out_G[g]] = 0.0
    return out_T


@njit(cache=True, nogil=True)
def kind_power_sums(sum_KT: F64, edge_G: I64, value_GK: F64, left_out_G: I64) -> tuple[F64, I64]:
    """Return `sum_kernels.power_sums` of the totals by kind, LANES of them added up at a time; 0 where ALL are out."""
    out_XG, largest_G = np.zeros((5, len(edge_G) - 1)), edge_G[:-1].copy()
    total_l, at_l = np.empty(LANES), np.empty(LANES, np.int64)
    first_l, second_l, third_l = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    fourth_l, most_l = np.empty(LANES), np.empty(LANES)
    for g in range(len(edge_G) - 1):
        if left_out_G[g] == ALL:
            continue
        first_l[:], second_l[:], third_l[:], fourth_l[:], most_l[:] = 0.0, 0.0, 0.0, 0.0, 0.0
        at_l[:] = edge_G[g]
        for start in range(edge_G[g], edge_G[g + 1], LANES):
            size = min(LANES, edge_G[g + 1] - start)
            total_l[:] = 0.0
            for k in range(len(sum_KT)):
                if value_GK[g, k] != 0.0:
                    for i in range(size):
                        total_l[i] += sum_KT[k, start + i] * value_GK[g, k]
            if start <= left_out_G[g] < start + size:
                total_l[left_out_G[g] - start] = 0.0
            for i in range(LANES):
                v = total_l[i] * total_l[i]
                first_l[i] += total_l[i]
                second_l[i] += v
                third_l[i] += v * total_l[i]
                fourth_l[i] += v * v
                more = v > most_l[i] * TIE
                most_l[i], at_l[i] = v if more else most_l[i], start + i if more else at_l[i]
        most, at = 0.0, edge_G[g + 1]
        for i in range(LANES):
            out_XG[0, g] += first_l[i]
            out_XG[1, g] += second_l[i]
            out_XG[2, g] += third_l[i]
            out_XG[3, g] += fourth_l[i]
            most = max(most, most_l[i])
        for i in range(LANES):
            if most_l[i] * TIE >= most:
                at = min(at, at_l[i])
        out_XG[4, g], largest_G[g] = most, at
    return out_XG, largest_G


@njit(cache=True, nogil=True)
def kind_products(sum_KT: F64, edge_G: I64) -> F64:
    """Return Σ sum · sum over the pairs of each segment, kind by kind, (G, K, K)."""
    kinds = len(sum_KT)
    out_GKK = np.zeros((len(edge_G) - 1, kinds, kinds))
    for g in range(len(edge_G) - 1):
        for k in range(kinds):
            for j in range(k, kinds):
                total = 0.0
                for t in range(edge_G[g], edge_G[g + 1]):
                    total += sum_KT[k, t] * sum_KT[j, t]
                out_GKK[g, k, j] = out_GKK[g, j, k] = total
    return out_GKK
