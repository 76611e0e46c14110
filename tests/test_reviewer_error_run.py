"""A whole run whose audit's reviewers err: by given rates, and by what experts say of some creatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import UsageError
from engine.pipeline import run
from engine.progress import Progress

KEY = ("strategy", "baseline", "segment", "weighting", "reading", "metric", "inference")
LEAKAGE = ("live", None, "all", "creatives", "machine", "leakage_rate", "history")
FLIP = {"VIOLATING": "COMPLIANT", "COMPLIANT": "VIOLATING", None: None}


@pytest.fixture(scope="module")
def misjudged(lake, tmp_path_factory) -> Path:
    """Flip some labels of the lake's audit, and let an expert judge two thirds of its creatives rightly."""
    generator = np.random.default_rng(7)
    rows = pq.read_table(lake / "labels.parquet").to_pylist()
    made = []
    for row in rows:
        if row["source"] != "audit":
            made.append(row)
            continue
        wrong = generator.random() < (0.1 if row["label"] == "VIOLATING" else 0.03)
        made.append(row | {"label": FLIP[row["label"]] if wrong else row["label"]})
        if row["label"] and generator.random() < 0.67:
            none = dict.fromkeys(("audit_id", "stratum", "inclusion_probability", "known_at", "reviewer_id"))
            made.append(row | none | {"source": "expert"})
    path = tmp_path_factory.mktemp("misjudged") / "labels.parquet"
    pq.write_table(pa.Table.from_pylist(made, schema=pq.read_schema(lake / "labels.parquet")), path)
    return path


def numbers(lake: Path, runs: Path, labels: dict[str, Any]) -> tuple[dict[tuple, dict], dict[str, Any], str]:
    made = config_tree(lake, runs, labels=labels, report={"truth": str(lake / "truth.parquet"), "html": False})
    made["cost"] = {"leaked": 2.0, "overkilled": 0.5}
    directory = run(check_config(made, "test"), Progress()).directory
    rows = pq.read_table(directory / "estimates.parquet").to_pylist()
    summary = json.loads((directory / "summary.json").read_text())
    return {tuple(row[k] for k in KEY): row for row in rows}, summary, (directory / "report.md").read_text()


@pytest.fixture(scope="module")
def uncorrected(lake, misjudged, tmp_path_factory):
    return numbers(lake, tmp_path_factory.mktemp("uncorrected"), {"path": str(misjudged)})


def test_reviewer_error_is_counted_on_double_labels_and_taken_out(lake, misjudged, uncorrected, tmp_path):
    plain, before, _ = uncorrected
    rows, summary, page = numbers(
        lake, tmp_path / "mended", {"path": str(misjudged), "reviewer_error": "double_labelled"}
    )
    assert plain[LEAKAGE]["estimator"].startswith("hajek/")
    assert rows[LEAKAGE]["estimator"] == "hajek+rogan_gladen/fieller"
    true = {tuple(row[k] for k in KEY): row["truth"] for row in summary["headline"] if row.get("segment") is None
            for row in [row | {"segment": "all"}]}  # fmt: skip
    assert rows[LEAKAGE]["low"] <= true[LEAKAGE] <= rows[LEAKAGE]["high"]
    assert abs(rows[LEAKAGE]["estimate"] - true[LEAKAGE]) < abs(plain[LEAKAGE]["estimate"] - true[LEAKAGE])
    said = [text for text in summary["assumptions"] if "reviewers err alike" in text]
    assert "scam: sensitivity 0." in said[0]
    assert "reviewers err alike" in page
    assert any("is not corrected" in text for text in before["assumptions"])
    assert rows[(*LEAKAGE[:5], "cost", "history")]["estimator"] == "horvitz_thompson+rogan_gladen/log"
    assert rows[("strict", "live", *LEAKAGE[2:])]["estimator"].startswith("hajek_paired+rogan_gladen/")


def test_given_rates_are_used_and_perfect_ones_change_nothing(lake, misjudged, uncorrected, tmp_path):
    perfect = {"scam": {"sensitivity": 1, "specificity": 1}}
    same, *_ = numbers(lake, tmp_path / "same", {"path": str(misjudged), "reviewer_error": perfect})
    assert same == uncorrected[0]
    given = {"scam": {"sensitivity": 0.9, "specificity": 0.7, "violating": 20, "compliant": 20}}
    rows, summary, page = numbers(lake, tmp_path / "given", {"path": str(misjudged), "reviewer_error": given})
    drowned = [row for row in rows.values() if row["null_reason"] and "drown" in row["null_reason"]]
    assert drowned
    assert all(row["least"] <= row["most"] for row in drowned)
    assert "sensitivity 0.9 on 20, specificity 0.7 on 20" in " ".join(summary["assumptions"])
    assert "drown in reviewer error" in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"spam": {"sensitivity": 0.9, "specificity": 0.9}}, "names spam, which is no policy"),
        ({}, "does not name scam"),
        ({"scam": {"sensitivity": 0.5, "specificity": 0.5}}, "above 1"),
        ("twice", "double_labelled"),
    ],
)
def test_rates_that_cannot_be_are_refused(lake, tmp_path, given, said):
    with pytest.raises(UsageError, match=said):
        check_config(config_tree(lake, tmp_path, labels={"path": "l", "reviewer_error": given}), "test")
