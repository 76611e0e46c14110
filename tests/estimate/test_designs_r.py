"""Points and standard errors of every design against R's survey: what it said once (stored), and says where installed.

What the engine does of its own accord is left out: degrees of freedom, and what unanswered labels add.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from estimate import worlds
from estimate.drawn import Drawing, Population, engine_rows, segments
from estimate.r_survey.store import STORED, ask_r, seeded_draws, write_draws

from engine.estimate.decision_rates import decision_rate
from engine.estimate.delivery import AFTER_REVIEW
from engine.estimate.known import sum_segments
from engine.estimate.post_strata import post_stratified
from engine.estimate.ratio import Ratio, hajek
from engine.estimate.sample import Sample, answered_sample, drawn_sample
from engine.estimate.view import View

EQUAL = {"rtol": 1e-8, "atol": 0.0}
CORRECTED = ("srs", "stratified", "poisson", "pps", "cluster", "cluster_pps", "two_audits")


@pytest.fixture(scope="module")
def drawn() -> tuple[Population, dict[str, Drawing]]:
    return seeded_draws()


def _r_has_survey() -> bool:
    if shutil.which("Rscript") is None:
        return False
    asked = subprocess.run(["Rscript", "--vanilla", "-e", "library(survey)"], capture_output=True, check=False)
    return asked.returncode == 0


@pytest.fixture(scope="module", params=["stored", "live"])
def said(request, tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("r")
    hashed = write_draws(folder)
    if request.param == "stored":
        found = json.loads(STORED.read_text())
        assert found["columns"] == hashed, "R saw other draws: run tests/estimate/r_survey/store.py"
        return found
    if not _r_has_survey():
        pytest.skip("R with its package survey is not installed: compared with what it said before")
    return ask_r(folder)


def judged(people: Population, drawing: Drawing, **more: Any) -> tuple[Sample, Ratio]:
    rows = engine_rows(people, drawing, **more)
    sample = answered_sample(rows, 0, segments(), np.array([len(people.a_N), people.inside_N.sum()], float))
    return sample, hajek(sample, people.a_N[sample.rows_n], people.b_N[sample.rows_n])


def errors(said: dict[str, float]) -> list[float]:
    return [said["all_se"], said["inside_se"]]


def points(said: dict[str, float]) -> list[float]:
    return [said["all"], said["inside"]]


@pytest.mark.parametrize("design", CORRECTED)
def test_ratios_and_their_standard_errors_are_those_of_r(drawn, said, design):
    sample, ratio = judged(drawn[0], drawn[1][design])
    np.testing.assert_allclose(ratio.estimate, points(said[design]), **EQUAL)
    np.testing.assert_allclose(np.sqrt(sample.history_spread(ratio.residual_m)[0]), errors(said[design]), **EQUAL)


@pytest.mark.parametrize("design", ["srs", "stratified"])
def test_an_endless_population_has_the_variance_without_correction(drawn, said, design):
    sample, ratio = judged(drawn[0], drawn[1][design], correction=False)
    expected = errors(said[f"{design}_uncorrected"])
    np.testing.assert_allclose(np.sqrt(sample.history_spread(ratio.residual_m)[0]), expected, **EQUAL)
    assert (np.array(expected) > errors(said[design])).all()


@pytest.mark.parametrize(
    ("design", "correction"),
    [("srs", True), ("srs", False), ("stratified", True), ("stratified", False), ("cluster", True)],
)
def test_calibrated_weights_give_the_ratios_of_r_and_their_standard_errors(drawn, said, design, correction):
    people = drawn[0]
    plain, _ = judged(people, drawn[1][design], correction=correction)
    category_m = people.decision_N[plain.rows_n[plain.at_m]]
    framed_GK = np.stack([np.bincount(people.decision_N[inside], minlength=3) for inside in _inside(people)])
    sample = post_stratified(plain, category_m, framed_GK.astype(float), least=1)
    ratio = hajek(sample, people.a_N[sample.rows_n], people.b_N[sample.rows_n])
    asked = said[f"{design}{'' if correction else '_uncorrected'}_calibrated"]
    np.testing.assert_allclose(ratio.estimate, points(asked), **EQUAL)
    np.testing.assert_allclose(np.sqrt(sample.history_spread(ratio.residual_m)[0]), errors(asked), **EQUAL)


def _inside(people: Population) -> list[np.ndarray]:
    return [np.ones(len(people.inside_N), bool), people.inside_N == 1]


@pytest.mark.parametrize(("name", "design"), [("with_replacement", "cluster"), ("advertisers", "stratified")])
def test_clusters_of_a_future_are_drawn_with_replacement(drawn, said, name, design):
    people, drawing = drawn[0], drawn[1][design]
    if name == "with_replacement":  # the clusters drawn are the units; a segment has its own number of them
        people = replace(people, advertiser_N=people.cluster_N)
    sample, ratio = judged(people, drawing)
    found = sample.cluster_spread(ratio.residual_m)
    np.testing.assert_allclose(ratio.estimate, points(said[name]), **EQUAL)
    own = found.clusters / (found.clusters - 1)
    every = found.clusters[0] / (found.clusters[0] - 1)  # R counts clusters without a creative of the segment, too
    np.testing.assert_allclose(np.sqrt(found.variance * every / own), errors(said[name]), **EQUAL)


def test_rates_after_review_are_post_stratified_on_the_decision(drawn, said):
    people, drawing = drawn[0], drawn[1]["stratified"]
    size = len(people.a_N)
    world = worlds.World(
        np.array([0.1, 0.7, 0.9], np.float32)[people.decision_N],  # approved, reviewed, rejected
        (people.b_N > 0).astype(np.int8),
        people.advertiser_N,
        people.inside_N,
        np.ones((3, size)),
        people.stratum_N,
    )
    table = worlds.strategies(sensitivity=1.0, specificity=1.0, hold=0.0)
    found = worlds.replayed(world, table)
    rows = replace(engine_rows(people, drawing), outcome_Sn=found.outcome_Sn, y_nQ=world.y_N[:, None])
    asked = worlds.question(world, rows, found, table)
    creatives_G = np.append(float(size), np.bincount(people.inside_N, minlength=3).astype(float))
    known = sum_segments(found.totals, asked.segments)
    views = [
        View(asked, known, sample, 0, 0, AFTER_REVIEW, "creatives")
        for sample in (
            answered_sample(rows, 0, asked.segments, creatives_G),
            drawn_sample(rows, asked.segments, creatives_G),
        )
    ]
    rate = decision_rate(views[0], views[1], "reject_rate")
    refused = rate.points()[0] - np.mean(people.decision_N == 2)  # what humans add to what the machine rejects
    np.testing.assert_allclose(refused, said["post_stratified"]["all"], **EQUAL)
    variance, _ = views[0].sample.history_spread(rate.human_residual_m())
    np.testing.assert_allclose(np.sqrt(variance[0]), said["post_stratified"]["all_se"], **EQUAL)
