"""Scores week by week: counted in tasks, held against the first weeks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine import store
from engine.calendar import even_cuts_of_days, local_date
from engine.estimate.drift import ScoreDrift, score_drift
from engine.execute import Needs
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, read_identified
from engine.stages.score import Scored
from engine.tasks.score_counts import ScoreCountsPlan, ScoreCountsTask, read_counts

_REFERENCE = 0.25  # of the pieces, at least one, are what later ones are held against


@dataclass(frozen=True)
class Drifts:
    """by : week, or day where the period has but one week. starts : local dates. reference : pieces held against."""

    by: str
    starts: tuple[str, ...]
    reference: int
    columns: dict[str, ScoreDrift]

    def as_plain(self) -> dict[str, Any]:
        """Return what summary.json holds."""
        columns = [
            {"column": name, **{key.removesuffix("_T"): _rounded(values) for key, values in asdict(found).items()}}
            | {"drifts": found.drifts_T.tolist()}
            for name, found in self.columns.items()
        ]
        return {"by": self.by, "starts": list(self.starts), "reference": self.reference, "columns": columns}


def drift_stage(run: Run, creatives: Creatives, scored: Scored) -> Drifts | None:
    """Count the scores of the period and compare; None where one piece is all there is, or a sample was scored."""
    if run.config.series.by == "none" or run.config.creatives.sample is not None:
        return None
    spec, zone = run.prepared.spec, run.config.period.time_zone
    week, day = (even_cuts_of_days(spec.since, spec.until, zone, days) for days in (7, 1))
    cuts = week or day
    if not cuts:
        return None
    plan = ScoreCountsPlan(creatives_plan(run, creatives), scored.tables, cuts, run.config.seed)
    identity = store.fingerprint([run.identity, "drift", cuts, scored.hashes])
    folder = run.directory.path / "drift"
    run.map("drift", ScoreCountsTask(folder, identity), run.shards, Needs(), plan)
    tables = [read_identified(store.shard_path(folder, shard.number), identity) for shard in run.shards]
    reference = max(1, int(_REFERENCE * (len(cuts) + 1)))
    found = score_drift(read_counts(tables, len(cuts) + 1), reference)
    starts = tuple(local_date(at, zone) for at in (spec.since, *cuts))
    return Drifts("week" if week else "day", starts, reference, found) if found else None


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 9) for value in values]
