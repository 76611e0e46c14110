"""What the blocks walk: codes of creatives, or of groups of creatives with equal codes, in order of their cells.

Creatives with equal codes get equal decisions under every strategy, so their weights may be added up first. That pays
where there are far fewer groups than creatives and many outcomes to add up: see `pays`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import I32, I64, U8, U64
from engine.replay import code_kernels as kernels
from engine.replay.bins import Binning, Bins
from engine.replay.crew import parts, work_off
from engine.replay.lanes import Lanes, pack, survey

BLOCK = 512  # places decided at a time: 8 words of 64
WORD = 64
WORTH = 128  # to group a creative takes about as long as to add it up under so many outcomes
_SAMPLE_BITS = 6  # one cell in 64 is counted

Codes = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Rows:
    """N creatives: home_N = frame × cells + cell; weight_NW int64, strided or not."""

    home_N: I32
    weight_NW: I64


@dataclass(frozen=True)
class Walk:
    """M places, a multiple of BLOCK, each a creative, a group of them, or empty (weight 0).

    code_PM : unsigned. home_W : which home a word of 64 places belongs to, an index into home_H.
    rows, groups : N, and U where creatives are grouped, else N.
    """

    code_PM: Codes
    home_W: I32
    home_H: I64
    lanes: Lanes
    rows: int
    groups: int


def lay_out(binning: Binning, rows: Rows, homes: int, outcomes: int, threads: int) -> Walk:
    """Bring creatives or groups of them into the order of their homes.

    Parameters
    ----------
    homes : number of homes. outcomes : number of distinct outcomes that will be added up.
    """
    code_PN = encode(binning, len(rows.home_N), threads)
    low_W, high_W = survey(rows.weight_NW, threads)
    read_V = np.flatnonzero((low_W != 0) | (high_W != 0))
    groups = _group(binning, code_PN, rows, read_V, (homes, outcomes, threads))
    if groups is None:
        weights = [(int(w), rows.weight_NW[:, w], bool(low_W[w] < 0)) for w in read_V]
        return _walk(code_PN, rows.home_N, weights, homes, threads, len(rows.home_N))
    shifts, sizes = _bits(binning, homes)
    code_PU = np.empty((len(code_PN), len(groups)), code_PN.dtype)
    for p, shift in enumerate(shifts):
        code_PU[p] = (groups[:, 0] >> shift) & ((1 << sizes[p]) - 1)
    home_U = (groups[:, 0].view(np.uint64) >> np.uint64(sum(sizes[:-1]))).astype(np.int32)
    weights = [(int(w), groups[:, 1 + v], bool(low_W[w] < 0)) for v, w in enumerate(read_V)]
    return _walk(code_PU, home_U, weights, homes, threads, len(rows.home_N))


def encode(binning: Binning, rows: int, threads: int) -> Codes:
    """Return the codes of all columns, shape (P, N)."""
    code_PN = np.empty((len(binning.bins), rows), _dtype(binning))
    work_off([partial(_encode, bins, bins.column.values_N, code_PN[p]) for p, bins in enumerate(binning.bins)], threads)
    return code_PN


def encode_some(binning: Binning, rows_n: I64) -> Codes:
    """Return the codes of some rows, and zeros up to the end of the last block."""
    code_Pn = np.zeros((len(binning.bins), -(-len(rows_n) // BLOCK) * BLOCK), _dtype(binning))
    for p, bins in enumerate(binning.bins):
        _encode(bins, bins.column.values_N[rows_n], code_Pn[p, : len(rows_n)])
    return code_Pn


def pays(groups: int, rows: int, outcomes: int) -> bool:
    """Say whether grouping costs less than it saves."""
    return outcomes * (rows - groups) > WORTH * rows


def _dtype(binning: Binning) -> type[np.unsignedinteger]:
    widest = max((bins.codes for bins in binning.bins), default=0)
    return np.uint16 if widest <= 1 << 16 else np.uint32


def _encode(bins: Bins, values: NDArray[np.generic], code_N: Codes) -> None:
    if bins.code_L is not None:
        code_N[:] = bins.code_L.astype(code_N.dtype)[values]
        return
    edge_E = bins.edge_E if bins.edge_E is not None else np.zeros(0, values.dtype)
    if values.dtype not in (np.float32, np.float64):
        wide = np.float32 if values.dtype == np.float16 else np.int64
        values, edge_E = values.astype(wide), edge_E.astype(wide)
    kernels.code_numbers(values, edge_E, code_N)


def _bits(binning: Binning, homes: int) -> tuple[list[int], list[int]]:
    """Return shift and size in bits of every column's codes within a key, and last of the home."""
    sizes = [max(bins.codes - 1, 0).bit_length() for bins in binning.bins] + [max(homes - 1, 0).bit_length()]
    return [sum(sizes[:p]) for p in range(len(binning.bins))], sizes


def _group(binning: Binning, code_PN: Codes, rows: Rows, read_V: I64, sizes: tuple[int, int, int]) -> I64 | None:
    """Return (key, sums) of every group, or None where grouping does not pay or a key does not fit 64 bits."""
    homes, outcomes, threads = sizes
    shifts, bits = _bits(binning, homes)
    count = len(rows.home_N)
    if not pays(0, count, outcomes) or sum(bits) > 64:
        return None
    key_N = np.zeros(count, np.uint64)
    work_off(
        [partial(_keys, code_PN, rows, shifts, sum(bits[:-1]), key_N, at) for at in parts(count, threads)], threads
    )
    expected = _count_groups(key_N)
    if not pays(expected, count, outcomes):
        return None
    room = expected + expected // 4 + 1024
    found: list[Any] = [None] * threads
    work_off([partial(_fill, key_N, rows.weight_NW, read_V, room, found, part) for part in range(threads)], threads)
    return np.concatenate(found)


def _keys(code_PN: Codes, rows: Rows, shifts: list[int], home_shift: int, key_N: U64, at: slice) -> None:
    key_N[at] = rows.home_N[at]
    key_N[at] <<= np.uint64(home_shift)
    for code_N, shift in zip(code_PN, shifts, strict=True):
        kernels.add_to_keys(code_N[at], shift, key_N[at])


def _count_groups(key_N: U64) -> int:
    """Estimate how many distinct keys there are, from all rows of a share of them."""
    bits = _SAMPLE_BITS if len(key_N) > 1 << 16 else 0
    chosen_n = np.empty(2 * (len(key_N) >> bits) + 1024, np.uint64)
    count = kernels.sample_keys(key_N, bits, chosen_n)
    return min(len(key_N), len(np.unique(chosen_n[:count])) << bits)


def _fill(key_N: U64, weight_NW: I64, read_V: I64, room: int, found: list[Any], part: int) -> None:
    """Group the keys of one part, with ever more room until they fit."""
    room = room // len(found) + 1024
    while True:
        slot_T = np.full(1 << (2 * room - 1).bit_length(), -1, np.int32)
        cell_UE = np.empty((room, 1 + len(read_V)), np.int64)
        used = kernels.group(key_N, weight_NW, read_V, np.array([part, len(found)]), slot_T, cell_UE)
        if used >= 0:
            found[part] = cell_UE[:used]
            return
        room *= 2


def _walk(
    code_PN: Codes,
    home_N: I32,
    weights: list[tuple[int, I64, bool]],
    homes: int,
    threads: int,
    rows: int,
) -> Walk:
    count_H = np.bincount(home_N, minlength=homes)
    home_H = np.flatnonzero(count_H)
    words_H = -(-count_H[home_H] // WORD)
    places = -(-int(words_H.sum()) * WORD // BLOCK) * BLOCK
    next_H = np.zeros(homes, np.int64)
    next_H[home_H] = (np.cumsum(words_H) - words_H) * WORD
    place_N = np.empty(len(home_N), np.int32)
    kernels.place(home_N, next_H, place_N)
    code_PM = np.zeros((len(code_PN), places), code_PN.dtype)
    work_off([partial(kernels.put, code_PN[p], place_N, code_PM[p]) for p in range(len(code_PN))], threads)
    home_W = np.repeat(np.arange(len(home_H)), words_H).astype(np.int32)
    home_W = np.append(home_W, np.full(places // WORD - len(home_W), max(len(home_H) - 1, 0), np.int32))
    lanes = pack(weights, place_N, places, BLOCK, threads)
    return Walk(code_PM, home_W, home_H, lanes, rows, len(home_N))


def find_homes(frame_N: U8, cell_N: I64, cells: int) -> I32:
    """Return frame × cells + cell."""
    home_N = np.empty(len(cell_N), np.int32)
    kernels.find_homes(frame_N, cell_N, cells, home_N)
    return home_N
