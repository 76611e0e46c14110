"""backtest plan: what it promises is what a run then does."""

from __future__ import annotations

import math
from typing import Any

import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.pipeline import run
from engine.plan import Option, plan, plan_table
from engine.progress import Progress


def make(tree: dict[str, Any]) -> dict[str, Option]:
    return {option.name: option for option in plan(check_config(tree, "test"), Progress())}


@pytest.fixture
def tree(lake, tiny_models, tmp_path) -> dict[str, Any]:
    tree = config_tree(lake, tmp_path, tiny_models, execute={"workers": 1}, cost={"million_contents": 1000.0})
    tree["store"]["scores"] = str(tmp_path / "scores")
    return tree


def test_a_plan_counts_the_contents_that_the_run_then_scores(tree):
    promised = make(tree)
    assert list(promised) == [
        "labelled only",
        "0.01 of creatives",
        "0.05 of creatives",
        "0.2 of creatives",
        "everything",
    ]
    for name, share in (("0.2 of creatives", 0.2), ("labelled only", 0.0), ("everything", None)):
        one = tree | {"run": f"r{share}", "store": tree["store"] | {"scores": f"{tree['store']['scores']}{share}"}}
        if share is not None:
            one["creatives"] = tree["creatives"] | {"sample": {"share": share}}
        finished = run(check_config(one, "test"), Progress(), score_only=True)
        assert promised[name].to_score == finished.scored.scored_now
        assert promised[name].cost == pytest.approx(1000 * sum(finished.scored.scored_now.values()) / 1e6)


def test_what_the_store_holds_is_not_planned_again(tree):
    before = make(tree)["everything"]
    run(check_config(tree, "test"), Progress(), score_only=True)
    after = make(tree)["everything"]
    assert set(after.to_score.values()) == {0}
    assert after.cost == 0
    assert before.hours is None, "nobody has measured these models yet"
    assert after.hours == 0


def test_scoring_more_narrows_rates_of_decisions_alone(tree):
    options = list(make(tree).values())
    assert len({option.leakage for option in options}) == 1
    sampled = [option.decisions for option in options[1:]]
    assert sampled == sorted(sampled, reverse=True)
    assert sampled[-1] == 0
    assert 0 < options[0].decisions < 0.5


def test_the_width_of_a_sample_is_that_of_poisson_sampling(tree):
    whole = sum(make(tree | {"labels": None, "audits": None})["everything"].to_score.values())
    assert whole > 0
    option = make(tree | {"labels": None, "audits": None})["0.2 of creatives"]
    assert option.leakage is None
    kept = 600 - 48 - 24
    assert option.decisions == pytest.approx(1.96 * math.sqrt(0.25 * 0.8 / 0.2 / kept))


def test_advertisers_drawn_whole_promise_wider_intervals(tree):
    single = make(tree)["0.2 of creatives"]
    tree["creatives"]["sample"] = {"share": 0.2, "by": "advertiser"}
    assert make(tree | {"run": "whole"})["0.2 of advertisers"].decisions > single.decisions


def test_the_table_names_every_model_and_says_what_the_widths_are(tree):
    text = plan_table(list(make(tree).values()))
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["scored", "v1", "to"]
    assert len({len(line) for line in lines[:6]}) == 1
    assert "widest 95 % interval" in text
