"""Gates to one verdict, from evidence made up for each case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.special import ndtri

from engine.estimate.evidence import Contrast, Evidence
from engine.estimate.metrics import Number
from engine.verdict.gate import Gate, Outcome, parse_requirement
from engine.verdict.power import labels_needed
from engine.verdict.verdict import Decision, Look, decide

ONE = Look()


def gate(must: str = "worse by at most 0.02", metric: str = "leakage_rate", by: str | None = None) -> Gate:
    return Gate(Number(metric, "creatives"), parse_requirement(must), "p", "machine", "history", by)


def world(errors: dict[str, float], estimates: dict[str, float], labels: int = 400, creatives: int = 100_000):
    """Return evidence whose bounds are estimate ± z · error, by metric and segments a and b."""

    def ask(contrast: Contrast, level: float) -> list[Evidence]:
        metric = contrast.number.metric
        half = float(ndtri(level)) * errors[metric]
        point = estimates[metric]
        return [
            Evidence(by, name, point, point - half, point + half, labels, creatives)
            for by, name in (("all", "all"), ("region", "a"), ("region", "b"))
        ]

    return ask


def test_a_candidate_that_passes_every_gate_ships():
    ask = world({"leakage_rate": 0.005, "overkill_rate": 0.001}, {"leakage_rate": 0.0, "overkill_rate": -0.01})
    verdict = decide([gate(), gate("better by at least 0.005", "overkill_rate")], ask, 0.95, ONE)
    assert (verdict.decision, verdict.line) == (Decision.SHIP, "ship: all 2 gates pass")


def test_a_candidate_that_decides_as_the_baseline_does_says_so():
    verdict = decide([gate()], world({"leakage_rate": 0.0}, {"leakage_rate": 0.0}), 0.95, ONE, unchanged=True)
    assert verdict.line == "ship: no creative changes its decision"


def test_one_failed_gate_outweighs_open_ones():
    ask = world({"leakage_rate": 0.05, "overkill_rate": 0.001}, {"leakage_rate": 0.0, "overkill_rate": 0.1})
    verdict = decide([gate(), gate(metric="overkill_rate")], ask, 0.95, ONE)
    assert verdict.decision is Decision.DO_NOT_SHIP
    assert verdict.line.startswith("do not ship: overkill_rate worse by at most 0.02 fails: ")
    assert verdict.more is None


def test_an_open_gate_asks_for_the_labels_that_would_decide_it():
    error, labels, creatives = 0.02, 400, 100_000
    verdict = decide([gate()], world({"leakage_rate": error}, {"leakage_rate": 0.005}), 0.95, ONE)
    assert verdict.decision is Decision.LABEL_MORE
    wanted = (0.02 - 0.005) / (1.6448536 + 1.2815516)
    spread = error**2 / (1 / labels - 1 / creatives)
    total = 1 / (wanted**2 / spread + 1 / creatives)
    assert verdict.more == pytest.approx(total - labels, abs=1)
    assert verdict.line.startswith(f"label {verdict.more:,} more creatives: leakage_rate worse by at most 0.02")


def test_labels_cannot_be_planned_where_the_estimate_lies_outside_the_margin():
    verdict = decide([gate()], world({"leakage_rate": 0.02}, {"leakage_rate": 0.03}), 0.95, ONE)
    assert verdict.more is None
    assert "the estimate itself lies outside the margin" in verdict.line


def test_labels_alone_do_not_answer_the_question_about_creatives_like_these():
    (finding,) = decide(
        [replace(gate(), inference="future")], world({"leakage_rate": 0.02}, {"leakage_rate": 0.0}), 0.95, ONE
    ).findings
    assert finding.needed is not None
    assert finding.needed.labels is None
    assert "between advertisers" in str(finding.needed.reason)


def test_no_plan_asks_for_more_labels_than_there_are_creatives():
    ask = world({"leakage_rate": 0.02}, {"leakage_rate": 0.0199}, labels=400, creatives=500)
    (finding,) = decide([gate()], ask, 0.95, ONE).findings
    assert finding.needed is not None
    assert finding.needed.labels == 500
    assert finding.needed.more == 100
    again = labels_needed(gate(), replace(finding.evidence, labels=500), 0.95, 0.95)
    assert again.labels is None


def test_bounds_by_segment_are_corrected_for_the_number_of_segments():
    verdict = decide([gate(by="region")], world({"leakage_rate": 0.011}, {"leakage_rate": 0.0}), 0.95, ONE)
    assert [finding.segment for finding in verdict.findings] == ["a", "b"]
    assert all(finding.level == pytest.approx(0.975) for finding in verdict.findings)
    assert all(finding.outcome is Outcome.UNDECIDED for finding in verdict.findings)
    overall = decide([gate()], world({"leakage_rate": 0.011}, {"leakage_rate": 0.0}), 0.95, ONE)
    assert overall.decision is Decision.SHIP


def test_an_attribute_without_segments_is_undecided():
    verdict = decide([gate(by="tier")], world({"leakage_rate": 0.001}, {"leakage_rate": 0.0}), 0.95, ONE)
    assert verdict.decision is Decision.LABEL_MORE
    assert "tier has no segments" in verdict.line


def test_a_look_beyond_the_declared_ones_decides_nothing():
    verdict = decide([gate()], world({"leakage_rate": 0.0001}, {"leakage_rate": 0.0}), 0.95, Look(2, 1))
    assert verdict.decision is Decision.LABEL_MORE
    assert verdict.more is None
    assert "look 2 of 1 declared" in verdict.line


def test_an_early_look_asks_for_more_than_a_single_one():
    ask = world({"leakage_rate": 0.009}, {"leakage_rate": 0.0})
    assert decide([gate()], ask, 0.95, ONE).decision is Decision.SHIP
    early = decide([gate()], ask, 0.95, Look(1, 5))
    assert early.decision is Decision.LABEL_MORE
    assert early.more is not None


def test_segments_of_an_attribute_add_up_and_gates_of_the_same_creatives_do_not():
    errors, points = {"leakage_rate": 0.02, "overkill_rate": 0.03}, {"leakage_rate": 0.005, "overkill_rate": 0.005}
    gates = [gate(by="region"), gate(metric="overkill_rate", by="region"), gate()]
    verdict = decide(gates, world(errors, points), 0.95, ONE)
    first, second = (
        [f.needed.more for f in verdict.findings if f.gate is each and f.needed and f.needed.more is not None]
        for each in gates[:2]
    )
    assert len(first) == len(second) == 2
    assert verdict.more == sum(map(max, zip(first, second, strict=True)))


def test_the_last_declared_look_says_so_and_an_earlier_one_does_not():
    ask = world({"leakage_rate": 0.02}, {"leakage_rate": 0.005})
    assert "this was the last declared look" in decide([gate()], ask, 0.95, ONE).line
    assert "declared look" not in decide([gate()], ask, 0.95, Look(1, 2)).line
    assert "declared look" not in decide([gate()], ask, 0.95, Look(counted=False)).line
