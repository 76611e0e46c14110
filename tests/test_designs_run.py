"""A whole run over audits of every design, alone and together, and labels that have to be of an age."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from estimate.drawn import proportional, systematic
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import DataError
from engine.pipeline import run
from engine.progress import Progress

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = {"strategy": "live", "policy": "scam", "segment": "all", "weighting": "creatives", "reading": "machine"}


@pytest.fixture(scope="module")
def audited(lake, tmp_path_factory) -> Path:
    """Draw the lake by a pps and by a cluster audit; an advertiser is a cluster, and labels come five days late."""
    folder, generator = tmp_path_factory.mktemp("audited"), np.random.default_rng(12)
    creatives = pq.read_table(lake / "creatives")
    truth = pq.read_table(lake / "truth.parquet")["label"].to_pylist()
    ids, advertiser = creatives["creative_id"].to_pylist(), np.array(creatives["advertiser_id"].to_pylist())
    size = len(ids)
    units, unit_n = np.unique(advertiser, return_inverse=True)
    draws = {
        "pps": (np.arange(size), proportional(0.2 + generator.random(size), 150), 150),
        "cluster": (unit_n, np.full(len(units), 20 / len(units)), 20),
    }
    labels, audits = [], []
    for name, (unit, chance, count) in draws.items():
        pi = chance[unit]
        frame = {"creative_id": ids, "stratum": ["s1"] * size, "inclusion_probability": pi, "cluster": advertiser}
        pq.write_table(pa.table(frame), folder / f"{name}.parquet")
        audits.append({"audit_id": name, "stratum": "s1", "frame_path": str(folder / f"{name}.parquet"),
                       "method": name, "population_size": size, "sample_size": count})  # fmt: skip
        for i in np.flatnonzero(np.isin(unit, systematic(generator, chance))):
            known = START + timedelta(hours=int(i)) + timedelta(days=5 if i % 9 else 1)
            labels.append({"creative_id": ids[i], "policy": "scam", "label": truth[i], "source": "audit",
                           "audit_id": name, "stratum": "s1", "inclusion_probability": pi[i], "known_at": known,
                           "guideline_version": "g2" if i % 2 else "g1"})  # fmt: skip
    pq.write_table(pa.Table.from_pylist(labels), folder / "labels.parquet")
    pq.write_table(pa.Table.from_pylist(audits), folder / "audits.parquet")
    return folder


def leakage(lake: Path, audited: Path, runs: Path, use: object, **labels: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return leakage_rate for history, and the summary."""
    tree = config_tree(lake, runs, audits={"path": str(audited / "audits.parquet"), "use": use})
    tree["labels"] = {"path": str(audited / "labels.parquet")} | labels
    directory = run(check_config(tree, "test"), Progress()).directory
    wanted = KEY | {"metric": "leakage_rate", "inference": "history"}
    rows = pq.read_table(directory / "estimates.parquet").to_pylist()
    (row,) = [r for r in rows if r["baseline"] is None and all(r[name] == value for name, value in wanted.items())]
    return row, json.loads((directory / "summary.json").read_text())


def by_hand(lake: Path, labels: list[dict[str, Any]], weight: dict[str, float]) -> float:
    """Return the weighted share of what violates and scores below both thresholds, from the period's creatives."""
    score = dict(
        zip(*(pq.read_table(lake / "creatives")[c].to_pylist() for c in ("creative_id", "old_score")), strict=True)
    )
    top = bottom = 0.0
    for i in {row["creative_id"] for row in labels if row["label"] == "VIOLATING"}:
        if 48 <= int(i[1:]) < 576:  # the period
            bottom += weight[i]
            top += weight[i] * (score[i] < np.float32(0.5))
    return top / bottom


@pytest.mark.parametrize("use", ["pps", "cluster", ["pps", "cluster"], "all"])
def test_a_run_estimates_from_any_audits(lake, audited, tmp_path, use):
    row, summary = leakage(lake, audited, tmp_path, use)
    names = ["pps", "cluster"] if use == "all" else [use] if isinstance(use, str) else use
    labels = [x for x in pq.read_table(audited / "labels.parquet").to_pylist() if x["audit_id"] in names]
    pi = {
        name: dict(zip(*(pq.read_table(audited / f"{name}.parquet")[c].to_pylist()
                         for c in ("creative_id", "inclusion_probability")), strict=True))
        for name in names
    }  # fmt: skip
    odds = {name: {i: p / (1 - p) for i, p in by_id.items()} for name, by_id in pi.items()}
    weight: dict[str, float] = {}
    for x in labels:
        i, name = x["creative_id"], x["audit_id"]
        part = odds[name][i] / sum(odds[other][i] for other in names)
        weight[i] = weight.get(i, 0.0) + part / pi[name][i]
    assert row["estimate"] == pytest.approx(by_hand(lake, labels, weight), rel=1e-12)
    assert 0 <= row["low"] < row["estimate"] < row["high"] <= 1
    assert row["support"] == 1.0
    drawn = {x["creative_id"] for x in labels}
    assert summary["labels"]["audit_drawn"] == len(drawn)
    assert [(s["audit"], s["method"], s["drawn"]) for s in summary["strata"]] == [
        (name, name, sum(x["audit_id"] == name for x in labels)) for name in names
    ]


def test_young_labels_and_those_of_another_guideline_are_as_if_not_yet_answered(lake, audited, tmp_path):
    every = pq.read_table(audited / "labels.parquet").to_pylist()
    ruled = [x for x in every if x["guideline_version"] == "g2"]
    old = [x for x in ruled if int(x["creative_id"][1:]) % 9]
    row, summary = leakage(lake, audited, tmp_path, "pps", older_than="2d", guideline="g2")
    counts = summary["labels"]
    assert counts["labels_other_guideline"] == len(every) - len(ruled) > 0  # of whatever audit
    assert counts["labels_young"] == len(ruled) - len(old) > 0
    left = [x for x in old if x["audit_id"] == "pps"]
    assert counts["audit_drawn"] == 150
    assert summary["strata"][0]["waiting"] == counts["audit_unanswered"] == 150 - len(left)
    weight = {x["creative_id"]: 1 / x["inclusion_probability"] for x in left}
    assert row["estimate"] == pytest.approx(by_hand(lake, left, weight), rel=1e-12)


def test_audits_are_combined_by_their_frames_alone(lake, audited, tmp_path):
    table = pq.read_table(audited / "audits.parquet").to_pylist()
    table = [row | {"stratum_when": None} for row in table]
    table.append(
        table[0] | {"audit_id": "ruled", "method": "srs", "frame_path": None, "stratum_when": "not missing(region)"}
    )
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "audits.parquet")
    tree = config_tree(lake, tmp_path, audits={"path": str(tmp_path / "audits.parquet"), "use": ["pps", "ruled"]})
    with pytest.raises(DataError, match=r"audits pps, ruled can only be combined by their frame files"):
        run(check_config(tree, "test"), Progress())
