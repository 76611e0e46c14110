"""The cells of the swap matrix against plain sums, and against the truth over redrawn audits."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate.worlds import audit_rows, census_rows, make_world, question, replayed, strategies

from engine.estimate.swaps import SwapCell, swap_cells
from engine.records import WEIGHTS, Decision, ReviewerError

WORLD, TABLE = make_world(71), strategies()
FOUND = replayed(WORLD, TABLE)
Key = tuple[str, str, str]


def cells(rows, **more: object) -> dict[Key, SwapCell]:
    asked = question(WORLD, rows, FOUND, TABLE, **more)
    return {(cell.baseline.name, cell.candidate.name, cell.weighting): cell for cell in swap_cells(asked)}


def test_a_cell_is_a_weighted_share_of_its_labelled_creatives():
    rows = audit_rows(WORLD, FOUND.outcome_Sn, (0.2, 0.4, 0.8), 1)
    for (baseline, candidate, weighting), cell in cells(rows).items():
        w = ("creatives", "impressions", "spend").index(weighting)
        top = whole = labels = 0.0
        for n in range(len(rows.pi_n)):
            decided = [TABLE.rules[s][rows.outcome_Sn[s, n]].decision.name for s in (0, 1)]
            if decided == [baseline, candidate]:
                weight = rows.known_Wn[w, n] / rows.pi_n[n]
                top, whole, labels = top + weight * rows.y_nQ[n, 0], whole + weight, labels + (weight > 0)
        assert cell.labels == labels
        assert cell.share == (pytest.approx(top / whole) if whole else None)
        if cell.share is not None:
            assert cell.low <= cell.share <= cell.high


def test_audits_cover_what_a_census_knows_of_every_cell():
    truth = cells(census_rows(WORLD, FOUND.outcome_Sn))
    assert {key[:2] for key in truth} >= {("APPROVE", "APPROVE"), ("APPROVE", "REVIEW"), ("REVIEW", "REJECT")}
    count, hits = 60, dict.fromkeys(truth, 0)
    for seed in range(count):
        for key, cell in cells(audit_rows(WORLD, FOUND.outcome_Sn, (0.2, 0.4, 0.8), seed)).items():
            if key[2] == "creatives" and cell.low is not None:
                hits[key] += cell.low - 1e-12 <= truth[key].share <= cell.high + 1e-12
    plain = [hits[key] / count for key in truth if key[2] == "creatives"]
    assert min(plain) >= 0.95 - 4 * sqrt(0.05 * 0.95 / count)


def erring(seed: int, sensitivity: float, specificity: float):
    """Return a redrawn audit whose reviewers err."""
    rows = audit_rows(WORLD, FOUND.outcome_Sn, (0.2, 0.4, 0.8), seed)
    right = np.where(rows.y_nQ == 1, sensitivity, specificity)
    wrong = np.random.default_rng([seed, 9]).random(rows.y_nQ.shape) >= right
    return replace(rows, y_nQ=np.where(wrong & (rows.y_nQ >= 0), 1 - rows.y_nQ, rows.y_nQ).astype(np.int8))


def test_reviewer_error_is_taken_out_of_every_cell():
    """Without that most of what violates in a cell of few violating creatives would be error."""
    truth, known = cells(census_rows(WORLD, FOUND.outcome_Sn)), {"p": ReviewerError(0.9, 0.95)}
    kept = ("APPROVE", "APPROVE", "creatives")
    count, hits, naive = 60, dict.fromkeys(truth, 0), 0
    for seed in range(count):
        rows = erring(seed, 0.9, 0.95)
        for key, cell in cells(rows, reviewer_error=known).items():
            if key[2] == "creatives" and cell.low is not None:
                hits[key] += cell.low - 1e-12 <= truth[key].share <= cell.high + 1e-12
        apparent = cells(rows)[kept]
        naive += apparent.low <= truth[kept].share <= apparent.high
    assert naive / count < 0.5
    assert min(hits[key] / count for key in truth if key[2] == "creatives") >= 0.95 - 4 * sqrt(0.05 * 0.95 / count)


def test_a_policy_whose_reviewer_error_is_not_given_has_no_share():
    rows = audit_rows(WORLD, FOUND.outcome_Sn, (0.2, 0.4, 0.8), 1)
    found = cells(rows, reviewer_error={"other": ReviewerError(0.9, 0.95)}).values()
    assert all(cell.share is None and "does not say how often reviewers err" in str(cell.null_reason) for cell in found)


def test_a_cell_without_labels_or_exposure_says_so():
    rows = audit_rows(WORLD, FOUND.outcome_Sn, (0.2, 0.4, 0.8), 1)
    decided = np.array([[TABLE.rules[s][o].decision for o in rows.outcome_Sn[s]] for s in (0, 1)])
    moved = (decided[0] == Decision.APPROVE) & (decided[1] == Decision.REVIEW)
    blind = replace(rows, known_Wn=np.where(moved, 0.0, rows.known_Wn))
    assert cells(blind)["APPROVE", "REVIEW", "creatives"].null_reason == "no label lies in it"
    lost = replace(FOUND.totals, swap_OQCW=FOUND.totals.swap_OQCW.copy())
    lost.swap_OQCW[..., WEIGHTS.index("spend_missing")] = 1
    asked = replace(question(WORLD, rows, FOUND, TABLE), totals=lost)
    spend = [cell for cell in swap_cells(asked) if cell.weighting == "spend"]
    assert spend
    assert all(cell.share is None and "lack its exposure" in str(cell.null_reason) for cell in spend)


def test_a_weighting_that_is_not_mapped_has_no_cells():
    rows = audit_rows(WORLD, FOUND.outcome_Sn, (0.2, 0.4, 0.8), 1)
    assert {key[2] for key in cells(rows, unmapped={"spend": "not set"})} == {"creatives", "impressions"}
