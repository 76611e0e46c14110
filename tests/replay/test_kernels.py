"""Every kernel, compiled and as plain Python, against its slow twin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from generators import ODD_SIZES, SINGLE, Rules, World, examples, make_world, rule_lists, trees, worlds
from hypothesis import given
from hypothesis import strategies as st
from oracles import Tree, first_to_fire, swap_totals, totals, words

from engine.records import WEIGHTS
from engine.replay import kernels
from engine.replay.replay import pack_atoms
from engine.strategy import build_table

Kernel = Callable[..., None]
_LAST = (("missing", "region"), "APPROVE", 1.0, None)
EASY = Rules(((("atom", "v1.scam", ">=", 0.5), "REJECT", 1.0, None),), _LAST, "first")
HARD = Rules(
    (
        (("not", ("or", ("atom", "v1.scam", ">=", 0.1), ("missing", "region"))), "REVIEW", 1.0, None),
        (("and", ("chain", 0.1, "<=", "v2.scam", "<", 0.9), ("not", ("missing", "new"))), "LIMIT", 0.5, None),
        (("atom", "v1.scam", "not in", (0.1, 0.5)), "REJECT", 1.0, None),
    ),
    _LAST,
    "harshest",
)


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


def decide_all(kernel: Kernel, drawn: Rules, world: World) -> np.ndarray:
    table = build_table([drawn.strategy()])
    outcome_N = np.full(len(world), -9, np.int16)
    stack_D = np.zeros(table.stack, np.uint64)
    atom_KW = pack_atoms(table.atoms, world.creatives.columns, len(world))
    first, last = table.strategy_start_S
    kernel(atom_KW, table.op_L, table.arg_L, table.rule_start_R, first, last, stack_D, outcome_N)
    return outcome_N


def by_hand(drawn: Rules, world: World) -> list[int]:
    return [first_to_fire([rule[0] for rule in drawn.rules], creative, SINGLE) for creative in world.plain]


@both(kernels.decide)
@examples(60)
@given(written=st.lists(trees(), max_size=4), world=worlds())
def test_the_first_rule_that_fires_decides(kernel: Kernel, written: list[Tree], world: World) -> None:
    drawn = Rules(tuple((tree, "REJECT", 1.0, None) for tree in written), _LAST, "first")
    assert decide_all(kernel, drawn, world).tolist() == by_hand(drawn, world)


@pytest.mark.parametrize("rows", ODD_SIZES)
def test_compiled_and_plain_kernels_give_the_same_bytes(rows: int) -> None:
    world = make_world(rows, rows)
    for drawn in (EASY, HARD):
        compiled = decide_all(kernels.decide, drawn, world)
        assert compiled.tobytes() == decide_all(kernels.decide.py_func, drawn, world).tobytes()


@both(kernels.decide)
@pytest.mark.parametrize("column", ["v1.scam", "v2.scam"])
@pytest.mark.parametrize("threshold", [0.1, 1 / 3, 0.5, 0.9])
def test_ties_at_a_threshold_fall_where_the_slow_twin_puts_them(kernel: Kernel, column: str, threshold: float) -> None:
    world = make_world(7, 400)
    ties = [creative[column] for creative in world.plain].count(float(np.float32(threshold)))
    assert ties > 0
    rules = Rules(((("atom", column, ">=", threshold), "REJECT", 1.0, None),), _LAST, "first")
    assert decide_all(kernel, rules, world).tolist() == by_hand(rules, world)


@both(kernels.add_up)
@pytest.mark.parametrize("rows", ODD_SIZES)
def test_weights_add_up_by_outcome_frame_and_cell(kernel: Kernel, rows: int) -> None:
    world = make_world(rows, rows)
    held = world.creatives
    outcome_N = np.random.default_rng(rows).integers(0, 4, rows).astype(np.int16)
    sum_OFCW = np.zeros((4, 2, world.cells, len(WEIGHTS)), np.int64)
    kernel(outcome_N, held.frame_N, held.cell_N, held.weight_NW, sum_OFCW)
    wanted = totals(outcome_N.tolist(), held.frame_N.tolist(), held.cell_N.tolist(), held.weight_NW.tolist())
    assert as_dict(sum_OFCW) == wanted


@both(kernels.add_up_pairs)
@pytest.mark.parametrize("rows", ODD_SIZES)
def test_weights_add_up_by_pair_of_outcomes_and_cell(kernel: Kernel, rows: int) -> None:
    world = make_world(rows, rows)
    held = world.creatives
    rng = np.random.default_rng(rows)
    before_N, after_N = (rng.integers(0, 4, rows).astype(np.int16) for _ in range(2))
    sum_OQCW = np.zeros((4, 4, world.cells, len(WEIGHTS)), np.int64)
    kernel(before_N, after_N, held.cell_N, held.weight_NW, sum_OQCW)
    wanted = swap_totals(before_N.tolist(), after_N.tolist(), held.cell_N.tolist(), held.weight_NW.tolist())
    assert as_dict(sum_OQCW) == wanted


@both(kernels.add_up)
def test_sums_past_the_integers_of_float64_stay_exact(kernel: Kernel) -> None:
    rows = 5
    weight_NW = np.ones((rows, len(WEIGHTS)), np.int64)
    weight_NW[0, 1] = 2**53
    sum_OFCW = np.zeros((1, 2, 1, len(WEIGHTS)), np.int64)
    kernel(np.zeros(rows, np.int16), np.zeros(rows, np.uint8), np.zeros(rows, np.int64), weight_NW, sum_OFCW)
    assert sum_OFCW[0, 0, 0, 1] == 2**53 + 4


def as_dict(sums: np.ndarray) -> dict[tuple[int, ...], list[int]]:
    """Return the sums of places where somebody is (weight 0 counts creatives)."""
    return {place: sums[place].tolist() for place in np.ndindex(sums.shape[:-1]) if sums[place][0]}


@examples(20)
@given(drawn=rule_lists(), world=worlds())
def test_every_creative_is_decided(drawn: Rules, world: World) -> None:
    outcome_N = decide_all(kernels.decide, drawn, world)
    assert ((outcome_N >= 0) & (outcome_N < len(build_table([drawn.strategy()]).rules[0]))).all()
