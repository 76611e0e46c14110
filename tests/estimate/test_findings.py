"""The segment finder: how often it names a segment where none differs, and finds the one that does."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate.worlds import World as Small
from estimate.worlds import question, rows_at

from engine.estimate.findings import Findings, adjusted_p, deep_segments, find_segments_that_differ
from engine.estimate.question import Question
from engine.expression import Atom
from engine.records import WEIGHTS, Column, Decision, Segments
from engine.replay.replay import Creatives, replay
from engine.strategy import Rule, Strategy, StrategyTable, build_table

LEVELS = (("a", "b", "c"), ("x", "y", "z", "w"), ("1", "2"))
CELLS = np.stack(np.meshgrid(*(np.arange(len(x)) for x in LEVELS), indexing="ij"), -1).reshape(-1, 3).astype(np.int32)


def table() -> StrategyTable:
    def strategy(name: str, column: str) -> Strategy:
        return Strategy(
            name,
            (Rule(Atom(column, ">=", 0.5), Decision.REJECT, policy="p"),),
            Rule(Atom(column, ">=", 0.0), Decision.APPROVE, policy="p"),
        )

    return build_table([strategy("old", "m.p"), strategy("new", "n.p")])


def twins(seed: int, size: int, bad: float) -> tuple[Small, np.ndarray, Segments]:
    """Draw a world in which, for each creative that one strategy rejects alone, a twin is rejected by the other alone.

    So nothing differs in any segment, to the last bit. bad : share of cell-0 level "b" creatives whose new score is
    pulled down, so that the candidate leaks there.
    """
    generator = np.random.default_rng([seed, 77])
    half = size // 2
    cell = np.tile(generator.integers(0, len(CELLS), half), 2)
    y = np.tile((generator.random(half) < 0.4).astype(np.int8), 2)
    rejects = generator.random((2, half)) < np.where(y[:half] == 1, 0.75, 0.1)
    old, new = np.concatenate([rejects[0], rejects[1]]), np.concatenate([rejects[1], rejects[0]])
    pulled = (CELLS[cell, 0] == 1) & (generator.random(size) < bad)
    score = np.where(np.stack([old, new & ~pulled]), 0.9, 0.1).astype(np.float32)
    exposure = np.ones((3, size))
    world = Small(score[0], y, np.arange(size), cell, exposure, np.zeros(size, np.int64))
    member = np.stack([np.ones(len(CELLS), bool), *(code == 0 for code in CELLS.T)])
    names = ("k1", "k2", "k3")
    return world, score, Segments(names, LEVELS, CELLS, ("all", *names), ("all", "a", "x", "1"), member)


def asked(seed: int, bad: float, size: int = 6000, labels: int = 2400) -> Question:
    """Draw an audit of a world of twins and ask about the difference."""
    world, score_MN, segments = twins(seed, size, bad)
    weight = np.zeros((size, len(WEIGHTS)), np.int64)
    weight[:, 0] = 1
    columns = (Column("m.p", score_MN[0]), Column("n.p", score_MN[1]))
    everyone = np.arange(size)
    creatives = Creatives(columns, world.region_N.astype(np.int64), np.ones(size, np.uint8), weight)
    found = replay(table(), creatives, len(CELLS), everyone, (0, 1))
    at = np.sort(np.random.default_rng([seed, 78]).choice(size, labels, replace=False))
    rows = rows_at(world, found.outcome_Sn, at, np.full(size, labels / size), 1, "srs")
    whole = question(world, rows, found, table())
    return replace(whole, segments=segments)


def found(seed: int, bad: float) -> Findings:
    answer = find_segments_that_differ(asked(seed, bad))
    assert answer is not None
    return answer


def named_share(bad: float, repetitions: int) -> tuple[float, float]:
    """Return how often anything is named, and how often k1 = b is, as worse."""
    anything = bad_one = 0
    for seed in range(repetitions):
        named = found(seed, bad).named
        anything += bool(named)
        bad_one += any(
            (one.segment_by, one.segment, one.metric) == ("k1", "b", "leakage_rate") and one.estimate > 0
            for one in named
        )
    return anything / repetitions, bad_one / repetitions


def test_where_no_segment_differs_the_finder_seldom_names_one():
    repetitions = 100
    assert named_share(0.0, repetitions)[0] <= 0.05 + 4 * sqrt(0.05 * 0.95 / repetitions)


def test_one_bad_segment_is_found():
    repetitions = 60  # leakage rises from a quarter to two fifths in a third of the creatives
    assert named_share(0.2, repetitions)[1] >= 0.8


@pytest.mark.slow
def test_of_1000_worlds_without_a_difference_at_most_65_name_a_segment():
    assert named_share(0.0, 1000)[0] <= 0.065


@pytest.mark.slow
def test_one_bad_segment_is_found_in_1000_worlds():
    assert named_share(0.2, 1000)[1] >= 0.8


def test_every_segment_is_tested_or_counted_with_the_reason():
    answer = found(1, 0.0)
    segments = deep_segments(asked(1, 0.0).segments)
    assert len(segments.name) == 1 + (3 + 4 + 2) + (12 + 6 + 8)
    assert answer.tested + answer.few + answer.still == 2 * (len(segments.name) - 1)
    assert answer.tested > 20


def test_a_bad_segment_is_worse_with_an_interval_above_0_and_narrower_ones_say_inside_what():
    answer = found(3, 0.4)
    worse = [one for one in answer.named if one.metric == "leakage_rate" and one.estimate > 0]
    (whole,) = [one for one in worse if one.segment_by == "k1"]
    assert whole.segment == "b"
    assert 0 < whole.low < whole.estimate < whole.high
    inside = [one for one in worse if one.segment.startswith("b × ")]
    assert inside
    assert {one.inside for one in inside} == {"k1 b"}
    assert [one.adjusted for one in answer.named] == sorted(one.adjusted for one in answer.named)


def test_too_few_labels_test_nothing_and_say_so():
    answer = find_segments_that_differ(asked(1, 0.4, labels=60))
    assert answer is not None
    assert answer.tested == 0
    assert answer.named == ()
    assert answer.few > 0


def test_a_copy_of_the_baseline_has_nothing_to_test():
    one = asked(1, 0.0)
    same = replace(one.rows, outcome_Sn=one.rows.outcome_Sn[[0, 0]])
    swap = np.zeros_like(one.totals.swap_OQCW)
    answer = find_segments_that_differ(replace(one, rows=same, totals=replace(one.totals, swap_OQCW=swap)))
    assert answer is not None
    assert (answer.tested, answer.few) == (0, 0)


def test_equal_segments_are_tested_once():
    one = asked(1, 0.0).segments
    doubled = replace(
        one,
        attributes=(*one.attributes, "k4"),
        by=("all", "k1", "k2", "k4"),
        levels=(*one.levels, one.levels[0]),
        cell_level_CK=np.concatenate([one.cell_level_CK, one.cell_level_CK[:, :1]], axis=1),
    )
    names = deep_segments(doubled).by
    assert "k4" not in names
    assert names.count("k1") == 3


def test_only_attributes_that_have_segments_are_searched():
    one = asked(1, 0.0).segments
    assert set(deep_segments(replace(one, by=("all", "k2", "k2", "k3"))).by) == {"all", "k2", "k3", "k2 × k3"}
    assert deep_segments(replace(one, by=("all",) * 4)).by == ("all",)


def test_nothing_compared_finds_nothing():
    assert find_segments_that_differ(replace(asked(1, 0.0), pair=None)) is None


def test_adjusted_p_are_those_of_the_step_up_procedure():
    p = np.random.default_rng(5).random(40) ** 3
    for rate in (0.01, 0.05, 0.3):
        ordered = sorted(p)
        passed = [i for i in range(40) if ordered[i] <= rate * (i + 1) / 40]
        limit = ordered[passed[-1]] if passed else -1.0
        assert ((adjusted_p(p) <= rate) == (p <= limit)).all()
