"""A run whose human decisions move state by seeded draws: repeated, and their spread joins the interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.conclude import replicates
from engine.config.loading import check_config
from engine.pipeline import run
from engine.progress import Progress
from engine.replay.draws import draw_rejections, uniform


def tree(lake: Path, tiny_models: Path, runs: Path, outcome: str) -> dict[str, Any]:
    made = config_tree(lake, runs, tiny_models, run=outcome, execute={"workers": 1}, seed=4)
    made["period"] = {"warm_up_from": "2026-01-10", "from": "2026-01-12", "until": "2026-01-25"}
    made["models"]["v2"]["calibration"] = {"method": "platt"}
    review = {"sensitivity": 0.9, "specificity": 0.95, "outcome": outcome}
    rules = [{"when": "v2.scam >= 0.25", "then": "review"}]
    made["strategies"]["candidate"] = {
        "rules": rules,
        "otherwise": "approve",
        "review": review,
        "copies": {"within": 3},
    }
    made["estimate"] = {"segments": [], "rules": False}
    return made


def rows(made: dict[str, Any]) -> dict[tuple, dict]:
    found = pq.read_table(run(check_config(made, "test"), Progress()).directory / "estimates.parquet").to_pylist()
    key = ("strategy", "baseline", "weighting", "reading", "metric", "inference")
    return {tuple(row[k] for k in key): row for row in found}


def test_the_spread_of_the_draws_joins_the_interval(lake, tiny_models, tmp_path, monkeypatch):
    monkeypatch.setattr(replicates, "REPLICATES", 6)
    drawn = rows(tree(lake, tiny_models, tmp_path / "runs", "drawn"))
    again = rows(tree(lake, tiny_models, tmp_path / "again", "drawn"))
    assert drawn == again
    monkeypatch.setattr(replicates, "REPLICATES", 1)
    once = rows(tree(lake, tiny_models, tmp_path / "once", "drawn"))
    key = ("candidate", None, "creatives", "machine", "reject_rate", "history")
    assert once[key]["low"] == once[key]["high"] == once[key]["estimate"]  # a known total, whatever was drawn
    assert drawn[key]["low"] < drawn[key]["estimate"] < drawn[key]["high"]
    assert "human decisions drawn 6 times" in drawn[key]["warning"]
    assert drawn[key]["estimator"].endswith("+draws")
    paired = ("candidate", "live", "creatives", "machine", "reject_rate", "history")
    assert "human decisions drawn" in drawn[paired]["warning"]
    for same in (("live", None, "creatives", "machine", "reject_rate", "history"),):
        assert drawn[same] == once[same]


def test_without_draws_nothing_is_repeated(lake, tiny_models, tmp_path):
    none = rows(tree(lake, tiny_models, tmp_path / "runs", "none"))
    assert not any("drawn" in (row["warning"] or "") for row in none.values())


def test_draws_have_their_chance_and_belong_to_seed_replicate_policy_and_creative():
    keys = np.arange(200_000, dtype=np.uint64)
    chance = np.linspace(0, 1, len(keys))
    drawn = draw_rejections(keys, chance, 1, 0, "scam")
    for part in np.array_split(np.arange(len(keys)), 10):
        assert drawn[part].mean() == pytest.approx(chance[part].mean(), abs=0.015)
    assert drawn.tolist() == draw_rejections(keys, chance, 1, 0, "scam").tolist()
    some = keys[::7]
    assert uniform(some, 1, 0, "scam").tolist() == uniform(keys, 1, 0, "scam")[::7].tolist()
    for other in ((2, 0, "scam"), (1, 1, "scam"), (1, 0, "adult")):
        both = np.corrcoef(uniform(keys, 1, 0, "scam"), uniform(keys, *other))[0, 1]
        assert abs(both) < 0.01
    assert not draw_rejections(keys[:5], np.full(5, np.nan), 1, 0, "scam").any()
