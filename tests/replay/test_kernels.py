"""Every kernel, compiled and as plain Python, against its slow twin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from generators import ODD_SIZES, make_world
from oracles import totals, words

from engine.records import WEIGHTS
from engine.replay import kernels

Kernel = Callable[..., None]


def both(kernel: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kernel", [kernel, kernel.py_func], ids=["compiled", "python"])


@both(kernels.pack)
@pytest.mark.parametrize("rows", [*ODD_SIZES, 2, 62, 127, 128, 1000])
def test_packing_puts_flag_n_into_bit_n_and_leaves_the_tail_empty(kernel: Kernel, rows: int) -> None:
    flag_N = np.random.default_rng(rows).random(rows) < 0.5
    word_W = np.full(-(-rows // 64), 0xDEAD, np.uint64)
    kernel(flag_N, word_W)
    assert word_W.tolist() == words(flag_N.tolist())


@both(kernels.pack)
def test_packing_reaches_the_highest_bit(kernel: Kernel) -> None:
    word_W = np.zeros(1, np.uint64)
    kernel(np.ones(64, bool), word_W)
    assert word_W[0] == 2**64 - 1


@both(kernels.add_up)
@pytest.mark.parametrize("rows", ODD_SIZES)
def test_weights_add_up_by_frame_and_cell(kernel: Kernel, rows: int) -> None:
    world = make_world(rows, rows)
    held = world.creatives
    sum_FCW = np.zeros((2, world.cells, len(WEIGHTS)), np.int64)
    kernel(held.frame_N, held.cell_N, held.weight_NW, sum_FCW)
    wanted = totals([0] * rows, held.frame_N.tolist(), held.cell_N.tolist(), held.weight_NW.tolist())
    assert {(0, *place): sum_FCW[place].tolist() for place in np.ndindex(2, world.cells) if sum_FCW[place][0]} == wanted
