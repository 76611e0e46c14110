"""Planned labels against uniform ones, through the engine's own estimators, over redraws of a world that is known."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate.worlds import World, census_rows, make_world, question, replayed, rows_at, strategies

from engine.estimate.delivery import MACHINE, delivery
from engine.estimate.known import creatives_of
from engine.estimate.label_rates import paired_rates
from engine.estimate.metrics import RATES, Metric
from engine.estimate.policy import bases
from engine.estimate.sample import answered_sample
from engine.estimate.view import View
from engine.labelling.allocation import Allocation, allocate
from engine.labelling.influence import Side, influence
from engine.records import Estimate, LabelledRows
from engine.replay.replay import Replayed

REPETITIONS = 100
TABLE = strategies()


def paired(world: World, rows: LabelledRows, found: Replayed, weighting: str, metric: Metric) -> Estimate:
    asked = question(world, rows, found, TABLE, inferences=("history",))
    creatives_G = creatives_of(asked.totals, asked.segments)
    known, _, _ = bases(asked, creatives_G)
    sample = answered_sample(rows, 0, asked.segments, creatives_G)
    baseline, candidate = (View(asked, known, sample, s, 0, MACHINE, weighting) for s in (0, 1))
    return next(row for row in paired_rates(candidate, baseline, [metric]) if row.segment == "all")


def drawn(world: World, found: Allocation, generator: np.random.Generator) -> tuple[World, np.ndarray]:
    at = [
        generator.choice(np.flatnonzero(found.stratum_N == h), take, replace=False)
        for h, take in enumerate(found.take_h)
    ]
    return replace(world, stratum_N=found.stratum_N.astype(np.int64)), np.sort(np.concatenate(at))


@pytest.mark.parametrize(
    ("metric", "weighting"),
    [("leakage_rate", "creatives"), ("leakage_rate", "impressions"), ("overkill_rate", "creatives")],
)
def test_a_plan_is_as_narrow_as_twice_its_labels_drawn_uniformly_and_covers(metric, weighting):
    metric = next(m for m in RATES if m.name == metric)
    world = make_world(31, size=6000)
    found = replayed(world, TABLE)
    truth = paired(world, census_rows(world, found.outcome_Sn), found, weighting, metric).estimate
    belief = np.clip(1.4 * world.score_N - 0.2, 0.01, 0.95)  # a rough one
    sides = [
        Side(delivery(TABLE.strategies[s], TABLE.rules[s], "p", MACHINE, counted=weighting == "creatives"),
             found.outcome_Sn[s])
        for s in (0, 1)
    ]  # fmt: skip
    exposure = world.exposure_WN[("creatives", "impressions").index(weighting)]
    moves = influence(metric, *sides, belief.astype(np.float64), exposure)
    size = len(world)
    uniform = Allocation(np.zeros(size, np.int32), np.array([size]), np.array([800]), np.array([0]))
    widths, covered = {}, {}
    for name, plan in (("uniform", uniform), ("plan", allocate(moves, (), 400, 0.1))):
        generator, rows_of = np.random.default_rng(5), []
        for _ in range(REPETITIONS):
            mine, at = drawn(world, plan, generator)
            rows = rows_at(mine, found.outcome_Sn, at, plan.chance_N, len(plan.take_h), "srs")
            rows_of.append(paired(world, rows, found, weighting, metric))
        widths[name] = np.mean([row.high - row.low for row in rows_of])
        covered[name] = np.mean([row.low <= truth <= row.high for row in rows_of])
    assert widths["plan"] <= widths["uniform"]
    assert covered["plan"] >= 0.95 - 4 * sqrt(0.05 * 0.95 / REPETITIONS)
