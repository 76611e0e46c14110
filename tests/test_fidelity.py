"""`backtest check-fidelity`: a strategy as written against the decisions that history logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from lake import config_tree
from typer.testing import CliRunner

from engine.cli import app
from engine.config.loading import check_config, dump_yaml
from engine.errors import UsageError
from engine.fidelity import Fidelity, check_fidelity, fidelity_text
from engine.progress import Progress


def tree(lake: Path, runs: Path) -> dict[str, Any]:
    """Return a config whose `as written` is how the lake was decided, and whose `softer` is not."""
    rules = [{"when": "old.scam >= 0.8", "then": "reject"}, {"when": "old.scam >= 0.5", "then": "review"}]
    softer = [{"when": "old.scam >= 0.9", "then": "reject"}, rules[1]]
    strategies = {
        "as written": {"rules": rules, "otherwise": "approve"},
        "softer": {"rules": softer, "otherwise": "approve"},
    }
    scores = {"old": {"creatives": {"scam": "old_score"}}}
    return config_tree(lake, runs, run="fidelity", scores=scores, strategies=strategies, compare=None)


def found(written: dict[str, Any], strategy: str) -> Fidelity:
    return check_fidelity(check_config(written, "test"), strategy, Progress())


def test_the_strategy_that_ran_decides_every_creative_alike(lake, tmp_path):
    fidelity = found(tree(lake, tmp_path), "as written")
    assert fidelity.compared == fidelity.equal > 400
    assert fidelity.share == 1.0
    assert fidelity.examples == ()


def test_another_strategy_is_told_apart_with_counts_and_examples_of_each_kind(lake, tmp_path):
    written = tree(lake, tmp_path)
    fidelity = found(written, "softer")
    lake_rows = pq.read_table(lake / "creatives").to_pylist()
    moved = {row["creative_id"]: row for row in lake_rows if 0.8 <= row["old_score"] < 0.9}
    period = check_config(written, "test").period
    inside = [i for i, row in moved.items() if period.from_ <= row["submitted_at"] < period.until]
    assert fidelity.compared - fidelity.equal == len(inside) > 3
    assert fidelity.confusion[3][2] == len(inside)  # rejected by history, now reviewed
    assert [example.creative_id for example in fidelity.examples] == inside[:3]
    text = fidelity_text(fidelity)
    assert f"{inside[0]}: history REJECT, now REVIEW by rule 2: REVIEW (old.scam 0.8" in text


def test_the_command_fails_below_the_share_that_is_asked_for(lake, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(tree(lake, tmp_path / "runs")))
    codes = [
        CliRunner().invoke(app, ["check-fidelity", str(path), strategy, "--at-least", share]).exit_code
        for strategy, share in (("as written", "1"), ("softer", "1"), ("softer", "0.5"))
    ]
    assert codes == [0, 1, 0]


def test_unknown_strategies_and_lakes_without_decisions_are_refused(lake, tmp_path):
    with pytest.raises(UsageError, match='did you mean "softer"'):
        found(tree(lake, tmp_path), "soft")
    written = tree(lake, tmp_path)
    del written["creatives"]["columns"]["logged_decision"], written["creatives"]["columns"]["logged_final"]
    with pytest.raises(UsageError, match="logged_decision"):
        found(written, "softer")
