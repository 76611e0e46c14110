"""What blocks walk: codes of creatives, or of groups of them, in the order of their cells of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.records import I32, I64, U8
from engine.replay import code_kernels as kernels
from engine.replay.bins import Binning
from engine.replay.code_kernels import Codes
from engine.replay.codes import BLOCK, encode
from engine.replay.crew import work_off
from engine.replay.groups import Rows, add_up_groups
from engine.replay.lanes import Lanes, pack, survey

WORD = 64


@dataclass(frozen=True)
class Walk:
    """M places, a multiple of BLOCK, each a creative, a group of them, or empty (weight 0).

    home_W : int32, which home a word of 64 places belongs to, an index into home_H. A home is frame × cells + cell.
    low_HP, high_HP : bounds of the codes of a home where it has blocks of its own, else empty.
    weight_V : which weights the fields of `lanes` are. groups : how many places are not empty.
    """

    code_PM: Codes
    home_W: I32
    home_H: I64
    low_HP: I64
    high_HP: I64
    lanes: Lanes
    weight_V: I64
    groups: int


def lay_out(binning: Binning, home_N: I32, weight_NW: I64, homes: int, outcomes: int, threads: int) -> Walk:
    """Bring creatives, or groups of them where that pays, into the order of their homes.

    Parameters
    ----------
    homes : number of homes. outcomes : number of distinct outcomes that will be added up.
    """
    low_W, high_W = survey(weight_NW, threads)
    read_V = np.flatnonzero((low_W != 0) | (high_W != 0))
    creatives = Rows(encode(binning, len(home_N), threads), home_N, weight_NW, read_V)
    rows = add_up_groups(creatives, tuple(bins.codes for bins in binning.bins), homes, outcomes, threads)
    del creatives
    count_H = np.bincount(rows.home_N, minlength=homes)
    home_H = np.flatnonzero(count_H)
    apart = len(rows.home_N) >= BLOCK * len(home_H)
    unit = BLOCK if apart else WORD
    size_H = -(-count_H[home_H] // unit) * unit
    first_H = np.cumsum(size_H) - size_H
    places = -(-int(size_H.sum()) // BLOCK) * BLOCK
    next_H = np.zeros(homes, np.int64)
    next_H[home_H] = first_H
    place_N = np.empty(len(rows.home_N), np.int32)
    kernels.place(rows.home_N, next_H, place_N)
    code_PM = np.zeros((len(rows.code_PN), places), rows.code_PN.dtype)
    low_HP, high_HP = (np.empty((len(home_H) if apart else 0, len(code_PM)), np.int64) for _ in range(2))

    def settle(p: int) -> None:
        kernels.put(rows.code_PN[p], place_N, code_PM[p])
        if apart:
            kernels.find_range(code_PM[p], first_H, count_H[home_H], low_HP[:, p], high_HP[:, p])

    work_off([partial(settle, p) for p in range(len(code_PM))], threads)
    home_W = np.full(places // WORD, max(len(home_H) - 1, 0), np.int32)
    home_W[: size_H.sum() // WORD] = np.repeat(np.arange(len(home_H)), size_H // WORD)
    lanes = pack(rows.weight_NX, low_W[read_V] < 0, rows.read_V, place_N, BLOCK, places, threads)
    return Walk(code_PM, home_W, home_H, low_HP, high_HP, lanes, read_V, len(rows.home_N))


def find_homes(frame_N: U8, cell_N: I64, cells: int) -> I32:
    """Return frame × cells + cell."""
    home_N = np.empty(len(cell_N), np.int32)
    kernels.find_homes(frame_N, cell_N, cells, home_N)
    return home_N
