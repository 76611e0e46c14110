"""A made-up run: a summary, its estimates and its truth, made by arithmetic alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from engine import schema

Row = dict[str, Any]
Run = tuple[Row, pa.Table, pa.Table | None]

FORMULAS = {
    "leakage_rate": "Σ w y A / Σ w y",
    "leakage_prevalence": "Σ w y A / Σ w A",
    "overkill_rate": "Σ w (1−y) R / Σ w (1−y)",
    "overkill_share": "Σ w (1−y) R / Σ w R",
    "delay_compliant": "Σ w (1−y) H / Σ w (1−y)",
    "review_rate": "Σ w [REVIEW] / Σ w",
    "reject_rate": "Σ w [REJECT] / Σ w",
    "automation_rate": "1 − review_rate",
    "limit_rate": "Σ w [LIMIT] / Σ w",
    "review_precision": "Σ w y [REVIEW] / Σ w [REVIEW]",
    "cost": "prices × what was leaked, overkilled, reviewed and scored",
}
EXACT = ("review_rate", "reject_rate", "automation_rate", "limit_rate")
LEVELS = {"logged": 0.31, "live": 0.243, "candidate": 0.198}
SEGMENTS = (
    ("all", "all"),
    ("region", "US"),
    ("region", "GB"),
    ("region", "DE"),
    ("vertical", "finance"),
    ("vertical", "games"),
)
KEY = ("strategy", "baseline", "policy", "segment_by", "segment", "weighting", "reading", "metric")
WEIGHTINGS = ("creatives", "impressions", "spend")
NO_IMPRESSIONS = "impressions of refused creatives are missing: set exposure.refused"
NO_FINAL = "logged_final is not given"
FEW_EVENTS = "fewer than 10 effective events: an exact-type bound"
COUNTS = {
    "read": 61207,
    "kept": 50000,
    "warm_up": 11180,
    "outside_period": 20,
    "quarantined": 7,
    "contents": 31877,
    "advertisers": 2941,
    "null_text": 12,
    "empty_text": 31,
    "clipped_text": 4,
    "invalid_utf8": 2,
}
LABELS = {
    "audit_drawn": 2000,
    "audit_answered": 1890,
    "audit_unanswered": 110,
    "audit_unknown": 16,
    "audit_outside_period": 0,
    "review": 320,
    "report": 41,
    "appeals_decided": 210,
    "appeals_overturned": 63,
}
WORDS = 'v1.scam >= 0.9 → reject; v1.scam >= 0.5 and region in ["US", "GB"] → review; otherwise approve'
RULES = (
    {"rule": "v1.scam >= 0.9 → reject", "creatives": 4120, "share": 0.0824},
    {"rule": 'v1.scam >= 0.5 and region in ["US", "GB"] → review', "creatives": 2911, "share": 0.0582},
    {"rule": "otherwise → approve", "creatives": 42969, "share": 0.8594},
)
SWAP = ((41800, 0, 310, 140), (0, 0, 0, 0), (520, 0, 2100, 291), (12, 0, 88, 4020))


def make_run(
    *,
    names: Sequence[str] = ("logged", "live", "candidate"),
    policies: Sequence[str] = ("scam",),
    segments: Sequence[tuple[str, str]] = SEGMENTS,
    known: bool = True,
    compare: bool = True,
) -> Run:
    """Return summary, estimates and truth of a run with these names; the last two strategies are compared."""
    every = [*policies, *(["any"] if len(policies) > 1 else [])]
    readings = ("machine", "after_review")
    cells = product(names, [None], every, segments, WEIGHTINGS, readings, FORMULAS)
    keys: list[Row] = [dict(zip(KEY, (*cell[:3], *cell[3], *cell[4:]), strict=True)) for cell in cells]
    rows = [_number(key, inference) for key in keys for inference in ("history", "future")]
    summary = _summary(names, policies, segments)
    overall = [row | {"truth": _truth(row) if known else None} for row in rows if row["segment_by"] == "all"]
    summary["headline"] = overall
    summary["naive"] = [_naive(*cell) for cell in product(names, every, ("leakage_rate", "overkill_rate"))]
    if compare:
        baseline, candidate = names[-2:]
        summary["compare"] = {"baseline": baseline, "candidate": candidate}
        summary["paired"] = [_paired(row, baseline) for row in overall if row["strategy"] == candidate]
        summary["swap"] = _swap()
    truths = [key | {"truth": _truth(key)} for key in keys]
    truth = pa.Table.from_pylist(truths, _truth_schema()) if known else None
    return summary, pa.Table.from_pylist(rows, schema.ESTIMATES), truth


def _value(key: Row) -> float:
    """A plausible value: low leakage goes with high overkill; segments differ by their place."""
    level = LEVELS.get(key["strategy"], 0.22) * (0.8 if key["reading"] == "after_review" else 1.0)
    segment = (key["segment_by"], key["segment"])
    if segment in SEGMENTS:
        level *= 1 + 0.11 * SEGMENTS.index(segment)
    if key["metric"] == "cost":
        return 120_000 * level
    place = list(FORMULAS).index(key["metric"])
    return level if place == 0 else 0.021 / level / (1 + 0.6 * place) + 0.003 * place


def _truth(key: Row) -> float | None:
    if key["strategy"] == "logged" and key["reading"] == "after_review":
        return None
    return _value(key) * (1.0 if key["metric"] in EXACT else 1.04)


def _number(key: Row, inference: str) -> Row:
    value, exact, reason = _value(key), key["metric"] in EXACT, _reason(key)
    wide = (0.13 if inference == "history" else 0.21) * (1 if key["segment_by"] == "all" else 1.8)
    half = 0.0 if exact else value * wide
    few = key["segment"] == "games" and key["metric"] == "leakage_rate"
    found: Row = {"estimate": value, "low": value - half, "high": value + 1.1 * half}
    return {
        **key,
        **(dict.fromkeys(found) if reason else found),
        "inference": inference,
        "estimator": "known" if exact else "hajek",
        "confidence": 0.95,
        "labels": 1874 if key["segment_by"] == "all" else 311,
        "effective_size": 1204.4,
        "effective_events": 87.3,
        "support": 0.973,
        "warning": FEW_EVENTS if few else None,
        "null_reason": reason,
        "formula": FORMULAS[key["metric"]],
    }


def _reason(key: Row) -> str | None:
    if key["strategy"] == "logged" and key["reading"] == "after_review":
        return NO_FINAL
    refusals = ("overkill_rate", "overkill_share", "delay_compliant")
    return NO_IMPRESSIONS if key["weighting"] == "impressions" and key["metric"] in refusals else None


def _paired(row: Row, baseline: str) -> Row:
    if row["null_reason"]:
        return row | {"baseline": baseline, "truth": None}
    shift = -0.045 if row["metric"].startswith("leakage") else -5400.0 if row["metric"] == "cost" else 0.006
    half = 0.0 if row["metric"] in EXACT else abs(shift) * (0.5 if shift == -0.045 else 1.4)
    truth = None if row["truth"] is None else shift * (1.0 if row["metric"] in EXACT else 0.9)
    found = {"estimate": shift, "low": shift - half, "high": shift + half, "truth": truth}
    return row | found | {"baseline": baseline, "effective_events": 41.2}


def _naive(strategy: str, policy: str, metric: str) -> Row:
    found = {"estimate": 0.413, "labels": 2210, "truth": None}
    return {"strategy": strategy, "policy": policy, "metric": metric, **found}


def _swap() -> Row:
    return {
        "decisions": ["APPROVE", "LIMIT", "REVIEW", "REJECT"],
        "creatives": [list(row) for row in SWAP],
        "impressions": [[None if j == 3 else 1000.0 * v for j, v in enumerate(row)] for row in SWAP],
        "spend": None,
    }


def _summary(names: Sequence[str], policies: Sequence[str], segments: Sequence[tuple[str, str]]) -> Row:
    """Return a summary without numbers."""
    return {
        "engine": "0.1.0",
        "run": "demo",
        "fingerprint": "5f2c9a0b7d1e44c08a9be3f1c6d7a2b4",
        "period": {
            "warm_up_from": "2026-01-01T00:00:00Z",
            "from": "2026-01-15T00:00:00Z",
            "until": "2026-03-01T00:00:00Z",
        },
        "counts": dict(COUNTS),
        "policies": list(policies),
        "weightings": list(WEIGHTINGS),
        "segments": [list(segment) for segment in segments],
        "confidence": 0.95,
        "strategies": [{"name": name, "words": WORDS, "rules": list(map(dict, RULES))} for name in names],
        "compare": None,
        "labels": dict(LABELS),
        "training_overlap": "training overlap unknown for v2: `trained` is not given",
        "assumptions": ["Advertisers would not have acted differently under another strategy."],
        "warnings": ["history is shorter than the warm-up: 3.1 % of creatives lack a full window"],
        "exposure": {"refused": None, "imputed": {}, "missing": {"impressions": 5120, "spend": 5120}},
        "headline": [],
        "paired": [],
        "naive": [],
        "swap": None,
        "scores": [_scores(f"{model}.{policy}", policy) for model in ("v1", "v2") for policy in policies],
        "reliability": [_reliability(f"{model}.{policy}", policy) for model in ("v1", "v2") for policy in policies],
        "calibration": {
            f"v1.{policy}": {
                "method": "platt",
                "parameters": [1.2, -0.3],
                "labels": 412,
                "without_score": 0,
                "fingerprint": "0f" * 16,
            }
            for policy in policies
        },
        "near_copies": {},
        "drift": {},
        "formulas": dict(FORMULAS),
    }


def _reliability(column: str, policy: str) -> Row:
    score = [round(0.05 + 0.1 * i, 3) for i in range(10)]
    share = [round(0.8 * x, 4) for x in score]
    low, high = ([round(x * f, 4) for x in share] for f in (0.8, 1.2))
    errors = {"error": 0.1, "error_if_calibrated": 0.01, "debiased": 0.11}
    return {"column": column, "policy": policy, "labels": 1890} | errors | {
        "score": score, "share": share, "low": low, "high": high
    }  # fmt: skip


def _scores(column: str, policy: str) -> Row:
    violating = [0.004 * (i + 1) ** 1.1 for i in range(20)]
    compliant = [0.8 / (i + 1) ** 2 for i in range(20)]
    bins = {"edges": [i / 20 for i in range(21)], "violating": violating, "compliant": compliant}
    return {"column": column, "policy": policy, **bins}


def _truth_schema() -> pa.Schema:
    return pa.schema([*((name, pa.string()) for name in KEY), ("truth", pa.float64())])


@pytest.fixture(scope="session")
def run() -> Run:
    """The made-up run with its truth."""
    return make_run()


@pytest.fixture(scope="session")
def make() -> Callable[..., Run]:
    """The maker of made-up runs."""
    return make_run
