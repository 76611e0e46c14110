"""Scoring a sample: numbers that divide by labels lose nothing, the rest becomes an estimate with an interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import config_tree, write_lake

from engine.config.loading import check_config
from engine.errors import UsageError
from engine.pipeline import Finished, run
from engine.progress import Progress
from engine.read.sampling import SampleRule, uniform

PER_STRATUM = 30
LABEL_RATES = ("leakage_rate", "leakage_prevalence", "overkill_rate", "overkill_share", "review_precision")
KEY = ("strategy", "baseline", "policy", "segment", "weighting", "reading", "metric", "inference")


def execute(tree: dict[str, Any]) -> Finished:
    return run(check_config(tree, "test"), Progress())


def numbers(finished: Finished) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = pq.read_table(finished.directory / "estimates.parquet").to_pylist()
    return {tuple(row[name] for name in KEY): row for row in rows}


def sampled(tree: dict[str, Any], name: str, **sample: Any) -> dict[str, Any]:
    return tree | {"run": name, "creatives": tree["creatives"] | {"sample": sample}}


@pytest.fixture(scope="module")
def wide_lake(tmp_path_factory) -> Path:
    """Return a lake of which the audit labelled a few per cent."""
    folder = tmp_path_factory.mktemp("wide")
    write_lake(folder, seed=5, size=8_000)
    return folder


def thin(lake: Path, folder: Path) -> None:
    """Draw the audit of a lake anew: a few creatives a stratum."""
    frame = pq.read_table(lake / "frame.parquet")
    truth = dict(
        zip(*(pq.read_table(lake / "truth.parquet")[c].to_pylist() for c in ("creative_id", "label")), strict=True)
    )
    generator = np.random.default_rng(3)
    ids, strata = frame["creative_id"].to_pylist(), np.array(frame["stratum"].to_pylist())
    old = pq.read_table(lake / "labels.parquet")
    rows, audits, pi = [], [], np.zeros(len(ids))
    for name in ("low", "high"):
        members = np.flatnonzero(strata == name)
        pi[members] = PER_STRATUM / len(members)
        audits.append(
            {"audit_id": "a1", "stratum": name, "frame": "all", "frame_path": str(folder / "frame.parquet"),
             "method": "srs", "population_size": len(members), "sample_size": PER_STRATUM}
        )  # fmt: skip
        for i in generator.choice(members, PER_STRATUM, replace=False):
            rows.append({"creative_id": ids[i], "policy": "scam", "label": truth[ids[i]], "source": "audit",
                         "audit_id": "a1", "stratum": name, "inclusion_probability": pi[i]})  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=old.schema), folder / "labels.parquet")
    pq.write_table(pa.Table.from_pylist(audits), folder / "audits.parquet")
    columns = {"creative_id": ids, "stratum": strata.tolist(), "inclusion_probability": pi}
    pq.write_table(pa.table(columns), folder / "frame.parquet")


@pytest.fixture(scope="module")
def audited(wide_lake, tiny_models, tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("audit")
    thin(wide_lake, folder)
    tree = config_tree(wide_lake, folder / "runs", tiny_models)
    tree["period"] = {"from": "2026-01-01", "until": "2028-01-01"}
    tree["labels"], tree["audits"] = ({"path": str(folder / f"{name}.parquet")} for name in ("labels", "audits"))
    rules = [{"when": "v1.scam >= 0.52", "then": "reject"}, {"when": "v1.scam >= 0.48", "then": "review"}]
    tree["strategies"]["live"] |= {"rules": rules}
    return tree


@pytest.fixture(scope="module")
def full(audited) -> Finished:
    return execute(audited | {"run": "full"})


def test_labelled_creatives_alone_give_the_same_leakage_rate_and_interval_at_a_few_percent_of_the_cost(
    audited, full, tmp_path
):
    own = {"store": {"path": str(tmp_path)}}
    some = execute(sampled(audited, "labelled", share=0.0) | own)
    assert 0 < some.scored.scored_now["v1"] <= 2 * PER_STRATUM < 0.05 * full.scored.contents["v1"]
    mine, theirs = numbers(some), numbers(full)
    assert mine.keys() == theirs.keys()
    compared = 0
    for key, row in theirs.items():
        if key[KEY.index("metric")] in LABEL_RATES and row["baseline"] is None and row["estimate"] is not None:
            for name in ("labels", "support"):
                assert mine[key][name] == row[name]
            if row["estimator"].endswith("+unseen"):  # exposure by outcome is known where everything is scored
                assert mine[key]["estimate"] == pytest.approx(row["estimate"], rel=1e-9)
                continue
            assert mine[key]["estimator"] == row["estimator"]
            for name in ("estimate", "low", "high"):  # of rows, or of their sums
                assert mine[key][name] == pytest.approx(row[name], rel=1e-9)
            compared += 1
    assert compared > 50


def test_rates_of_decisions_become_estimates_that_lie_around_what_is_counted(audited, full):
    theirs = numbers(full)
    for name, sample in (("tenth", {"share": 0.3}), ("by", {"share": 0.5, "by": "advertiser"}), ("none", {"share": 0})):
        mine = numbers(execute(sampled(audited, name, **sample)))
        inside = outside = 0
        for key, row in theirs.items():
            if key[KEY.index("metric")] in ("reject_rate", "review_rate", "automation_rate") and (
                key[KEY.index("inference")] == "history"
                and key[KEY.index("reading")] == "machine"
                and key[KEY.index("segment")] == "all"
            ):
                found = mine[key]
                assert found["estimator"].startswith("hajek_sampled")
                assert found["low"] <= found["estimate"] <= found["high"]
                if row["estimate"] not in (0.0, 1.0):
                    assert found["high"] > found["low"], "what is not counted has an interval"
                inside += found["low"] <= row["estimate"] <= found["high"]
                outside += not found["low"] <= row["estimate"] <= found["high"]
        assert inside > 15
        assert outside <= 4, f"{name}: {outside} of {inside + outside} intervals miss what a full run counts"


def test_a_sampled_run_says_so(audited):
    import json

    finished = execute(sampled(audited, "said", share=0.3))
    summary = json.loads((finished.directory / "summary.json").read_text())
    assert any("were scored" in warning for warning in summary["warnings"])
    share = summary["strategies"][1]["rules"]
    assert sum(rule["creatives"] for rule in share) == pytest.approx(8_000, rel=0.06)


def test_every_creative_in_the_sample_is_the_sample_of_a_larger_share_too():
    ids = pa.array([f"c{i}" for i in range(2000)])
    few, many = (SampleRule(share, "creative", 7).drawn(ids, ids) for share in (0.1, 0.4))
    assert (many | ~few).all()
    assert abs(few.mean() - 0.1) < 0.03
    assert not SampleRule(0.0, "creative", 7).drawn(ids, ids).any()
    assert SampleRule(1.0, "creative", 7).drawn(ids, ids).all()
    assert not np.array_equal(uniform(ids, 7), uniform(ids, 8))


def test_advertisers_are_drawn_whole():
    creatives = pa.array([f"c{i}" for i in range(1000)])
    advertisers = pa.array([f"a{i % 50}" for i in range(1000)])
    drawn = SampleRule(0.5, "advertiser", 1).drawn(creatives, advertisers).reshape(-1, 50)
    assert (drawn == drawn[0]).all()
    assert 10 < drawn[0].sum() < 40


def test_a_sample_without_an_audit_and_a_truth_beside_a_sample_are_refused(lake, tmp_path):
    tree = sampled(config_tree(lake, tmp_path), "x", share=0.1)
    with pytest.raises(UsageError, match="without them a sample answers nothing"):
        check_config(tree | {"labels": None, "audits": None}, "test")
    with pytest.raises(UsageError, match="every creative scored"):
        check_config(tree | {"report": {"truth": str(lake / "truth.parquet")}}, "test")
