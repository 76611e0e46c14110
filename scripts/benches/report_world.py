"""The files of a made-up run of any size, from a seed: what `backtest report` reads."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine import __version__
from engine.estimate.metrics import FORMULAS
from engine.records import WEIGHTINGS
from engine.schema import ESTIMATES, SEARCH

READINGS, INFERENCES = ("machine", "after_review"), ("history", "future")
TRIED = ("leakage_rate", "overkill_rate", "review_rate")


def write_world(folder: Path, strategies: int, segments: int, settings: int) -> dict[str, int]:
    """Write summary.json, estimates.parquet and, where settings are tried, search.parquet; return what they hold."""
    generator = np.random.default_rng(1)
    names = ["live", "candidate", *(f"strategy {k}" for k in range(2, strategies))]
    places = [("all", "all"), *(("region" if k % 2 else "vertical", f"segment {k}") for k in range(segments))]
    estimates = _estimates(names, places, generator)
    pq.write_table(estimates, folder / "estimates.parquet")
    overall = estimates.slice(0, estimates.num_rows // len(places)).to_pylist()
    summary = _summary(names, places) | {"headline": [row | {"truth": None} for row in overall]}
    if settings:
        pq.write_table(_search(settings, generator), folder / "search.parquet")
        plain = {"strategy": "candidate", "policy": "scam", "reading": "after_review", "weighting": "creatives"}
        found = {"numbers": list(TRIED), "tried": settings, "picks": [], "on_front": 0, "front": []}
        summary["search"] = plain | found
    (folder / "summary.json").write_text(json.dumps(summary))
    return {"strategies": strategies, "segments": segments, "settings": settings, "estimates": estimates.num_rows}


def _estimates(names: list[str], places: list[tuple[str, str]], generator: np.random.Generator) -> pa.Table:
    """Return every number of every strategy, the whole first."""
    one = list(product(names, FORMULAS, WEIGHTINGS, READINGS, INFERENCES))
    rows = len(one) * len(places)
    columns: dict[str, Any] = {}
    for k, name in enumerate(("strategy", "metric", "weighting", "reading", "inference")):
        columns[name] = pa.array([key[k] for key in one]).take(np.tile(np.arange(len(one)), len(places)))
    for k, name in enumerate(("segment_by", "segment")):
        columns[name] = pa.array([place[k] for place in places]).take(np.repeat(np.arange(len(places)), len(one)))
    value = generator.random(rows) * 0.3
    columns |= {"estimate": value, "low": value * 0.9, "high": value * 1.15}
    same = {"policy": "scam", "estimator": "hajek", "confidence": 0.95, "labels": 900, "effective_size": 640.0}
    same |= {"effective_events": 71.0, "support": 1.0, "formula": "Σ w y A / Σ w y"}
    same |= {"baseline": None, "warning": None, "null_reason": None}
    arrays = []
    for field in ESTIMATES:
        if field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(same.get(field.name), field.type), rows))
    return pa.Table.from_arrays(arrays, schema=ESTIMATES)


def _search(settings: int, generator: np.random.Generator) -> pa.Table:
    """Return what was tried: low overkill goes with high leakage, as thresholds do."""
    ease = generator.random(settings)
    share_SM = np.stack([0.4 * (1 - ease) ** 2, 0.03 * ease, 0.2 * ease * generator.random(settings)], axis=1)
    share_SM *= 1 + 0.2 * generator.random(share_SM.shape)
    chosen = [{"low": float(f"{a:.12g}"), "high": float(f"{b:.12g}")} for a, b in generator.random((settings, 2))]
    value = share_SM.ravel()
    columns = {
        "strategy": np.repeat([f"candidate low={c['low']:.10g} high={c['high']:.10g}" for c in chosen], len(TRIED)),
        "setting": np.repeat([json.dumps(c) for c in chosen], len(TRIED)),
        "number": np.tile(np.array(TRIED), settings),
        "estimate": value,
        "low": value * 0.9,
        "high": value * 1.1,
        "on_front": np.repeat(np.arange(settings) % 10 == 0, len(TRIED)),
    }
    nothing = [None] * len(value)
    return pa.Table.from_arrays([pa.array(columns.get(f.name, nothing), f.type) for f in SEARCH], schema=SEARCH)


def _summary(names: list[str], places: list[tuple[str, str]]) -> dict[str, Any]:
    """Return a summary without numbers."""
    rules = [{"rule": f"rule {k}: REJECT", "creatives": 1000, "share": 0.1} for k in range(3)]
    nothing: dict[str, Any] = {name: [] for name in ("paired", "naive", "scores", "reliability", "strata")}
    nothing |= {name: {} for name in ("calibration", "near_copies", "drift")}
    return nothing | {
        "engine": __version__,
        "run": "bench",
        "fingerprint": "0" * 32,
        "period": {"warm_up_from": None, "from": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
        "counts": {"read": 100_000, "kept": 100_000},
        "policies": ["scam"],
        "weightings": list(WEIGHTINGS),
        "segments": [list(place) for place in places],
        "confidence": 0.95,
        "strategies": [{"name": name, "words": "v1.scam >= 0.9 → reject", "rules": rules} for name in names],
        "compare": {"baseline": "live", "candidate": "candidate"},
        "labels": {"audit_drawn": 2000, "audit_answered": 1900},
        "training_overlap": "none",
        "assumptions": [],
        "warnings": [],
        "exposure": {"refused": None, "imputed": {}, "missing": {}},
        "swap": None,
        "search": None,
        "formulas": dict(FORMULAS),
    }
