"""What there is to say of a pair beside its differences: swaps by cell, scores, fidelity, who is affected, levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.conclude.levels import levels_stage
from engine.conclude.numbers import Numbers, ask_of
from engine.estimate.known import creatives_of
from engine.estimate.outcomes import decided_alike, swap_sums
from engine.estimate.question import Question
from engine.estimate.ranking import compare_scores
from engine.estimate.sample import answered_sample
from engine.estimate.swaps import swap_cells
from engine.records import LOGGED, UNCALIBRATED
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run
from engine.stages.score import Scored
from engine.strategy import build_table, columns_read

_APPARENT = "of the labels as they stand: reviewer error is not taken out of it"


def versus_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground, numbers: Numbers) -> dict[str, Any]:
    """Return the facts of the run's comparison as plain values; empty where nothing is compared."""
    question = numbers.question
    if question.pair is None:
        return {}
    return {
        "levels": [level.as_plain() for level in levels_stage(run, creatives, scored, ground)],
        "cells": [
            asdict(cell) | {"baseline": cell.baseline.name, "candidate": cell.candidate.name}
            for cell in swap_cells(question)
        ],
        "scores": list(_scores(run, numbers)),
        "fidelity": _fidelity(run, creatives, scored, ground),
        "advertisers": _advertisers(question),
    }


def _scores(run: Run, numbers: Numbers) -> Iterator[dict[str, Any]]:
    """Yield how the scores that only the baseline reads compare with those that only the candidate reads."""
    question = numbers.question
    assert question.pair is not None
    of, rows = run.config.score_columns(), question.rows
    named = [name for name in numbers.replayed.kept.column_names if "." in name]
    read = [columns_read(question.table.strategies[s]) for s in question.pair]
    creatives_G = creatives_of(question.totals, question.segments)
    for q, policy in enumerate(question.policies):
        sample = answered_sample(rows, q, question.segments, creatives_G)
        y_n = rows.y_nQ[sample.rows_n, q].astype(np.float64)
        doubt = _APPARENT if question.error_of(policy) or question.unnamed_error(policy) else None
        mine = [c for c in read[1] if c not in read[0] and of.get(c) == policy]
        for one in (c for c in read[0] if c not in read[1] and of.get(c) == policy):
            for other in mine:
                values = [rows.score_Kn[named.index(name), sample.rows_n] for name in (one, other)]
                found = compare_scores(sample, values[0], values[1], y_n, question.confidence, doubt)
                if found is not None and not one.startswith(UNCALIBRATED):
                    yield {"baseline": one, "candidate": other, "policy": policy} | asdict(found)


def _fidelity(run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> dict[str, Any] | None:
    """Return how many creatives the baseline decides as history did; None where history's decisions are not known."""
    table, compare = run.prepared.table, run.config.compare
    assert compare is not None
    if LOGGED not in table.names or compare.baseline == LOGGED or run.prepared.spec.sample is not None:
        return None
    both = [table.strategies[table.names.index(name)] for name in (LOGGED, compare.baseline)]
    made = build_table(both, missing_to_review=run.prepared.spec.missing_score_allowed)
    wanted = Wanted(made, name="fidelity-of-baseline", pair=(0, 1), whole=True)
    question = ask_of(run, replay_stage(run, creatives, scored, ground, wanted), {}).question
    count_OQ, alike_OQ = swap_sums(question)[..., 0], decided_alike(*question.table.rules)
    alike = (count_OQ[: alike_OQ.shape[0], : alike_OQ.shape[1]] * alike_OQ).sum()
    return {"equal": int(alike), "compared": int(count_OQ.sum())}


def _advertisers(question: Question) -> dict[str, int]:
    """Return how many advertisers with a labelled creative have one that is decided otherwise."""
    assert question.pair is not None
    rows, (baseline, candidate) = question.rows, question.pair
    alike_OQ = decided_alike(question.table.rules[baseline], question.table.rules[candidate])
    differ_n = ~alike_OQ[rows.outcome_Sn[baseline], rows.outcome_Sn[candidate]]
    return {
        "affected": len(np.unique(rows.advertiser_n[differ_n])),
        "labelled": len(np.unique(rows.advertiser_n)),
    }
