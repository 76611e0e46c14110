"""Which contents a model is asked about: enough that no decision could turn out otherwise, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generators import SINGLE, Rules, World, examples, make_world, rule_lists, worlds
from hypothesis import given
from oracles import asks as asks_slowly
from oracles import first_to_fire

from engine.expression import ALWAYS, parse
from engine.records import Column, Decision
from engine.replay import kernels
from engine.replay.asking import asks, asks_always, levels
from engine.state import Capacity, Memory
from engine.strategy import Rule, Strategy, build_table

THRESHOLDS = (0.0, 0.1, 0.3, 1 / 3, 0.5, 0.7, 0.9, 1.0)


def strategy(*rules: str, name: str = "s") -> Strategy:
    written = tuple(Rule(parse(when), Decision.REJECT) for when in rules)
    return Strategy(name, written, Rule(parse("missing(region)"), Decision.APPROVE))


def known(world: World, *unscored: str) -> list[Column]:
    return [c for c in world.creatives.columns if c.name.partition(".")[0] not in unscored]


@examples(80)
@given(drawn=rule_lists(), world=worlds())
def test_the_kernel_asks_what_its_slow_twin_asks(drawn: Rules, world: World) -> None:
    table = build_table([drawn.strategy()])
    written = [rule.when for rule in drawn.strategy().rules]
    if drawn.match == "harshest":
        return  # rewritten into first-match rules before the kernel; the property below covers it
    trees = [rule[0] for rule in drawn.rules]
    assert len(written) == len(trees)
    for model, mine in (("v2", {"v2.scam"}), ("v1", {"v1.scam", "v1.adult"})):
        found = asks(table, known(world, model), len(world), model, {model})
        assert found.tolist() == [asks_slowly(trees, creative, mine, mine, SINGLE) for creative in world.plain]


@examples(60)
@given(drawn=rule_lists(), world=worlds((1, 63, 65)))
def test_no_value_of_a_score_that_was_not_asked_for_changes_a_decision(drawn: Rules, world: World) -> None:
    table = build_table([drawn.strategy()])
    asked = asks(table, known(world, "v2"), len(world), "v2", {"v2"})
    whens = [rule[0] for rule in drawn.rules]
    for creative, was_asked in zip(world.plain, asked, strict=True):
        if not was_asked and drawn.match == "first":
            values = [None, -1.0, *THRESHOLDS, *(float(np.nextafter(x, 2)) for x in THRESHOLDS)]
            outcomes = {first_to_fire(whens, creative | {"v2.scam": value}, SINGLE) for value in values}
            assert len(outcomes) == 1


def test_a_band_of_the_small_model_is_all_that_the_big_one_sees() -> None:
    world = make_world(3, 500)
    small = next(c.values_N for c in world.creatives.columns if c.name == "v1.scam")
    table = build_table([strategy("v1.scam >= 0.9", "v1.scam >= 0.3 and v2.scam >= 0.5")])
    asked = asks(table, known(world, "v2"), len(world), "v2", {"v2"})
    with np.errstate(invalid="ignore"):
        assert (asked == ((small >= np.float32(0.3)) & (small < np.float32(0.9)))).all()
    assert 0 < asked.sum() < 500


def test_what_is_not_scored_yet_is_not_missing() -> None:
    world = make_world(5, 200)
    rules = strategy("v1.scam >= 0.5", "v1.scam >= 0.3 and v2.scam >= 0.5")
    guarded = asks(build_table([rules], missing_to_review=True), known(world, "v2"), len(world), "v2", {"v2"})
    plain = asks(build_table([rules]), known(world, "v2"), len(world), "v2", {"v2"})
    small = next(c.values_N for c in world.creatives.columns if c.name == "v1.scam")
    assert (guarded == (plain & ~np.isnan(small))).all()


def test_every_strategy_of_a_run_is_heard() -> None:
    world = make_world(4, 300)
    low, high = strategy("v1.scam < 0.3 and v2.scam >= 0.5"), strategy("v1.scam >= 0.7 and v2.scam >= 0.5")
    both = asks(build_table([low, high]), known(world, "v2"), len(world), "v2", {"v2"})
    apart = [asks(build_table([one]), known(world, "v2"), len(world), "v2", {"v2"}) for one in (low, high)]
    assert (both == (apart[0] | apart[1])).all()


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ((("v1.scam >= 0.5",), ("v2.scam >= 0.5",)), (("v1", "v2"),)),
        ((("v1.scam >= 0.5 and v2.scam >= 0.5",),), (("v1",), ("v2",))),
        ((("v1.scam >= 0.9", "v1.scam >= 0.3 and v2.scam >= 0.5"),), (("v1",), ("v2",))),
        ((("v1.scam >= 0.3 and v2.scam >= 0.5",), ("v2.scam >= 0.1",)), (("v1", "v2"),)),
        ((('region == "US" and v2.scam >= 0.5',),), (("v2",),)),
        ((("v1.scam >= 0.3 and v2.scam >= 0.5", "v2.scam >= 0.3 and v3.scam > 0.1"),), (("v1",), ("v2",), ("v3",))),
    ],
)
def test_a_model_waits_for_the_cheaper_ones_it_is_read_with(
    rules: tuple[tuple[str, ...], ...], wanted: tuple[tuple[str, ...], ...]
) -> None:
    table = build_table([strategy(*written, name=str(n)) for n, written in enumerate(rules)])
    models = [name for name in ("v1", "v2", "v3") if any(name in " ".join(written) for written in rules)]
    assert levels(table, models) == wanted


def test_arithmetic_over_a_model_without_scores_leaves_the_rule_open() -> None:
    world = make_world(6, 300)
    table = build_table([strategy("v1.scam >= 0.3 and max(v1.scam, v2.scam) - age >= 0.5 or missing(v2.scam / age)")])
    asked = asks(table, known(world, "v2"), len(world), "v2", {"v2"})
    assert asked.all()  # missing(v2.scam / age) may hold of any creative
    narrow = build_table([strategy("v1.scam >= 0.3 and v2.scam > v1.scam")])
    small = next(c.values_N for c in world.creatives.columns if c.name == "v1.scam")
    with np.errstate(invalid="ignore"):
        assert (asks(narrow, known(world, "v2"), len(world), "v2", {"v2"}) == (small >= np.float32(0.3))).all()
    assert levels(narrow, ["v1", "v2"]) == (("v1",), ("v2",))
    assert levels(build_table([strategy("v2.scam > v1.scam")]), ["v1", "v2"]) == (("v1",), ("v2",))


def test_struck_rules_ask_for_their_models_beside_the_normal_ones() -> None:
    world = make_world(8, 300)
    struck = (Rule(parse("v1.scam >= 0.5 and v2.scam >= 0.1"), Decision.REJECT), Rule(ALWAYS, Decision.APPROVE))
    plain = strategy("v1.scam >= 0.9")
    asked = asks(build_table([replace(plain, struck=struck)]), known(world, "v2"), len(world), "v2", {"v2"})
    small = next(c.values_N for c in world.creatives.columns if c.name == "v1.scam")
    with np.errstate(invalid="ignore"):
        assert (asked == (small >= np.float32(0.5))).all()
    assert not asks(build_table([plain]), known(world, "v2"), len(world), "v2", {"v2"}).any()


def test_a_model_that_orders_a_queue_is_asked_about_everything() -> None:
    world = make_world(8, 70)
    memory = Memory(Capacity(5, order="score", column="v2.scam"))
    table = build_table([strategy(), replace(strategy("v1.scam >= 0.9"), memory=memory)])
    assert asks(table, known(world, "v2"), len(world), "v2", {"v2"}).all()
    assert asks_always(table, 1, "v2")
    assert not asks_always(table, 0, "v2")
    assert levels(table, ["v1", "v2"]) == (("v1", "v2"),)


def test_a_first_rule_of_one_model_alone_asks_about_everything() -> None:
    table = build_table([strategy("v1.scam >= 0.5", "v2.scam >= 0.5"), strategy(name="empty")], missing_to_review=True)
    assert asks_always(table, 0, "v1")
    assert not asks_always(table, 0, "v2")
    assert not asks_always(table, 1, "v1")


@pytest.mark.parametrize("unpack", [kernels.unpack, kernels.unpack.py_func], ids=["compiled", "python"])
@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 129])
def test_unpacking_undoes_packing(unpack, rows: int) -> None:
    flag_N = np.random.default_rng(rows).random(rows) < 0.5
    word_W = np.zeros(-(-rows // 64), np.uint64)
    kernels.pack(flag_N, word_W)
    out_N = np.zeros(rows, bool)
    unpack(word_W, out_N)
    assert (out_N == flag_N).all()


def test_the_compiled_kernel_and_plain_python_ask_alike() -> None:
    world = make_world(9, 129)
    table = build_table([strategy("v1.scam >= 0.7", "not (v1.scam >= 0.3 and v2.scam >= 0.5)", "v2.scam > 0.1")])
    wanted = asks(table, known(world, "v2"), len(world), "v2", {"v2"})
    compiled = kernels.ask
    try:
        kernels.ask = compiled.py_func
        assert (asks(table, known(world, "v2"), len(world), "v2", {"v2"}) == wanted).all()
    finally:
        kernels.ask = compiled
