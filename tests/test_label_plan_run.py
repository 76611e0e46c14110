"""backtest label-plan: what it writes is drawn, answered, and read by a run as one more audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import BacktestError, UsageError
from engine.labelling.ground import Wish
from engine.labelling.plan import LabelPlan, label_plan_text, plan_labels
from engine.labelling.table import files_of
from engine.pipeline import run
from engine.progress import Progress

Planned = Callable[..., LabelPlan]


@pytest.fixture
def tree(lake, tmp_path) -> dict[str, Any]:
    return config_tree(lake, tmp_path / "runs")


@pytest.fixture
def planned(tree, tmp_path) -> Planned:
    def make(out: str = "next.parquet", wish: Wish | None = None, **more: Any) -> LabelPlan:
        wish = wish or Wish(budget=120)
        return plan_labels(check_config(tree, "test"), wish, tmp_path / out, Progress(), **more)

    return make


def answer(plan: LabelPlan, lake: Path, folder: Path) -> Path:
    """Fill in the plan from the truth, but for a few, and lay it beside the earlier labels."""
    rows, truth = pq.read_table(plan.files.plan), pq.read_table(lake / "truth.parquet")
    label = truth["label"].combine_chunks().take(pc.index_in(rows["creative_id"], truth["creative_id"]))
    label = pc.if_else(pa.array(np.arange(rows.num_rows) % 40 == 7), None, label.combine_chunks())
    folder.mkdir()
    (folder / "1-earlier.parquet").symlink_to(lake / "labels.parquet")
    pq.write_table(rows.set_column(rows.column_names.index("label"), "label", label), folder / "2-plan.parquet")
    return folder


def difference(tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    directory = run(check_config(tree, "test"), Progress()).directory
    keys = {"baseline": "live", "policy": "scam", "segment": "all", "weighting": "creatives", "reading": "machine",
            "metric": "leakage_rate", "inference": "history"}  # fmt: skip
    rows = pq.read_table(directory / "estimates.parquet").to_pylist()
    (row,) = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return row, json.loads((directory / "summary.json").read_text())


def test_planned_labels_come_back_as_one_more_audit_and_narrow_the_difference(tree, planned, lake, tmp_path):
    before, _ = difference(tree | {"run": "before"})
    plan = planned()
    labels = answer(plan, lake, tmp_path / "labels")
    more = {"labels": {"path": str(labels)}, "audits": {"path": str(plan.files.audits), "use": "all"}}
    after, summary = difference(tree | more | {"run": "after"})
    strata = [stratum for stratum in summary["strata"] if stratum["audit"] == "label-plan"]
    assert sum(stratum["drawn"] for stratum in strata) == plan.drawn == 120
    assert {stratum["audit"] for stratum in summary["strata"]} == {"a1", "label-plan"}
    assert after["labels"] > before["labels"]
    assert after["high"] - after["low"] < before["high"] - before["low"]
    alone, _ = difference(tree | more | {"run": "alone", "audits": more["audits"] | {"use": "label-plan"}})
    assert alone["estimate"] is not None


def test_the_same_seed_draws_the_same_plan_and_another_seed_another(tree, planned):
    first, second = planned("a.parquet"), planned("b.parquet")
    assert first.files.plan.read_bytes() == second.files.plan.read_bytes()
    tree["seed"] = 5
    third = planned("c.parquet")
    ids = [pq.read_table(plan.files.plan)["creative_id"].to_pylist() for plan in (first, third)]
    assert ids[0] != ids[1]


def test_every_creative_of_the_period_is_in_the_frame_with_a_probability(planned):
    plan = planned(wish=Wish(budget=60, floor=0.5))
    frame, audits = pq.read_table(plan.files.frame), pq.read_table(plan.files.audits)
    assert frame.num_rows == plan.creatives == 528  # hourly, 22 days
    chance = np.array(frame["inclusion_probability"])
    assert chance.min() >= 0.5 * 60 / 528 - 1e-12
    assert chance.sum() == pytest.approx(60)
    mine = audits.filter(pc.equal(audits["audit_id"], "label-plan"))
    assert pc.sum(mine["population_size"]).as_py() == 528
    assert pc.sum(mine["sample_size"]).as_py() == 60


def test_labels_that_an_earlier_audit_has_are_filled_in_and_texts_shown_where_asked(planned, lake):
    plan = planned(texts=True)
    rows = pq.read_table(plan.files.plan)
    earlier = pq.read_table(lake / "labels.parquet")
    audit = earlier.filter(pc.and_(pc.equal(earlier["source"], "audit"), pc.is_valid(earlier["label"])))
    known = dict(zip(audit["creative_id"].to_pylist(), audit["label"].to_pylist(), strict=True))
    assert rows["label"].to_pylist() == [known.get(name) for name in rows["creative_id"].to_pylist()]
    assert plan.known == rows.num_rows - rows["label"].null_count > 0
    creatives = pq.read_table(lake / "creatives")
    bodies = dict(zip(creatives["creative_id"].to_pylist(), creatives["body"].to_pylist(), strict=True))
    assert rows["body"].to_pylist() == [bodies[name] for name in rows["creative_id"].to_pylist()]
    assert "body" not in pq.read_table(planned("plain.parquet").files.plan).column_names


def test_a_wanted_width_is_planned_with_the_fewest_labels_that_reach_it(planned):
    by_budget = planned(wish=Wish(budget=150))
    by_width = planned("w.parquet", wish=Wish(width=by_budget.then))
    assert by_width.then <= by_budget.then
    assert by_width.drawn <= 150
    fewer = planned("f.parquet", wish=Wish(budget=by_width.drawn - 1))
    assert fewer.then > by_width.then


def test_an_audit_without_a_frame_file_is_not_combined_and_the_plan_says_so(tree, planned, lake, tmp_path):
    audits = pq.read_table(lake / "audits.parquet").drop_columns(["frame_path"])
    when = pa.array(["old_score < 0.5", "old_score >= 0.5"])
    pq.write_table(audits.append_column("stratum_when", when), tmp_path / "audits.parquet")
    tree["audits"] = {"path": str(tmp_path / "audits.parquet")}
    tree["creatives"]["attributes"] = ["region", "old_score"]
    plan = planned()
    assert plan.now is None
    assert "frame_path" in str(plan.alone)
    assert plan.use == ("label-plan",)
    assert "stands alone: audit a1 has strata without frame_path" in label_plan_text(plan, [])


def test_a_run_without_any_labels_can_be_planned_from_scores_alone(tree, planned):
    del tree["labels"], tree["audits"]
    plan = planned()
    assert plan.now is None
    assert plan.known == 0
    assert plan.drawn == 120


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(), "--budget or --width"),
        (Wish(budget=50, width=0.1), "--budget or --width"),
        (Wish(budget=19), "below 20"),
        (Wish(width=0.0), "above 0"),
        (Wish(width=1e-9), "is not reached by labelling all 528 creatives"),
        (Wish(width=2.0), "already"),
        (Wish(budget=50, metric="leakage_rat"), 'did you mean "leakage_rate"'),
        (Wish(budget=50, metric="cost"), "labels cannot be planned for cost; .*leakage_rate, .*overkill_rate"),
        (Wish(budget=50, metric="reject_rate"), "labels cannot be planned for reject_rate; .*leakage_rate"),
        (Wish(budget=50, weighting="impression"), 'did you mean "impressions"'),
        (Wish(budget=50, policy="scan"), 'did you mean "scam"'),
        (Wish(budget=50, reading="human"), "unknown reading human"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_what_to_do(planned, wish, words):
    with pytest.raises(UsageError, match=words):
        planned(wish=wish)


@pytest.mark.parametrize("unknown", [{"metric": "cost"}, {"policy": "scan"}, {"weighting": "x"}, {"reading": "x"}])
def test_a_wish_for_what_no_plan_serves_is_refused_before_anything_is_read(tree, planned, unknown):
    tree["creatives"]["path"] = "nowhere"
    with pytest.raises(UsageError, match=f"{next(iter(unknown.values()))}"):
        planned(wish=Wish(budget=50, **unknown))


@pytest.mark.parametrize("out", ["", "taken"])
def test_a_plan_that_is_no_file_is_refused_before_anything_is_read(tree, planned, tmp_path, out):
    (tmp_path / "taken").mkdir()
    tree["creatives"]["path"] = "nowhere"
    with pytest.raises(UsageError, match="is a folder; name a file"):
        planned(out)


def test_labels_that_were_filled_in_are_never_overwritten(planned):
    plan = planned()
    rows = pq.read_table(plan.files.plan)
    label = pa.array(["VIOLATING"] * rows.num_rows)
    pq.write_table(rows.set_column(rows.column_names.index("label"), "label", label), plan.files.plan)
    filled, audits = plan.files.plan.read_bytes(), plan.files.audits.read_bytes()
    plan.files.frame.unlink()
    with pytest.raises(UsageError, match=r"next\.parquet: is there.*another FILE.* or remove it") as refused:
        planned()
    assert len(refused.value.faults) == 1
    assert refused.value.exit_code == 2
    assert plan.files.plan.read_bytes() == filled
    assert plan.files.audits.read_bytes() == audits
    assert not plan.files.frame.exists()  # all three or none


@pytest.mark.parametrize("what", ["plan", "frame", "audits"])
def test_each_file_of_another_plan_is_kept_and_named(planned, tmp_path, what):
    targets = files_of(tmp_path / "next.parquet")
    target = getattr(targets, what)
    target.write_bytes(b"another audit's")
    with pytest.raises(UsageError) as refused:
        planned()
    assert [fault.split(":")[0] for fault in refused.value.faults] == [str(target)]
    assert target.read_bytes() == b"another audit's"
    assert [path for path in (targets.plan, targets.frame, targets.audits) if path.exists()] == [target]


def test_a_second_plan_into_the_same_file_is_refused_under_another_audit_too(planned):
    plan = planned()
    held = [path.read_bytes() for path in (plan.files.plan, plan.files.frame, plan.files.audits)]
    with pytest.raises(UsageError) as refused:
        planned(audit_id="second")
    assert len(refused.value.faults) >= 2  # the frame is equal where strata are
    assert held == [path.read_bytes() for path in (plan.files.plan, plan.files.frame, plan.files.audits)]


def test_the_same_plan_again_touches_nothing(planned):
    plan = planned()
    plan.files.frame.unlink()  # as after a kill between the files
    written = plan.files.plan.stat().st_mtime_ns
    again = planned()
    assert again.files.frame.exists()
    assert plan.files.plan.stat().st_mtime_ns == written


def test_a_plan_needs_a_comparison_all_scores_and_a_new_name(tree, planned):
    with pytest.raises(UsageError, match="already; name another"):
        planned(audit_id="a1")
    compare = tree.pop("compare")
    with pytest.raises(UsageError, match="compare: is not in the config"):
        planned()
    tree |= {"compare": compare}
    tree["creatives"]["sample"] = {"share": 0.5}
    with pytest.raises(UsageError, match="every creative scored"):
        planned()


def test_a_copy_of_the_baseline_leaves_nothing_to_label(tree, planned):
    tree["strategies"]["strict"] = {"like": "live"}
    with pytest.raises(UsageError, match="count every creative alike"):
        planned()


def test_every_drawn_creative_says_why(planned):
    plan = planned()
    reasons = pq.read_table(plan.files.plan)["reason"].to_pylist()
    assert sum("swap set" in reason for reason in reasons) == plan.swapped_drawn > 0


def test_exposure_that_history_does_not_know_is_refused_unless_a_model_fills_it(tree, planned):
    plan = planned(wish=Wish(budget=100, weighting="impressions"))
    assert plan.drawn == 100
    del tree["exposure"]
    with pytest.raises(BacktestError, match="lack impressions"):
        planned("x.parquet", wish=Wish(budget=100, weighting="impressions"))
