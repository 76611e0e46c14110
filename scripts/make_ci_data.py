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

from demo_world import audit, tables
from demo_world.advertisers import REGION_RISK, REGION_SHARE, REGIONS, TIERS, VERTICAL_RISK, VERTICAL_SHARE, VERTICALS
from demo_world.arrays import F32, I64, Bool, Words
from demo_world.exposure import exposures
from demo_world.moderation import DECISIONS, DELIVERED, FINALS, Handling, appeals, moderate, reports
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
LIFT = (4.6, 6.2)  # by how much a violation lifts the log-odds of v1 and of v2
NOISE = (2.0, 1.6)


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
    advertiser_N = np.minimum(rng.zipf(1.5, count), count // 20) - 1
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
        tier_N=np.select([advertiser_N < 3, advertiser_N < 30], [2, 1], 0),
        violating_N=violating_N,
        score_MN=score_MN,
        handling=moderate(score_MN[0], violating_N, submitted_N, rng),
    )
