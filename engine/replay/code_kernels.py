"""Compiled loops from values to codes, from codes to cells, and from cells to packed weights.

Rows come in parts, so that several threads may work on one array. `place_N` says where a row goes in an array in which
every cell of attributes begins a new word of 64 rows.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.records import F64, I32, I64, U8, U64

Codes = NDArray[np.unsignedinteger]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_HIGH = np.uint64(32)


@njit(cache=True, nogil=True)
def mix(key: np.uint64) -> np.uint64:
    """Hash a key: every bit of it moves every bit of the hash (two rounds of Fibonacci hashing, Knuth 6.4)."""
    mixed = key * _MIX
    return (mixed ^ (mixed >> _HIGH)) * _MIX


@njit(cache=True, nogil=True)
def search_numbers(value_N: NDArray[np.floating], edge_E: NDArray[np.floating], code_N: Codes) -> None:
    """Write 0 for null, else 1 + the number of edges at or below the value, by halving."""
    for n in range(len(value_N)):
        value = value_N[n]
        low, size = 0, len(edge_E)
        while size > 0:
            half = (size + 1) >> 1
            if edge_E[low + half - 1] <= value:
                low += half
                size -= half
            else:
                size = half - 1
        code_N[n] = low + 1 if value == value else 0  # noqa: PLR0124 - only null is not itself


@njit(cache=True, nogil=True)
def drawer(value: float, origin: float, scale: float, last: float) -> np.uint64:
    """Return a whole number in [0, last] that never falls as the value rises; scale is above 0, value no NaN."""
    return np.uint64(min(max((value - origin) * scale, 0.0), last))


@njit(cache=True, nogil=True)
def fill_drawers(edge_E: F64, origin: float, scale: float, first_D: I32) -> int:
    """Write how many edges lie in lower drawers; return the most that lie in one."""
    last = float(len(first_D) - 1)
    first_D[:] = 0
    most = 0
    for e in range(len(edge_E)):
        first_D[drawer(edge_E[e], origin, scale, last)] += 1
    before = 0
    for d in range(len(first_D)):
        held = first_D[d]
        first_D[d] = before
        before += held
        most = max(most, held)
    return most


@njit(cache=True, nogil=True)
def look_up_numbers(
    value_N: NDArray[np.floating], edge_E: F64, first_D: I32, origin: float, scale: float, most: int, code_N: Codes
) -> None:
    """Write what search_numbers does, by the drawer of the value and `most` steps within it, without a branch.

    edge_E : and last NaN, which nothing reaches.
    """
    last = float(len(first_D) - 1)
    for n in range(len(value_N)):
        value = np.float64(value_N[n])
        known = value == value  # noqa: PLR0124 - only null is not itself
        code = np.uint64(first_D[drawer(value if known else origin, origin, scale, last)])
        for _ in range(most):
            code += np.uint64(edge_E[code] <= value)
        code_N[n] = code + np.uint64(1) if known else 0


@njit(cache=True, nogil=True)
def look_up_levels(level_N: I32, code_L: Codes, code_N: Codes) -> None:
    """Write the code of every level; -1 is the last one, which stands for null."""
    for n in range(len(level_N)):
        level = level_N[n]
        code_N[n] = code_L[level if level >= 0 else len(code_L) - 1]


@njit(cache=True, nogil=True)
def add_to_keys(code_N: Codes, shift: int, key_N: U64) -> None:
    """Put the codes of one column into the keys, from bit `shift` on."""
    for n in range(len(code_N)):
        key_N[n] |= np.uint64(code_N[n]) << np.uint64(shift)


@njit(cache=True, nogil=True)
def sample_keys(key_N: U64, bits: int, chosen_n: U64) -> int:
    """Take the keys whose hash ends in `bits` zeros: all rows of a cell or none. Return how many (they may not fit)."""
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    count = 0
    for n in range(len(key_N)):
        if (mix(key_N[n]) >> _HIGH) & mask == 0:
            if count < len(chosen_n):
                chosen_n[count] = key_N[n]
            count += 1
    return count


@njit(cache=True, nogil=True)
def group(key_N: U64, weight_NW: I64, read_V: I64, part_2: I64, slot_T: I32, cell_UE: I64) -> int:
    """Add up the weights of equal keys, of those keys alone that fall to one of several parts.

    read_V : the weights that are not all 0. part_2 : which part of how many. slot_T : all -1; a power of 2 of them.
    cell_UE : filled by (key, sums by read_V).
    Returns the number of cells, -1 where they do not fit.
    """
    mask = np.uint64(len(slot_T) - 1)
    parts, part = np.uint64(part_2[1]), np.uint64(part_2[0])
    used = 0
    for n in range(len(key_N)):
        mixed = mix(key_N[n])
        if (mixed >> np.uint64(59)) % parts != part:
            continue
        slot = (mixed >> np.uint64(24)) & mask
        key = np.int64(key_N[n])
        while slot_T[slot] >= 0 and cell_UE[slot_T[slot], 0] != key:
            slot = (slot + np.uint64(1)) & mask
        at = slot_T[slot]
        if at < 0:
            if used == len(cell_UE):
                return -1
            at = used
            used += 1
            slot_T[slot] = at
            cell_UE[at, 0] = key
            for v in range(len(read_V)):
                cell_UE[at, 1 + v] = 0
        for v in range(len(read_V)):
            cell_UE[at, 1 + v] += weight_NW[n, read_V[v]]
    return used


@njit(cache=True, nogil=True)
def place(home_N: I32, next_H: I64, place_N: I32) -> None:
    """Give every row the next place of its home."""
    for n in range(len(home_N)):
        place_N[n] = next_H[home_N[n]]
        next_H[home_N[n]] += 1


@njit(cache=True, nogil=True)
def find_homes(frame_N: U8, cell_N: I64, cells: int, home_N: I32) -> None:
    """Write frame × cells + cell."""
    for n in range(len(cell_N)):
        home_N[n] = frame_N[n] * cells + cell_N[n]


@njit(cache=True, nogil=True)
def find_range(code_M: Codes, first_H: I64, count_H: I64, low_H: I64, high_H: I64) -> None:
    """Find the smallest and the largest code of every home; its places follow each other."""
    for h in range(len(first_H)):
        low, high = np.int64(code_M[first_H[h]]), np.int64(0)
        for m in range(first_H[h], first_H[h] + count_H[h]):
            low = min(low, np.int64(code_M[m]))
            high = max(high, np.int64(code_M[m]))
        low_H[h], high_H[h] = low, high


@njit(cache=True, nogil=True)
def put(code_N: Codes, place_N: I32, code_M: Codes) -> None:
    """Put codes into place."""
    for n in range(len(code_N)):
        code_M[place_N[n]] = code_N[n]


@njit(cache=True, nogil=True)
def survey(weight_NW: I64, low_W: I64, high_W: I64) -> None:
    """Find the smallest and the largest of every weight, 0 included."""
    for n in range(len(weight_NW)):
        for w in range(weight_NW.shape[1]):
            low_W[w] = min(low_W[w], weight_NW[n, w])
            high_W[w] = max(high_W[w], weight_NW[n, w])


@njit(cache=True, nogil=True)
def add_blocks(weight_NW: I64, read_V: I64, place_N: I32, block: int, sum_VB: I64) -> None:
    """Add some weights up by blocks of places."""
    for n in range(len(weight_NW)):
        at = place_N[n] // block
        for v in range(len(read_V)):
            sum_VB[v, at] += weight_NW[n, read_V[v]]


@njit(cache=True, nogil=True)
def pack_lanes(weight_NW: I64, field_V4: I64, place_N: I32, lane_LM: I64) -> None:
    """Add weights to their lanes. field_V4 : weight, lane, shift; see engine.replay.lanes."""
    for n in range(len(weight_NW)):
        for v in range(len(field_V4)):
            lane_LM[field_V4[v, 1], place_N[n]] += weight_NW[n, field_V4[v, 0]] << field_V4[v, 2]
