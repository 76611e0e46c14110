"""What a run says of each rule, against plain loops over the lake."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.pipeline import run
from engine.progress import Progress

RULES = [
    {"when": "old.scam >= 0.8", "then": "reject"},
    {"when": 'old.scam >= 0.6 and region in ["US", "DE"]', "then": "review"},
    {"when": "old.scam >= 0.9", "then": "review"},  # shadowed by the first
    {"when": "old.scam >= 0.4", "then": "limit 0.5"},
    {"when": 'region == "nowhere"', "then": "reject"},
]


def holds(row: dict) -> list[bool]:
    score, region = row["old_score"], row["region"]
    return [score >= 0.8, score >= 0.6 and region in ("US", "DE"), score >= 0.9, score >= 0.4, region == "nowhere"]


@pytest.fixture(scope="module")
def summary(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[dict]]:
    strategy = {"rules": RULES, "otherwise": "approve", "review": {"sensitivity": 0.9, "specificity": 0.95}}
    without = {**strategy, "rules": RULES[:3] + RULES[4:]}
    scores = {"old": {"creatives": {"scam": "old_score"}}}
    strategies = {"less": without, "all": strategy}
    compare = {"baseline": "less", "candidate": "all"}
    runs = tmp_path_factory.mktemp("runs")
    tree = config_tree(lake, runs, run="rules", scores=scores, strategies=strategies, compare=compare)
    config = check_config(tree, "test")
    found = json.loads((run(config, Progress()).directory / "summary.json").read_text())
    rows = pq.read_table(lake / "creatives").to_pylist()
    return found, [row for row in rows if config.period.from_ <= row["submitted_at"] < config.period.until]


def test_counts_of_rules_equal_plain_loops(summary):
    found, rows = summary
    (rules,) = [each["rules"] for each in found["strategies"] if each["name"] == "all"]
    flags = [holds(row) for row in rows]
    assert len(rules) == len(RULES) + 1  # idle rules are shown
    for i, rule in enumerate(rules[:-1]):
        assert rule["creatives"] == sum(f[i] and not any(f[:i]) for f in flags)
        assert rule["fires"] == sum(f[i] for f in flags)
        assert rule["alone"] == sum(f[i] and sum(f) == 1 for f in flags)
        assert rule["together"] == [sum(f[i] and f[j] for f in flags) for j in range(len(RULES))]
        after = [next((j for j in range(i + 1, len(f)) if f[j]), len(f)) for f in flags if f[i] and not any(f[:i])]
        assert rule["instead"] == [after.count(j) for j in range(i + 1, len(RULES) + 1)]
    assert [rule["creatives"] == 0 for rule in rules] == [False, False, True, False, True, False]
    assert rules[2]["fires"] > 0 == rules[4]["fires"]


def test_what_a_rule_adds_is_the_paired_difference_to_the_strategy_without_it(summary):
    found, _ = summary
    (rules,) = [each["rules"] for each in found["strategies"] if each["name"] == "all"]
    paired = {
        row["metric"]: row
        for row in found["paired"]
        if (row["weighting"], row["reading"], row["inference"]) == ("creatives", "after_review", "history")
    }
    assert {row["metric"] for row in rules[3]["adds"]} == {"leakage_rate", "overkill_rate"}
    for row in rules[3]["adds"]:
        assert row["estimate"] == paired[row["metric"]]["estimate"]
        assert (row["low"], row["high"]) == (paired[row["metric"]]["low"], paired[row["metric"]]["high"])
    assert all(row["estimate"] == 0 for row in rules[2]["adds"])
