"""Simulated advertisers: heavy-tailed sizes, a few bad actors, a home region and a vertical each."""

from dataclasses import dataclass

import numpy as np

from demo_world.arrays import F64, I64, Words
from demo_world.rhythm import DAYS

REGIONS = ("US", "GB", "DE", "IN", "BR")
REGION_SHARE = (0.35, 0.20, 0.14, 0.18, 0.13)
REGION_RISK = (0.8, 0.7, 0.6, 1.6, 1.4)
VERTICALS = ("retail", "finance", "gaming", "travel", "health", "telecom")
VERTICAL_SHARE = (0.30, 0.14, 0.18, 0.13, 0.13, 0.12)
VERTICAL_RISK = (0.6, 1.8, 1.5, 0.6, 0.9, 1.2)
TIERS = ("small", "medium", "large")
TIER_RISK = (1.5, 0.6, 0.3)

HONEST, CRUDE, CUNNING = 0, 1, 2
BAD_SHARE = 0.08
CUNNING_SHARE = 0.3  # of the bad actors: they hide among compliant ads and favour what v1 misses
NEVER_BAD = 60  # the largest advertisers are too well known
BAD_SIZE = 2.0  # bad actors submit more than honest advertisers of their rank
VIOLATING_TARGET = 0.07
HONEST_RATE = 0.004


@dataclass(frozen=True)
class Advertisers:
    """One entry an advertiser, largest first (bad actors slightly out of order).

    size_A sums to N; violating_A is the chance that one of its creatives violates; the active days are
    counted from the start of the period.
    """

    name_A: Words
    kind_A: I64
    size_A: I64
    tier_A: I64
    region_A: I64
    vertical_A: I64
    violating_A: F64
    from_day_A: F64
    until_day_A: F64


def invent_advertisers(creatives: int, rng: np.random.Generator) -> Advertisers:
    """Invent advertisers for so many creatives: 1,500 for 40,000, the largest well below 4 % of them."""
    count = max(60, round(creatives * 1_500 / 40_000))
    region_A = rng.choice(len(REGIONS), count, p=REGION_SHARE)
    vertical_A = rng.choice(len(VERTICALS), count, p=VERTICAL_SHARE)
    tier_A = np.repeat([2, 1, 0], [count // 33, count // 6, count - count // 33 - count // 6])
    risk_A = np.array(REGION_RISK)[region_A] * np.array(VERTICAL_RISK)[vertical_A]
    risk_A *= np.array(TIER_RISK)[tier_A]
    kind_A = _kinds(risk_A, rng)
    weight_A = np.arange(11, count + 11, dtype=np.float64) ** -1.1
    weight_A[kind_A != HONEST] *= BAD_SIZE
    size_A = _whole_sizes(weight_A, creatives)
    from_day_A, until_day_A = _active_days(kind_A, rng)
    return Advertisers(
        name_A=np.array([f"a{number:05d}" for number in rng.permutation(count)]),
        kind_A=kind_A,
        size_A=size_A,
        tier_A=tier_A,
        region_A=region_A,
        vertical_A=vertical_A,
        violating_A=_violating_chance(kind_A, size_A, risk_A),
        from_day_A=from_day_A,
        until_day_A=until_day_A,
    )


def _kinds(risk_A: F64, rng: np.random.Generator) -> I64:
    """Choose the bad actors by risk among all but the largest, and the cunning ones among them."""
    count = len(risk_A)
    chance_A = np.where(np.arange(count) < NEVER_BAD, 0.0, risk_A)
    bad = rng.choice(count, round(BAD_SHARE * count), replace=False, p=chance_A / chance_A.sum())
    kind_A = np.full(count, HONEST)
    kind_A[bad] = CRUDE
    kind_A[bad[: round(CUNNING_SHARE * len(bad))]] = CUNNING
    return kind_A


def _whole_sizes(weight_A: F64, total: int) -> I64:
    """Split `total` in proportion to the weights by largest remainder."""
    exact_A = total * weight_A / weight_A.sum()
    size_A: I64 = np.floor(exact_A).astype(np.int64)
    short = total - int(size_A.sum())
    size_A[np.argsort(size_A - exact_A, kind="stable")[:short]] += 1
    return size_A


def _violating_chance(kind_A: I64, size_A: I64, risk_A: F64) -> F64:
    """Chance of a violation, bad actors scaled so that VIOLATING_TARGET of all creatives are expected to."""
    chance_A = np.array([0.0, 1.0, 0.6])[kind_A]
    honest_A = np.where(kind_A == HONEST, HONEST_RATE * risk_A, 0.0)
    missing = VIOLATING_TARGET * size_A.sum() - (size_A * honest_A).sum()
    violating_A: F64 = np.minimum(honest_A + chance_A * missing / (size_A * chance_A).sum(), 0.97)
    return violating_A


def _active_days(kind_A: I64, rng: np.random.Generator) -> tuple[F64, F64]:
    """Honest advertisers are active all the time; bad actors come, burst for 10 to 40 days, and go."""
    begin_A = rng.uniform(0, DAYS - 10, len(kind_A))
    end_A = np.minimum(begin_A + rng.uniform(10, 40, len(kind_A)), DAYS)
    honest_A = kind_A == HONEST
    return np.where(honest_A, 0.0, begin_A), np.where(honest_A, float(DAYS), end_A)
