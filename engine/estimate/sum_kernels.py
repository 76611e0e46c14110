"""Compiled sums over the entries of a sample, segment after segment.

Entries of a segment stand together: segment g holds those from edge_G[g] to edge_G[g + 1]. Terms are added in their
order, one after the other, as `np.bincount` does: the sums are its sums, to the last bit. An entry that counts nothing
adds 0 and is passed over. Results are written one by one: a tuple given to a slice takes two seconds to compile.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.records import F64, I64, Flags

TIE = 1.0 + 1e-9  # a square is greater from here on: how sums are rounded decides no tie


@njit(cache=True, nogil=True)
def segment_sums(edge_G: I64, value_m: F64) -> F64:
    """Return Σ value of each segment."""
    out_G = np.zeros(len(edge_G) - 1)
    for g in range(len(out_G)):
        total = 0.0
        for m in range(edge_G[g], edge_G[g + 1]):
            total += value_m[m]
        out_G[g] = total
    return out_G


@njit(cache=True, nogil=True)
def ratio_sums(edge_G: I64, weight_m: F64, a_m: F64, b_m: F64, low: float, high: float) -> F64:
    """Return what a ratio of weighted sums rests on, (8, G), of entries that are each a creative of its own.

    With u = weight · a, v = weight · b and p = (u − low v) / (high − low), kept within 0 and v: Σu, Σv, the number of
    b > 0, Σv², Σp, Σpv, Σ(v − p), Σ(v − p)v.
    """
    out_KG = np.zeros((8, len(edge_G) - 1))
    for g in range(len(edge_G) - 1):
        top = whole = count = squares = inside = within = outside = beyond = 0.0
        for m in range(edge_G[g], edge_G[g + 1]):
            if a_m[m] == 0.0 and b_m[m] == 0.0:
                continue
            u, v = weight_m[m] * a_m[m], weight_m[m] * b_m[m]
            part = min(max((u - low * v) / (high - low), 0.0), v)
            top += u
            whole += v
            count += 1.0 if b_m[m] > 0.0 else 0.0
            squares += v * v
            inside += part
            within += part * v
            outside += v - part
            beyond += (v - part) * v
        for k, value in enumerate((top, whole, count, squares, inside, within, outside, beyond)):
            out_KG[k, g] = value
    return out_KG


@njit(cache=True, nogil=True)
def ratio_residuals(edge_G: I64, a_m: F64, b_m: F64, estimate_G: F64, whole_G: F64) -> F64:
    """Return (a − estimate · b) / whole of every entry."""
    out_m = np.zeros(len(a_m))
    for g in range(len(edge_G) - 1):
        for m in range(edge_G[g], edge_G[g + 1]):
            if a_m[m] != 0.0 or b_m[m] != 0.0:
                out_m[m] = (a_m[m] - estimate_G[g] * b_m[m]) / whole_G[g]
    return out_m


@njit(cache=True, nogil=True)
def spread_sums(
    edge_G: I64, key_m: I64, weight_m: F64, value_m: F64, base_m: F64, srs_H: Flags, left_H: F64
) -> tuple[F64, F64]:
    """Return what the variance of Σ u, u = weight · value, rests on where creatives were drawn one by one.

    First (3, G · H) : Σu, Σu² and Σ(1 − π)u² of every segment and stratum. Second (2, G) : Σv, Σv² of the entries'
    parts v, u² left by srs and u² (1 − π) by Poisson sampling.
    """
    strata, size = len(left_H), len(edge_G) - 1
    by_key_KX, part_KG = np.zeros((3, size * strata)), np.zeros((2, size))
    for g in range(size):
        whole = fourth = 0.0
        for m in range(edge_G[g], edge_G[g + 1]):
            if value_m[m] == 0.0:
                continue
            key = key_m[m]
            h = key - g * strata
            u = weight_m[m] * value_m[m]
            by_key_KX[0, key] += u
            by_key_KX[1, key] += u * u
            if srs_H[h]:
                part = u * u * left_H[h]
            else:
                part = u * u * (1.0 - 1.0 / base_m[m])
                by_key_KX[2, key] += part
            whole += part
            fourth += part * part
        part_KG[0, g], part_KG[1, g] = whole, fourth
    return by_key_KX, part_KG


@njit(cache=True, nogil=True)
def weighted_totals(of_m: I64, groups: int, weight_m: F64, value_m: F64) -> F64:
    """Return Σ weight · value of each group."""
    out_T = np.zeros(groups)
    for m in range(len(of_m)):
        if value_m[m] != 0.0:
            out_T[of_m[m]] += weight_m[m] * value_m[m]
    return out_T


@njit(cache=True, nogil=True)
def power_sums(edge_G: I64, total_T: F64) -> tuple[F64, I64]:
    """Return Σx, Σx², Σx³, Σx⁴ and the greatest x² of each segment's totals, (5, G), and where that stands, (G,)."""
    out_KG = np.zeros((5, len(edge_G) - 1))
    largest_G = edge_G[:-1].copy()
    for g in range(len(edge_G) - 1):
        first = second = third = fourth = most = 0.0
        for t in range(edge_G[g], edge_G[g + 1]):
            v = total_T[t] * total_T[t]
            first += total_T[t]
            second += v
            third += v * total_T[t]
            fourth += v * v
            if v > most * TIE:
                most, largest_G[g] = v, t
        for k, value in enumerate((first, second, third, fourth, most)):
            out_KG[k, g] = value
    return out_KG, largest_G
