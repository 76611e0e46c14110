"""`backtest explain` and `backtest check-lookahead` on a run of strategies that remember."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_stateful_run import tree, twin_outcomes, words
from typer.testing import CliRunner

from engine import lookahead
from engine.cli import app
from engine.config.loading import check_config, dump_yaml
from engine.errors import DataError, UsageError
from engine.explain import explain
from engine.lookahead import check_lookahead, lookahead_text
from engine.pipeline import run
from engine.progress import Progress
from engine.replay import walk
from engine.replay.history import velocity


@pytest.fixture(scope="module")
def finished(lake, tmp_path_factory) -> Path:
    return run(check_config(tree(lake, tmp_path_factory.mktemp("runs")), "test"), Progress()).directory


def test_every_way_ends_as_the_slow_twin_says(finished, lake, tmp_path):
    expected = twin_outcomes(lake, check_config(tree(lake, tmp_path), "test"))
    lake_rows = {row["creative_id"]: row for row in pq.read_table(lake / "creatives").to_pylist()}
    kinds = {what: name for name, what in expected.items()}  # one creative of each kind
    assert len(kinds) >= 7
    for what, name in kinds.items():
        found = explain(str(finished), name, Progress())
        ways = {way.strategy: way for way in found.ways}
        assert ways["remembers"].memory.startswith(words(*what).partition(":")[0])
        score = lake_rows[name]["old_score"]
        plain = ways["plain"]
        assert [step.holds for step in plain.steps] == [score >= 0.8, score >= 0.4, True]
        assert plain.decision == ("REJECT" if score >= 0.8 else "REVIEW" if score >= 0.4 else "APPROVE")
        assert plain.steps[0].saw[0][0] == "old.scam"
        assert float(plain.steps[0].saw[0][1]) == pytest.approx(score)
        assert plain.memory == ""


def test_unknown_creatives_and_unfinished_runs_are_refused(finished, tmp_path):
    with pytest.raises(UsageError, match="no creative of the period has the id 'nobody'"):
        explain(str(finished), "nobody", Progress())
    with pytest.raises(DataError, match=r"manifest\.json"):
        explain(str(tmp_path), "nobody", Progress())


def test_the_command_prints_a_way(finished):
    printed = CliRunner().invoke(app, ["explain", str(finished), "c00100"])
    assert printed.exit_code == 0
    assert "creative c00100" in printed.output
    assert "rule 1: REJECT: old.scam >= 0.8:" in printed.output


def test_no_decision_looks_ahead_and_one_that_did_would_be_told(lake, tmp_path, monkeypatch):
    written = tree(lake, tmp_path / "runs")
    rules = [{"when": "velocity(24) > 2 and advertiser_age < 5", "then": "review"}]
    written["strategies"] = {**written["strategies"], "features": {"like": "plain", "rules": rules}}
    config = check_config(written, "test")
    cuts = check_lookahead(config, 3, Progress())
    assert {cut.what for cut in cuts} == {"endless", "remembers", "velocity(24)", "advertiser_age"}
    assert all(cut.final > 0 and cut.changed == 0 for cut in cuts)
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(written))
    honest = walk.walk
    assert CliRunner().invoke(app, ["check-lookahead", str(path)]).exit_code == 0
    events = []  # the longest history so far is the whole one
    monkeypatch.setattr(walk, "walk", lambda history, *rest: peek(events, history) * honest(history, *rest))
    told = check_lookahead(config, 4, Progress())
    assert any(cut.changed for cut in told)
    assert "CHANGED" in lookahead_text(told)
    assert CliRunner().invoke(app, ["check-lookahead", str(path)]).exit_code == 1


def peek(events: list[int], history) -> int:
    """Return 1 where the whole history is walked and 0 where it is cut: a walk that knows the future."""
    events.append(len(history.time_N))
    return int(events[-1] == max(events))


def test_where_nothing_is_remembered_there_is_nothing_to_cut(lake, tmp_path):
    written = tree(lake, tmp_path / "runs", run="forgets", compare=None)
    written["strategies"] = {"plain": written["strategies"]["plain"]}
    cuts = check_lookahead(check_config(written, "test"), 3, Progress())
    assert cuts == []
    assert "nothing remembers" in lookahead_text(cuts)


def test_features_of_the_past_are_cut_where_nothing_is_remembered(lake, tmp_path, monkeypatch):
    written = tree(lake, tmp_path / "runs", run="features", compare=None)
    rules = [{"when": "velocity(24) > 2 and hour < 12", "then": "review"}]
    written["strategies"] = {"plain": {**written["strategies"]["plain"], "rules": rules}}
    config = check_config(written, "test")
    cuts = check_lookahead(config, 3, Progress())
    assert {(cut.what, cut.changed) for cut in cuts} == {("velocity(24)", 0)}
    monkeypatch.setattr(lookahead, "velocity", lambda history, hours: velocity(history, hours) + len(history.time_N))
    assert all(cut.changed == cut.final > 0 for cut in check_lookahead(config, 3, Progress()))
