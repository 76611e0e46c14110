"""Contrasts against the estimates they are made of, and against the truth over redrawn audits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimate.worlds import audit_rows, make_world, question, replayed, strategies

from engine.estimate.contrast import contrasted
from engine.estimate.estimates import estimate_all
from engine.estimate.evidence import Contrast
from engine.estimate.metrics import Number
from engine.estimate.question import Prices, Question
from engine.estimate.sample import answered_sample
from engine.estimate.skewness import bound_shift
from engine.records import WEIGHTS


@pytest.fixture(scope="module")
def asked() -> Question:
    world, table = make_world(41), strategies()
    found = replayed(world, table)
    return question(world, audit_rows(world, found.outcome_Sn, (0.3, 0.5, 0.9), 1), found, table)


def contrast(metric: str, factor: float, **more: str) -> Contrast:
    told = {"weighting": "creatives", "reading": "machine", "inference": "history"} | more
    return Contrast(Number(metric, told["weighting"]), "p", told["reading"], told["inference"], factor)


def rows_of(asked: Question, wanted: Contrast, strategy: str, baseline: str | None) -> list:
    about = (strategy, baseline, wanted.number.metric, wanted.number.weighting, wanted.reading, wanted.inference)
    return [
        e
        for e in estimate_all(replace(asked, confidence=0.9))
        if (e.strategy, e.baseline, e.metric, e.weighting, e.reading, e.inference) == about
    ]


@pytest.mark.parametrize("metric", ["leakage_rate", "overkill_share", "review_rate", "reject_rate"])
@pytest.mark.parametrize("reading", ["machine", "after_review"])
@pytest.mark.parametrize("inference", ["history", "future"])
def test_a_difference_is_the_paired_estimate_and_its_bounds_never_lie_inside(asked, metric, reading, inference):
    wanted = contrast(metric, 1.0, reading=reading, inference=inference)
    found = contrasted(asked, wanted, 0.95)
    rows = rows_of(asked, wanted, "strict", "lenient")
    assert len(found) == len(rows) == 4
    for mine, row in zip(found, rows, strict=True):
        assert (mine.segment, mine.estimate) == (row.segment, row.estimate)
        assert mine.low <= row.low + 1e-12
        assert mine.high >= row.high - 1e-12


def test_a_limit_is_the_candidate_alone(asked):
    for metric in ("leakage_rate", "review_rate"):
        wanted = contrast(metric, 0.0)
        rows = rows_of(asked, wanted, "strict", None)
        for mine, row in zip(contrasted(asked, wanted, 0.95), rows, strict=True):
            assert mine.estimate == pytest.approx(row.estimate)
            assert mine.low <= row.low + 1e-12  # skewness moves a bound outwards alone
            assert mine.high >= row.high - 1e-12
            if metric == "review_rate":
                assert (mine.low, mine.high) == (row.low, row.high)


@pytest.mark.parametrize("metric", ["leakage_rate", "review_rate"])
def test_a_relative_contrast_is_the_candidate_less_a_multiple_of_the_baseline(asked, metric):
    wanted = contrast(metric, 1.05)
    mine, theirs = (rows_of(asked, wanted, name, None) for name in ("strict", "lenient"))
    for found, a, b in zip(contrasted(asked, wanted, 0.95), mine, theirs, strict=True):
        assert found.estimate == pytest.approx(a.estimate - 1.05 * b.estimate)
        assert found.low <= found.estimate <= found.high


def test_a_relative_contrast_near_1_has_nearly_the_width_of_the_difference(asked):
    plain, near = (contrasted(asked, contrast("overkill_rate", factor), 0.95)[0] for factor in (1.0, 1.0001))
    assert near.high - near.low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_a_pair_without_a_swap_is_a_multiple_of_one_rate(asked):
    twin = replace(asked, pair=(0, 0), totals=replace(asked.totals, swap_OQCW=np.zeros_like(asked.totals.swap_OQCW)))
    one = rows_of(twin, contrast("leakage_rate", 0.0), "lenient", None)[0]
    same = contrasted(twin, contrast("leakage_rate", 1.05), 0.95)[0]
    assert (same.low, same.high) == pytest.approx((-0.05 * one.high, -0.05 * one.low))
    exact = contrasted(twin, contrast("leakage_rate", 1.0), 0.95)[0]
    assert (exact.estimate, exact.low, exact.high) == (0.0, 0.0, 0.0)


def test_a_number_that_cannot_be_had_keeps_its_reason(asked):
    lost = replace(asked, unmapped={"spend": "creatives.columns.spend is not set"})
    for factor in (0.0, 1.0, 1.05):
        found = contrasted(lost, contrast("leakage_rate", factor, weighting="spend"), 0.95)
        assert {each.null_reason for each in found} == {"creatives.columns.spend is not set"}
        assert all(each.estimate is None for each in found)


def test_a_relative_margin_of_which_no_creative_is_seen_to_swap_is_as_wide_as_swaps_unseen(asked):
    world, table = make_world(41), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.3, 0.5, 0.9), 1)
    alike = replace(rows, outcome_Sn=np.stack([rows.outcome_Sn[0]] * len(rows.outcome_Sn)))
    blind = replace(asked, rows=alike)  # creatives swap, none of them is labelled
    plain, near = (contrasted(blind, contrast("leakage_rate", factor), 0.95)[0] for factor in (1.0, 1.05))
    assert plain.estimate == 0.0 < plain.high
    assert near.high - near.estimate > plain.high
    assert near.low < near.estimate - 0.9 * (plain.high - plain.low) / 2


def test_exposure_that_no_audit_could_have_drawn_widens_the_bounds_of_every_contrast():
    world, table = make_world(17), strategies()
    inside = world.region_N != 2
    found = replayed(world, table, inside)
    kept = replace(world, stratum_N=np.where(inside, world.stratum_N, 9))
    rows = audit_rows(kept, found.outcome_Sn, (0.5, 0.5, 0.5), 3)
    population_H = np.bincount(world.stratum_N[inside], minlength=3)
    asked = question(world, replace(rows, design=replace(rows.design, population_H=population_H)), found, table)
    for metric in ("leakage_rate", "overkill_rate"):
        for factor, row in ((0.0, rows_of(asked, contrast(metric, 0.0), "strict", None)[0]),
                            (1.0, rows_of(asked, contrast(metric, 1.0), "strict", "lenient")[0])):  # fmt: skip
            whole = contrasted(asked, contrast(metric, factor), 0.95)[0]
            assert row.support < 1
            assert whole.low - 1e-9 <= row.least < row.low
            assert whole.high + 1e-9 >= row.most > row.high
        near = contrasted(asked, contrast(metric, 1.05), 0.95)[0]
        one = contrasted(asked, contrast(metric, 1.0), 0.95)[0]
        assert near.high - near.low > 0.9 * (one.high - one.low)


def test_imputed_exposure_is_never_known_and_its_bounds_hold_with_none_and_with_twice_of_it(asked):
    totals, at = asked.totals, WEIGHTS.index("impressions")
    moved = totals.sum_SOFCW.copy()
    third = moved[:, 0, ..., at] // 3  # of what the first rule refuses
    moved[:, 0, ..., at] -= third
    moved[:, 0, ..., at + 1] += third
    whole = totals.whole_FCW.copy()
    whole[..., at] -= third[0]
    whole[..., at + 1] += third[0]
    filled = replace(asked, totals=replace(totals, sum_SOFCW=moved, whole_FCW=whole))
    wanted = contrast("reject_rate", 0.0, weighting="impressions")
    known = contrasted(asked, wanted, 0.95)[0]
    assert (known.low, known.high, known.events) == (known.estimate, known.estimate, None)
    found = contrasted(filled, wanted, 0.95)[0]
    assert found.estimate == pytest.approx(known.estimate)
    assert found.low < found.estimate < found.high
    assert found.events is not None


def test_a_cost_that_no_label_tells_of_is_not_known_to_be_0(asked):
    prices = Prices(2.0, 3.0, 0.0, (0.0, 0.0, 0.0), "creatives")
    rows = asked.rows
    alike = replace(rows, outcome_Sn=np.stack([rows.outcome_Sn[0]] * len(rows.outcome_Sn)))
    wanted = contrast("cost", 1.0, reading="after_review")
    told = contrasted(replace(asked, prices=prices), wanted, 0.95)
    assert all(each.high is not None for each in told)
    blind = contrasted(replace(asked, prices=prices, rows=alike), wanted, 0.95)
    assert {each.null_reason for each in blind} == {
        "no labelled creative tells what the change costs: it may cost anything"
    }
    still = replace(asked.totals, swap_OQCW=np.zeros_like(asked.totals.swap_OQCW))
    nobody = contrasted(replace(asked, prices=prices, rows=alike, totals=still), wanted, 0.95)
    assert {(each.low, each.high) for each in nobody} == {(0.0, 0.0)}


def test_skewness_moves_bounds_as_the_plain_formula_says():
    world, table = make_world(43), strategies()
    world = replace(world, stratum_N=np.zeros(len(world), np.int64))
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.2,), 3)
    asked = question(world, rows, found, table)
    creatives_G = np.array([len(world), *np.bincount(world.region_N)], float)
    sample = answered_sample(rows, 0, asked.segments, creatives_G)
    value_n = rows.known_Wn[1] - rows.known_Wn[1].mean()
    value_m = value_n[sample.at_m]
    variance = sample.history_spread(value_m)[0]
    shift = bound_shift(variance, *sample.history_cubes(value_m), 0.9) / np.sqrt(variance)
    for segment, region in ((0, None), (1, 0), (3, 2)):  # a segment is a domain: rows outside it count as 0
        inside = [region is None or cell == region for cell in rows.cell_n]
        values = [float(value) if here else 0.0 for value, here in zip(value_n, inside, strict=True)]
        assert shift[segment] == pytest.approx(plain_shift(values, len(world)), rel=1e-9)


def plain_shift(values: list[float], population: int) -> float:
    """One stratum drawn without replacement, written out."""
    n, share = len(values), len(values) / population
    u = [value / share for value in values]
    mean = sum(u) / n
    second, third = sum((x - mean) ** 2 for x in u), sum((x - mean) ** 3 for x in u)
    scale = ((1 - share) * n / (n - 1) * second) ** 1.5
    kappa, rho = (1 - share) * (1 - 2 * share) * third / scale, (1 - share) ** 2 * third / scale
    z = 1.6448536269514722
    return rho / 2 + (3 * rho - kappa) * (z**2 - 1) / 6


@pytest.mark.parametrize("inference", ["history", "future"])
def test_the_t_bounds_of_a_pair_move_out_on_the_long_tails_side_and_those_of_a_gate_not_once_more(asked, inference):
    wanted = contrast("overkill_rate", 1.0, weighting="impressions", inference=inference)
    row = rows_of(asked, wanted, "strict", "lenient")[0]
    assert row.estimator == "hajek_paired/t"
    assert row.estimate > 0  # strict refuses more: few large creatives carry the difference
    assert row.high - row.estimate > 1.05 * (row.estimate - row.low)
    gate = contrasted(asked, wanted, 0.95)[0]
    assert (gate.low, gate.high) == (row.low, row.high)
