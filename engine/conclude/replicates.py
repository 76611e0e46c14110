"""Numbers of strategies whose human reviewers are drawn: repeated with other draws, whose spread joins the interval.

A human's decision that moves state is a draw (`review.outcome: drawn`). Each replicate draws anew; the estimate is the
mean over R replicates, and to the half-width w of one of them the draws add t √((1 + 1/R) B), B their variance between
replicates (Rubin 1987, eq. 3.1.5, with Student's t of R − 1 degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from engine.conclude.numbers import ask_of
from engine.estimate.estimates import estimate_all
from engine.records import Estimate
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run
from engine.stages.score import Scored
from engine.strategy import Strategy, build_table

REPLICATES = 20
_Key = tuple[str | None, ...]


def with_replicates(
    run: Run, creatives: Creatives, scored: Scored, ground: Ground, estimates: Sequence[Estimate]
) -> list[Estimate]:
    """Return the estimates, those of drawn strategies as the mean of their replicates and with their spread."""
    table = run.prepared.table
    drawn = {s.name for s in table.strategies if s.memory and s.memory.outcome == "drawn"}
    if not drawn:
        return list(estimates)
    pair = run.config.compare
    beside = {pair.baseline, pair.candidate} if pair and drawn & {pair.baseline, pair.candidate} else set()
    chosen = [strategy for strategy in table.strategies if strategy.name in drawn | beside]
    values: dict[_Key, list[float]] = {}
    for replicate in range(1, REPLICATES):
        asked = [_drawn_anew(strategy, replicate) if strategy.name in drawn else strategy for strategy in chosen]
        made = build_table(asked, missing_to_review=run.prepared.spec.missing_score_allowed)
        joint = (made.names.index(pair.baseline), made.names.index(pair.candidate)) if pair and beside else None
        wanted = Wanted(made, name=f"drawn-{replicate}", pair=joint)
        question = ask_of(run, replay_stage(run, creatives, scored, ground, wanted), scored.billed).question
        for row in estimate_all(question):
            if row.estimate is not None:
                values.setdefault(_key(row), []).append(row.estimate)
    return [_joined(row, values) if drawn & {row.strategy, row.baseline} else row for row in estimates]


def _drawn_anew(strategy: Strategy, replicate: int) -> Strategy:
    return replace(strategy, memory=replace(strategy.memory, replicate=replicate))


def _joined(row: Estimate, values: Mapping[_Key, list[float]]) -> Estimate:
    """Return the mean over the replicates that have the number, and its interval."""
    if row.estimate is None:
        return row
    every = np.array([row.estimate, *values.get(_key(row), [])])
    if len(every) < 2 or not np.ptp(every):
        return row
    mean, size = float(every.mean()), len(every)
    draws = stdtrit(size - 1, 0.5 + row.confidence / 2) * np.sqrt((1 + 1 / size) * every.var(ddof=1))
    said = f"human decisions drawn {size} times, from {every.min():.4g} to {every.max():.4g}"
    warning = "; ".join(filter(None, [row.warning, said]))
    if row.low is None or row.high is None:
        return row._replace(estimate=mean, warning=warning)
    low, high = (float(np.hypot(row.estimate - bound, draws)) for bound in (row.low, row.high))
    floor, ceiling = (-np.inf, np.inf) if row.baseline or row.metric == "cost" else (0.0, 1.0)
    bounds = (row.least, row.most) if row.least is not None and row.most is not None else (row.estimate, row.estimate)
    down, up = (float(np.hypot(row.estimate - bound, draws)) for bound in bounds)
    bounded = row.least is not None
    return row._replace(
        estimator=f"{row.estimator}+draws",
        estimate=mean,
        low=max(floor, mean - low),
        high=min(ceiling, mean + high),
        least=max(floor, mean - down) if bounded else None,
        most=min(ceiling, mean + up) if bounded else None,
        warning=warning,
    )


def _key(row: Estimate) -> _Key:
    about = (row.strategy, row.baseline, row.policy, row.segment_by, row.segment)
    return (*about, row.weighting, row.reading, row.metric, row.inference)
