"""Kernels from values to codes, groups and packed weights, compiled and as plain Python, against their slow twins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from generators import ODD_SIZES, THRESHOLDS, tied_scores
from oracles import code, groups

from engine.replay import code_kernels as kernels

Kernel = Callable[..., int]


def both(kernel: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kernel", [kernel, kernel.py_func], ids=["compiled", "python"])


def tied(rows: int, dtype: type[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    edges = np.unique(np.array(THRESHOLDS, dtype))
    return np.append(tied_scores(np.random.default_rng(rows), rows, dtype), np.array([np.inf, -np.inf], dtype)), edges


@both(kernels.search_numbers)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", ODD_SIZES)
def test_codes_count_the_edges_at_or_below(kernel: Kernel, rows: int, dtype: type[np.floating]) -> None:
    values, edges = tied(rows, dtype)
    code_N = np.zeros(len(values), np.uint16)
    kernel(values, edges, code_N)
    assert code_N.tolist() == [code(value, edges.tolist()) for value in values.tolist()]


@both(kernels.look_up_numbers)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("drawers", [2, 3, 7, 4096])
def test_drawers_give_the_same_codes(kernel: Kernel, drawers: int, dtype: type[np.floating]) -> None:
    values, edges = tied(400, dtype)
    wide = edges.astype(np.float64)
    first_D = np.empty(drawers, np.int32)
    scale = (drawers - 1) / (wide[-1] - wide[0])
    most = kernels.fill_drawers(wide, wide[0], scale, first_D)
    assert kernels.fill_drawers.py_func(wide, wide[0], scale, np.empty(drawers, np.int32)) == most
    code_N = np.zeros(len(values), np.uint32)
    kernel(values, np.append(wide, np.nan), first_D, wide[0], scale, most, code_N)
    assert code_N.tolist() == [code(value, edges.tolist()) for value in values.tolist()]


@both(kernels.look_up_levels)
def test_the_last_code_of_levels_is_that_of_null(kernel: Kernel) -> None:
    code_N = np.zeros(5, np.uint16)
    kernel(np.array([2, 0, -1, 1, 2], np.int32), np.array([7, 8, 9, 65535], np.uint16), code_N)
    assert code_N.tolist() == [9, 7, 65535, 8, 9]


@both(kernels.group)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("rows", ODD_SIZES)
def test_every_key_is_in_one_part_with_its_sums(kernel: Kernel, rows: int, parts: int) -> None:
    rng = np.random.default_rng(rows)
    key_N = rng.choice(np.array([0, 1, 2**63, 2**64 - 1, 12345], np.uint64), rows)
    weight_NW = rng.integers(-5, 1 << 50, (rows, 4))
    read_V = np.array([0, 3])
    found: list[tuple[int, list[int]]] = []
    with np.errstate(over="ignore"):
        for part in range(parts):
            slot_T, cell_UE = np.full(16, -1, np.int32), np.empty((8, 3), np.int64)
            used = kernel(key_N, weight_NW, read_V, np.array([part, parts]), slot_T, cell_UE)
            found += [(int(np.uint64(row[0])), row[1:].tolist()) for row in cell_UE[:used]]
    wanted = groups(key_N.tolist(), weight_NW[:, read_V].tolist())
    assert len(found) == len(wanted)
    assert dict(found) == wanted


@both(kernels.group)
def test_grouping_says_when_there_is_no_room(kernel: Kernel) -> None:
    key_N, weight_NW = np.arange(9, dtype=np.uint64), np.ones((9, 1), np.int64)
    slot_T, cell_UE = np.full(16, -1, np.int32), np.empty((8, 2), np.int64)
    with np.errstate(over="ignore"):
        assert kernel(key_N, weight_NW, np.array([0]), np.array([0, 1]), slot_T, cell_UE) == -1


@both(kernels.sample_keys)
def test_a_sample_of_groups_has_all_rows_of_a_group_or_none(kernel: Kernel) -> None:
    key_N = np.repeat(np.arange(500, dtype=np.uint64), 3)
    chosen_n = np.empty(len(key_N), np.uint64)
    with np.errstate(over="ignore"):
        count = kernel(key_N, 3, chosen_n)
        everything = kernel(key_N, 0, chosen_n.copy())
    keys, times = np.unique(chosen_n[:count], return_counts=True)
    assert set(times.tolist()) == {3}
    assert 20 < len(keys) < 130
    assert everything == len(key_N)


@both(kernels.place)
def test_places_of_a_home_follow_each_other(kernel: Kernel) -> None:
    place_N = np.empty(5, np.int32)
    kernel(np.array([2, 0, 2, 2, 0], np.int32), np.array([64, 0, 128]), place_N)
    assert place_N.tolist() == [128, 64, 129, 130, 65]


@both(kernels.pack_lanes)
def test_packed_weights_of_any_rows_come_apart_again(kernel: Kernel) -> None:
    rng = np.random.default_rng(3)
    weight_NW = rng.integers(0, 100, (64, 3))
    widths = [int(total).bit_length() for total in weight_NW.sum(0)]
    field_V4 = np.array([(0, 0, 0, widths[0]), (1, 0, widths[0], widths[1]), (2, 1, 0, widths[2])])
    lane_LM = np.zeros((2, 64), np.int64)
    kernel(weight_NW, field_V4, np.arange(64, dtype=np.int32), lane_LM)
    chosen = rng.random(64) < 0.7
    sums = lane_LM[:, chosen].sum(1)
    for weight, lane, shift, width in field_V4.tolist():
        assert (int(sums[lane]) >> shift) % (1 << width) == weight_NW[chosen, weight].sum()


@both(kernels.find_homes)
def test_a_home_is_a_frame_and_a_cell(kernel: Kernel) -> None:
    home_N = np.empty(4, np.int32)
    kernel(np.array([0, 1, 1, 0], np.uint8), np.array([2, 0, 4, 4]), 5, home_N)
    assert home_N.tolist() == [2, 5, 9, 4]


@both(kernels.put)
def test_codes_go_to_their_places(kernel: Kernel) -> None:
    code_M = np.zeros(6, np.uint16)
    kernel(np.array([7, 9, 65535], np.uint16), np.array([4, 0, 5], np.int32), code_M)
    assert code_M.tolist() == [9, 0, 0, 0, 7, 65535]


@both(kernels.find_range)
def test_the_range_of_a_home_leaves_out_what_only_fills_its_blocks(kernel: Kernel) -> None:
    code_M = np.array([5, 3, 9, 0, 0, 200, 200, 0], np.uint8)
    low_H, high_H = np.empty(2, np.int64), np.empty(2, np.int64)
    kernel(code_M, np.array([0, 5]), np.array([3, 2]), low_H, high_H)
    assert (low_H.tolist(), high_H.tolist()) == ([3, 200], [9, 200])


@both(kernels.survey)
def test_a_survey_knows_the_extremes_of_every_weight(kernel: Kernel) -> None:
    low_W, high_W = np.zeros(3, np.int64), np.zeros(3, np.int64)
    kernel(np.array([[1, -5, 0], [7, 2**60, 0], [3, 4, 0]]), low_W, high_W)
    assert (low_W.tolist(), high_W.tolist()) == ([0, -5, 0], [7, 2**60, 0])


@both(kernels.add_blocks)
def test_sums_of_blocks_are_those_of_their_places(kernel: Kernel) -> None:
    rng = np.random.default_rng(5)
    weight_NW, place_N = rng.integers(-9, 9, (40, 3)), rng.permutation(64)[:40].astype(np.int32)
    sum_VB = np.zeros((2, 4), np.int64)
    kernel(weight_NW, np.array([2, 0]), place_N, 16, sum_VB)
    wanted = [[sum(weight_NW[n, w] for n in range(40) if place_N[n] // 16 == b) for b in range(4)] for w in (2, 0)]
    assert sum_VB.tolist() == wanted
