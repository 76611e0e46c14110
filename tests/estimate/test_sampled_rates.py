"""Numbers of a run that scores a sample: do they cover what scoring everything would have counted?"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate.test_coverage import count, share_that_covers, truth_of
from estimate.worlds import draw_audit, make_world, question, replayed, rows_at, scored_rows, strategies

from engine.estimate.estimates import estimate_all
from engine.estimate.known import creatives_of, estimated_totals, sum_segments
from engine.estimate.metrics import DECISION_RATES
from engine.estimate.outcomes import outcome_counts, swap_sums
from engine.estimate.sample import sample_of_all
from engine.records import ScoredSample

RATES = (0.05, 0.1, 0.3)
REPETITIONS = 60
Z = 4.0


@pytest.mark.parametrize(
    ("share", "clustered"), [(0.15, False), (0.3, True), (0.0, False)], ids=["creatives", "advertisers", "audit alone"]
)
def test_rates_of_decisions_cover_what_a_full_run_would_count(share: float, clustered: bool) -> None:
    world, table = make_world(31), strategies()
    found, truth = replayed(world, table), truth_of(world, table)
    hits: dict = {}
    error: dict = {}
    for seed in range(REPETITIONS):
        rows, scored = scored_rows(world, found.outcome_Sn, RATES, seed, share, clustered)
        asked = question(world, rows, found, table, inferences=("history",), weightings=("creatives", "impressions"))
        estimates = [e for e in estimate_all(replace(asked, scored=scored)) if e.metric in DECISION_RATES]
        count(hits, estimates, truth)
        for e in estimates:
            key = (e.strategy, e.baseline, e.segment, e.weighting, e.reading, e.metric)
            error.setdefault(key, []).append(e.estimate - truth[key])
    keys = [key for key in hits if truth[key] not in (0.0, 1.0) and abs(truth[key]) > 0.02]
    assert len(keys) > 60
    covered = np.array([share_that_covers(hits, key) for key in keys])
    assert 0.93 <= covered.mean() <= 0.99
    low = 0.95 - Z * sqrt(0.05 * 0.95 / REPETITIONS)
    assert (covered < low).mean() <= 0.05, [key for key, c in zip(keys, covered, strict=True) if c < low]
    for key in keys:
        spread = np.std(error[key]) / sqrt(REPETITIONS)
        assert abs(np.mean(error[key])) <= 5 * spread + 0.005, key


def test_a_small_share_covers_each_number_and_leaves_none_without_width() -> None:
    world, table = make_world(31), strategies()
    found, truth = replayed(world, table), truth_of(world, table)
    hits: dict = {}
    narrow: list = []
    for seed in range(REPETITIONS):
        rows, scored = scored_rows(world, found.outcome_Sn, RATES, seed, 0.01, False)
        asked = question(world, rows, found, table, inferences=("history",), weightings=("creatives",))
        estimates = [e for e in estimate_all(replace(asked, scored=scored)) if e.metric in DECISION_RATES]
        count(hits, estimates, truth)
        narrow += [e for e in estimates if e.estimate is not None and not e.high > e.low]
    assert not narrow, "some forty creatives of the rest were drawn: nothing is exact"
    keys = [key for key in hits if hits[key][1] == REPETITIONS]
    assert len(keys) > 60
    low = 0.95 - Z * sqrt(0.05 * 0.95 / REPETITIONS)
    assert not [key for key in keys if share_that_covers(hits, key) < low]


def test_where_no_answered_label_lies_in_review_the_rate_after_review_is_null() -> None:
    world, table = make_world(35), strategies()
    found = replayed(world, table)
    rows, scored = scored_rows(world, found.outcome_Sn, RATES, 1, 0.3, False)
    review = [rule.decision.name == "REVIEW" for rule in table.rules[0]].index(True)
    silent = np.where(found.outcome_Sn[0][np.flatnonzero(_drawn(world))] == review, -1, rows.y_nQ[:, 0])
    asked = question(world, replace(rows, y_nQ=silent[:, None].astype(np.int8)), found, table, inferences=("history",))
    after = [
        e
        for e in estimate_all(replace(asked, scored=scored))
        if (e.strategy, e.metric, e.reading, e.segment) == ("lenient", "reject_rate", "after_review", "all")
    ]
    assert {e.null_reason for e in after if e.baseline is None} == {
        "no audit label lies in what the strategy sends to review"
    }


def _drawn(world) -> np.ndarray:
    drawn = np.zeros(len(world), bool)
    drawn[draw_audit(world, RATES, 1)[0]] = True
    return drawn


def test_label_rates_do_not_notice_what_else_was_scored() -> None:
    world, table = make_world(32), strategies()
    found = replayed(world, table)
    rows, scored = scored_rows(world, found.outcome_Sn, RATES, 1, 0.2, False)
    asked = question(world, rows, found, table)
    names = ("leakage_rate", "leakage_prevalence", "overkill_rate", "overkill_share", "review_precision")
    for plain, some in zip(estimate_all(asked), estimate_all(replace(asked, scored=scored)), strict=True):
        if plain.metric in names and plain.baseline is None and not str(plain.estimator).endswith("+unseen"):
            assert (plain.estimate, plain.low, plain.high) == (some.estimate, some.low, some.high)


def test_a_sample_of_everybody_gives_the_exact_totals() -> None:
    world, table = make_world(33, size=500), strategies()
    found = replayed(world, table)
    rows = rows_at(world, found.outcome_Sn, np.arange(500), np.ones(500), 3, "srs")
    everybody = ScoredSample(rows, np.ones(500), 1.0, False)
    asked = question(world, rows, found, table)
    creatives_G = creatives_of(found.totals, asked.segments)
    sample = sample_of_all(everybody, asked.segments, creatives_G)
    mine = estimated_totals(everybody, sample, found.totals, asked.segments, table.outcomes)
    exact = sum_segments(found.totals, asked.segments)
    np.testing.assert_allclose(mine.known_SOGW, exact.known_SOGW)
    np.testing.assert_allclose(mine.framed_SOGW, exact.framed_SOGW)
    np.testing.assert_allclose(outcome_counts(replace(asked, scored=everybody)), outcome_counts(asked))
    np.testing.assert_allclose(swap_sums(replace(asked, scored=everybody)), swap_sums(asked))
    for plain, some in zip(estimate_all(asked), estimate_all(replace(asked, scored=everybody)), strict=True):
        if plain.metric in DECISION_RATES and plain.inference == "history":
            assert some.estimate == pytest.approx(plain.estimate)
            assert (some.low, some.high) == pytest.approx((plain.low, plain.high))


def test_a_clustered_sample_is_wider_than_one_that_drew_single_creatives() -> None:
    world, table = make_world(34), strategies()
    found = replayed(world, table)
    rows, scored = scored_rows(world, found.outcome_Sn, RATES, 1, 0.3, True)
    asked = question(world, rows, found, table, inferences=("history",))
    whole, single = (
        next(e for e in estimate_all(replace(asked, scored=one)) if e.metric == "reject_rate")
        for one in (scored, replace(scored, clustered=False))
    )
    assert whole.estimate == single.estimate
    assert whole.high - whole.low > 1.2 * (single.high - single.low)
