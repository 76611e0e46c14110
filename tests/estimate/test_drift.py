"""Drift is found where it is planted and seldom where there is none; its numbers are those of plain Python."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import pytest
from estimate.worlds import audit_rows, make_world, question, replayed, strategies

from engine.estimate.drift import LEVEL, label_drift, score_drift
from engine.estimate.metrics import VIOLATING_SHARE
from engine.estimate.over_time import piece_rates
from engine.estimate.sample import FUTURE
from engine.records import Estimate

REPETITIONS = 1000 if os.environ.get("BACKTEST_ALL") else 40
GROUPS, WEEKS, BINS = 64, 8, 64


def history(seed: int, size: int = 4000, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Draw two scores of creatives whose advertisers have their own ways; from week 4 on the first score moves."""
    generator = np.random.default_rng(seed)
    share = 1 / (np.arange(300) + 5.0)
    advertiser = generator.choice(300, size, p=share / share.sum())
    group, week = generator.integers(0, GROUPS, 300)[advertiser], generator.integers(0, WEEKS, size)
    counts = {}
    for name, moved in (("a.p", shift), ("b.p", 0.0)):
        latent = generator.normal(size=300)[advertiser] + 0.7 * generator.normal(size=size) + moved * (week >= 4)
        at = np.clip((latent + 5) / 10 * BINS, 0, BINS - 1).astype(np.int64)
        counts[name] = np.zeros((GROUPS, WEEKS, BINS), np.int64)
        np.add.at(counts[name], (group, week, at), 1)
    return counts


def allowed(repetitions: int, level: float) -> float:
    """Return how many false alarms in a thousand chance may show at a level: 3.3 binomial deviations above it."""
    return level + 3.3 * math.sqrt(level * (1 - level) / repetitions)


@pytest.mark.parametrize("size", [600, 4000])
def test_without_drift_of_scores_few_histories_go_beyond_chance(size):
    beyond = said = 0
    for seed in range(REPETITIONS):
        found = score_drift(history(seed, size), 2)
        beyond += any((column.psi_T > column.threshold_T).any() for column in found.values())
        said += any(column.drifts_T.any() for column in found.values())
    print(f"{size} creatives: beyond chance {beyond / REPETITIONS:.3f}, said {said / REPETITIONS:.3f}")
    assert said <= beyond
    assert beyond / REPETITIONS <= allowed(REPETITIONS, 0.04)


def test_a_planted_shift_of_scores_is_found_in_the_weeks_and_the_score_that_have_it():
    found = [score_drift(history(seed, shift=0.6), 2) for seed in range(REPETITIONS)]
    share = np.mean([each["a.p"].drifts_T[2:].any() for each in found])
    print(f"found in {share:.3f}")
    assert share >= 0.8
    assert np.mean([each["a.p"].drifts_T[:2].any() or each["b.p"].drifts_T.any() for each in found]) <= 0.1


def test_index_and_distance_are_those_of_plain_python():
    count = history(3, shift=0.3)["a.p"]
    found = score_drift({"a.p": count}, 3)["a.p"]
    first, last = ([int(n) for n in count[:, weeks].sum((0, 1))] for weeks in (slice(0, 3), slice(7, 8)))
    whole, below, edges, decile = sum(first), 0, [], 1
    for at, n in enumerate(first):
        below += n
        if below >= whole * decile / 10 and decile < 10:
            edges.append(at + 1)
            while below >= whole * decile / 10:
                decile += 1
    parts = list(zip([0, *edges], [*edges, BINS], strict=True))
    p, q = ([(sum(n[a:b]) + 0.5) / (sum(n) + 0.5 * len(parts)) for a, b in parts] for n in (last, first))
    expected = sum((x - y) * math.log(x / y) for x, y in zip(p, q, strict=True))
    assert found.psi_T[-1] == pytest.approx(expected)
    distance = max(abs(sum(last[:k]) / sum(last) - sum(first[:k]) / whole) for k in range(BINS + 1))
    assert found.distance_T[-1] == pytest.approx(distance)


def test_pieces_without_a_score_and_scores_of_one_value_do_not_drift():
    one = np.zeros((GROUPS, 3, BINS), np.int64)
    one[:, :2, 7] = 5
    found = score_drift({"a.p": one}, 1)["a.p"]
    assert found.psi_T.tolist() == found.distance_T.tolist() == [0, 0]
    assert not found.drifts_T.any()
    assert score_drift({}, 1) == {}


def violating_shares(seed: int, planted: float) -> list[Estimate]:
    """Return the violating shares of three pieces; creatives of the last one violate more."""
    world = make_world(seed, size=3000, share=0.2)
    more = (world.region_N == 2) & (np.random.default_rng([seed, 1]).random(len(world)) < planted)
    world = replace(world, y_N=np.where(more, 1, world.y_N).astype(np.int8))
    table = strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.2, 0.3, 0.6), seed)
    asked = question(world, rows, found, table, inferences=(FUTURE,))
    numbers = next(piece_rates(asked, [VIOLATING_SHARE.name]))
    assert [row.segment for row in numbers] == ["all", "a", "b", "c"]
    return list(numbers[1:])


def labels_drift(seed: int, planted: float) -> bool:
    return label_drift(violating_shares(seed, planted), 0.95).piece is not None


def test_label_rates_that_do_not_differ_are_seldom_said_to_and_a_planted_rise_is_found():
    alarms = np.mean([labels_drift(seed, 0.0) for seed in range(REPETITIONS)])
    power = np.mean([labels_drift(seed, 0.25) for seed in range(REPETITIONS)])
    print(f"false alarms {alarms:.3f}, found {power:.3f}")
    assert alarms <= allowed(REPETITIONS, LEVEL)
    assert power >= 0.8


def test_a_rise_is_named_where_it_is_and_too_few_labels_say_nothing():
    numbers = violating_shares(1, 0.0)
    shifted = [numbers[0]._replace(estimate=0.5, low=0.38, high=0.62), *numbers[1:]]
    assert label_drift(shifted, 0.95).piece == 0
    few = [row._replace(effective_events=1.0) for row in numbers[:2]] + numbers[2:]
    assert label_drift(few, 0.95) == label_drift([], 0.95)
    assert label_drift(few, 0.95).p is None
