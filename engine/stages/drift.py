"""How far the scores of a model in int8 lie from its scores in float32, on contents of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine.estimate.calibration import CalibrationMap
from engine.stages.agreement import agreement_facts
from engine.stages.run import Run
from engine.stages.sheet import ScoreSheet

CHECKED = 200  # contents scored in float32 as well


def float32_check(sheet: ScoreSheet) -> ScoreSheet | None:
    """Return a sheet of some contents of another one, to be scored in float32; None where that is no int8 model.

    The contents are those of the lowest ids, which are hashes: a random draw that every run over them repeats.
    """
    plan = sheet.plan
    if plan.opening.dtype != "int8":
        return None
    opening = replace(plan.opening, dtype="float32")
    asked_U = np.zeros(len(sheet.contents), bool)
    asked_U[np.flatnonzero(sheet.wanted_U)[:CHECKED]] = True
    wide = replace(plan, name=f"{plan.name} in float32", opening=opening, fingerprint=opening.fingerprint())
    return ScoreSheet(wide, sheet.contents, asked_U)


def drift_facts(
    run: Run, sheet: ScoreSheet, check: ScoreSheet, maps: Mapping[str, CalibrationMap]
) -> dict[str, dict[str, Any]]:
    """Return, per score column, how int8 agrees with float32 on what was scored in both."""
    both = np.flatnonzero(check.wanted_U)
    facts = agreement_facts(run, sheet.plan, maps, sheet.score_UP[both], check.score_UP[both])
    return {column: found | {"contents": int(sheet.wanted_U.sum())} for column, found in facts.items()}
