"""Estimates against slow twins and against what must hold whatever the data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from estimate import oracles
from estimate.worlds import audit_rows, census_rows, make_world, question, replayed, strategies

from engine.estimate.estimates import estimate_all
from engine.estimate.outcomes import outcome_counts
from engine.estimate.question import Prices
from engine.records import WEIGHTS, Decision, Estimate

WEIGHTINGS = ("creatives", "impressions", "spend")
HUMAN = (0.9, 0.95, 0.1)
METRICS = (
    "leakage_rate",
    "leakage_prevalence",
    "overkill_rate",
    "overkill_share",
    "delay_compliant",
    "review_precision",
)


def rows_by_key(estimates: list[Estimate]) -> dict[tuple[str, ...], Estimate]:
    return {
        (e.strategy, e.baseline or "", e.segment, e.weighting, e.reading, e.metric, e.inference): e for e in estimates
    }


@pytest.fixture(scope="module", params=["srs", "poisson"])
def judged(request):
    world, table = make_world(5, size=3000), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 11, request.param)
    return world, table, rows, rows_by_key(estimate_all(question(world, rows, found, table))), request.param


def slow(table, rows, strategy, weighting, reading, metric, segment, method):
    """Return estimate, history variance, future (variance, df), events and size of one number, by plain loops."""
    a, b, pi, stratum, advertiser = [], [], [], [], []
    for i in range(len(rows.pi_n)):
        if segment != "all" and rows.cell_n[i] != "abc".index(segment):
            continue
        rule = table.rules[strategy][rows.outcome_Sn[strategy, i]]
        y, w = int(rows.y_nQ[i, 0]), float(rows.known_Wn[WEIGHTINGS.index(weighting), i])
        accept, hold, refuse = oracles.shares(
            rule.decision.name, rule.share, y, reading, weighting == "creatives", HUMAN
        )
        top, bottom = oracles.parts(metric, w, y, accept, hold, refuse, int(rule.decision is Decision.REVIEW))
        a.append(top), b.append(bottom), pi.append(float(rows.pi_n[i]))
        stratum.append(int(rows.stratum_n[i])), advertiser.append(int(rows.advertiser_n[i]))
    weight = [1 / p for p in pi]
    ratio = oracles.hajek(a, b, weight)
    whole = sum(w * x for w, x in zip(weight, b, strict=True))
    residual = [(x - ratio * z) / whole for x, z in zip(a, b, strict=True)]
    design = rows.design
    history = oracles.history_variance(
        residual, pi, stratum, design.population_H.tolist(), design.drawn_H.tolist(), method
    )
    sizes = (design.population_H.tolist(), design.drawn_H.tolist(), method)
    df = oracles.history_df(residual, pi, stratum, *sizes)
    bounds = possible(table, strategy, weighting, reading, metric)
    events = oracles.events(a, b, weight, bounds)
    size = oracles.kish([w * z for w, z in zip(weight, b, strict=True)])
    unseen, labels = oracles.size_with_one_more(b, weight), sum(z > 0 for z in b)
    return (
        ratio,
        (history, df, labels, 1 - min(pi) * unseen / labels, oracles.audit_cubes(residual, pi, stratum, *sizes)),
        (
            *oracles.future_variance(residual, pi, advertiser, history),
            len(set(advertiser)),
            oracles.advertiser_cubes(residual, pi, advertiser),
        ),
        events,
        (size, unseen),
        bounds,
    )


def possible(table, strategy, weighting, reading, metric) -> tuple[float, float]:
    """Return the least and greatest value a ratio can take: every rule of these strategies decides something."""
    if metric not in ("leakage_rate", "overkill_rate", "delay_compliant"):
        return 0.0, 1.0
    y, part = {"leakage_rate": (1, 0), "overkill_rate": (0, 2), "delay_compliant": (0, 1)}[metric]
    counted = weighting == "creatives"
    values = [oracles.shares(r.decision.name, r.share, y, reading, counted, HUMAN)[part] for r in table.rules[strategy]]
    return (min(values), max(values)) if min(values) < max(values) else (0.0, 1.0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("reading", ["machine", "after_review"])
def test_numbers_and_intervals_equal_those_of_plain_loops(judged, metric, reading):
    _, table, rows, found, method = judged
    for strategy, name in enumerate(table.names):
        for weighting in WEIGHTINGS:
            for segment in ("all", "b"):
                history = found[name, "", segment, weighting, reading, metric, "history"]
                if history.estimate is None:
                    assert history.null_reason
                    continue
                (
                    ratio,
                    (variance, df, units, left, cubes),
                    (between, effective, advertisers, third),
                    events,
                    (size, unseen),
                    bounds,
                ) = slow(table, rows, strategy, weighting, reading, metric, segment, method)
                assert history.estimate == pytest.approx(ratio, rel=1e-9)
                assert history.effective_events == pytest.approx(events, rel=1e-6)
                assert history.effective_size == pytest.approx(size, rel=1e-9)
                low, high = oracles.interval_between(bounds, ratio, variance, events, unseen, df, units, left, 0.95)
                if history.estimator.endswith("/logit"):
                    low, high = oracles.reaching((low, high), ratio, (variance, df), cubes, bounds, 0.95)
                assert (history.low, history.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)
                future = found[name, "", segment, weighting, reading, metric, "future"]
                if bounds[0] < ratio < bounds[1]:
                    df = max(1.0, effective - 1)
                    low, high = oracles.interval_between(
                        bounds, ratio, between, events, unseen, df, advertisers, 1.0, 0.95
                    )
                    if future.estimator.endswith("/logit"):
                        low, high = oracles.reaching((low, high), ratio, (between, df), (third, third), bounds, 0.95)
                    assert (future.low, future.high) == pytest.approx((low, high), rel=1e-6)


def test_a_census_has_no_width_and_equals_the_plain_count():
    world, table = make_world(6, size=1500), strategies()
    found = replayed(world, table)
    numbers = rows_by_key(estimate_all(question(world, census_rows(world, found.outcome_Sn), found, table)))
    one = numbers["lenient", "", "all", "creatives", "machine", "leakage_rate", "history"]
    approved = world.score_N < np.float32(0.6)
    assert one.estimate == pytest.approx((world.y_N * approved).sum() / world.y_N.sum())
    assert one.low == one.high == one.estimate


def test_decision_rates_of_the_machine_are_exact_sums():
    world, table = make_world(7), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.1, 0.2, 0.5), 3)
    numbers = rows_by_key(estimate_all(question(world, rows, found, table)))
    w = world.exposure_WN[1]
    rejected = world.score_N >= np.float32(0.8)
    review = (world.score_N >= np.float32(0.6)) & ~rejected
    row = numbers["lenient", "", "all", "impressions", "machine", "reject_rate", "history"]
    assert row.estimate == row.low == row.high == pytest.approx(w[rejected].sum() / w.sum())
    row = numbers["lenient", "", "all", "impressions", "machine", "automation_rate", "history"]
    assert row.estimate == pytest.approx(1 - w[review].sum() / w.sum())


def test_after_review_the_reject_rate_is_the_known_part_plus_what_humans_refuse():
    world, table = make_world(8), strategies()
    found = replayed(world, table)
    truth = rows_by_key(estimate_all(question(world, census_rows(world, found.outcome_Sn), found, table)))
    row = truth["lenient", "", "all", "creatives", "after_review", "reject_rate", "history"]
    rejected = world.score_N >= np.float32(0.8)
    review = (world.score_N >= np.float32(0.6)) & ~rejected
    refused = np.where(world.y_N == 1, 0.9, 0.05)
    assert row.estimate == pytest.approx((rejected.sum() + refused[review].sum()) / len(world))


def test_scaling_exposure_changes_no_rate():
    world, table = make_world(9), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.1, 0.3, 0.6), 4)
    bigger = replace(rows, known_Wn=rows.known_Wn * np.array([[1.0], [7.0], [7.0]]))
    by = np.array([7 if name.startswith(("impressions", "spend")) else 1 for name in WEIGHTS])
    whole = found.totals
    more = replace(
        whole, sum_SOFCW=whole.sum_SOFCW * by, swap_OQCW=whole.swap_OQCW * by, whole_FCW=whole.whole_FCW * by
    )
    first = estimate_all(question(world, rows, found, table))
    second = estimate_all(question(world, bigger, replace(found, totals=more), table))
    for a, b in zip(first, second, strict=True):
        if a.metric in METRICS and a.estimate is not None:
            assert a.estimate == pytest.approx(b.estimate)
            assert a.high == pytest.approx(b.high)


def test_equal_strategies_differ_by_nothing_at_all():
    world, table = make_world(10), strategies()
    same = replace(table.strategies[0], name="same")
    from engine.strategy import build_table

    table = build_table([table.strategies[0], same])
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.1, 0.3, 0.6), 4)
    paired = [e for e in estimate_all(question(world, rows, found, table)) if e.baseline]
    assert paired
    for row in paired:
        assert row.null_reason or (row.estimate, row.low, row.high) == (0.0, 0.0, 0.0) or row.metric == "cost"


def test_the_difference_is_the_difference_of_both_and_its_interval_is_narrower_than_two_alone():
    world, table = make_world(11), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.2, 0.4, 0.6), 4)
    numbers = rows_by_key(estimate_all(question(world, rows, found, table)))
    key = ("all", "creatives", "machine", "leakage_rate", "history")
    pair, a, b = numbers["strict", "lenient", *key], numbers["lenient", "", *key], numbers["strict", "", *key]
    assert pair.estimate == pytest.approx(b.estimate - a.estimate)
    assert pair.low < pair.estimate < pair.high <= 0.05
    alone = math.hypot(a.high - a.low, b.high - b.low)
    assert pair.high - pair.low < alone


def test_no_null_lacks_a_reason_and_every_number_has_its_formula():
    world, table = make_world(12, size=400), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.05, 0.1, 0.2), 4)
    for row in estimate_all(question(world, rows, found, table, unmapped={"spend": "spend is not set"})):
        assert (row.estimate is None) == (row.null_reason is not None)
        assert row.formula
        assert row.weighting != "spend" or row.null_reason == "spend is not set" or row.metric == "cost"
        if row.low is not None:
            assert row.low - 1e-12 <= row.estimate <= row.high + 1e-12


def test_without_an_audit_label_numbers_are_null_and_known_rates_stay():
    world, table = make_world(13, size=300), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.5, 0.5, 0.5), 4)
    rows = replace(rows, stratum_n=np.full_like(rows.stratum_n, -1), pi_n=np.full_like(rows.pi_n, np.nan))
    numbers = rows_by_key(estimate_all(question(world, rows, found, table)))
    assert numbers["lenient", "", "all", "creatives", "machine", "leakage_rate", "history"].null_reason
    assert numbers["lenient", "", "all", "creatives", "machine", "reject_rate", "history"].estimate is not None


def test_missing_exposure_makes_null_only_where_a_formula_uses_it():
    world, table = make_world(14), strategies()
    found = replayed(world, table)
    sums = found.totals.sum_SOFCW.copy()
    reject = 0  # the first rule of every strategy
    sums[:, reject, :, :, 3] = sums[:, reject, :, :, 0]  # rejected creatives lack impressions
    rows = audit_rows(world, found.outcome_Sn, (0.2, 0.4, 0.6), 4)
    asked = replace(question(world, rows, found, table), totals=replace(found.totals, sum_SOFCW=sums))
    numbers = rows_by_key(estimate_all(asked))
    key = ("lenient", "", "all", "impressions", "machine")
    assert "lack impressions" in str(numbers[*key, "leakage_rate", "history"].null_reason)
    assert "lack impressions" in str(numbers[*key, "overkill_share", "history"].null_reason)
    assert numbers[*key, "leakage_prevalence", "history"].estimate is not None
    assert numbers[*key, "review_precision", "history"].estimate is not None


def test_support_is_the_share_of_exposure_that_the_audit_could_have_drawn():
    world, table = make_world(15), strategies()
    inside = world.region_N != 2
    found = replayed(world, table, inside)
    rows = audit_rows(world, found.outcome_Sn, (0.2, 0.4, 0.6), 4)
    numbers = rows_by_key(estimate_all(question(world, rows, found, table)))
    row = numbers["lenient", "", "all", "spend", "machine", "leakage_rate", "history"]
    assert row.support == pytest.approx(world.exposure_WN[2][inside].sum() / world.exposure_WN[2].sum())
    assert "no audit could have drawn" in str(row.warning)


def test_a_limit_counts_as_delivered_by_creatives_and_by_its_share_by_exposure():
    world, table = make_world(16), strategies()
    found = replayed(world, table)
    numbers = rows_by_key(estimate_all(question(world, census_rows(world, found.outcome_Sn), found, table)))
    limited = (world.score_N >= np.float32(0.4)) & (world.score_N < np.float32(0.75))
    approved = world.score_N < np.float32(0.4)
    y, w = world.y_N, world.exposure_WN[1]
    by_creatives = numbers["limits", "", "all", "creatives", "machine", "leakage_rate", "history"]
    assert by_creatives.estimate == pytest.approx((y * (approved | limited)).sum() / y.sum())
    by_impressions = numbers["limits", "", "all", "impressions", "machine", "leakage_rate", "history"]
    assert by_impressions.estimate == pytest.approx((w * y * (approved + 0.3 * limited)).sum() / (w * y).sum())


def test_cost_adds_what_leaked_was_overkilled_and_reviewed():
    world, table = make_world(17), strategies()
    found = replayed(world, table)
    prices = Prices(leaked=2.0, overkilled=0.5, per_review=0.9, scoring_S=(1.25, 1.25, 1.25), weighting="impressions")
    asked = question(world, census_rows(world, found.outcome_Sn), found, table, prices=prices)
    row = rows_by_key(estimate_all(asked))["lenient", "", "all", "impressions", "machine", "cost", "history"]
    rejected = world.score_N >= np.float32(0.8)
    review = (world.score_N >= np.float32(0.6)) & ~rejected
    y, w = world.y_N, world.exposure_WN[1]
    expected = (
        2.0 * (w * y * ~(rejected | review)).sum() + 0.5 * (w * (1 - y) * rejected).sum() + 0.9 * review.sum() + 1.25
    )
    assert row.estimate == pytest.approx(expected)


def test_with_zero_events_the_upper_bound_is_the_exact_one():
    world, table = make_world(18), strategies()
    clean = replace(world, y_N=np.where(world.score_N < 0.6, 0, world.y_N).astype(np.int8))
    found = replayed(clean, table)
    rows = audit_rows(clean, found.outcome_Sn, (0.2, 0.4, 0.6), 4)
    row = rows_by_key(estimate_all(question(clean, rows, found, table)))[
        "lenient", "", "all", "creatives", "machine", "leakage_rate", "history"
    ]
    assert row.estimate == 0.0
    assert row.low == 0.0
    size = oracles.size_with_one_more(rows.y_nQ[:, 0].tolist(), (1 / rows.pi_n).tolist())
    assert size <= row.effective_size
    drawn = rows.pi_n.min() * size / (rows.y_nQ[:, 0] == 1).sum()  # where it is thinnest; Wise 1954
    assert row.high == pytest.approx((1 - drawn / 2) * (1 - 0.025 ** (1 / size)), rel=1e-6)


def test_a_stratum_that_nobody_answered_makes_null_and_never_a_census():
    world, table = make_world(19), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.2, 0.4, 1.0), 4)
    silent = np.where(rows.stratum_n[:, None] == 0, -1, rows.y_nQ).astype(np.int8)
    answered = rows.design.answered_HQ.copy()
    answered[0] = 0
    rows = replace(rows, y_nQ=silent, design=replace(rows.design, answered_HQ=answered))
    row = rows_by_key(estimate_all(question(world, rows, found, table)))[
        "lenient", "", "all", "creatives", "machine", "leakage_rate", "history"
    ]
    assert row.estimate is None
    assert "no answered label" in str(row.null_reason)


def test_a_segment_whose_drawn_rows_stand_for_themselves_is_no_census_of_the_rest():
    world, table = make_world(20, size=600), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.02, 0.02, 1.0), 4)
    only_full = (rows.cell_n != 1) | (rows.stratum_n == 2)
    rows = replace(rows, cell_n=np.where(only_full, rows.cell_n, 0))
    for row in estimate_all(question(world, rows, found, table)):
        if row.segment == "b" and row.inference == "history":
            assert "census" not in str(row.estimator)


def test_an_unswapped_numerator_gives_exactly_no_difference_though_decisions_differ():
    from engine.expression import Atom
    from engine.strategy import Rule, Strategy, build_table

    world = make_world(24)
    last = Rule(Atom("m.p", ">=", 0.0), Decision.APPROVE, policy="p")
    sides = [
        Strategy(d.name, (Rule(Atom("m.p", ">=", 0.6), d, policy="p"),), last)
        for d in (Decision.REVIEW, Decision.REJECT)
    ]
    table = build_table(sides)
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.2, 0.4, 0.6), 4)
    numbers = rows_by_key(estimate_all(question(world, rows, found, table)))
    row = numbers["REJECT", "REVIEW", "all", "creatives", "machine", "leakage_rate", "history"]
    assert (row.estimate, row.low, row.high) == (0.0, 0.0, 0.0)
    row = numbers["REJECT", "REVIEW", "all", "creatives", "machine", "overkill_rate", "history"]
    assert row.low > 0


def test_true_values_are_the_points_of_a_census():
    from engine.estimate.truth import true_values

    world, table = make_world(25, size=1200), strategies()
    found = replayed(world, table)
    prices = Prices(leaked=2.0, overkilled=0.5, per_review=0.9, scoring_S=(1.0, 2.0, 3.0), weighting="spend")
    asked = question(world, census_rows(world, found.outcome_Sn), found, table, prices=prices, inferences=("history",))
    slow_way, quick = rows_by_key(estimate_all(asked)), rows_by_key(true_values(asked))
    assert set(quick) <= set(slow_way)
    assert len(quick) >= len(slow_way) - 32 * len(table.names)
    for key, row in quick.items():
        if row.estimate is not None and slow_way[key].estimate is not None:
            assert row.estimate == pytest.approx(slow_way[key].estimate, rel=1e-9, abs=1e-12), key


def test_totals_that_are_folded_to_segments_give_the_same_numbers():
    world, table = make_world(14), strategies()
    found = replayed(world, table)
    plain = question(world, audit_rows(world, found.outcome_Sn, (0.2, 0.4, 0.6), 4), found, table)
    sums = np.einsum("sofcw,gc->sofgw", found.totals.sum_SOFCW, plain.segments.member_GC.astype(np.int64))
    folded = replace(plain, totals=replace(found.totals, sum_SOFCW=sums, folded=True))
    assert estimate_all(folded) == estimate_all(plain)
    assert outcome_counts(folded).tolist() == outcome_counts(plain).tolist()
