"""What trackers are told of a run, and that nothing of the run depends on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lake import config_tree
from recorder import Recorder, failing
from typer.testing import CliRunner

from engine.cli import app
from engine.conclude import tracked
from engine.config.loading import check_config, dump_yaml
from engine.explain import finished_config
from engine.pipeline import Finished, run
from engine.progress import Progress

SECRET = "https://me:hunter2@tracker.example"


def execute(tree: dict[str, Any], **how: Any) -> Finished:
    return run(check_config(tree, "test"), Progress(), **how)


@pytest.fixture
def sinks(monkeypatch) -> dict[str, Recorder]:
    """Put recorders in the place of trackers."""
    found: dict[str, Recorder] = {}

    def recorded(track: Any) -> Any:
        return [(name, found.setdefault(name, Recorder())) for name in ("mlflow", "trackio") if getattr(track, name)]

    monkeypatch.setattr(tracked, "_sinks", recorded)
    return found


def tree_of(lake: Path, folder: Path, **sections: Any) -> dict[str, Any]:
    return config_tree(lake, folder / "runs", **({"track": {"mlflow": {"uri": SECRET}}} | sections))


def test_a_tracker_is_told_config_numbers_with_bounds_and_pages(lake, tmp_path, sinks):
    finished = execute(tree_of(lake, tmp_path, report={"html": True}))
    assert finished.warnings == ()
    (told,) = sinks["mlflow"].told
    assert told.name == "r"
    assert [path.name for path in told.files] == ["report.html", "report.md", "summary.json"]
    assert told.parameters["strategies.live.rules.0.when"] == "v1.scam >= 0.8"
    assert told.parameters["policies"] == '["scam"]'
    summary = json.loads((finished.directory / "summary.json").read_text())
    rows = {
        (r["strategy"], r["baseline"], r["metric"], r["reading"]): r
        for r in summary["headline"] + summary["paired"]
        if (r["weighting"], r["inference"]) == ("creatives", "history")
    }
    for part, column in (("", "estimate"), (".low", "low"), (".high", "high")):
        alone = rows["live", None, "leakage_rate", "machine"][column]
        pair = rows["strict", "live", "overkill_rate", "after_review"]
        assert told.metrics[f"live.leakage_rate{part}"] == alone
        assert told.metrics.get(f"strict vs live.overkill_rate.after_review{part}") == pair[column]
    assert len(told.metrics) == sum(r[c] is not None for r in rows.values() for c in ("estimate", "low", "high"))


def test_a_run_is_told_once_and_again_when_it_concludes_something_else(lake, tmp_path, sinks):
    execute(tree_of(lake, tmp_path))
    execute(tree_of(lake, tmp_path))
    assert len(sinks["mlflow"].told) == 1
    execute(tree_of(lake, tmp_path, run="other"))
    assert len(sinks["mlflow"].told) == 2


def test_a_tracker_that_failed_is_told_again_and_those_that_did_not_are_not(lake, tmp_path, sinks):
    both = {"track": {"mlflow": {"uri": SECRET}, "trackio": {}}}
    sinks["mlflow"] = Recorder(failing(OSError(f"{SECRET}/api refused")))
    finished = execute(tree_of(lake, tmp_path, **both))
    assert finished.warnings == (
        "track.mlflow: OSError: https://tracker.example/api refused; the run itself is complete",
    )
    assert json.loads((finished.directory / "manifest.json").read_text())["state"] == "complete"
    sinks["mlflow"].instead = None
    assert execute(tree_of(lake, tmp_path, **both)).warnings == ()
    assert [len(sinks[name].told) for name in ("mlflow", "trackio")] == [1, 1]


def test_tracking_is_off_by_default_and_after_score(lake, tmp_path, sinks):
    execute(tree_of(lake, tmp_path, track={}))
    execute(tree_of(lake, tmp_path, run="scored"), score_only=True)
    assert sinks == {}


def test_no_file_of_the_run_and_no_fingerprint_knows_of_trackers(lake, tmp_path, sinks):
    with_one = execute(tree_of(lake, tmp_path / "with")).directory
    without = execute(tree_of(lake, tmp_path / "without", track={})).directory
    for path in with_one.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
    fingerprints = [json.loads((d / "manifest.json").read_text())["fingerprint"] for d in (with_one, without)]
    assert fingerprints[0] == fingerprints[1]
    assert (with_one / "report.md").read_bytes() == (without / "report.md").read_bytes()
    assert finished_config(with_one).track.mlflow is None
    assert sinks["mlflow"].told


def test_odd_names_become_plain_ones_that_stay_apart(lake, tmp_path, sinks):
    tree = tree_of(lake, tmp_path)
    tree["strategies"]["<b>|ü"] = tree["strategies"]["<b>|ö"] = {"like": "live"}
    execute(tree)
    (told,) = sinks["mlflow"].told
    names = [*told.metrics, *told.parameters]
    assert all(name.isascii() and not set(name) & set("<>|/:") for name in names)
    ours = {name: value for name, value in told.metrics.items() if name.startswith("_b_") and name.count(".") == 1}
    leaking = {name: value for name, value in ours.items() if ".leakage_rate" in name}
    assert len(leaking) == 2
    assert set(leaking.values()) == {told.metrics["live.leakage_rate"]}


def test_secrets_in_addresses_are_not_told():
    decided = {"creatives": {"path": "s3://key:secret@bucket/x", "columns": {"text": ["a@b", "c"]}}, "seed": 0}
    assert tracked.parameters(decided) == {
        "creatives.path": "s3://bucket/x", "creatives.columns.text": '["a@b", "c"]', "seed": "0",
    }  # fmt: skip


def test_the_command_warns_on_standard_error_and_ends_well(lake, tmp_path, sinks):
    sinks["mlflow"] = Recorder(failing(OSError("refused")))
    (tmp_path / "c.yaml").write_text(dump_yaml(tree_of(lake, tmp_path)))
    done = CliRunner().invoke(app, ["run", str(tmp_path / "c.yaml")])
    assert done.exit_code == 0
    assert "backtest: warning: track.mlflow: OSError: refused; the run itself is complete" in done.stderr
