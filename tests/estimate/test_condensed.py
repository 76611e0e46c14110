"""Power sums against the rows that they are sums of, and strategies side by side against each alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimate.worlds import World, assert_same_to_rounding, audit_rows, make_world, question, replayed

from engine.estimate import policy
from engine.estimate.estimates import estimate_all
from engine.estimate.policy import policies
from engine.estimate.question import Prices, Question
from engine.estimate.stack import LARGEST, stacks
from engine.expression import Atom
from engine.records import Decision
from engine.strategy import Review, Rule, Strategy, StrategyTable, build_table

COUNT = LARGEST + 4
SECOND = (Decision.REVIEW, Decision.LIMIT)


def sweep(count: int = COUNT) -> StrategyTable:
    """Strategies of two thresholds, two ways to treat what lies between; the last one refuses nobody."""
    thresholds = np.sort(np.random.default_rng(3).uniform(0.2, 0.9, (count, 2)))
    thresholds[-1] = (1.5, 2.0)
    last = Rule(Atom("m.p", ">=", 0.0), Decision.APPROVE, policy="p")
    return build_table(
        [
            Strategy(
                f"s{s}",
                (
                    Rule(Atom("m.p", ">=", float(high)), Decision.REJECT, policy="p"),
                    Rule(Atom("m.p", ">=", float(low)), SECOND[s % 2], 0.3 if s % 2 else 1.0, policy="p"),
                ),
                last,
                review=Review(0.9, 0.95, 0.1),
            )
            for s, (low, high) in enumerate(thresholds)
        ]
    )


def asked(
    world: World, *, method: str = "srs", rates: tuple[float, ...] = (0.1, 0.3, 0.6), gaps: bool = False
) -> Question:
    """Ask about all strategies; gaps : unanswered labels, lacking and imputed exposure."""
    table = sweep()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, rates, 4, method)
    if gaps:
        generator = np.random.default_rng(5)
        silent_n = generator.random(len(rows.pi_n)) < 0.2
        y_nQ = np.where(silent_n[:, None], -1, rows.y_nQ).astype(np.int8)
        answered_H = np.bincount(rows.stratum_n[~silent_n], minlength=len(rates))
        known_Wn, imputed_Wn = rows.known_Wn.copy(), rows.imputed_Wn.copy()
        refused_n = generator.random(len(rows.pi_n)) < 0.3
        imputed_Wn[1, refused_n], known_Wn[1, refused_n] = 40.0, np.nan
        known_Wn[2, generator.random(len(rows.pi_n)) < 0.1] = 0.0
        design = replace(rows.design, answered_HQ=answered_H[:, None])
        rows = replace(rows, y_nQ=y_nQ, known_Wn=known_Wn, imputed_Wn=imputed_Wn, design=design)
    prices = Prices(2.0, 3.0, 0.1, (1.5,) * COUNT, "impressions")
    return question(world, rows, found, table, prices=prices)


@pytest.mark.parametrize("method", ["srs", "poisson"])
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_power_sums_say_what_the_rows_say(monkeypatch, method, gaps):
    one = asked(make_world(2, size=3000, advertisers=40), method=method, gaps=gaps)
    summed = estimate_all(one)
    assert any("without it" in (row.warning or "") for row in summed)
    monkeypatch.setattr(policy, "condenser_of", lambda *_: None)
    by_row = estimate_all(one)
    assert len(summed) == len(by_row)
    for mine, theirs in zip(summed, by_row, strict=True):
        assert_same_to_rounding(mine, theirs)


def test_an_advertiser_that_is_all_there_is_of_a_kind_leaves_nothing_behind():
    world = make_world(6, size=2000, advertisers=30)
    giant = world.advertiser_N == 0
    lone = replace(world, y_N=np.where(giant, 1, 0).astype(np.int8))
    left = [row for row in estimate_all(asked(lone)) if row.metric == "leakage_rate" and row.inference == "future"]
    assert any("without it no number" in (row.warning or "") for row in left)


def test_strategies_side_by_side_are_what_each_is_alone(monkeypatch):
    one = replace(asked(make_world(2, size=3000, advertisers=40), gaps=True), pair=None)
    together = estimate_all(one)
    sizes = sorted(len(some) for some in stacks(policies(one)[0]))
    assert max(sizes) > 1
    assert sum(sizes) == COUNT
    monkeypatch.setattr("engine.estimate.stack.LARGEST", 1)
    assert estimate_all(one) == together


def test_only_strategies_whose_outcomes_mean_the_same_share_a_stack():
    one = asked(make_world(2, size=2000))
    table = one.table
    for some in stacks(policies(one)[0]):
        treated = {tuple((rule.decision, rule.share) for rule in table.rules[s]) for s in some}
        occurs = {tuple(one.totals.sum_SOFCW[s, ..., 0].sum((1, 2)) > 0) for s in some}
        assert len(treated) == len(occurs) == 1


def test_threads_change_nothing():
    one = asked(make_world(3, size=2000))
    assert estimate_all(one, threads=3) == estimate_all(one)
