"""Sweeps of many strategies: the same totals whatever the split, the threads, the grouping or the portions."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from generators import Rules, World, examples, make_world, rule_lists, worlds
from hypothesis import given
from hypothesis import strategies as st

from engine.records import Totals
from engine.replay import groups
from engine.replay import replay as module
from engine.replay.replay import Replayed, replay
from engine.strategy import StrategyTable, build_table

_LAST = (("missing", "region"), "APPROVE", 1.0, None)


def table_of(drawn: list[Rules]) -> StrategyTable:
    return build_table([rules.strategy(f"s{i}") for i, rules in enumerate(drawn)])


def sweep(strategies: int, seed: int) -> StrategyTable:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(strategies):
        at = rng.choice([0.1, 0.3, 0.5, 0.9], 2).tolist()
        where = ("atom", "region", "in", tuple(rng.choice(["US", "GB", "DE"], 2).tolist()))
        reject = ("and", ("atom", "v1.scam", ">=", at[0]), where)
        review = ("atom", "v2.scam", ">", at[1])
        rules = ((reject, "REJECT", 1.0, None), (review, "REVIEW", 1.0, None))
        drawn.append(Rules(rules, _LAST, "first"))
    return table_of(drawn)


def run(
    table: StrategyTable, world: World, *, grouped: bool = False, threads: int = 1, portion: int = 8192
) -> Replayed:
    pair = (0, 1) if len(table.strategies) > 1 else None
    with ExitStack() as stack:
        stack.enter_context(patch.object(module, "VECTORS", portion))
        if grouped:
            stack.enter_context(patch.object(groups, "WORTH", 0))
        return replay(table, world.creatives, world.cells, np.arange(len(world)), pair, threads=threads)


def same(a: Replayed, b: Replayed) -> bool:
    pairs = zip(parts(a.totals), parts(b.totals), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in pairs) and a.outcome_Sn.tobytes() == b.outcome_Sn.tobytes()


def parts(totals: Totals) -> tuple[np.ndarray, ...]:
    return totals.sum_SOFCW, totals.swap_OQCW, totals.whole_FCW


@examples(40)
@given(drawn=st.lists(rule_lists(), min_size=1, max_size=4), world=worlds(), threads=st.integers(1, 3))
def test_groups_threads_and_portions_change_no_byte(drawn: list[Rules], world: World, threads: int) -> None:
    table = table_of(drawn)
    plain = run(table, world)
    assert same(run(table, world, grouped=True, threads=threads), plain)
    assert same(run(table, world, threads=threads, portion=1), plain)


@pytest.mark.parametrize("shards", [1, 7, 64])
@pytest.mark.parametrize("grouped", [False, True])
def test_splitting_into_shards_changes_no_byte_of_the_totals(shards: int, grouped: bool) -> None:
    world, table = make_world(4, 3000), sweep(130, 4)
    bounds = np.linspace(0, len(world), shards + 1).astype(int)
    found = [run(table, world.part(a, b), grouped=grouped).totals for a, b in pairwise(bounds)]
    merged = reduce(Totals.__add__, found)
    whole = run(table, world).totals
    assert [x.tobytes() for x in parts(merged)] == [x.tobytes() for x in parts(whole)]


@pytest.mark.parametrize("strategies", [1, 2, 130])
@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 511, 512, 513, 5000])
def test_every_strategy_of_a_sweep_is_as_if_it_were_alone(rows: int, strategies: int) -> None:
    world, table = make_world(rows, rows), sweep(strategies, 1)
    found = run(table, world, threads=2)
    for s in {0, strategies // 2, strategies - 1}:
        alone = run(build_table([table.strategies[s]]), world)
        assert alone.totals.sum_SOFCW.tobytes() == found.totals.sum_SOFCW[s : s + 1].tobytes()
        assert alone.outcome_Sn.tobytes() == found.outcome_Sn[s].tobytes()
    by_hand = np.zeros_like(found.totals.sum_SOFCW)
    held = world.creatives
    for s in range(strategies):
        np.add.at(by_hand[s], (found.outcome_Sn[s], held.frame_N, held.cell_N), held.weight_NW)
    assert by_hand.tobytes() == found.totals.sum_SOFCW.tobytes()


def test_homes_with_blocks_of_their_own_and_homes_that_share_them_give_the_same_sums() -> None:
    world, table = make_world(8, 6000), sweep(5, 8)
    apart = replace(world, creatives=replace(world.creatives, cell_N=world.creatives.cell_N * 0), cells=1)
    many = replace(world, creatives=replace(world.creatives, cell_N=np.arange(len(world)) % 1500), cells=1500)
    wanted = run(table, apart).totals.sum_SOFCW
    assert run(table, many).totals.sum_SOFCW.sum(3, keepdims=True).tobytes() == wanted.tobytes()


def test_creatives_that_are_all_different_are_not_grouped_and_equal_ones_are() -> None:
    world = make_world(2, 512)
    different = replace(world.creatives, cell_N=np.arange(512))
    equal = world.part(0, 1).creatives
    repeated = replace(
        equal,
        columns=tuple(replace(column, values_N=np.repeat(column.values_N, 512)) for column in equal.columns),
        cell_N=np.repeat(equal.cell_N, 512),
        frame_N=np.repeat(equal.frame_N, 512),
        weight_NW=np.repeat(equal.weight_NW, 512, axis=0),
    )
    table, nobody = sweep(3, 2), np.zeros(0, np.int64)
    with patch.object(groups, "WORTH", 0):
        assert replay(table, different, 512, nobody, None).groups == 512
        assert replay(table, repeated, 3, nobody, None).groups == 1


def test_the_number_of_groups_is_counted_on_a_sample() -> None:
    world = make_world(6, 100_000)
    with patch.object(groups, "WORTH", 0):
        grouped = replay(sweep(3, 6), world.creatives, world.cells, np.zeros(0, np.int64), None)
    assert grouped.groups < len(world) / 10
    assert grouped.totals.sum_SOFCW[..., 0].sum((1, 2, 3)).tolist() == [len(world)] * 3


def test_grouping_is_chosen_where_it_saves_more_than_it_costs() -> None:
    assert groups.pays(100, 1000, 1000)
    assert not groups.pays(100, 1000, 2)
    assert not groups.pays(1000, 1000, 10_000)


def test_negative_weights_and_sums_past_float64_stay_exact() -> None:
    world = make_world(3, 700)
    weight_NW = world.creatives.weight_NW.copy()
    weight_NW[:, 4] = -weight_NW[:, 4]
    weight_NW[5, 1] = 2**62
    weight_NW[:, 2] = 0
    held = replace(world.creatives, weight_NW=weight_NW)
    found = run(sweep(2, 3), replace(world, creatives=held))
    by_hand = np.zeros_like(found.totals.sum_SOFCW)
    for s in range(2):
        np.add.at(by_hand[s], (found.outcome_Sn[s], held.frame_N, held.cell_N), weight_NW)
    assert by_hand.tobytes() == found.totals.sum_SOFCW.tobytes()


def test_folded_sums_are_those_of_segments() -> None:
    world, table = make_world(7, 900), sweep(4, 7)
    member_GC = np.array([[True, True, True], [True, False, True], [False, False, False]])
    nobody = np.zeros(0, np.int64)
    folded = replay(table, world.creatives, world.cells, nobody, (1, 0), member_GC=member_GC).totals
    plain = replay(table, world.creatives, world.cells, nobody, (1, 0)).totals
    wanted = np.einsum("sofcw,gc->sofgw", plain.sum_SOFCW, member_GC.astype(np.int64))
    assert folded.folded
    assert not plain.folded
    assert folded.sum_SOFCW.tobytes() == wanted.tobytes()
    assert folded.swap_OQCW.tobytes() == plain.swap_OQCW.tobytes()
    assert (folded + folded).folded
