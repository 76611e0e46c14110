"""Make a small world below data/ci for a backtest in CI: brought scores, no model, no text to read.

Everything is simulated. Only numpy and pyarrow are needed; a finished folder is left alone.
Strata are expressions over attributes, so no frame file is written.

    python scripts/make_ci_data.py [--out data/ci] [--seed 7] [--creatives 10000]
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from demo_world import about, audit, tables
from demo_world.advertisers import (
    REGION_RISK,
    REGION_SHARE,
    REGIONS,
    TIERS,
    VERTICAL_RISK,
    VERTICAL_SHARE,
    VERTICALS,
)
from demo_world.arrays import F32, I64, Bool, Words
from demo_world.exposure import exposures
from demo_world.moderation import APPROVED, DECISIONS, DELIVERED, FINALS, Handling, appeals, moderate, reports
from demo_world.rhythm import DAYS, submission_times

VERSION = 1  # of the world: raise it when the same seed should give another one
TABLES = ("creatives.parquet", "labels.parquet", "audits.parquet", "truth.parquet")
STRATUM_H = (1, 1, 2, 0, 0)  # of each region in REGIONS
STRATA = ("elsewhere", "english", "german")
STRATUM_WHEN = ('region not in ["US", "GB", "DE"]', 'region in ["US", "GB"]', 'region == "DE"')
STRATUM_SHARE = (0.40, 0.38, 0.22)
AUDITED_SHARE = 0.15  # 1,500 labels for 10,000 creatives
FRAME = "all creatives submitted 2026-01-01..2026-03-01"
VIOLATING = 0.05
LIFT = (5.6, 7.6)  # by how much a violation lifts the log-odds of v1 and of v2
NOISE = (2.2, 1.9)


@dataclass(frozen=True)
class World:
    """One entry a creative in order of submission; score_MN of v1 and v2."""

    id_N: Words
    advertiser_N: I64
    submitted_N: I64
    region_N: I64
    vertical_N: I64
    tier_N: I64
    violating_N: Bool
    score_MN: F32
    handling: Handling


def main() -> None:
    """Make the data, or say that it is already there."""
    parser = argparse.ArgumentParser(description="Make a small simulated world for CI.")
    parser.add_argument("--out", type=Path, default=Path("data/ci"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--creatives", type=int, default=10_000)
    asked = parser.parse_args()
    out: Path = asked.out
    identity = {"world": "ci", "version": VERSION, "seed": asked.seed, "creatives": asked.creatives}
    if tables.is_complete(out, identity):
        print(f"{out}: already complete (seed {asked.seed}, {asked.creatives:,} creatives)")
        return
    started = time.perf_counter()
    tables.clear(out, TABLES)
    rng = np.random.default_rng([asked.seed, 0])
    world = _invent(asked.creatives, rng)
    _write(world, out, rng)
    tables.mark_complete(out, identity, TABLES)
    print(f"{out}: complete, everything in it is simulated ({time.perf_counter() - started:.1f} s)")


def _invent(count: int, rng: np.random.Generator) -> World:
    """Invent creatives, two models' scores of them, and how v1 handled them."""
    weight_A = np.arange(11, max(60, count // 27) + 11, dtype=np.float64) ** -1.1
    advertiser_N = rng.choice(len(weight_A), count, p=weight_A / weight_A.sum())
    region_N = rng.choice(len(REGIONS), count, p=REGION_SHARE)
    vertical_N = rng.choice(len(VERTICALS), count, p=VERTICAL_SHARE)
    risk_N = np.array(REGION_RISK)[region_N] * np.array(VERTICAL_RISK)[vertical_N]
    violating_N = rng.random(count) < VIOLATING * risk_N / risk_N.mean()
    submitted_N = np.sort(submission_times(rng, np.zeros(count), np.full(count, float(DAYS))))
    score_MN = _scores(violating_N, rng)
    return World(
        id_N=np.array([f"c{number:06d}" for number in range(1, count + 1)]),
        advertiser_N=advertiser_N,
        submitted_N=submitted_N,
        region_N=region_N,
        vertical_N=vertical_N,
        tier_N=np.where(advertiser_N < 10, 2, np.where(advertiser_N < 60, 1, 0)),
        violating_N=violating_N,
        score_MN=score_MN,
        handling=moderate(score_MN[0], violating_N, submitted_N, rng),
    )


def _scores(violating_N: Bool, rng: np.random.Generator) -> F32:
    """Scores of both models, whose errors are partly the same; float32 in (0, 1)."""
    shared_N = rng.standard_normal(len(violating_N))
    own_MN = rng.standard_normal((2, len(violating_N)))
    noise_MN = np.array(NOISE)[:, None] * (0.6 * shared_N + 0.8 * own_MN)
    logit_MN = -4.0 + np.array(LIFT)[:, None] * violating_N + noise_MN
    return (1.0 / (1.0 + np.exp(-logit_MN))).astype(np.float32)


def _write(world: World, out: Path, rng: np.random.Generator) -> None:
    """Draw the audit and write every table."""
    plan = audit.Plan(STRATA, STRATUM_SHARE, round(AUDITED_SHARE * len(world.id_N)))
    drawn = audit.draw(plan, np.array(STRATUM_H)[world.region_N], world.violating_N, rng)
    sources = [
        world.handling.reviews,
        appeals(world.handling, world.violating_N, rng),
        reports(world.handling, world.violating_N, rng),
    ]
    approved_N = world.handling.decision_N == APPROVED
    once_N = np.ones(len(world.id_N), dtype=np.int64)
    told: dict[str, object] = {
        "violating_creatives": int(world.violating_N.sum()),
        "v1": about.quality(world.score_MN[0], world.violating_N, once_N),
        "v2": about.quality(world.score_MN[1], world.violating_N, once_N),
        "audit": about.audit_figures(drawn, world.violating_N, approved_N),
    }
    print(about.outline(told))
    tables.write_table(_creatives(world, rng), out / "creatives.parquet")
    tables.write_table(tables.label_table(sources, drawn, world.id_N), out / "labels.parquet")
    tables.write_table(tables.audit_table(drawn, FRAME, None, STRATUM_WHEN), out / "audits.parquet")
    tables.write_table(tables.truth_table(world.violating_N, world.id_N), out / "truth.parquet")


def _creatives(world: World, rng: np.random.Generator) -> pa.Table:
    delivered_N = world.handling.final_N == DELIVERED
    impressions_N, spend_N = exposures(world.tier_N, world.vertical_N, delivered_N, rng)
    bodies = [f"Simulated ad of advertiser {a}" for a in world.advertiser_N.tolist()]
    columns = {
        "creative_id": pa.array(world.id_N, pa.string()),
        "advertiser_id": pa.array([f"a{number:04d}" for number in world.advertiser_N.tolist()]),
        "submitted_at": tables.moments(world.submitted_N),
        "body": pa.array(bodies),
        "impressions": tables.whole_or_null(impressions_N),
        "spend": tables.number_or_null(spend_N),
        "region": tables.words(REGIONS, world.region_N),
        "vertical": tables.words(VERTICALS, world.vertical_N),
        "advertiser_tier": tables.words(TIERS, world.tier_N),
        "decision": tables.words(DECISIONS, world.handling.decision_N),
        "final": tables.words(FINALS, world.handling.final_N),
        "logged_score": pa.array(world.score_MN[0]),
        "v1_scam": pa.array(world.score_MN[0]),
        "v2_scam": pa.array(world.score_MN[1]),
    }
    return pa.table(columns)


if __name__ == "__main__":
    main()
