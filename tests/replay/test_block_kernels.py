"""Kernels from codes to outcomes and sums, compiled and as plain Python, against their slow twins."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
from generators import SINGLE, World, examples, make_world, trees, worlds, write
from hypothesis import given
from hypothesis import strategies as st
from oracles import Tree, first_to_fire, run_orders, subset_sums

from engine.expression import parse
from engine.records import Decision
from engine.replay import block_kernels as kernels
from engine.replay import order_kernels
from engine.replay import vector_kernels as vectors
from engine.replay.bins import find_bins
from engine.replay.codes import BLOCK, encode_some
from engine.replay.programs import specialise, write_program
from engine.replay.wide import WORDS
from engine.strategy import AND as BOTH
from engine.strategy import NOT, PUSH, Rule, Strategy, StrategyTable, build_table
from engine.strategy import OR as EITHER

Kernel = Callable[..., object]
HOW = ("and", "or", "xor", "minus")


def both(kernel: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kernel", [kernel, kernel.py_func], ids=["compiled", "python"])


def as_table(written: list[Tree]) -> StrategyTable:
    rules = tuple(Rule(parse(write(tree)), Decision.REJECT) for tree in written)
    return build_table([Strategy("s", rules, Rule(parse("missing(region)"), Decision.APPROVE))])


@both(kernels.settle)
@examples(40)
@given(written=st.lists(trees(), max_size=4), world=worlds())
def test_the_first_rule_that_fires_decides(kernel: Kernel, written: list[Tree], world: World) -> None:
    table = as_table(written)
    binning = find_bins(table.atoms, world.creatives.columns)
    program = write_program(table, binning, [0], None)
    code_Pn = encode_some(binning, np.arange(len(world)))
    rule_Sn = np.full((1, len(world)), -9, np.int16)
    desk = kernels.make_desk(program.vectors, 0)
    kernel(code_Pn, program.steps, program.orders, program.outcome_SO, program.rules_S, desk, rule_Sn)
    assert rule_Sn[0].tolist() == [first_to_fire(written, creative, SINGLE) for creative in world.plain]


def random_orders(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Make orders over three steps, two levels that are written again and again, and vectors written once."""
    rng = np.random.default_rng(seed)
    first, levels = vectors.FIXED + 3, 2
    orders, operands = [], []
    known = [vectors.NOTHING, vectors.EVERYTHING, *range(vectors.FIXED, first)]
    fresh = first + levels
    for _ in range(rng.integers(1, 12)):
        parts = rng.choice(known, rng.integers(1, 4)).tolist()
        again = rng.random() < 0.4
        target = int(rng.integers(first, first + levels)) if again else fresh
        fresh += not again
        if target in parts[1:]:
            continue
        orders.append((int(rng.integers(4)), target, len(operands), len(operands) + len(parts)))
        operands += parts
        known.append(target)
    return np.array(orders, np.int32).reshape(-1, 4), np.array(operands, np.int32), fresh


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_simpler_orders_make_the_same_vectors(seed: int, python: bool) -> None:
    simplify, drop = order_kernels.simplify, order_kernels.drop_unread
    if python:
        simplify, drop = simplify.py_func, drop.py_func
    order_I4, operand_J, count_V = random_orders(seed)
    rng = np.random.default_rng(seed)
    everything = set(range(8))
    steps = {vectors.FIXED: set(), vectors.FIXED + 1: everything, vectors.FIXED + 2: set(rng.choice(8, 3).tolist())}
    start = {vectors.NOTHING: set(), vectors.EVERYTHING: everything, **steps}
    first = vectors.FIXED + 3
    start |= {first: set(), first + 1: set()}
    wanted = run_orders(worded(order_I4, operand_J), start)
    same_V = np.arange(count_V, dtype=np.int32)
    same_V[vectors.FIXED], same_V[vectors.FIXED + 1] = vectors.NOTHING, vectors.EVERYTHING
    simple_I4, used_J = np.empty_like(order_I4), np.empty_like(operand_J)
    levels_2 = np.array([first, first + 2], np.int32)
    count, _ = simplify(order_I4, operand_J, levels_2, same_V, simple_I4, used_J)
    fire_F = same_V[[v for v in range(first + 2, count_V) if v in wanted]]
    read_V = np.zeros(count_V, bool)
    read_V[fire_F] = True
    kept = drop(simple_I4[:count], used_J, read_V)
    found = run_orders(worded(simple_I4[kept:count], used_J), start)
    assert [found[v] for v in fire_F] == [wanted[v] for v in range(first + 2, count_V) if v in wanted]
    assert not read_V[vectors.FIXED]
    assert not read_V[vectors.FIXED + 1]


def worded(order_I4: np.ndarray, operand_J: np.ndarray) -> list[tuple[str, int, list[int]]]:
    return [(HOW[how], target, operand_J[first:end].tolist()) for how, target, first, end in order_I4.tolist()]


@pytest.mark.parametrize("python", [False, True])
@examples(20)
@given(written=st.lists(trees(), min_size=1, max_size=3), world=worlds(sizes=(65, 129)))
def test_every_rule_has_a_vector_of_where_it_decides(written: list[Tree], world: World, python: bool) -> None:
    table = as_table(written)
    binning = find_bins(table.atoms, world.creatives.columns)
    program = write_program(table, binning, [0], None)
    code_PM = encode_some(binning, np.arange(len(world)))
    bit_VB = np.full((program.vectors, WORDS), 0xDEAD, np.uint64)
    loops = {name: getattr(vectors, name) for name in ("write_steps", "decide")}
    with patch.multiple(vectors, **{name: loop.py_func if python else loop for name, loop in loops.items()}):
        vectors.decide(code_PM, 0, program.steps, program.orders, bit_VB)
    first = [first_to_fire(written, creative, SINGLE) for creative in world.plain]
    for rule, outcome in enumerate(program.outcome_SO[0]):
        bits = bit_VB[program.orders.fire_F[outcome]]
        found = [int(bits[n // 64]) >> (n % 64) & 1 for n in range(len(world))]
        assert found == [int(at == rule) for at in first]


@both(kernels.write_table)
def test_a_table_holds_the_sum_of_every_subset_of_eight(kernel: Kernel) -> None:
    weight_64 = np.random.default_rng(1).integers(-(1 << 40), 1 << 40, 64)
    table_T = np.full(8 * 256, 7)
    kernel(weight_64, table_T)
    for j in range(8):
        assert table_T[256 * j : 256 * (j + 1)].tolist() == subset_sums(weight_64[8 * j : 8 * (j + 1)].tolist())


@both(kernels.add_word)
def test_a_word_adds_the_weights_of_its_bits(kernel: Kernel) -> None:
    rng = np.random.default_rng(2)
    weight_64 = rng.integers(0, 1 << 30, 64)
    flag_F64 = rng.random((5, 64)) < 0.5
    flag_F64[0], flag_F64[1] = True, False
    fire_F = np.array([sum(1 << bit for bit in np.flatnonzero(flags).tolist()) for flags in flag_F64], np.uint64)
    table_T, sum_F = np.zeros(8 * 256, np.int64), np.arange(5)
    kernels.write_table(weight_64, table_T)
    kernel(fire_F, table_T, sum_F)
    assert sum_F.tolist() == (flag_F64 @ weight_64 + np.arange(5)).tolist()


@both(kernels.unpack_sums)
def test_packed_sums_go_to_their_weights_and_outcomes(kernel: Kernel) -> None:
    field_V4 = np.array([(0, 0, 0, 10), (1, 0, 10, 54), (2, 1, 0, 64)])
    sum_VQ = np.ones((3, 4), np.int64)
    sum_F = np.array([3 + (5 << 10), 1023 + ((2**54 - 1) << 10) - (1 << 64)])
    kernel(0, field_V4, np.array([1, 3], np.int32), sum_F, sum_VQ)
    assert sum_F.tolist() == [0, 0]
    kernel(1, field_V4, np.array([0], np.int32), np.array([-7]), sum_VQ)
    assert sum_VQ.tolist() == [[1, 4, 1, 1024], [1, 6, 1, 2**54], [-6, 1, 1, 1]]


def test_compiled_and_plain_contraction_give_the_same_bytes() -> None:
    world = make_world(5, 200)
    table = as_table([("atom", "v1.scam", ">=", 0.5), ("not", ("atom", "region", "in", ("US", "DE")))])
    binning = find_bins(table.atoms, world.creatives.columns)
    program = write_program(table, binning, [0], None)
    code_PM = encode_some(binning, np.arange(len(world)))
    lane_LM = np.zeros((1, BLOCK), np.int64)
    lane_LM[0, : len(world)] = world.creatives.weight_NW[:, 1]
    home_W = np.array([0, 0, 0, 1, 1, 1, 1, 1], np.int32)
    packed = kernels.Packed(lane_LM, np.array([(0, 0, 0, 64)]), home_W)
    sums = []
    for kernel in (kernels.contract, kernels.contract.py_func):
        sum_HVQ = np.zeros((2, 1, len(program.orders.fire_F)), np.int64)
        desk = kernels.make_desk(program.vectors, len(program.orders.fire_F))
        kernel(code_PM, np.array([0, 1]), program.steps, program.orders, packed, desk, sum_HVQ)
        sums.append(sum_HVQ.tolist())
    assert sums[0] == sums[1]
    whole = np.array(sums[0])[:, 0, 0]
    assert whole.tolist() == [lane_LM[0, :192].sum(), lane_LM[0, 192:].sum()]


@pytest.mark.parametrize("python", [False, True])
@examples(40)
@given(written=st.lists(trees(), min_size=1, max_size=4), world=worlds(sizes=(65, 129)), data=st.data())
def test_a_program_for_bounds_makes_the_same_outcomes_within_them(
    written: list[Tree], world: World, data: st.DataObject, python: bool
) -> None:
    table = as_table(written)
    binning = find_bins(table.atoms, world.creatives.columns)
    program = write_program(table, binning, [0], None)
    rows = data.draw(st.lists(st.integers(0, len(world) - 1), min_size=1, max_size=9))
    code_PM = np.repeat(encode_some(binning, np.array(rows))[:, :1], BLOCK, axis=1)
    code_PM[:, : len(rows)] = encode_some(binning, np.array(rows))[:, : len(rows)]
    low_P, high_P = (found(code_PM.astype(np.int64), axis=1) for found in (np.min, np.max))
    loops = {name: getattr(order_kernels, name) for name in ("specialise", "simplify", "drop_unread")}
    with patch.multiple(order_kernels, **{name: loop.py_func if python else loop for name, loop in loops.items()}):
        narrow = specialise(program, low_P, high_P)
    found_VB, wanted_VB = (np.full((program.vectors, WORDS), 0xDEAD, np.uint64) for _ in range(2))
    vectors.decide(code_PM, 0, narrow.steps, narrow.orders, found_VB)
    vectors.decide(code_PM, 0, program.steps, program.orders, wanted_VB)
    wanted = dict(zip(program.orders.outcome_F.tolist(), wanted_VB[program.orders.fire_F].tolist(), strict=True))
    found = dict(zip(narrow.orders.outcome_F.tolist(), found_VB[narrow.orders.fire_F].tolist(), strict=True))
    assert {outcome: bits for outcome, bits in wanted.items() if any(bits)} == {
        outcome: bits for outcome, bits in found.items() if any(bits)
    }
    assert narrow.steps.column_P[-1] <= program.steps.column_P[-1]


@both(order_kernels.compile_rules)
@examples(30)
@given(written=st.lists(trees(), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_orders_join_vectors_as_the_postfix_programs_say(kernel: Kernel, written: list[Tree], seed: int) -> None:
    table = as_table(written)
    bounds_R2 = np.stack([table.rule_start_R[:-1], table.rule_start_R[1:]], axis=1)
    atoms, room = len(table.atoms), len(table.op_L)
    rng = np.random.default_rng(seed)
    everything = set(range(8))
    holds = {vectors.FIXED + k: set(np.flatnonzero(rng.random(8) < 0.5).tolist()) for k in range(atoms)}
    vector_K = np.append(np.arange(atoms) + vectors.FIXED, vectors.EVERYTHING).astype(np.int32)
    free = vectors.FIXED + atoms
    rule_R = np.arange(free, free + len(bounds_R2), dtype=np.int32)
    levels_D = np.arange(table.stack, dtype=np.int32) + free + len(bounds_R2)
    order_I4, operand_J = np.zeros((room, 4), np.int32), np.zeros(2 * room, np.int32)
    orders, _ = kernel(table.op_L, table.arg_L, bounds_R2, vector_K, levels_D, rule_R, order_I4, operand_J)
    start = {vectors.NOTHING: set(), vectors.EVERYTHING: everything, **holds}
    found = run_orders(worded(order_I4[:orders], operand_J), start)
    for (first, end), vector in zip(bounds_R2.tolist(), rule_R.tolist(), strict=True):
        assert found[vector] == by_stack(table, first, end, [holds[vectors.FIXED + k] for k in range(atoms)])


def by_stack(table: StrategyTable, first: int, end: int, holds: list[set[int]]) -> set[int]:
    stack: list[set[int]] = []
    for op, arg in zip(table.op_L[first:end].tolist(), table.arg_L[first:end].tolist(), strict=True):
        if op == PUSH:
            stack.append(holds[arg])
        elif op == NOT:
            stack.append(set(range(8)) - stack.pop())
        elif op in (BOTH, EITHER):
            last, before = stack.pop(), stack.pop()
            stack.append(before & last if op == BOTH else before | last)
        else:
            stack.append(set(range(8)))
    (left,) = stack
    return left


@both(kernels.hand_out)
def test_the_last_rule_gets_what_the_others_leave_in_every_place_of_a_home(kernel: Kernel) -> None:
    #                  whole, outcomes 1 to 3; homes 0 and 1; weights 4 and 2
    sum_HVQ = np.array([[[10, 1, 2, 3], [100, 10, 20, 30]], [[5, 0, 4, 1], [50, 0, 40, 10]]])
    place_HG = np.array([[0, 3], [3, -1]])  # (frame, segment) of 2 x 2
    outcome_SO, rules_S = np.array([[1, 3], [2, -1]]), np.array([2, 1])
    sums = np.zeros((3, 4, 2, 2, 6), np.int64)
    kernel(sum_HVQ, np.array([4, 2]), place_HG, outcome_SO, rules_S, np.array([2, 0]), sums)
    wanted = np.zeros_like(sums)
    wanted[2, :3, 0, 0, 4], wanted[2, :3, 0, 0, 2] = [1, 3, 6], [10, 30, 60]
    wanted[2, :3, 1, 1, 4], wanted[2, :3, 1, 1, 2] = [1, 4, 10], [10, 40, 100]
    wanted[0, :2, 0, 0, 4], wanted[0, :2, 0, 0, 2] = [2, 8], [20, 80]
    wanted[0, :2, 1, 1, 4], wanted[0, :2, 1, 1, 2] = [6, 9], [60, 90]
    np.testing.assert_array_equal(sums, wanted)
