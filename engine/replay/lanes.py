"""Weights packed for addition: several integers share one of 64 bits, wide enough for the sums of a block.

A block's sum of a weight is known before anything is decided, and no subset of rows exceeds it; so fields never run
into each other. A weight with negative values has a lane to itself, where sums wrap around and come out exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.records import I32, I64, Flags
from engine.replay import code_kernels as kernels
from engine.replay.crew import parts, work_off

BITS = 64


@dataclass(frozen=True)
class Lanes:
    """Packed weights of M places.

    lane_LM : int64. field_V4 : int64, per weight: its column, lane, shift, width in bits.
    """

    lane_LM: I64
    field_V4: I64


def survey(weight_NW: I64, threads: int) -> tuple[I64, I64]:
    """Return the smallest and largest of every weight, 0 included; weights that are 0 everywhere need no lane."""
    low_TW, high_TW = (np.zeros((threads, weight_NW.shape[1]), np.int64) for _ in range(2))
    rows = parts(len(weight_NW), threads)
    work_off([partial(kernels.survey, weight_NW[at], low_TW[t], high_TW[t]) for t, at in enumerate(rows)], threads)
    return low_TW.min(0), high_TW.max(0)


def pack(weight_NX: I64, negative_V: Flags, read_V: I64, place_N: I32, block: int, places: int, threads: int) -> Lanes:
    """Pack weights.

    Parameters
    ----------
    weight_NX : int64; the weights are its columns read_V. negative_V : which are below 0 somewhere.
    place_N : where rows go, below `places`. block : places in a block, whose sums must fit.
    """
    rows = parts(len(place_N), threads)
    sum_TVB = np.zeros((threads, len(read_V), -(-places // block)), np.int64)
    work_off(
        [
            partial(kernels.add_blocks, weight_NX[at], read_V, place_N[at], block, sum_VB)
            for at, sum_VB in zip(rows, sum_TVB, strict=True)
        ],
        threads,
    )
    most_V = sum_TVB.sum(0).max(1, initial=0)
    widths = [BITS if below else int(most).bit_length() for below, most in zip(negative_V, most_V, strict=True)]
    fields = _fit(widths)
    lane_LM = np.zeros((max((lane for lane, _ in fields), default=-1) + 1, places), np.int64)
    table = [(w, *field, width) for w, field, width in zip(read_V, fields, widths, strict=True)]
    field_V4 = np.array(table, np.int64).reshape(-1, 4)
    work_off([partial(kernels.pack_lanes, weight_NX[at], field_V4, place_N[at], lane_LM) for at in rows], threads)
    return Lanes(lane_LM, field_V4)


def _fit(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Return lane and shift of every field: the widest first, each into the first lane with room."""
    filled: list[int] = []
    found = [(0, 0)] * len(widths)
    for v in sorted(range(len(widths)), key=lambda v: -widths[v]):
        lane = next((at for at, bits in enumerate(filled) if bits + widths[v] <= BITS), len(filled))
        if lane == len(filled):
            filled.append(0)
        found[v] = (lane, filled[lane])
        filled[lane] += widths[v]
    return found
