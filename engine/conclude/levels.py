"""Candidate and baseline at the same review load and at the same overkill: the candidate's thresholds are moved.

The score thresholds of the candidate move together, by the same amount in log-odds: those of its REVIEW rules until its
review load, all of them until its overkill comes nearest to the baseline's. What is left of the difference is the
model's or the rules' own, not that one is simply the stricter one. Overkill is matched on the labels that judge it:
the intervals do not know of that choice. A level that coarse scores do not reach is named as the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.conclude.numbers import ask_of
from engine.estimate.chosen import Pair, chosen_numbers, paired_numbers
from engine.estimate.delivery import MACHINE
from engine.estimate.metrics import Number
from engine.estimate.question import Question
from engine.records import LOGGED, WEIGHTINGS, Decision, Estimate
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run, compared, sources_read
from engine.stages.score import Scored
from engine.strategy import Strategy, build_table, can_shift, shifted

LEAKAGE, OVERKILL, REVIEW = (
    Number(metric, WEIGHTINGS[0]) for metric in ("leakage_rate", "overkill_rate", "review_rate")
)
_FIRST, _STEPS, _ROUNDS = 12.0, 49, 3  # log-odds each way in the first round; a next one looks between two steps
_TOLERANCE = 0.02  # of the target: a level within it counts as reached
_MATCHED: tuple[tuple[str, Number, Decision | None], ...] = (
    ("at equal review load", REVIEW, Decision.REVIEW),
    ("at equal overkill", OVERKILL, None),
)
_SHOWN = (LEAKAGE, OVERKILL, REVIEW)


@dataclass(frozen=True)
class Level:
    """Both strategies at one level. by : log-odds by which the candidate's thresholds were moved, None where not.

    own : the candidate's numbers by metric. paired : its difference to the baseline of those that need labels.
    short : how far the level was missed, None where it was reached.
    """

    name: str
    by: float | None
    own: Mapping[str, Estimate]
    paired: Mapping[str, Estimate]
    reason: str | None = None
    short: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """Return the level as plain values."""
        own, paired = ({metric: row._asdict() for metric, row in rows.items()} for rows in (self.own, self.paired))
        said = {"name": self.name, "by": self.by, "reason": self.reason, "short": self.short}
        return said | {"own": own, "paired": paired}


def levels_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> list[Level]:
    """Return the levels of the run's comparison, as configured first; none where nothing is compared."""
    pair = compared(run)
    if pair is None:
        return []
    baseline, candidate = (run.prepared.table.strategies[s] for s in pair)
    asking = _Asking(run, creatives, scored, ground)
    standard = asking.numbers([baseline])[0]
    out = [asking.level("as configured", baseline, candidate, None)]
    for name, number, only in _MATCHED:
        target = standard[number].estimate
        why = _fixed(run, candidate, only) or (
            None if target else f"{number.metric} of {baseline.name} is {_said(standard[number])}"
        )
        if why is not None or target is None:
            out.append(Level(name, None, {}, {}, why))
            continue
        by = asking.nearest(candidate, number, target, only)
        moved = asking.level(name, baseline, shifted(candidate, by, f"{candidate.name} {name}", only), by)
        out.append(_checked(moved, number, target))
    return out


def _checked(level: Level, number: Number, target: float) -> Level:
    """Return the level, called the nearest one where it misses its target."""
    reached = level.own[number.metric].estimate
    if reached is not None and abs(reached - target) <= _TOLERANCE * target:
        return level
    found = "not known" if reached is None else f"{reached:.4g}"
    short = f"{number.metric} is {found} against {target:.4g} of the baseline: no threshold brings it nearer"
    return replace(level, name=level.name.replace("at equal", "nearest to equal"), short=short)


def _fixed(run: Run, candidate: Strategy, only: Decision | None) -> str | None:
    """Return why the candidate's thresholds stay as they are."""
    if candidate.name == LOGGED:
        return "history's own decisions have no thresholds"
    read = sources_read(candidate)
    if len(read) > 1 and read & set(run.config.models):
        return "a model of it was asked only where these thresholds needed its score"
    return can_shift(candidate, only)


def _said(row: Estimate) -> str:
    return "0" if row.estimate is not None else row.null_reason or "not known"


class _Asking:
    """Replays strategies over all creatives and estimates a few of their numbers."""

    def __init__(self, run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> None:
        self._run, self._creatives, self._scored, self._ground = run, creatives, scored, ground
        self._round = 0

    def numbers(self, strategies: Sequence[Strategy]) -> list[Mapping[Number, Estimate]]:
        """Return the numbers of each strategy."""
        question = self._question(strategies)
        return list(chosen_numbers(question, _SHOWN, question.readable_policies[-1], MACHINE))

    def nearest(self, candidate: Strategy, number: Number, target: float, only: Decision | None) -> float:
        """Return the log-odds at which a number of the candidate comes nearest to a target; the smaller of equals."""
        by_S = np.linspace(-_FIRST, _FIRST, _STEPS)
        best = 0.0
        for _ in range(_ROUNDS):
            found = self.numbers([shifted(candidate, float(by), f"moved {s}", only) for s, by in enumerate(by_S)])
            value_S = np.array([row[number].estimate for row in found], np.float64)
            gap_S = np.where(np.isnan(value_S), np.inf, np.abs(value_S - target))
            best = float(by_S[np.lexsort([np.abs(by_S), np.round(gap_S, 6)])[0]])
            step = by_S[1] - by_S[0]
            by_S = best + np.linspace(-step, step, _STEPS)
        return best

    def level(self, name: str, baseline: Strategy, candidate: Strategy, by: float | None) -> Level:
        """Return what there is to say of a pair at one level."""
        question = self._question([baseline, candidate])
        policy = question.readable_policies[-1]
        own = list(chosen_numbers(question, _SHOWN, policy, MACHINE))[1]
        metrics = [LEAKAGE.metric, OVERKILL.metric]
        paired = next(paired_numbers(question, [Pair(0, 1)], metrics, policy, MACHINE))
        return Level(name, by, {number.metric: row for number, row in own.items()}, dict(paired))

    def _question(self, strategies: Sequence[Strategy]) -> Question:
        table = build_table(strategies, missing_to_review=self._run.prepared.spec.missing_score_allowed)
        wanted = Wanted(table, name=f"levels-{self._round}", whole=True)
        self._round += 1
        replayed = replay_stage(self._run, self._creatives, self._scored, self._ground, wanted)
        return replace(ask_of(self._run, replayed, {}).question, pair=None)
