"""What review queues do day by day under the strategies that have a capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.calendar import cuts_of_days, local_date
from engine.replay.queue_days import QueueDays, queue_days
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run, compared
from engine.stages.score import Scored
from engine.strategy import build_table

STRATEGIES = 4  # are shown: of those with a queue, baseline and candidate first


@dataclass(frozen=True)
class Waiting:
    """starts : local dates. days : by strategy. per_day : reviews that each of its queues can do on a day."""

    starts: tuple[str, ...]
    days: dict[str, QueueDays]
    per_day: dict[str, int]

    def as_plain(self) -> dict[str, Any]:
        """Return what summary.json holds."""
        return {
            "starts": list(self.starts),
            "strategies": [
                {
                    "strategy": name,
                    "per_day": self.per_day[name],
                    "asked": found.asked_D.tolist(),
                    "reviewed": found.reviewed_D.tolist(),
                    "late": found.late_D.tolist(),
                    "waiting": found.waiting_D.tolist(),
                    "mean": [None if np.isnan(x) else round(float(x), 6) for x in found.mean_D],
                    "ninth": [None if np.isnan(x) else int(x) for x in found.ninth_D],
                }
                for name, found in self.days.items()
            ],
        }


def waiting_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> Waiting | None:
    """Replay the strategies that have a queue by local days; None where there is none, or a sample was scored."""
    table, spec, zone = run.prepared.table, run.prepared.spec, run.config.period.time_zone
    order = dict.fromkeys([*(compared(run) or ()), *range(len(table.names))])
    queued = [table.strategies[s] for s in order if table.strategies[s].memory.queues][:STRATEGIES]
    if not queued or run.config.series.by == "none" or run.config.creatives.sample is not None:
        return None
    cuts = cuts_of_days(spec.since, spec.until, zone, 1)
    asked = build_table(queued, missing_to_review=spec.missing_score_allowed)
    replayed = replay_stage(run, creatives, scored, ground, Wanted(asked, name="waiting", whole=True, cuts=cuts))
    count_SOD = replayed.totals.sum_SOFCW[..., 0].sum(2)
    days = {
        strategy.name: queue_days(count_SOD[s], replayed.wanted.table.rules[s]) for s, strategy in enumerate(queued)
    }
    starts = tuple(local_date(at, zone) for at in (spec.since, *cuts))
    per_day = {
        each.name: c.per_day // c.work for each in queued if (c := each.memory.capacity) and c.per_day is not None
    }
    return Waiting(starts, days, per_day)
