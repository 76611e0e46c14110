"""Compiled loops from codes to bit vectors, a block of 512 places at a time.

A block is 8 words; bit b of word w is place 64 w + b. Every vector of a block is one row of `bit_VB`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.records import I32, I64, U64
from engine.replay.code_kernels import Codes
from engine.replay.wide import OR, WORDS, join, load, store

BITS = 64
BEFORE, NOTHING, EVERYTHING, FIXED = range(4)  # the first vectors: for codes before all steps, no bit, all bits
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)


class Steps(NamedTuple):
    """Which vector a code falls to.

    step_C : int32, per code of every column the vector of the last step at or below it. first_P, column_P : int64,
    P + 1 bounds of the columns' codes and of their vectors.
    """

    step_C: I32
    first_P: I64
    column_P: I64


class Orders(NamedTuple):
    """How further vectors are made, and which are outcomes.

    order_I4 : int32 (operation, vector, first, end) into operand_J: the first operand, joined with each that follows.
    fire_F, outcome_F : int32, vectors of the outcomes that may be not empty, and which outcomes they are.
    """

    order_I4: I32
    operand_J: I32
    fire_F: I32
    outcome_F: I32


@njit(cache=True, nogil=True)
def write_steps(code_B: Codes, step_C: I32, low: int, high: int, bit_VB: U64) -> None:
    """Write the vectors of one column's steps: each place where its code falls, then whatever lies higher."""
    bit_VB[low:high] = 0
    for w in range(WORDS):
        for b in range(BITS):
            bit_VB[step_C[code_B[w * BITS + b]], w] |= _ONE << np.uint64(b)
    flat_B = bit_VB.reshape(-1)
    made = load(flat_B, high - 1)
    for v in range(high - 2, low - 1, -1):
        made = join(OR, made, load(flat_B, v))
        store(flat_B, v, made)


@njit(cache=True, nogil=True)
def decide(code_PM: Codes, first: int, steps: Steps, orders: Orders, bit_VB: U64) -> None:
    """Write all vectors of the block that begins at place `first`."""
    bit_VB[NOTHING] = 0
    bit_VB[EVERYTHING] = _ALL
    for p in range(len(code_PM)):
        low, high = steps.column_P[p], steps.column_P[p + 1]
        if low < high:
            step_C = steps.step_C[steps.first_P[p] : steps.first_P[p + 1]]
            write_steps(code_PM[p, first : first + WORDS * BITS], step_C, low, high, bit_VB)
    flat_B = bit_VB.reshape(-1)
    for i in range(len(orders.order_I4)):
        operation, target, start, end = orders.order_I4[i]
        made = load(flat_B, orders.operand_J[start])
        for j in range(start + 1, end):
            made = join(operation, made, load(flat_B, orders.operand_J[j]))
        store(flat_B, target, made)
