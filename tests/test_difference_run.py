"""A run whose rates lean on predictions: the same however it is cut up and wherever it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import config_tree, write_lake

from engine.config.loading import check_config
from engine.pipeline import Finished, run
from engine.progress import Progress


def execute(tree: dict[str, Any], name: str, **sections: Any) -> Finished:
    return run(check_config(tree | {"run": name} | sections, "test"), Progress())


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> dict[str, Any]:
    """Return a config over brought scores; `difference` leaves out the guard, which a lake so small would not pass."""
    folder = tmp_path_factory.mktemp("difference")
    write_lake(folder, seed=5, size=4_000)
    period = {"warm_up_from": "2026-01-01", "from": "2026-01-03", "until": "2026-06-10"}
    estimate = {"estimator": "difference"}
    return config_tree(folder, folder / "runs", execute={"workers": 1}, estimate=estimate, period=period)


@pytest.fixture(scope="module")
def undisturbed(tree) -> Finished:
    return execute(tree, "one", limits={"shard_rows": 4_000})


def assumption(finished: Finished) -> str:
    return finished.numbers.assistance


def test_rates_lean_on_predictions_and_say_so(undisturbed):
    names = {row.estimator.split("/")[0] for row in undisturbed.numbers.estimates if row.estimator}
    assert {"difference", "difference_paired", "hajek"} <= names
    assert "predictions of scam from v1.scam" in assumption(undisturbed)
    assert assumption(undisturbed) in (undisturbed.directory / "summary.json").read_text()


@pytest.mark.parametrize("rows", [150, 999])
def test_shards_of_any_size_give_the_same_numbers(undisturbed, tree, rows):
    other = execute(tree, f"of-{rows}", limits={"shard_rows": rows}, execute={"workers": 2})
    np.testing.assert_array_equal(
        other.numbers.question.predictions.sum_QSOCGW, undisturbed.numbers.question.predictions.sum_QSOCGW
    )
    assert other.numbers.estimates == undisturbed.numbers.estimates


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_a_ray_cluster_gives_the_same_numbers(undisturbed, tree):
    other = execute(tree, "ray", limits={"shard_rows": 1_500}, execute={"where": "ray", "workers": 2})
    assert other.numbers.estimates == undisturbed.numbers.estimates


def test_the_sums_over_codes_are_those_of_the_replay(undisturbed):
    question = undisturbed.numbers.question
    totals = question.totals.sum_SOFCW[:, :, 1]  # what some audit could have drawn
    by_segment = np.einsum("socw,gc->sogw", totals, question.segments.member_GC.astype(np.int64))
    wanted = np.stack(
        [by_segment[..., 0], by_segment[..., 1] + by_segment[..., 2], by_segment[..., 4] + by_segment[..., 5]], -1
    )
    found = question.predictions.sum_QSOCGW[0].sum(2)
    np.testing.assert_array_equal(found, wanted)
    assert found.any()


def test_labelled_rows_carry_the_codes_of_their_creatives(undisturbed):
    """Each code of the sums holds at least the labelled creatives of that code."""
    question = undisturbed.numbers.question
    framed_n = question.rows.stratum_n >= 0
    labelled_C = np.bincount(question.predictions.code_Qn[0, framed_n], minlength=100)
    every_C = question.predictions.sum_QSOCGW[0, 0, :, :, 0, 0].sum(0)
    assert (labelled_C <= every_C).all()
    assert (labelled_C > 0).sum() > 20


def test_creatives_inside_a_models_training_leave_the_sums(undisturbed, tree):
    scores = {"v1": tree["scores"]["v1"] | {"trained": {"until": "2026-03-10"}}}
    later = execute(tree, "trained", scores=scores)
    predicted = later.numbers.question.predictions
    kept = predicted.sum_QSOCGW[0, 0, :, :, 0, 0].sum()
    creatives = pa.concat_tables(
        pq.read_table(path) for path in sorted((later.directory / "creatives").glob("shard-*.parquet"))
    )
    frame = np.asarray(creatives["in_frame"]).astype(bool)
    late = np.array([at >= datetime(2026, 3, 10, tzinfo=UTC) for at in creatives["submitted_at"].to_pylist()])
    assert kept == (frame & late).sum() < undisturbed.numbers.question.predictions.sum_QSOCGW[0, 0, :, :, 0, 0].sum()


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"estimate": {"estimator": "hajek"}}, "estimate.estimator says so"),
        ({"sample": {"share": 0.5}}, "creatives.sample leaves creatives without a score"),
    ],
)
def test_without_predictions_the_run_says_why(tree, sections, reason):
    if "sample" in sections:
        sections = {"creatives": tree["creatives"] | sections}
    found = execute(tree, reason.split()[0], **sections)
    assert found.numbers.question.predictions is None
    assert reason in assumption(found)
    assert not [row for row in found.numbers.estimates if (row.estimator or "").startswith("difference")]
    assert not Path(found.directory / "predicted").exists()


def test_strategies_that_remember_keep_hajek_and_are_named(tree):
    capacity = {"per_day": 2, "max_wait": 2, "overflow": "reject"}
    review = {"sensitivity": 0.9, "specificity": 0.95, "wait": "6h", "capacity": capacity, "outcome": "logged"}
    strategies = tree["strategies"] | {"busy": {"like": "live", "review": review}}
    found = execute(tree, "busy", strategies=strategies, exposure={"refused": "segment_median", "life": "14d"})
    assert "Hájek ratios for busy, which remember" in assumption(found)
    leaning = {row.strategy for row in found.numbers.estimates if (row.estimator or "").startswith("difference")}
    assert "busy" not in leaning
    assert "strict" in leaning
