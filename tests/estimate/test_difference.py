"""The difference estimator: against plain loops, against ppi-python, and over redrawn audits of one history."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from estimate import oracles
from estimate.ppi.store import ALPHA, STORED, ask_ppi, digest, seeded_data
from estimate.test_estimates import HUMAN
from estimate.worlds import (
    assert_same_to_rounding,
    audit_rows,
    make_world,
    predictions,
    question,
    replayed,
    segments,
    strategies,
)
from scipy.stats import norm

from engine.estimate.difference import Blend, Predicted, assisted, left_out, predicted_parts, tuned
from engine.estimate.estimates import estimate_all
from engine.estimate.known import creatives_of, sum_segments
from engine.estimate.metrics import RATES
from engine.estimate.ratio import Ratio, hajek
from engine.estimate.sample import Sample, answered_sample
from engine.estimate.view import View
from engine.records import Decision, Design, LabelledRows

METRIC = {metric.name: metric for metric in RATES}


@pytest.fixture(scope="module", params=["srs", "poisson"])
def guessed(request):
    """A world, its strategies, the rows of an audit, and what they predict of all."""
    world, table = make_world(21), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 11, request.param)
    asked = question(world, rows, found, table, predictions=predictions(world, rows, found))
    return world, table, found, asked, request.param


def seen(asked, strategy: int, weighting: str, reading: str) -> View:
    creatives_G = creatives_of(asked.totals, asked.segments)
    sample = answered_sample(asked.rows, 0, asked.segments, creatives_G)
    return View(asked, sum_segments(asked.totals, asked.segments), sample, strategy, 0, reading, weighting)


def fold_of(advertiser: int) -> int:
    return advertiser * 2654435761 // 64 % 5


def loop_parts(world, table, outcome, metric, reading, weighting, i, y) -> tuple[float, float]:
    """Return numerator and denominator of creative i, its truth being y between 0 and 1."""
    rule, w = table.rules[outcome[0]][outcome[1]], float(world.exposure_WN[weighting, i])
    both = []
    for truth in (0, 1):
        given = oracles.shares(rule.decision.name, rule.share, truth, reading, weighting == 0, HUMAN)
        both.append(oracles.parts(metric, w, truth, *given, int(rule.decision is Decision.REVIEW)))
    return tuple((1 - y) * none + y * some for none, some in zip(*both, strict=True))


@pytest.mark.parametrize("metric", ["leakage_rate", "leakage_prevalence", "overkill_rate", "delay_compliant"])
@pytest.mark.parametrize("weighting", [0, 1])
def test_point_and_variance_equal_those_of_plain_loops(guessed, metric, weighting):
    world, table, found, asked, method = guessed
    view = seen(asked, 1, ("creatives", "impressions")[weighting], "after_review")
    ratio = hajek(view.sample, *METRIC[metric].parts(view.terms()))
    predicted = predicted_parts(view, METRIC[metric])
    predictor = asked.predictions.predictors[0]
    value = []
    for i in range(len(world)):
        code = predictor.codes(np.array([[float(world.score_N[i])]]), np.array([fold_of(int(world.advertiser_N[i]))]))
        value.append(float(predictor.value_C[code[0]]))

    def of(i: int, y: float) -> tuple[float, float]:
        outcome = (1, int(found.outcome_Sn[1, i]))
        return loop_parts(world, table, outcome, metric, "after_review", weighting, i, y)

    drawn = audit_positions(world, asked.rows)
    design = asked.rows.design
    pi, stratum = asked.rows.pi_n.tolist(), asked.rows.stratum_n.tolist()
    sizes = (design.population_H.tolist(), design.drawn_H.tolist(), method)
    a, b = zip(*[of(i, float(world.y_N[i])) for i in drawn], strict=True)
    guess_a, guess_b = zip(*[of(i, value[i]) for i in drawn], strict=True)
    sum_a, sum_b = (sum(x) for x in zip(*[of(i, value[i]) for i in range(len(world))], strict=True))
    weight = [1 / p for p in pi]
    lambda_G = np.full(4, 0.6)
    point, residual_m = Blend(view.sample, ratio, predicted).at(lambda_G)
    whole = (sum_a, sum_b, len(world))
    slow, off = oracles.difference_ratio(list(a), list(b), (list(guess_a), list(guess_b)), whole, weight, 0.6)
    assert point[0] == pytest.approx(slow, rel=1e-9)
    wanted = oracles.history_variance(off, pi, stratum, *sizes)
    assert view.sample.history_spread(residual_m)[0][0] == pytest.approx(wanted, rel=1e-9)


def audit_positions(world, rows: LabelledRows) -> list[int]:
    """Return where the audit's rows stand in the world: no two creatives share score and impressions."""
    known = {(float(s), float(w)): i for i, (s, w) in enumerate(zip(world.score_N, world.exposure_WN[1], strict=True))}
    assert len(known) == len(world)
    return [known[float(s), float(w)] for s, w in zip(rows.score_Kn[0], rows.known_Wn[1], strict=True)]


def test_lambda_makes_the_variance_least(guessed):
    asked = guessed[3]
    view = seen(asked, 0, "creatives", "machine")
    metric = METRIC["leakage_rate"]
    ratio, predicted = hajek(view.sample, *metric.parts(view.terms())), predicted_parts(view, metric)
    control_m = Blend(view.sample, ratio, predicted).control_m
    lambda_G = tuned(view.sample, ratio.residual_m, control_m)
    at_G = [view.sample.history_spread(ratio.residual_m - lam * control_m)[0] for lam in np.linspace(0, 1, 101)]
    assert lambda_G[0] == pytest.approx(np.argmin([v[0] for v in at_G]) / 100, abs=0.011)
    assert ((lambda_G >= 0) & (lambda_G <= 1)).all()


def test_a_perfect_guess_leaves_no_variance_and_none_leaves_hajek(guessed):
    asked = guessed[3]
    view = seen(asked, 1, "creatives", "machine")
    ratio = hajek(view.sample, *METRIC["leakage_rate"].parts(view.terms()))
    sums = [np.array([view.sample.sums(view.sample.weight_m * x)]) for x in (ratio.a_m, ratio.b_m)]
    weights = view.sample.sums(view.sample.weight_m)
    perfect = Predicted(ratio.a_m, ratio.b_m, sums[0][0], sums[1][0], weights)
    point, residual_m = Blend(view.sample, ratio, perfect).at(np.ones(4))
    np.testing.assert_allclose(point, ratio.estimate)
    np.testing.assert_allclose(residual_m, 0.0, atol=1e-15)
    point, residual_m = Blend(view.sample, ratio, perfect).at(np.zeros(4))
    np.testing.assert_allclose(point, ratio.estimate)
    own, other = (view.sample.history_spread(values)[0] for values in (residual_m, ratio.residual_m))
    np.testing.assert_allclose(own, other, rtol=1e-9)


@pytest.mark.parametrize("source", ["stored", "live"])
def test_the_mean_equals_that_of_ppi_python(source):
    data = seeded_data()
    if source == "live" and find_spec("ppi_py") is None:
        pytest.skip("ppi-python is not installed: compared with what it said before")
    said = ask_ppi(data) if source == "live" else json.loads(STORED.read_text())
    assert said["data"] == digest(data), "ppi-python saw other data: run tests/estimate/ppi/store.py"
    n, N = len(data.at_n), len(data.guess_N)
    for answer in said["answers"]:
        weight_n = np.ones(n) * N / n if answer["weights"] == "equal" else data.weight_n
        sample, ratio, predicted = as_sample(data, weight_n)
        point, residual_m = Blend(sample, ratio, predicted).at(np.array([answer["lambda"]]))
        assert point[0] == pytest.approx(answer["point"], rel=1e-12)
        if answer["weights"] == "unequal":
            continue  # its variance of a weighted mean is not that of a ratio
        of_all = answer["lambda"] ** 2 * data.guess_N.var() / N  # its creatives are a sample themselves
        theirs = ((answer["high"] - answer["low"]) / 2 / norm.ppf(1 - ALPHA / 2)) ** 2 - of_all
        variance = sample.history_spread(residual_m)[0][0] / (1 - n / N) * (n - 1) / n  # it divides by n
        assert variance == pytest.approx(theirs, rel=1e-8)


def as_sample(data, weight_n: np.ndarray) -> tuple[Sample, Ratio, Predicted]:
    """Return a simple random sample of which the mean of y is asked."""
    n, N = len(data.at_n), len(data.guess_N)
    y = data.y_n.astype(np.int8)[:, None]
    zero = np.zeros(n, np.int64)
    design = Design(("srs",), np.array([N]), np.array([n]), np.array([[n]]))
    rows = LabelledRows(
        design, 1 / weight_n, zero.astype(np.int32), zero, zero, y, y, np.ones((3, n)), np.zeros((3, n)),
        np.zeros((1, n), np.int16), np.zeros((0, n)),
    )  # fmt: skip
    alone = replace(segments(), by=("all",), name=("all",), member_GC=np.ones((1, 3), bool))
    sample = answered_sample(rows, 0, alone, np.array([float(N)]))
    sample = replace(sample, weight_n=weight_n, weight_m=weight_n, base_n=weight_n)
    guess_m = data.guess_N[data.at_n]
    sums = np.array([data.guess_N.sum()]), np.array([float(N)])
    return sample, hajek(sample, data.y_n, np.ones(n)), Predicted(guess_m, np.ones(n), *sums, np.array([float(N)]))


def test_a_fold_never_sees_its_own_labels():
    world, table = make_world(23), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 3)
    first = predictions(world, rows, found).predictors[0]
    mine_n = np.array([fold_of(int(x)) for x in rows.advertiser_n]) == 2
    turned = replace(rows, y_nQ=np.where(mine_n[:, None], 1 - rows.y_nQ, rows.y_nQ).astype(np.int8))
    second = predictions(world, turned, found).predictors[0]
    own = slice(2 * 20, 3 * 20)
    np.testing.assert_array_equal(first.value_C[own], second.value_C[own])
    assert (first.value_C != second.value_C).any(), "the others do see them"


def test_few_rows_behind_a_variance_keep_hajek(guessed):
    asked = guessed[3]
    view = seen(asked, 1, "creatives", "machine")
    metric = METRIC["leakage_rate"]
    ratio, predicted = hajek(view.sample, *metric.parts(view.terms())), predicted_parts(view, metric)
    every = np.ones(4, bool)
    perfect = replace(predicted, a_m=ratio.a_m.copy(), b_m=ratio.b_m.copy())
    for guarded in (True, False):
        _, used_G = assisted(view.sample, ratio, perfect, every, guarded=guarded)
        assert not used_G.any(), "no residual at all would be an interval without width"
    perfect.a_m[np.flatnonzero((ratio.a_m > 0) & (view.sample.segment_m == 0))[:3]] = 0.0  # all guessed but three
    plain, used_G = assisted(view.sample, ratio, perfect, every)
    assert not used_G.any()
    np.testing.assert_array_equal(plain.estimate, ratio.estimate)
    _, used_G = assisted(view.sample, ratio, perfect, every, guarded=False)
    assert used_G.tolist() == [True, False, False, False]


def test_a_lambda_that_one_row_decides_widens_that_rows_residual(guessed):
    view = seen(guessed[3], 0, "creatives", "machine")
    m = len(view.sample.weight_m)
    control_m, residual_m = np.zeros(m), np.ones(m)
    control_m[5] = 1.0
    found = left_out(view.sample, residual_m, control_m, np.full(4, 0.5))
    assert found[5] == pytest.approx(10.0)
    np.testing.assert_array_equal(np.delete(found, 5), 1.0)
    np.testing.assert_array_equal(left_out(view.sample, residual_m, control_m, np.ones(4)), 1.0)


def test_future_and_few_events_stay_hajek(guessed):
    asked = guessed[3]
    found = estimate_all(asked)
    plain = {row_key(row): row for row in estimate_all(replace(asked, predictions=None))}
    assisted_rows = [row for row in found if row.estimator and row.estimator.startswith("difference")]
    assert assisted_rows
    assert {row.inference for row in assisted_rows} == {"history"}
    assert {row.estimator.split("/")[1] for row in assisted_rows} <= {"logit", "t"}
    for row in found:
        if row not in assisted_rows:
            assert_same_to_rounding(row, plain[row_key(row)])


def row_key(row) -> tuple:
    return row.strategy, row.baseline, row.segment, row.weighting, row.reading, row.metric, row.inference
