"""NumPy on the sweeps of the replay bench: blocks that stay in cache, all cores, sums by matrix products."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from sweep_task import Task, portions
from sweeps import COLUMNS, SUMMED

from engine.records import F64, I64

_BLOCK = 1 << 14
_TOGETHER = 25  # strategies in one matrix


def numpy_rows(task: Task) -> I64:
    """Compare in blocks that stay in cache, on all cores; sums by matrix products, exact below 2^53."""
    if task.cells == 1:
        return _numpy(task, task.code_PN, task.cell_N, task.world.weight_NW[:, SUMMED].astype(np.float64))
    order = np.argsort(task.cell_N, kind="stable")
    weight_N3 = task.world.weight_NW[order][:, SUMMED].astype(np.float64)
    return _numpy(task, task.code_PN[:, order], task.cell_N[order], weight_N3)


def numpy_grouped(task: Task) -> I64:
    """The same over groups of equal codes."""
    first_U, weight_U3 = _numpy_groups(task)
    return _numpy(task, task.code_PN[:, first_U], task.cell_N[first_U], weight_U3)


def numpy_bitmaps(task: Task) -> I64:
    """Groups; one packed bitmap per threshold, joined for every strategy; sums by matrix products."""
    if task.sweep.kind != "grid":
        raise NotImplementedError("a bitmap per threshold and row does not fit in memory")
    first_U, weight_U3 = _numpy_groups(task)
    steps = np.arange(int(task.at_SP.max()) + 1, dtype=np.uint8)[:, None]
    bitmaps = [np.packbits(code_U >= steps, axis=1) for code_U in task.code_PN[:, first_U]]
    size = bitmaps[0].shape[1]
    weight_B3 = np.zeros((8 * size, 3))
    weight_B3[: len(weight_U3)] = weight_U3

    def block(start: int) -> I64:
        at = slice(start, min(start + _BLOCK // 8, size))
        sums = []
        for _, at_SP in portions(task):
            joined = bitmaps[0][at_SP[:, 0], at]
            for p in range(1, COLUMNS):
                joined |= bitmaps[p][at_SP[:, p], at]
            sums.append(np.unpackbits(joined, axis=1).astype(np.float64) @ weight_B3[8 * at.start : 8 * at.stop])
        return np.concatenate(sums).astype(np.int64)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.sum(list(pool.map(block, range(0, size, _BLOCK // 8))), axis=0)[:, None]


def _numpy_groups(task: Task) -> tuple[I64, F64]:
    """Return one row of every group, and the group's weights."""
    codes = int(task.code_PN.max()) + 1
    if task.cells * codes**COLUMNS >= 1 << 64:
        raise NotImplementedError("a key of codes and cell does not fit 64 bits")
    key_N = task.cell_N.astype(np.uint64)
    for code_N in task.code_PN:
        key_N *= np.uint64(codes)
        key_N += code_N
    _, first_U, group_N = np.unique(key_N, return_index=True, return_inverse=True)
    weights = [np.bincount(group_N, np.ascontiguousarray(task.world.weight_NW[:, w])) for w in SUMMED]
    return first_U, np.stack(weights, axis=1)


def _numpy(task: Task, code_PN: NDArray[np.unsignedinteger], cell_N: I64, weight_N3: F64) -> I64:
    """Rows come in the order of their cells; where a strategy rejects nothing of a cell it is not compared."""
    bounds = np.searchsorted(cell_N, np.arange(task.cells + 1))
    stretches = [
        (cell, slice(first, min(first + _BLOCK, bounds[cell + 1])))
        for cell in range(task.cells)
        for first in range(bounds[cell], bounds[cell + 1], _BLOCK)
    ]
    allowed_SC = task.allowed_SC()
    at_SP = task.at_SP.astype(code_PN.dtype)

    def block(stretch: tuple[int, slice]) -> I64:
        cell, at = stretch
        chosen = np.arange(len(at_SP)) if allowed_SC is None else np.flatnonzero(allowed_SC[:, cell])
        sum_S3 = np.zeros((len(at_SP), 3), np.int64)
        sum_S3[chosen] = _numpy_block(at_SP[chosen], code_PN[:, at], weight_N3[at])
        return sum_S3

    sum_SC3 = np.zeros((len(at_SP), task.cells, 3), np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (cell, _), sum_S3 in zip(stretches, pool.map(block, stretches), strict=True):
            sum_SC3[:, cell] += sum_S3
    return task.by_segment(sum_SC3)


def _numpy_block(at_SP: NDArray[np.unsignedinteger], code_PB: NDArray[np.unsignedinteger], weight_B3: F64) -> I64:
    size = code_PB.shape[1]
    mask_B, other_B = np.empty(size, bool), np.empty(size, bool)
    flags_SB = np.empty((_TOGETHER, size), np.float64)
    sum_S3 = np.empty((len(at_SP), 3), np.int64)
    for start in range(0, len(at_SP), _TOGETHER):
        chosen = at_SP[start : start + _TOGETHER]
        for s, at_P in enumerate(chosen):
            np.greater_equal(code_PB[0], at_P[0], out=mask_B)
            for p in range(1, COLUMNS):
                np.greater_equal(code_PB[p], at_P[p], out=other_B)
                np.logical_or(mask_B, other_B, out=mask_B)
            flags_SB[s] = mask_B
        sum_S3[start : start + len(chosen)] = flags_SB[: len(chosen)] @ weight_B3
    return sum_S3
