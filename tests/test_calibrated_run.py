"""A run whose strategies read scores through a map that was fitted on labels known before the period."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import DataError, UsageError
from engine.estimate.calibration import CalibrationMap
from engine.pipeline import Finished, run
from engine.progress import Progress
from engine.read.identity import content_id


def execute(tree: dict[str, Any]) -> Finished:
    return run(check_config(tree, "test"), Progress())


@pytest.fixture
def tree(lake, tiny_models, tmp_path) -> dict[str, Any]:
    tree = config_tree(lake, tmp_path / "runs", tiny_models, execute={"workers": 1})
    tree["period"] = {"from": "2026-01-12", "until": "2026-01-25"}
    tree["models"]["v2"]["calibration"] = {"method": "platt"}
    return tree


def map_of(finished: Finished) -> CalibrationMap:
    return CalibrationMap.from_plain(finished.scored.calibration["v2.scam"])


def test_strategies_read_the_mapped_score_and_the_store_keeps_the_models_own(tree, lake):
    finished = execute(tree)
    plain = execute(
        tree | {"run": "plain", "models": {k: v | {"calibration": None} for k, v in tree["models"].items()}}
    )
    raw, own = (pq.read_table(f.directory / "scores" / "v2.parquet") for f in (finished, plain))
    calibrated = dict(zip(raw["content_id"].to_pylist(), map_of(finished).apply(raw["scam"].to_numpy()), strict=True))
    uncalibrated = dict(zip(raw["content_id"].to_pylist(), raw["scam"].to_pylist(), strict=True))
    assert set(own["content_id"].to_pylist()) < set(uncalibrated), "contents that only calibrate are scored as well"
    assert plain.scored.scored_now == {"v1": 0, "v2": 0}, "a map changes no score of the store"
    kept = pa.concat_tables(pq.read_table(p) for p in sorted((finished.directory / "cells").glob("kept-*.parquet")))
    lake_rows = pq.read_table(lake / "creatives", columns=["creative_id", "title", "body"]).to_pylist()
    contents = {
        row["creative_id"]: content_id([None if x is None else x.encode() for x in (row["title"], row["body"])])
        for row in lake_rows
    }
    for row in kept.to_pylist():
        content = contents[row["creative_id"]]
        assert row["v2.scam"] == pytest.approx(calibrated[content], abs=1e-7)
        assert row["uncalibrated v2.scam"] == pytest.approx(uncalibrated[content], abs=1e-7)
    assert "uncalibrated v1.scam" not in kept.column_names


def test_the_map_learns_from_audit_labels_known_before_the_period_alone(tree, lake, tmp_path):
    before = map_of(execute(tree))
    labels = pq.read_table(lake / "labels.parquet")
    creatives = pq.read_table(lake / "creatives", columns=["creative_id", "submitted_at"])
    when = dict(zip(creatives["creative_id"].to_pylist(), creatives["submitted_at"].to_pylist(), strict=True))
    start = check_config(tree, "test").period.from_
    early = np.array([when[i] < start for i in labels["creative_id"].to_pylist()])
    audit = np.array(labels["source"].to_pylist()) == "audit"
    concluded = labels["label"].is_valid().to_numpy()
    assert before.labels == int((early & audit & concluded).sum())
    late = [
        start if e and i % 2 else k for i, (e, k) in enumerate(zip(early, labels["known_at"].to_pylist(), strict=True))
    ]
    at = labels.column_names.index("known_at")
    moved = labels.set_column(at, labels.schema.field("known_at"), pa.array(late, labels.schema.field("known_at").type))
    pq.write_table(moved, tmp_path / "labels.parquet")
    after = map_of(execute(tree | {"run": "late", "labels": {"path": str(tmp_path / "labels.parquet")}}))
    assert after.labels < before.labels
    assert after.fingerprint() != before.fingerprint()


def test_a_run_again_finds_the_same_map_and_the_report_names_it(tree):
    first, again = execute(tree), execute(tree)
    assert again.scored.calibration == first.scored.calibration
    summary = json.loads((again.directory / "summary.json").read_text())
    facts = summary["calibration"]["v2.scam"]
    assert (facts["method"], facts["fingerprint"]) == ("platt", map_of(again).fingerprint())
    columns = [row["column"] for row in summary["reliability"]]
    assert columns == ["v1.scam", "v2.scam", "uncalibrated v2.scam"]
    page = (again.directory / "report.md").read_text()
    assert facts["fingerprint"] in page


def test_too_few_labels_before_the_period_stop_the_run(tree):
    tree["period"]["from"] = "2026-01-02"
    with pytest.raises(DataError, match=r"models.v2.calibration.*known before 2026-01-02"):
        execute(tree)


def test_a_map_that_would_turn_scores_round_stops_the_run(tree):
    tree["models"]["v1"]["calibration"] = {"method": "platt"}
    with pytest.raises(DataError, match="does not rise"):
        execute(tree)


def test_calibration_without_labels_is_refused(tree):
    with pytest.raises(UsageError, match=r"models.v2.calibration: needs `labels`"):
        check_config(tree | {"labels": None, "audits": None}, "test")


def test_what_the_model_was_trained_on_calibrates_nothing(tree):
    before = map_of(execute(tree))
    tree["models"]["v2"]["trained"] = {"until": "2026-01-04"}
    after = map_of(execute(tree | {"run": "trained"}))
    assert after.labels < before.labels
    tree["models"]["v2"]["trained"] = {"until": "2026-01-11"}
    with pytest.raises(DataError, match="after the model's training"):
        execute(tree | {"run": "late"})


def test_a_plan_counts_contents_that_only_calibrate(tree):
    from engine.plan import plan

    promised = {option.name: option.to_score for option in plan(check_config(tree, "test"), Progress())}
    finished = execute(tree)
    assert promised["everything"] == finished.scored.scored_now
    assert finished.scored.scored_now["v2"] > finished.scored.scored_now["v1"]


def test_duplicates_before_the_period_follow_the_rule_for_duplicates(tree, lake, tmp_path):
    (tmp_path / "lake").mkdir()
    for path in sorted((lake / "creatives").glob("*.parquet")):
        table = pq.read_table(path)
        if path.name == "part-0.parquet":  # two creatives from before the period get one id
            ids = table["creative_id"].to_pylist()
            ids[11] = ids[10]
            table = table.set_column(0, "creative_id", pa.array(ids))
        pq.write_table(table, tmp_path / "lake" / path.name, row_group_size=50)
    tree["creatives"]["path"] = str(tmp_path / "lake")
    labels = pq.read_table(lake / "labels.parquet").to_pylist()
    extra = labels[0] | {"creative_id": "c00010", "label": "VIOLATING", "source": "audit", "audit_id": "older"}
    schema = pq.read_schema(lake / "labels.parquet")
    pq.write_table(pa.Table.from_pylist([*labels, extra], schema=schema), tmp_path / "labels.parquet")
    tree["labels"] = {"path": str(tmp_path / "labels.parquet")}
    with pytest.raises(DataError, match="appear more than once"):
        execute(tree)
    tree["creatives"]["on_duplicate"] = "first"
    assert execute(tree | {"run": "first"}).creatives.counts["duplicates_dropped"] == 0


def test_two_models_trained_until_other_days_learn_from_all_that_each_may(tree):
    alone = map_of(execute(tree))
    tree["models"]["v1"] = tree["models"]["v2"] | {"max_length": 32, "trained": {"until": "2026-01-04"}}
    both = execute(tree | {"run": "both"})
    assert map_of(both).fingerprint() == alone.fingerprint()
    assert both.scored.calibration["v1.scam"]["labels"] < alone.labels
