"""Calibration: maps against slow twins, what holds for every map, known distortions found in unequal samples."""

from __future__ import annotations

import json
from math import exp, inf, log, log1p, nan, sqrt

import numpy as np
import pytest
from generators import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.estimate.calibration import FEWEST_LABELS, SLOPE_SPREAD, CalibrationMap, fit_calibration

METHODS = ("temperature", "platt", "isotonic")
Labels = tuple[np.ndarray, np.ndarray, np.ndarray]

# --- Slow twins: plain loops -----------------------------------------------------------------------------------------


def log_odds(score: float) -> float:
    kept = min(max(score, 2.0**-24), 1 - 2.0**-24)
    return log(kept) - log1p(-kept)


def expit(z: float) -> float:
    return 1 / (1 + exp(-z)) if z > -700 else 0.0


def slow_logistic(score: list[float], y: list[int], weight: list[float], *, shifted: bool) -> tuple[float, float]:
    """Solve for slope and intercept by nested bisection: both equations of the maximum are monotone."""
    size = sum(weight) ** 2 / sum(w * w for w in weight)
    unit = [w * size / sum(weight) for w in weight]
    x = [log_odds(s) for s in score]

    def intercept(slope: float) -> float:
        if not shifted:
            return 0.0
        low, high = -500.0, 500.0
        for _ in range(90):
            middle = (low + high) / 2
            excess = sum(w * (expit(slope * a + middle) - b) for w, a, b in zip(unit, x, y, strict=True))
            low, high = (low, middle) if excess > 0 else (middle, high)
        return low

    low, high = -50.0, 50.0
    for _ in range(60):
        slope = (low + high) / 2
        shift = intercept(slope)
        rise = sum(w * (expit(slope * a + shift) - b) * a for w, a, b in zip(unit, x, y, strict=True))
        rise += (slope - 1) / SLOPE_SPREAD**2
        low, high = (low, slope) if rise > 0 else (slope, high)
    return low, intercept(low)


def slow_isotonic(score: list[float], y: list[int], weight: list[float]) -> dict[float, float]:
    """Pool adjacent violators, one pair at a time, over distinct scores."""
    blocks = []
    for value in sorted(set(score)):
        at = [i for i, s in enumerate(score) if s == value]
        blocks.append(([value], sum(weight[i] * y[i] for i in at), sum(weight[i] for i in at)))
    while True:
        share = [top / bottom for _, top, bottom in blocks]
        wrong = [b for b in range(len(blocks) - 1) if share[b] >= share[b + 1]]
        if not wrong:
            return {value: top / bottom for values, top, bottom in blocks for value in values}
        b = wrong[0]
        one, two = blocks[b : b + 2]
        blocks[b : b + 2] = [(one[0] + two[0], one[1] + two[1], one[2] + two[2])]


@st.composite
def labels(draw: st.DrawFn, count: int = 220) -> Labels:
    """Labels with tied scores, scores at both ends, unequal weights, both classes."""
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    score = np.round(generator.beta(0.7, 1.5, count), draw(st.sampled_from([1, 2, 9])))
    y = (generator.random(count) < score ** draw(st.sampled_from([0.5, 1.0, 3.0]))).astype(np.int8)
    y[:2] = 0, 1
    return score, y, draw(st.sampled_from([1.0, 30.0])) ** generator.random(count)


@examples(12)
@given(drawn=labels(60), shifted=st.booleans())
def test_logistic_maps_solve_the_equations_of_the_maximum(drawn: Labels, shifted: bool) -> None:
    score, y, weight = drawn
    slope, intercept = slow_logistic(score.tolist(), y.tolist(), weight.tolist(), shifted=shifted)
    assume(slope > 1e-6)
    found = fit_calibration("platt" if shifted else "temperature", score, y, weight)
    assert (*found.parameters, 0.0)[:2] == pytest.approx((slope, intercept), rel=1e-6, abs=1e-6)


@examples(40)
@given(drawn=labels())
def test_the_isotonic_map_is_that_of_pooling_one_pair_at_a_time(drawn: Labels) -> None:
    score, y, weight = drawn
    slow = slow_isotonic(score.tolist(), y.tolist(), weight.tolist())
    at = np.array(sorted(slow))
    assert fit_calibration("isotonic", score, y, weight).apply(at) == pytest.approx([slow[s] for s in at.tolist()])


# --- What holds for every map ----------------------------------------------------------------------------------------


@examples(60)
@given(drawn=labels(), method=st.sampled_from(METHODS), dtype=st.sampled_from(["f4", "f8"]), seed=st.integers(0, 999))
def test_a_map_never_falls_and_stays_between_0_and_1(drawn: Labels, method, dtype: str, seed: int) -> None:
    found = fit_calibration(method, *drawn)
    near = np.random.default_rng(seed).random(50).astype(dtype)
    steps = [np.nextafter(near, np.array(1, dtype)), near, drawn[0].astype(dtype), np.array([0, 1], dtype)]
    mapped = found.apply(np.sort(np.concatenate(steps)))
    assert mapped.dtype == np.dtype(dtype)
    assert mapped.min() >= 0.0
    assert mapped.max() <= 1.0
    slack = 2.0**-51 if dtype == "f8" and method != "isotonic" else 0.0
    assert (np.diff(mapped) >= -slack).all()


@examples(30)
@given(drawn=labels(), method=st.sampled_from(METHODS))
def test_a_map_survives_json_and_keeps_its_name(drawn: Labels, method) -> None:
    found = fit_calibration(method, *drawn)
    again = CalibrationMap.from_plain(json.loads(json.dumps(found.as_plain())))
    assert again == found
    assert again.fingerprint() == found.fingerprint()


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_labels_and_the_scale_of_weights_make_no_other_map(method) -> None:
    score, y, weight = skewed_sample(3)
    found, order = fit_calibration(method, score, y, weight), np.random.default_rng(0).permutation(len(y))
    again = fit_calibration(method, score[order], y[order], weight[order] * 8.0)
    assert again.parameters == pytest.approx(found.parameters, rel=1e-9)
    assert method == "isotonic" or again == found


@pytest.mark.parametrize("method", METHODS)
def test_missing_and_faulty_scores_stay_what_they_are(method) -> None:
    found = fit_calibration(method, *skewed_sample(4))
    odd = np.array([nan, -0.5, 1.5, inf, -inf], np.float32)
    assert found.apply(odd).tolist() == pytest.approx(odd.tolist(), nan_ok=True)


def test_float32_scores_are_mapped_in_float64_and_rounded_once() -> None:
    score = np.random.default_rng(1).random(500).astype(np.float32)
    for found in (CalibrationMap("platt", (1.7, -0.3), 99, 0), fit_calibration("isotonic", *skewed_sample(5))):
        assert np.array_equal(found.apply(score), found.apply(score.astype(np.float64)).astype(np.float32))


def test_a_slope_of_1_changes_nothing_away_from_the_edge() -> None:
    score = np.array([2.0**-24, 0.01, 0.5, 0.99, 1 - 2.0**-24])
    assert CalibrationMap("temperature", (1.0,), 30, 0).apply(score) == pytest.approx(score, rel=1e-12)


def test_an_isotonic_map_is_straight_between_its_points_and_level_outside() -> None:
    found = CalibrationMap("isotonic", (0.2, 0.4, 0.8, 0.1, 0.1, 0.7), 200, 0)
    mapped = found.apply(np.array([0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]))
    assert mapped == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.4, 0.7, 0.7])
    assert CalibrationMap("isotonic", (0.5, 0.3), 200, 0).apply(np.array([0.0, 0.5, 1.0])).tolist() == [0.3] * 3


def test_a_fingerprint_names_the_method_and_the_parameters_alone() -> None:
    found = CalibrationMap("platt", (1.0, 0.0), 30, 0)
    assert found.fingerprint() == "0f7db9d220fa9b5cdf272f6b187a7ecb"
    assert CalibrationMap("platt", (1.0, -0.0), 77, 5).fingerprint() == found.fingerprint()
    others = [CalibrationMap("platt", (1.0, 1e-9), 30, 0), CalibrationMap("temperature", (1.0,), 30, 0)]
    assert len({found.fingerprint(), *(other.fingerprint() for other in others)}) == 3


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("temperature", (0.0,)), ("temperature", (1.0, 0.0)), ("temperature", (nan,)), ("platt", (-1.0, 0.0)),
        ("platt", (1.0, inf)), ("isotonic", ()), ("isotonic", (0.1, 0.2, 0.3)), ("isotonic", (0.2, 0.1, 0.3, 0.4)),
        ("isotonic", (0.1, 0.2, 0.4, 0.3)), ("isotonic", (0.1, 0.2, 0.3, 1.1)), ("beta", (1.0,)),
    ],
)  # fmt: skip
def test_parameters_that_make_no_rising_map_are_refused(method: str, parameters: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="no rising map"):
        CalibrationMap(method, parameters, 30, 0)


@pytest.mark.parametrize(
    "plain", [{}, {"method": "platt", "parameters": 3}, {"method": "platt", "parameters": ["a"]}], ids=str
)
def test_a_stored_map_that_is_none_is_refused(plain: dict) -> None:
    with pytest.raises(DataError, match="not a stored map"):
        CalibrationMap.from_plain(plain)


# --- Labels that make no map -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_labels_without_a_score_are_left_out_and_counted(method) -> None:
    score, y, weight = skewed_sample(6)
    bare = fit_calibration(method, score, y, weight)
    holed = np.r_[score, nan, nan], np.r_[y, 1, 0].astype(np.int8), np.r_[weight, 1e6, 1e6]
    found = fit_calibration(method, *holed)
    assert (found.parameters, found.labels, found.without_score) == (bare.parameters, len(y), 2)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_labels_one_class_and_faulty_input_are_refused(method) -> None:
    count = FEWEST_LABELS[method]
    score, y, weight = np.linspace(0, 1, count), (np.arange(count) >= count // 2).astype(np.int8), np.ones(count)
    fit_calibration(method, score, y, weight)
    with pytest.raises(DataError, match=f"{count - 1} labels with a score"):
        fit_calibration(method, np.r_[nan, score[1:]], y, weight)
    with pytest.raises(DataError, match="COMPLIANT"):
        fit_calibration(method, score, 0 * y, weight)
    with pytest.raises(DataError, match="VIOLATING"):
        fit_calibration(method, score, 0 * y + 1, weight)
    with pytest.raises(DataError, match="outside"):
        fit_calibration(method, score + 0.1, y, weight)
    with pytest.raises(DataError, match="neither"):
        fit_calibration(method, score, y - 1, weight)
    for fault in (0.0, nan, inf, -1.0):
        with pytest.raises(DataError, match="weight"):
            fit_calibration(method, score, y, np.r_[fault, weight[1:]])


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_a_score_that_points_the_wrong_way_is_refused(method) -> None:
    score = np.linspace(0.01, 0.99, 60)
    with pytest.raises(DataError, match="does not rise"):
        fit_calibration(method, score, (score < 0.5).astype(np.int8), np.ones(60))


@pytest.mark.parametrize("method", ["temperature", "platt"])
@pytest.mark.parametrize(
    "score",
    [np.linspace(0.01, 0.99, 60), np.repeat([0.0, 1.0], 30), np.repeat([0.3, 0.6], 30), np.repeat([1e-7, 1e-6], 30)],
    ids=["spread", "ends", "two values", "tiny"],
)
def test_labels_that_a_score_separates_keep_a_finite_map(method, score: np.ndarray) -> None:
    found = fit_calibration(method, score, np.repeat([0, 1], 30).astype(np.int8), np.ones(60))
    assert 0 < found.parameters[0] < 60
    assert all(abs(value) < 1000 for value in found.parameters)


def test_equal_scores_are_moved_to_the_violating_share() -> None:
    y, weight = (np.arange(60) < 6).astype(np.int8), np.where(np.arange(60) < 6, 3.0, 1.0)
    found = fit_calibration("platt", np.full(60, 0.4), y, weight)
    assert found.apply(np.array([0.4])) == pytest.approx([18 / 72])


# --- Known distortions, sampled unequally ----------------------------------------------------------------------------

SLOPE, INTERCEPT, SEEDS = 0.6, -0.8, 30


def skewed_sample(seed: int, size: int = 20_000, intercept: float = INTERCEPT) -> Labels:
    """Label violating creatives ten times as often as compliant ones; P(violating) = expit(SLOPE x + intercept)."""
    generator = np.random.default_rng(seed)
    x = generator.normal(-1.5, 2.5, size)
    y = (generator.random(size) < 1 / (1 + np.exp(-(SLOPE * x + intercept)))).astype(np.int8)
    pi = np.where(y == 1, 0.2, 0.02)
    drawn = generator.random(size) < pi
    return (1 / (1 + np.exp(-x)))[drawn], y[drawn], 1 / pi[drawn]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) / sqrt(len(values))


@pytest.mark.parametrize(("method", "intercept"), [("temperature", 0.0), ("platt", INTERCEPT)])
def test_a_distorted_slope_is_found_with_design_weights_and_missed_without(method, intercept: float) -> None:
    samples = [skewed_sample(seed, intercept=intercept) for seed in range(SEEDS)]
    truth = (SLOPE, intercept)[: 1 if method == "temperature" else 2]
    weighted = [fit_calibration(method, *sample).parameters for sample in samples]
    counted = [fit_calibration(method, score, y, np.ones(len(y))).parameters for score, y, _ in samples]
    for d, true in enumerate(truth):
        mean, error = mean_and_error([found[d] for found in weighted])
        assert abs(mean - true) <= 4 * error
    mean, error = mean_and_error([found[-1] for found in counted])
    assert abs(mean - truth[-1]) > 10 * error


def test_an_isotonic_map_finds_the_violating_share_with_design_weights_and_misses_it_without() -> None:
    at = np.array([0.05, 0.2, 0.5, 0.8])
    true = 1 / (1 + np.exp(-(SLOPE * np.log(at / (1 - at)) + INTERCEPT)))
    samples = [skewed_sample(seed) for seed in range(SEEDS)]
    weighted = np.array([fit_calibration("isotonic", *sample).apply(at) for sample in samples])
    counted = np.array([fit_calibration("isotonic", s, y, np.ones(len(y))).apply(at) for s, y, _ in samples])
    error = weighted.std(axis=0, ddof=1) / sqrt(SEEDS)
    assert (np.abs(weighted.mean(axis=0) - true) <= 4 * error).all()
    assert (counted.mean(axis=0) - true > 0.2).all()


def test_a_platt_map_keeps_the_weighted_violating_share() -> None:
    score, y, weight = skewed_sample(9)
    mapped = fit_calibration("platt", score, y, weight).apply(score)
    assert np.average(mapped, weights=weight) == pytest.approx(np.average(y, weights=weight), rel=1e-6)
