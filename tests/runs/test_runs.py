"""`backtest list` and `backtest diff` over real run directories."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from lake import config_tree, write_lake
from typer.testing import CliRunner

from engine.cli import app
from engine.config.loading import check_config
from engine.errors import DataError
from engine.pipeline import run
from engine.progress import Progress
from engine.runs import diff_runs, list_runs
from engine.runs.difference import difference_text
from engine.runs.listing import listing_text

ODD = "\u202estrange\x1b[31m"


def execute(tree: dict[str, Any], **how: Any) -> Path:
    return run(check_config(tree, "test"), Progress(), **how).directory


@pytest.fixture(scope="module")
def runs(lake, tmp_path_factory) -> Path:
    """Four runs: one, the same with another rule, one over more creatives, one that only scored."""
    folder = tmp_path_factory.mktemp("runs")
    execute(config_tree(lake, folder, run="first"))
    tree = config_tree(lake, folder, run="second")
    tree["strategies"]["strict"]["rules"] = [{"when": "v1.scam >= 0.3", "then": "reject"}]
    tree["strategies"][ODD] = {"like": "live", "otherwise": "review"}
    execute(tree)
    more = tmp_path_factory.mktemp("more")
    write_lake(more, size=660)
    execute(config_tree(more, folder, run="grown"))
    execute(config_tree(lake, folder, run="scored"), score_only=True)
    return folder


def test_runs_are_listed_newest_first_with_state_and_headline(runs):
    found = {each.name: each for each in list_runs(runs)}
    assert list(found) == sorted(found, key=lambda name: found[name].began, reverse=True)
    assert {name: each.state for name, each in found.items()} == {
        "first": "complete", "second": "complete", "grown": "complete", "scored": "scored",
    }  # fmt: skip
    first = found["first"]
    assert (first.baseline, first.candidate, first.policy, first.verdict) == ("live", "strict", "scam", None)
    rows = pq.read_table(runs / "first" / "estimates.parquet").to_pylist()
    (row,) = [
        r for r in rows
        if (r["strategy"], r["baseline"], r["segment"], r["weighting"], r["reading"], r["metric"], r["inference"])
        == ("strict", None, "all", "creatives", "machine", "leakage_rate", "history")
    ]  # fmt: skip
    number = first.headline["strict"][0]
    assert (number.estimate, number.low, number.high) == (row["estimate"], row["low"], row["high"])
    assert found["scored"].headline == {}


def test_a_run_began_before_it_ended_and_says_which_files_it_read(runs, lake):
    manifest = json.loads((runs / "first" / "manifest.json").read_text())
    assert manifest["started"] <= manifest["finished"]
    files = sorted((lake / "creatives").glob("*.parquet"))
    assert manifest["files_read"] == {str(path): pq.read_metadata(path).num_rows for path in files}


def test_a_verdict_is_listed_where_the_summary_holds_one(runs, tmp_path):
    verdict = {"line": "ship", "reason": "all gates pass", "more": None, "baseline": "live", "candidate": "new"}
    verdict |= {"confidence": 0.95, "look": 1, "looks": 1, "looks_in_config": 1, "gates": []}
    for name, concluded in (("good", "ship"), ("bad", "do not ship"), ("ungated", None)):
        shutil.copytree(runs / "first", tmp_path / name)
        path = tmp_path / name / "summary.json"
        held = verdict | {"verdict": concluded} if concluded else None
        path.write_text(json.dumps(json.loads(path.read_text()) | {"verdict": held}))
    found = {each.name: each.verdict for each in list_runs(tmp_path)}
    assert found == {"good": "ship", "bad": "do not ship", "ungated": None}


def test_runs_that_cannot_be_read_are_listed_with_their_fault(runs, tmp_path):
    shutil.copytree(runs / "first", tmp_path / "broken")
    (tmp_path / "broken" / "manifest.json").write_text("{")
    shutil.copytree(runs / "first", tmp_path / "older")
    (tmp_path / "older" / "summary.json").write_text('{"engine": "0.0.1"}')
    shutil.copytree(runs / "first", tmp_path / "gone")
    (tmp_path / "gone" / "summary.json").unlink()
    (tmp_path / "no run").mkdir()
    found = {each.name: each for each in list_runs(tmp_path)}
    assert {name: each.state for name, each in found.items()} == {
        "broken": "unreadable", "older": "complete", "gone": "complete",
    }  # fmt: skip
    assert "another engine wrote it" in found["older"].fault
    assert "summary.json: cannot be read" in found["gone"].fault
    text = listing_text(list_runs(tmp_path), tmp_path)
    assert all(each.fault in text for each in found.values())


def test_a_run_that_was_killed_is_listed_as_running(runs, tmp_path):
    shutil.copytree(runs / "first", tmp_path / "killed")
    path = tmp_path / "killed" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["finished"], manifest["files"]
    path.write_text(json.dumps(manifest | {"state": "running"}))
    (found,) = list_runs(tmp_path)
    assert (found.state, found.ended, found.headline) == ("running", None, {})


def test_two_runs_of_one_config_differ_in_nothing_but_who_knows_when(runs, lake, tmp_path):
    again = execute(config_tree(lake, tmp_path, run="again"))
    found = diff_runs(runs / "first", again)
    assert [change.key for change in found.config] == ["store.path"]
    assert (found.data, found.models, found.made_by) == ((), (), ())
    assert (found.numbers.moved, found.numbers.appeared, found.numbers.vanished) == ((), (), ())
    assert found.numbers.equal > 500


def test_another_rule_moves_the_numbers_of_its_strategy_alone(runs):
    found = diff_runs(runs / "first", runs / "second")
    assert [change.key for change in found.config] == ["strategies.strict.rules.0.when", f"strategies.{ODD}"]
    assert (found.data, found.models) == ((), ())
    assert {number.key.strategy for number in found.numbers.moved} == {"strict"}
    assert {number.key.strategy for number in found.numbers.appeared} >= {ODD}
    assert found.numbers.moved[0].apart > 0
    distances = [number.apart for number in found.numbers.moved if not number.is_total]
    assert distances == sorted(distances, reverse=True)
    assert all(number.reason for number in found.numbers.vanished)


def test_more_creatives_change_files_counts_labels_and_fingerprints(runs):
    keys = {change.key.partition(".")[0] for change in diff_runs(runs / "first", runs / "grown").data}
    assert keys == {"files", "counts", "labels", "fingerprints"}


def test_another_model_changes_its_identity_and_what_it_scored(runs, tmp_path):
    for name, fingerprint, contents in (("one", "00fd", 100), ("two", "c43d", 90)):
        shutil.copytree(runs / "first", tmp_path / name)
        path = tmp_path / name / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["models"] = {"v1": "same", "v2": fingerprint}
        manifest["inputs"] |= {"models.v1": "same", "models.v2": fingerprint}
        manifest["counts"]["contents"] = {"v1": 100, "v2": contents}
        path.write_text(json.dumps(manifest))
    found = diff_runs(tmp_path / "one", tmp_path / "two")
    assert [(c.key, c.was, c.now) for c in found.models] == [
        ("v2.fingerprint", "00fd", "c43d"), ("v2.contents", 100, 90),
    ]  # fmt: skip
    assert found.data == ()


def test_a_run_without_numbers_has_none_to_compare(runs):
    found = diff_runs(runs / "first", runs / "scored")
    assert found.numbers.equal == 0
    assert found.numbers.appeared == ()
    assert len(found.numbers.vanished) > 500


def test_files_that_are_not_those_of_the_run_are_refused(runs, tmp_path):
    shutil.copytree(runs / "first", tmp_path / "other")
    path = tmp_path / "other" / "estimates.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"estimates\.parquet: does not hold what was committed"):
        diff_runs(runs / "first", tmp_path / "other")
    with pytest.raises(DataError, match=r"manifest\.json: cannot be read"):
        diff_runs(runs / "first", tmp_path)


def test_the_terminal_is_not_commanded_by_a_name(runs):
    text = difference_text(diff_runs(runs / "first", runs / "second")) + listing_text(list_runs(runs), runs)
    assert "strange" in text
    assert not {"\x1b", "\u202e"} & set(text)


def test_the_commands_print_text_and_json(runs):
    listed = CliRunner().invoke(app, ["list", str(runs)])
    assert listed.exit_code == 0
    assert listed.output.splitlines()[0].split()[:3] == ["run", "began", "(UTC)"]
    plain = json.loads(CliRunner().invoke(app, ["list", str(runs), "--json"]).output)
    assert [run["run"] for run in plain] == [each.name for each in list_runs(runs)]
    pair = [str(runs / "first"), str(runs / "second")]
    text = CliRunner().invoke(app, ["diff", *pair])
    assert text.exit_code == 0
    assert 'strategies.strict.rules.0.when: "v1.scam >= 0.6" → "v1.scam >= 0.3"' in text.output
    found = json.loads(CliRunner().invoke(app, ["diff", *pair, "--json"]).output)
    assert found["config"][0] == {
        "key": "strategies.strict.rules.0.when", "was": "v1.scam >= 0.6", "now": "v1.scam >= 0.3",
    }  # fmt: skip
    assert found["numbers"]["moved"]


def test_a_folder_that_is_not_there_is_a_fault_and_an_empty_one_holds_no_run(tmp_path):
    missing = CliRunner().invoke(app, ["list", str(tmp_path / "none")])
    assert missing.exit_code == DataError.exit_code
    empty = CliRunner().invoke(app, ["list", str(tmp_path)])
    assert empty.output.strip().endswith("holds no run")
