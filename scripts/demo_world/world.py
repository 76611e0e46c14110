"""The demo's world as one value, and its creatives as tables."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from demo_world.advertisers import REGIONS, TIERS, VERTICALS, Advertisers
from demo_world.arrays import F32, Bool, Words
from demo_world.creatives import Contents, Creatives
from demo_world.exposure import exposures
from demo_world.moderation import DECISIONS, DELIVERED, FINALS, Handling
from demo_world.tables import moments, number_or_null, whole_or_null, words


@dataclass(frozen=True)
class World:
    """Everything that was made; creatives stand in order of submission, score_MC of v1 and v2."""

    actors: Advertisers
    creatives: Creatives
    contents: Contents
    score_MC: F32
    handling: Handling
    id_N: Words

    @property
    def violating_N(self) -> Bool:
        return self.contents.violating_C[self.creatives.content_N]

    @property
    def score_MN(self) -> F32:
        return self.score_MC[:, self.creatives.content_N]


def creatives_by_month(world: World, rng: np.random.Generator) -> Iterator[tuple[str, pa.Table]]:
    """Cut the creatives into months, named like 2026-01; exposures are drawn here."""
    table = _creatives(world, rng)
    month_N = world.creatives.submitted_N.astype("datetime64[us]").astype("datetime64[M]")
    for month in np.unique(month_N):
        first, last = np.searchsorted(month_N, month, "left"), np.searchsorted(month_N, month, "right")
        yield str(month), table.slice(int(first), int(last - first))


def _creatives(world: World, rng: np.random.Generator) -> pa.Table:
    actors, creatives, handling = world.actors, world.creatives, world.handling
    tier_N, vertical_N = actors.tier_A[creatives.advertiser_N], actors.vertical_A[creatives.advertiser_N]
    impressions_N, spend_N = exposures(tier_N, vertical_N, handling.final_N == DELIVERED, rng)
    columns = {
        "creative_id": pa.array(world.id_N, pa.string()),
        "advertiser_id": pa.array(actors.name_A[creatives.advertiser_N], pa.string()),
        "submitted_at": moments(creatives.submitted_N),
        "body": words(world.contents.body_C, creatives.content_N),
        "impressions": whole_or_null(impressions_N),
        "spend": number_or_null(spend_N),
        "region": words(REGIONS, creatives.region_N),
        "vertical": words(VERTICALS, vertical_N),
        "advertiser_tier": words(TIERS, tier_N),
        "decision": words(DECISIONS, handling.decision_N),
        "final": words(FINALS, handling.final_N),
        "logged_score": pa.array(world.score_MN[0]),
    }
    return pa.table(columns)
