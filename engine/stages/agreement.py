"""How two scores of the same contents agree, for strategies that read one or the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.estimate.calibration import CalibrationMap
from engine.records import F32
from engine.stages.run import Run
from engine.tasks.score import ModelPlan


def agreement_facts(
    run: Run, plan: ModelPlan, maps: Mapping[str, CalibrationMap], given_nP: F32, own_nP: F32
) -> dict[str, dict[str, Any]]:
    """Return, per score column of a model, how the scores that strategies are given agree with others.

    Compared is what strategies read: calibrated scores where there is a map. Contents without one of the two scores
    are counted and left out.

    Parameters
    ----------
    given_nP, own_nP : float32, shape (n, P), NaN where missing.
    """
    from engine.read.near_copies import agreement

    found = {}
    for p, policy in enumerate(plan.policies):
        column = f"{plan.name}.{policy}"
        given_n, own_n = (
            maps[policy].apply(score_nP[:, p]) if policy in maps else score_nP[:, p] for score_nP in (given_nP, own_nP)
        )
        known_n = ~(np.isnan(own_n) | np.isnan(given_n))
        facts = asdict(agreement(given_n[known_n], own_n[known_n], thresholds(run, column)))
        if not known_n.any():
            facts |= {"mean_difference": None, "max_difference": None, "sides": []}
        found[column] = facts | {"without_score": int((~known_n).sum())}
    return found


def thresholds(run: Run, column: str) -> tuple[float, ...]:
    """Return the numbers that strategies compare a score column with."""
    values = [value for atom in run.prepared.table.atoms if atom.column == column for value in _values(atom.value)]
    return tuple(sorted({value for value in values if isinstance(value, float)}))


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else (value,)
