"""A made-up sweep: settings with their numbers from a seed, many of them equal, some without a number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.conclude.confirm import Confirmation
from engine.conclude.search import Pick, Searched
from engine.config.sweep import SweepSection
from engine.search.space import Setting, name_of
from engine.search.trial import Point, Trial, front, values_of

NUMBERS = ("leakage_rate", "overkill_rate", "review_rate")


def trials(
    seed: int, count: int, *, parameters: Sequence[str] = ("low", "high"), coarse: int = 40
) -> tuple[Trial, ...]:
    """Return settings in the order in which they were tried; `coarse` is how many values a number can take."""
    generator = random.Random(seed)
    found = []
    for k in range(count):
        setting: Setting = {name: round(generator.random() + k, 6) for name in parameters}
        ease = generator.random()
        shares = (0.4 * (1 - ease) ** 2, 0.03 * ease, 0.2 * generator.random() * ease)
        points = {}
        for name, share in zip(NUMBERS, shares, strict=True):
            most = 0.4 if name == "leakage_rate" else 0.03 if name == "overkill_rate" else 0.2
            value = round(share / most * coarse) / coarse * most
            missing = generator.random() < 0.02
            reason = "no label at all" if missing else None
            bounds = (None, None) if missing else (0.8 * value, 1.3 * value)
            points[name] = Point(None if missing else value, *bounds, reason)
        found.append(Trial(name_of("candidate", setting), setting, points))
    return tuple(found)


def searched(tried: Sequence[Trial], **changes: Any) -> Searched:
    """Return the sweep that tried them; it picked the first."""
    section = SweepSection.model_validate({"strategy": "candidate", "parameters": {"low": [0.5]}} | changes)
    on_front = front(np.stack([values_of(tried, number) for number in NUMBERS], axis=1))
    picks = (Pick("candidate best", "the least leakage_rate", 0, None),)
    nothing_again = Confirmation(None, 0.95, 0, None, ())
    return Searched(section, "scam", NUMBERS, tuple(tried), on_front, picks, nothing_again)


def table(tried: Sequence[Trial]) -> pa.Table:
    """Return search.parquet."""
    return searched(tried).table()
