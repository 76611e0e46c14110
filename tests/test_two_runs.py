"""Two finished runs, compared as one run of both would have compared them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lake import config_tree
from typer.testing import CliRunner

from engine.cli import app
from engine.config.loading import check_config
from engine.errors import DataError, UsageError
from engine.pipeline import run
from engine.progress import Progress
from engine.two_runs import joined_config

GATES = [{"leakage_rate": "worse by at most 0.02"}]


def execute(lake: Path, runs: Path, name: str, **changes: Any) -> Path:
    """Run one strategy, or those given."""
    live = config_tree(lake, runs)["strategies"]["live"]
    told = {"run": name, "strategies": {"live": live}, "compare": None} | changes
    return run(check_config(config_tree(lake, runs, **told), "test"), Progress()).directory


def paired(directory: Path) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    rows = json.loads((directory / "summary.json").read_text())["paired"]
    about = ("policy", "metric", "weighting", "reading", "inference")
    return {tuple(r[k] for k in about): (r["estimate"], r["low"], r["high"]) for r in rows}


def strict() -> dict[str, Any]:
    return {"like": "live", "rules": [{"when": "v1.scam >= 0.6", "then": "reject"}]}


def test_two_runs_give_the_numbers_of_one_run_of_both(lake, tmp_path):
    live = config_tree(lake, tmp_path)["strategies"]["live"]
    execute(lake, tmp_path, "a")
    both = {"live": live, "strict": strict()}
    execute(lake, tmp_path, "b", strategies=both, compare={"baseline": "live", "candidate": "strict"}, gates=GATES)
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert result.stdout.startswith(("ship", "label", "do not ship")), result.output
    joined = tmp_path / "a-and-b"
    assert paired(joined) == paired(tmp_path / "b")
    facts = json.loads((joined / "gates.json").read_text())
    assert (facts["baseline"], facts["candidate"]) == ("live of a", "strict of b")
    # the same comparison under other names is the same look
    assert (facts["look"], facts["looks"]) == (1, 1)


def test_one_name_for_two_sets_of_scores_means_each_runs_own(lake, tmp_path):
    execute(lake, tmp_path, "a")
    other = {"v1": {"creatives": {"scam": "impressions"}}, "old": {"creatives": {"scam": "old_score"}}}
    live = config_tree(lake, tmp_path)["strategies"]["live"]
    swapped = {"base": live, "live": {"like": "base", "replace": {"v1": "old"}}}
    config = joined_config(
        tmp_path / "a", _finished(lake, tmp_path, "b", strategies=swapped, scores=other), candidate="live"
    )
    assert sorted(config.scores) == ["old", "v1", "v1_2"]
    from engine.config.strategies import find_template

    mine, base, theirs = (
        [rule.when for rule in find_template(config, name).strategy.rules]
        for name in ("live of a", "base of b", "live of b")
    )
    assert {atom.column for atom in mine} == {"v1.scam"}
    assert {atom.column for atom in base} == {"v1_2.scam"}
    assert {atom.column for atom in theirs} == {"old.scam"}


def _finished(lake: Path, runs: Path, name: str, **changes: Any) -> Path:
    """Make a finished run, then write another config into its manifest: what was read is not looked at again."""
    directory = execute(lake, runs, name)
    manifest = json.loads((directory / "manifest.json").read_text())
    told = config_tree(lake, runs, **({"run": name, "compare": None} | changes))
    manifest["config"] = check_config(told, "test").decided()
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def test_runs_over_other_data_or_terms_are_not_compared(lake, tmp_path):
    first = execute(lake, tmp_path, "a")
    later = execute(lake, tmp_path, "b", period={"from": "2026-01-05", "until": "2026-01-25"})
    with pytest.raises(UsageError, match="period differs between"):
        joined_config(first, later)
    same = execute(lake, tmp_path, "c")
    manifest = json.loads((same / "manifest.json").read_text())
    manifest["inputs"]["creatives"] = "another"
    (same / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"the creatives of .* are not the same files"):
        joined_config(first, same)


def test_a_strategy_that_is_not_there_is_named(lake, tmp_path):
    live = config_tree(lake, tmp_path)["strategies"]["live"]
    first = execute(lake, tmp_path, "a")
    several = execute(lake, tmp_path, "b", strategies={"live": live, "strict": strict()})
    with pytest.raises(UsageError, match="several strategies; name one: live, strict, logged"):
        joined_config(first, several)
    with pytest.raises(UsageError, match=r'no strategy strct \(did you mean "strict"\?\)'):
        joined_config(first, several, candidate="strct")
    with pytest.raises(DataError, match="a run directory"):
        joined_config(first, tmp_path / "nowhere")


def test_history_itself_can_be_the_baseline(lake, tmp_path):
    first, second = execute(lake, tmp_path, "a"), execute(lake, tmp_path, "b")
    config = joined_config(first, second, baseline="logged")
    assert config.compare is not None
    assert (config.compare.baseline, config.compare.candidate) == ("logged", "live of b")


def test_options_of_one_kind_of_comparison_do_not_go_with_the_other():
    runner = CliRunner()
    assert runner.invoke(app, ["compare", "configs/ci.yaml", "--baseline", "x"]).exit_code == 2
    assert runner.invoke(app, ["compare", "a", "b", "--set", "seed=1"]).exit_code == 2
