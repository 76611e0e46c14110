"""The demo's own comparison, whose truth is known: the newer model ships."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engine.config import load_config
from engine.pipeline import run
from engine.progress import Progress

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data" / "demo" / "complete.json"


@pytest.mark.slow
@pytest.mark.skipif(not DEMO.exists(), reason="data/demo is not there: scripts/demo makes it")
def test_v2_ships_against_v1_and_its_bounds_hold_the_truth(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    told = [
        f"store.path={tmp_path}",
        f"store.scores={ROOT / 'runs' / '_scores'}",
        "report.truth=data/demo/truth.parquet",
    ]
    directory = run(load_config("configs/compare.yaml", told), Progress()).directory
    facts = json.loads((directory / "gates.json").read_text())
    assert facts["line"] == f"ship: all {len(facts['gates'])} gates pass"
    names = ("strategy", "baseline", "policy", "segment_by", "segment", "weighting", "reading", "metric")
    truth = {tuple(r[n] for n in names): r["truth"] for r in pq.read_table(directory / "truth.parquet").to_pylist()}
    overall, *_ = facts["gates"]
    about = ("scam", "all", "all", "creatives", "machine", "leakage_rate")
    candidate, baseline = (truth[name, None, *about] for name in ("with v2", "with v1"))
    assert overall["formula"] == "candidate − 0.95 · baseline"
    assert overall["low"] <= candidate - 0.95 * baseline <= overall["high"] < 0
