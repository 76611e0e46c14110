"""Every design of an audit: its variance against plain loops, bootstraps of the matching kind, and redrawn audits."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from estimate import oracles
from estimate.drawn import DESIGNS, STRATA, Drawing, Population, draw, engine_rows, population, segments
from generators import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.estimate.pair import difference, difference_intervals
from engine.estimate.ratio import Ratio, hajek, ratio_intervals
from engine.estimate.sample import HISTORY, Sample, answered_sample

REPETITIONS = 200
ALARM = 1e-3  # of a false alarm in any cell of a simulation
REPLICATES = 3000


@pytest.fixture(scope="module")
def people() -> Population:
    return population(seed=8, size=3500, tail=0.2)


def judged(people: Population, drawing: Drawing, answered_d: np.ndarray | None = None) -> tuple[Sample, Ratio]:
    rows = engine_rows(people, drawing, answered_d=answered_d)
    more_G = np.full(2, 1e6)  # creatives than were drawn: no census
    sample = answered_sample(rows, 0, segments(), more_G)
    return sample, hajek(sample, people.a_N[sample.rows_n], people.b_N[sample.rows_n])


# --- Plain loops -----------------------------------------------------------------------------------------------------


def _toy(method: str, chances: list[float], values: list[float], cluster: list[int]) -> tuple[Population, Drawing]:
    """Return one stratum in which everything was drawn that is there, with made-up probabilities."""
    size = len(values)
    zero, at = np.zeros(size, np.int64), np.arange(size)
    chance = np.array([chances[c] for c in cluster])
    people = Population(np.array(values), np.ones(size), zero, zero, np.array(cluster), at, zero, np.ones(size))
    units = np.array(cluster) if method == "cluster" else at
    drawing = Drawing(
        (method,), at, chance, np.ones(size), zero, units, np.array([9 * size]), np.array([9 * size]), chance
    )
    return people, drawing


PROBABILITIES = st.sampled_from([1.0, 0.05, 0.4, 0.4, 0.95])
UNITS = st.lists(
    st.tuples(PROBABILITIES, st.integers(-3, 5), st.integers(0, 3), st.booleans()), min_size=1, max_size=9
).filter(lambda units: any(unit[3] for unit in units))


@examples(150)
@given(units=UNITS, method=st.sampled_from(["pps", "cluster"]))
def test_draws_of_fixed_size_vary_as_plain_loops_say(units, method):
    of_creative = [unit[2] if method == "cluster" else i for i, unit in enumerate(units)]
    chances = [unit[0] for unit in units] + [0.4] * 4
    values, answered = [float(unit[1]) for unit in units], [unit[3] for unit in units]
    people, drawing = _toy(method, chances, values, of_creative)
    sample, _ = judged(people, drawing, np.array(answered))
    variance, df = sample.history_spread(people.a_N[sample.rows_n][sample.at_m])
    pi = [chances[c] for c in of_creative]
    if method == "pps":
        expected = oracles.fixed_size_variance(values, pi, answered, creatives=True)
    else:
        share = sum(answered) / len(answered)
        clusters = sorted(set(of_creative))
        total = [
            sum(v / share for v, c, heard in zip(values, of_creative, answered, strict=True) if heard and c == k)
            for k in clusters
        ]
        heard = [True] * len(clusters)
        expected = oracles.fixed_size_variance(total, [chances[k] for k in clusters], heard, creatives=False)
        expected += oracles.answering_variance(values, pi, answered)
    assert variance[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert df[0] >= 1.0


def test_drawing_every_cluster_leaves_only_who_answered():
    generator = np.random.default_rng(4)
    size = 60
    values, answered = generator.normal(size=size).tolist(), generator.random(size) < 0.5
    people, whole = _toy("cluster", [1.0] * 12, values, [i // 5 for i in range(size)])
    _, alone = _toy("srs", [1.0] * size, values, list(range(size)))
    alone.population_H[0] = size
    spreads = []
    for drawing in (whole, alone):
        sample, _ = judged(people, drawing, answered)
        spreads.append(sample.history_spread(people.a_N[sample.rows_n][sample.at_m])[0][0])
    assert spreads[0] > 0
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-12)


def test_clusters_of_one_are_creatives_drawn_with_unequal_probabilities():
    chances, values = [0.2, 0.5, 1.0, 0.35, 0.8, 0.35], [3.0, -1.0, 9.0, 0.0, 2.0, 4.0]
    found = []
    for method in ("cluster", "pps"):
        people, drawing = _toy(method, chances, values, list(range(6)))
        sample, ratio = judged(people, drawing)
        found.append((*sample.history_spread(ratio.residual_m), ratio.size, ratio.labels))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_equal_probabilities_make_pps_a_simple_random_draw():
    values = [3.0, -1.0, 9.0, 0.0, 2.0]
    found = []
    for method in ("pps", "srs"):
        people, drawing = _toy(method, [0.25] * 5, values, list(range(5)))
        drawing.population_H[0] = 20
        sample, ratio = judged(people, drawing)
        found.append(sample.history_spread(ratio.residual_m))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_without_an_event_the_bound_is_that_of_the_clusters_drawn_not_of_their_creatives():
    size, violating = 60, [0.0] * 60
    high = []
    for cluster in ([i // 10 for i in range(size)], list(range(size))):
        people, drawing = _toy("cluster", [0.1] * size, violating, cluster)
        sample, ratio = judged(people, drawing)
        high.append(ratio_intervals(sample, ratio, HISTORY, 0.95).intervals.high[0])
    assert high[0] == pytest.approx(stats.beta.ppf(0.975, 1, 6))
    assert high[1] == pytest.approx(stats.beta.ppf(0.975, 1, 60))


def test_without_a_swap_a_difference_is_bounded_by_the_clusters_drawn():
    size, wide = 60, []
    for cluster in ([i // 10 for i in range(size)], list(range(size))):
        people, drawing = _toy("cluster", [0.1] * size, [float(i % 2) for i in range(size)], cluster)
        sample, ratio = judged(people, drawing)
        found = difference_intervals(sample, difference(sample, ratio, ratio), ratio, ratio, HISTORY, 0.95).intervals
        wide.append(found.high[0])
    np.testing.assert_allclose(wide, [stats.beta.ppf(1 - 0.025, 1, units) for units in (6, 60)])


def test_only_equal_weights_make_a_census_of_a_segment_drawn_whole():
    """Unequal ones would state another number than the truth without any width."""
    for chances, census in (([0.5] * 4, True), ([0.5, 0.5, 0.25, 0.5], False)):
        people, drawing = _toy("poisson", chances, [1.0, 0.0, 1.0, 0.0], list(range(4)))
        sample = answered_sample(engine_rows(people, drawing), 0, segments(), np.array([4.0, 1.0]))
        assert sample.census_G.tolist() == [census, False]


def test_a_creative_that_two_audits_drew_is_one_label(people):
    drawing = draw(people, "two_audits", np.random.default_rng(2))
    _, ratio = judged(people, drawing)
    once = np.unique(drawing.creative_d)
    assert len(once) < len(drawing.creative_d)
    assert ratio.labels[0] == (people.b_N[once] > 0).sum()
    u: dict[int, float] = {}
    for i, chance, part in zip(drawing.creative_d, drawing.chance_d, drawing.part_d, strict=True):
        u[i] = u.get(i, 0.0) + part / chance * people.b_N[i]
    assert ratio.size[0] == pytest.approx(oracles.kish(list(u.values())))


# --- Bootstraps ------------------------------------------------------------------------------------------------------


def _ratios(people: Population, sample: Sample, weight_Rn: np.ndarray) -> np.ndarray:
    return (weight_Rn @ people.a_N[sample.rows_n]) / (weight_Rn @ people.b_N[sample.rows_n])


@pytest.mark.parametrize("design", ["stratified", "cluster"])
def test_the_rescaled_bootstrap_of_units_within_strata_has_the_variance_of_history(people, design):
    """Rao and Wu (1988, J. Am. Stat. Assoc. 83, 231–241): n − 1 of n units redrawn, with the correction."""
    generator = np.random.default_rng(3)
    drawing = draw(people, design, generator)
    sample, ratio = judged(people, drawing)
    stratum_n = sample.key_m[: len(sample.rows_n)] % STRATA
    unit_n = np.where(sample.unit_n >= 0, sample.unit_n, sample.rows_n)
    factor_Rn = np.ones((REPLICATES, len(unit_n)))
    for h in range(STRATA):
        units, of_n = np.unique(unit_n[stratum_n == h], return_inverse=True)
        n = len(units)
        times = generator.multinomial(n - 1, np.full(n, 1 / n), REPLICATES)
        pull = sqrt(1 - n / drawing.units_H[h])
        factor_Rn[:, stratum_n == h] = (1 - pull + pull * n / (n - 1) * times)[:, of_n]
    bootstrapped = _ratios(people, sample, sample.weight_n * factor_Rn).var()
    assert bootstrapped / sample.history_spread(ratio.residual_m)[0][0] == pytest.approx(1.0, abs=0.12)


def test_the_poisson_bootstrap_of_advertisers_has_the_variance_of_the_future(people):
    generator = np.random.default_rng(4)
    sample, ratio = judged(people, draw(people, "stratified", generator))
    advertiser_n = people.advertiser_N[sample.rows_n]
    times_RA = generator.poisson(1.0, (REPLICATES, advertiser_n.max() + 1))
    bootstrapped = _ratios(people, sample, sample.weight_n * times_RA[:, advertiser_n]).var()
    linearised = sample.cluster_spread(ratio.residual_m).variance[0]
    assert bootstrapped / linearised == pytest.approx(1.0, abs=0.12)


# --- Redrawn audits --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redrawn(people) -> dict[tuple[str, bool], dict[str, np.ndarray]]:
    """Redraw the audit of every design, all answered and 30 % not; estimates, variances, hits and events, (R, G)."""
    inside = people.inside_N == 1
    truth = np.array([people.a_N.sum() / people.b_N.sum(), people.a_N[inside].sum() / people.b_N[inside].sum()])
    found = {}
    for number, design in enumerate(DESIGNS):
        for whole in (True, False):
            generator = np.random.default_rng([9, number, whole])
            rows = []
            for _ in range(REPETITIONS):
                drawing = draw(people, design, generator)
                answered = None if whole else generator.random(len(drawing.creative_d)) < 0.7
                sample, ratio = judged(people, drawing, answered)
                bounds = ratio_intervals(sample, ratio, HISTORY, 0.95).intervals
                hit = (bounds.low <= truth) & (truth <= bounds.high)
                rows.append([ratio.estimate, sample.history_spread(ratio.residual_m)[0], hit, ratio.events])
            estimate, variance, hit, events = np.moveaxis(np.array(rows), 1, 0)
            found[design, whole] = {"error": estimate - truth, "variance": variance, "hit": hit, "events": events}
    return found


def test_intervals_cover_the_truth_over_redrawn_audits_of_every_design(redrawn):
    cells = {key: cell["hit"].mean(0) for key, cell in redrawn.items()}
    z = stats.norm.ppf(1 - ALARM / (2 * len(cells)))
    low = 0.95 - z * sqrt(0.05 * 0.95 / REPETITIONS)
    assert {key: cover.tolist() for key, cover in cells.items() if (cover < low).any()} == {}
    plenty = [cell["hit"][:, cell["events"].mean(0) >= 30].ravel() for cell in redrawn.values()]
    assert 0.93 <= np.concatenate(plenty).mean() <= 0.97


def test_variances_are_those_of_redrawn_audits_and_points_are_not_biased(redrawn):
    z = stats.norm.ppf(1 - ALARM / (4 * len(redrawn)))
    for key, cell in redrawn.items():
        spread = cell["error"].var(0)
        ratio = (cell["variance"].mean(0) / spread)[0]
        assert ratio == pytest.approx(1.0, abs=z * sqrt(2 / REPETITIONS)), key
        bias = abs(cell["error"].mean(0)[0])
        assert bias <= z * sqrt(spread[0] / REPETITIONS) + 0.1 * sqrt(spread[0]), key  # and that of a ratio
    pooled = np.mean([(cell["variance"].mean(0) / cell["error"].var(0))[0] for cell in redrawn.values()])
    assert pooled == pytest.approx(1.0, abs=0.1)
