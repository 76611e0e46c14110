"""Simulated delivery: impressions and spend, known only for what was delivered."""

import numpy as np

from demo_world.arrays import F64, I64, Bool

TIER_LOG_IMPRESSIONS = (5.5, 6.5, 7.5)
VERTICAL_PRICE = (4.0, 9.0, 6.0, 5.0, 7.0, 5.5)  # per thousand impressions


def exposures(tier_N: I64, vertical_N: I64, delivered_N: Bool, rng: np.random.Generator) -> tuple[F64, F64]:
    """Impressions (whole, heavy-tailed) and spend (two decimals) of delivered creatives, NaN for others."""
    count = len(tier_N)
    impressions_N = np.ceil(rng.lognormal(np.array(TIER_LOG_IMPRESSIONS)[tier_N], 1.4))
    price_N = np.array(VERTICAL_PRICE)[vertical_N] * rng.lognormal(0.0, 0.35, count)
    spend_N = np.round(impressions_N * price_N / 1_000, 2)
    return np.where(delivered_N, impressions_N, np.nan), np.where(delivered_N, spend_N, np.nan)
