"""Each fault of the design ends with a clear line, the right exit code, and nothing half written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lake import config_tree
from typer.testing import CliRunner

from engine.cli import app
from engine.config.loading import dump_yaml

USAGE, DATA = 2, 3


def backtest(tmp_path: Path, tree: dict, *arguments: str, verb: str = "run") -> tuple[int, str]:
    """Run the command in this process; return its exit code and its error lines."""
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(tree))
    result = CliRunner().invoke(app, [verb, str(path), *arguments])
    lines = [line for line in result.stderr.splitlines() if line.startswith("backtest: ")]
    return result.exit_code, "\n".join(lines)


def no_results(runs: Path) -> bool:
    """Return whether nothing that looks like a result was left, nor any half-written file."""
    left = {p.name for p in runs.rglob("*")}
    return not left & {"estimates.parquet", "summary.json", "report.md"} and not any(n.endswith(".part") for n in left)


def rewrite(source: Path, target: Path, change) -> Path:
    """Write a changed copy of a Parquet file or folder."""
    table = change(pq.read_table(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target)
    return target


def one_missing_score(table):
    """Plant a NaN in the score column."""
    scores = table["old_score"].to_numpy().copy()
    scores[200] = np.nan
    return table.set_column(table.schema.get_field_index("old_score"), "old_score", pa.array(scores))


def check(tmp_path, tree, code, *words, verb="run"):
    found, text = backtest(tmp_path, tree, verb=verb)
    assert found == code, text
    for word in words:
        assert word in text, text
    assert len(text.splitlines()) == 1, text
    assert no_results(tmp_path / "runs")


def test_a_missing_column_names_file_column_and_the_nearest(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["columns"]["impressions"] = "impresions"
    for verb in ("validate", "run"):
        check(tmp_path, tree, DATA, "creatives", "impresions", 'did you mean "impressions"', verb=verb)


def test_an_unknown_policy_in_a_strategy_is_a_usage_error(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    tree["strategies"]["live"]["rules"][0]["when"] = "v1.scan >= 0.5"
    check(tmp_path, tree, USAGE, "strategies.live.rules.0.when", "scan", "v1.scam")


def test_an_empty_folder_is_named(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    tree["creatives"]["path"] = str(tmp_path / "empty")
    check(tmp_path, tree, DATA, "empty", "no Parquet file")


@pytest.mark.parametrize(("value", "words"), [(float("nan"), "missing scores"), (1.5, "outside [0, 1]")])
def test_a_nan_or_out_of_range_score_stops_the_run(lake, tmp_path, value, words):
    def spoil(table):
        scores = table["old_score"].to_numpy().copy()
        scores[200] = value
        return table.set_column(table.schema.get_field_index("old_score"), "old_score", pa.array(scores))

    file = rewrite(lake / "creatives", tmp_path / "lake" / "c.parquet", spoil)
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["path"] = str(file)
    check(tmp_path, tree, DATA, "old_score", words, "c.parquet")


def test_a_missing_score_can_be_sent_to_review_and_never_counts_as_approve(lake, tmp_path):
    def spoil(table):
        scores = table["old_score"].to_numpy().copy()
        scores[100:300] = np.nan
        return table.set_column(table.schema.get_field_index("old_score"), "old_score", pa.array(scores))

    file = rewrite(lake / "creatives", tmp_path / "lake" / "c.parquet", spoil)
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"] |= {"path": str(file), "on_missing_score": "review"}
    code, text = backtest(tmp_path, tree)
    assert code == 0, text
    summary = json.loads((tmp_path / "runs" / "r" / "summary.json").read_text())
    (row,) = [
        r
        for r in summary["headline"]
        if (r["strategy"], r["metric"], r["weighting"], r["reading"], r["inference"])
        == ("live", "review_rate", "creatives", "machine", "history")
    ]
    assert row["estimate"] >= 200 / summary["counts"]["kept"]


@pytest.mark.parametrize("value", [0.0, None, 1.2])
def test_an_audit_label_with_a_bad_inclusion_probability_stops(lake, tmp_path, value):
    def spoil(table):
        pi = table["inclusion_probability"].to_pylist()
        pi[3] = value
        return table.set_column(6, "inclusion_probability", pa.array(pi, pa.float64()))

    file = rewrite(lake / "labels.parquet", tmp_path / "labels.parquet", spoil)
    tree = config_tree(lake, tmp_path / "runs", labels={"path": str(file)})
    check(tmp_path, tree, DATA, "labels.parquet", "inclusion_probability", "above 0 and at most 1")


def test_a_lost_audit_row_is_noticed_by_the_sum_of_weights(lake, tmp_path):
    file = rewrite(lake / "labels.parquet", tmp_path / "labels.parquet", lambda table: table.slice(1))
    tree = config_tree(lake, tmp_path / "runs", labels={"path": str(file)})
    check(tmp_path, tree, DATA, "Σ 1/π", "stratum low")


def test_a_model_folder_without_a_head_is_refused(lake, tiny_models, tmp_path):
    from safetensors.numpy import load_file, save_file

    shutil.copytree(tiny_models, tmp_path / "models")
    path = tmp_path / "models" / "m2" / "model.safetensors"
    weights = {k: v for k, v in load_file(path).items() if not k.startswith("classifier")}
    save_file(weights, path, metadata={"format": "pt"})
    check(tmp_path, config_tree(lake, tmp_path / "runs", tmp_path / "models"), DATA, "m2", "head")


def test_a_model_folder_with_pickle_weights_is_refused_and_nothing_is_executed(lake, tiny_models, tmp_path):
    shutil.copytree(tiny_models, tmp_path / "models")
    (tmp_path / "models" / "m1" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    check(tmp_path, config_tree(lake, tmp_path / "runs", tmp_path / "models"), DATA, "m1", "pytorch_model.bin")
    assert not Path("executed").exists()


def test_a_typo_in_the_config_suggests_the_nearest_key(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs", estimat={"confidence": 0.9})
    check(tmp_path, tree, USAGE, "estimat: unknown key", 'did you mean "estimate"')


def test_all_faults_of_a_config_are_named_at_once(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs", peroid={}, estimate={"confidence": 3})
    code, text = backtest(tmp_path, tree)
    assert code == USAGE
    assert len(text.splitlines()) == 2


def test_another_config_on_the_same_run_directory_names_the_key_that_differs(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    assert backtest(tmp_path, tree)[0] == 0
    before = {p: p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()}
    tree["strategies"]["live"]["rules"][0]["when"] = "v1.scam >= 0.7"
    code, text = backtest(tmp_path, tree)
    assert code == USAGE
    assert "strategies.live.rules" in text
    assert before == {p: p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()}


def test_other_labels_on_the_same_run_directory_are_noticed(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    assert backtest(tmp_path, tree)[0] == 0

    def flip(table):
        label = pc.if_else(pc.equal(table["label"], "VIOLATING"), "COMPLIANT", table["label"])
        return table.set_column(2, "label", label)

    tree["labels"] = {"path": str(rewrite(lake / "labels.parquet", tmp_path / "labels.parquet", flip))}
    code, text = backtest(tmp_path, tree)
    assert code == USAGE
    assert "differs" in text


def test_duplicate_ids_stop_by_default_and_can_be_resolved(lake, tmp_path):
    file = rewrite(
        lake / "creatives", tmp_path / "lake" / "c.parquet", lambda t: pa.concat_tables([t, t.slice(100, 1)])
    )
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["path"] = str(file)
    check(tmp_path, tree, DATA, "more than once", "on_duplicate")
    for rule in ("first", "last"):
        tree["creatives"]["on_duplicate"] = rule
        tree["run"] = rule
        code, text = backtest(tmp_path, tree)
        assert code == 0, text
        manifest = json.loads((tmp_path / "runs" / rule / "manifest.json").read_text())
        assert manifest["counts"]["duplicates_dropped"] == 1


def test_too_many_rows_for_quarantine_stop_and_the_reasons_are_shown(lake, tmp_path):
    def spoil(table):
        when = table["submitted_at"].to_pylist()
        when[60:65] = [None] * 5
        kind = table.schema.field("submitted_at").type
        return table.set_column(table.schema.get_field_index("submitted_at"), "submitted_at", pa.array(when, kind))

    file = rewrite(lake / "creatives", tmp_path / "lake" / "c.parquet", spoil)
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["path"] = str(file)
    code, text = backtest(tmp_path, tree)
    assert code == DATA
    assert "submitted_at is null" in text
    tree["limits"]["quarantine_share"] = 0.05
    tree["run"] = "lenient"
    code, text = backtest(tmp_path, tree)
    assert code == 0, text
    assert pq.read_table(tmp_path / "runs" / "lenient" / "quarantine.parquet").num_rows == 5


def test_a_truncated_lake_file_is_named(lake, tmp_path):
    shutil.copytree(lake / "creatives", tmp_path / "lake")
    file = tmp_path / "lake" / "part-1.parquet"
    file.write_bytes(file.read_bytes()[:-200])
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["path"] = str(tmp_path / "lake")
    check(tmp_path, tree, DATA, "part-1.parquet")


def test_replay_without_scores_says_what_to_run_first(lake, tiny_models, tmp_path):
    tree = config_tree(lake, tmp_path / "runs", tiny_models)
    code, text = backtest(tmp_path, tree, verb="replay")
    assert code == DATA
    assert "backtest score" in text


def test_verbs_print_what_they_promise(lake, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(config_tree(lake, tmp_path / "runs")))
    runner = CliRunner()
    assert "600 creatives" in runner.invoke(app, ["validate", str(path)]).stdout
    ran = runner.invoke(app, ["run", str(path)])
    assert ran.exit_code == 0
    assert "read 600 = " in ran.stdout
    assert "leakage_rate" in ran.stdout
    compared = runner.invoke(app, ["compare", str(path)])
    assert compared.exit_code == 0
    assert "REJECT" in compared.stdout
    (tmp_path / "runs" / "r" / "report.md").unlink()
    assert runner.invoke(app, ["report", str(tmp_path / "runs" / "r")]).exit_code == 0
    assert (tmp_path / "runs" / "r" / "report.md").exists()
    assert "inclusion_probability" in runner.invoke(app, ["schema", "labels"]).stdout
    assert runner.invoke(app, ["schema", "lables"]).exit_code == USAGE


def test_a_bug_in_the_engine_ends_with_its_own_code_and_no_traceback(lake, tmp_path, monkeypatch):
    import engine.prepare

    def broken(_config):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(engine.prepare, "prepare", broken)
    code, text = backtest(tmp_path, config_tree(lake, tmp_path / "runs"), verb="validate")
    assert code == 70
    assert "planted" in text


def test_mending_a_row_fault_as_told_works_in_the_same_run_directory(lake, tmp_path):
    file = rewrite(lake / "creatives", tmp_path / "lake" / "c.parquet", one_missing_score)
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["path"] = str(file)
    check(tmp_path, tree, DATA, "on_missing_score")
    tree["creatives"]["on_missing_score"] = "review"
    code, text = backtest(tmp_path, tree)
    assert code == 0, text
    (row,) = [
        r
        for r in json.loads((tmp_path / "runs" / "r" / "summary.json").read_text())["headline"]
        if (r["strategy"], r["metric"], r["weighting"], r["reading"], r["inference"])
        == ("live", "overkill_rate", "creatives", "machine", "history")
    ]
    assert row["estimate"] is not None, row["null_reason"]


def test_an_attribute_named_like_an_exposure_column_is_refused(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    tree["creatives"]["attributes"] = ["region", "spend"]
    check(tmp_path, tree, USAGE, "creatives.attributes", "spend")


def test_a_truth_of_an_earlier_run_leaves_with_it(lake, tmp_path):
    tree = config_tree(lake, tmp_path / "runs")
    tree["report"]["truth"] = str(lake / "truth.parquet")
    assert backtest(tmp_path, tree)[0] == 0
    assert (tmp_path / "runs" / "r" / "truth.parquet").exists()
    del tree["report"]["truth"]
    assert backtest(tmp_path, tree)[0] == 0
    assert not (tmp_path / "runs" / "r" / "truth.parquet").exists()


def test_paired_numbers_say_that_they_lean_on_imputed_exposure(lake, tmp_path):
    assert backtest(tmp_path, config_tree(lake, tmp_path / "runs"))[0] == 0
    summary = json.loads((tmp_path / "runs" / "r" / "summary.json").read_text())
    rows = [r for r in summary["paired"] if r["weighting"] == "impressions" and r["metric"] == "leakage_rate"]
    assert rows
    assert all("leans on exposure.refused" in r["warning"] for r in rows if r["estimate"] is not None)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_on_ray_a_data_fault_stays_a_data_fault_with_more_workers_than_room(lake, tmp_path):
    file = rewrite(lake / "creatives", tmp_path / "lake" / "c.parquet", one_missing_score)
    tree = config_tree(lake, tmp_path / "runs", execute={"where": "ray", "workers": 99})
    tree["creatives"]["path"] = str(file)
    check(tmp_path, tree, DATA, "old_score")


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_on_ray_a_worker_larger_than_the_cluster_is_refused(lake, tiny_models, tmp_path):
    execute = {"where": "ray", "threads_per_worker": 4096}
    tree = config_tree(lake, tmp_path / "runs", tiny_models, execute=execute)
    code, text = backtest(tmp_path, tree)
    assert code == 4
    assert "no room for a worker" in text
