"""Columns → codes."""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.records import F64, I32, I64
from engine.replay import code_kernels as kernels
from engine.replay.bins import Binning, Bins
from engine.replay.code_kernels import Codes
from engine.replay.crew import work_off

BLOCK = 512  # places decided at a time: 8 words of 64
_COMPILED = (np.float32, np.float64)
_DRAWERS = 4096
_STEEP = 12  # more edges than this in one drawer, and halving is faster


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


def _dtype(binning: Binning) -> type[np.unsignedinteger]:
    widest = max((bins.codes for bins in binning.bins), default=0)
    return np.uint16 if widest <= 1 << 16 else np.uint32


def _encode(bins: Bins, values: NDArray[np.generic], code_N: Codes) -> None:
    if bins.code_L is not None:
        kernels.look_up_levels(cast("I32", values), bins.code_L.astype(code_N.dtype), code_N)
        return
    edge_E = bins.edge_E if bins.edge_E is not None else np.zeros(0, values.dtype)
    wide = values.dtype if values.dtype in _COMPILED else np.dtype(np.float64)  # as exact: float16, small integers
    _number_codes(values.astype(wide, copy=False), edge_E.astype(np.float64), code_N)


def _number_codes(value_N: NDArray[np.floating], edge_E: F64, code_N: Codes) -> None:
    if not (len(edge_E) and np.isfinite(edge_E[[0, -1]]).all()):
        kernels.search_numbers(value_N, edge_E, code_N)
        return
    first_D = np.empty(_DRAWERS, np.int32)
    width = edge_E[-1] / 2 - edge_E[0] / 2  # halves, lest it overflow
    scale = float((_DRAWERS - 1) / width / 2) if width > 1e-300 else 1.0
    most = kernels.fill_drawers(edge_E, float(edge_E[0]), scale, first_D)
    if most > _STEEP:
        kernels.search_numbers(value_N, edge_E, code_N)
    else:
        kernels.look_up_numbers(value_N, np.append(edge_E, np.nan), first_D, float(edge_E[0]), scale, most, code_N)
