"""How long do all numbers of a thousand strategies take, and how much memory?

A seeded period: advertisers with home attributes, exposures with heavy tails, two scores that see violations,
strategies of two thresholds each, an audit drawn within strata of an older score. Totals are
exact sums, as a replay leaves them.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from record import Bar, Bench, at_most

from engine.estimate.estimates import estimate_all
from engine.estimate.question import Question
from engine.expression import Atom
from engine.records import WEIGHTINGS, WEIGHTS, Decision, Design, LabelledRows, Segments, Totals
from engine.strategy import Review, Rule, Strategy, StrategyTable, build_table

LEVELS = {"region": 10, "vertical": 6, "tier": 4}  # 20 segments, and `all`
STRATA = (0.4, 0.7)  # of the older score


@dataclass(frozen=True)
class Period:
    """N creatives. y_N : 0 or 1. exposure_WN : by WEIGHTINGS."""

    old_N: np.ndarray
    score_MN: np.ndarray
    y_N: np.ndarray
    advertiser_N: np.ndarray
    level_KN: np.ndarray
    exposure_WN: np.ndarray

    def __len__(self) -> int:
        return len(self.y_N)


def make_period(size: int, advertisers: int, seed: int) -> Period:
    """Draw creatives."""
    rng = np.random.default_rng(seed)
    share = 1 / (np.arange(advertisers) + 10.0)
    advertiser = rng.choice(advertisers, size, p=share / share.sum())
    tendency = rng.beta(0.3, 5.0, advertisers)
    y = rng.random(size) < tendency[advertiser]
    latent = 2.0 * y + rng.normal(size=size)
    scores = [1 / (1 + np.exp(1.5 - latent - 0.7 * rng.normal(size=size))) for _ in range(3)]
    home = np.array([rng.integers(0, count, advertisers) for count in LEVELS.values()])
    impressions = np.rint(rng.lognormal(6, 1.5, size))
    spend = np.rint(impressions * rng.uniform(0.1, 1.0, size))
    exposure = np.array([np.ones(size), impressions, spend])
    return Period(scores[0], np.array(scores[1:]), y.astype(np.int8), advertiser, home[:, advertiser], exposure)


@dataclass(frozen=True)
class Sweep:
    """S strategies: which score each reads, where it rejects and, lower, where it reviews."""

    model_S: np.ndarray
    reject_S: np.ndarray
    review_S: np.ndarray

    def __len__(self) -> int:
        return len(self.model_S)

    def table(self) -> StrategyTable:
        """Return the strategies as the engine compiles them."""
        return build_table([self._strategy(s) for s in range(len(self))])

    def outcomes(self, s: int, score_MN: np.ndarray) -> np.ndarray:
        """Return the first rule that fires for each creative, int16 (N,)."""
        score_N = score_MN[self.model_S[s]]
        fires = np.where(score_N >= self.review_S[s], 1, 2)
        return np.where(score_N >= self.reject_S[s], 0, fires).astype(np.int16)

    def _strategy(self, s: int) -> Strategy:
        column = f"m{self.model_S[s]}.p"
        rules = (
            Rule(Atom(column, ">=", float(self.reject_S[s])), Decision.REJECT, policy="p"),
            Rule(Atom(column, ">=", float(self.review_S[s])), Decision.REVIEW, policy="p"),
        )
        last = Rule(Atom(column, ">=", 0.0), Decision.APPROVE, policy="p")
        return Strategy(f"s{s}", rules, last, review=Review(0.95, 0.99))


def make_sweep(count: int, seed: int) -> Sweep:
    """Draw strategies."""
    rng = np.random.default_rng([seed, 1])
    low_S, high_S = np.sort(rng.uniform(0.2, 0.95, (2, count)), axis=0)
    return Sweep(rng.integers(0, 2, count), high_S, low_S)


def make_segments() -> Segments:
    """Return `all` and every level of every attribute, over the cells of all combinations."""
    sizes = tuple(LEVELS.values())
    level_CK = np.array(np.unravel_index(np.arange(np.prod(sizes)), sizes), np.int32).T
    pairs = [(k, level) for k, size in enumerate(sizes) for level in range(size)]
    member = np.array([np.ones(len(level_CK), bool), *(level_CK[:, k] == level for k, level in pairs)])
    attributes = tuple(LEVELS)
    levels = tuple(tuple(f"{name}{level}" for level in range(size)) for name, size in LEVELS.items())
    by = ("all", *(attributes[k] for k, _ in pairs))
    return Segments(attributes, levels, level_CK, by, ("all", *(levels[k][level] for k, level in pairs)), member)


def make_question(period: Period, sweep: Sweep, labels: int, seed: int) -> Question:
    """Draw an audit of so many labels within strata of the older score, and ask for everything."""
    rng = np.random.default_rng([seed, 2])
    stratum_N = np.digitize(period.old_N, STRATA)
    population_H = np.bincount(stratum_N, minlength=3)
    take_H = shared_out(labels, population_H)
    drawn = [rng.choice(np.flatnonzero(stratum_N == h), take_H[h], replace=False) for h in range(3)]
    at_n = np.sort(np.concatenate(drawn))
    cell_N = np.ravel_multi_index(tuple(period.level_KN), tuple(LEVELS.values()))
    y_nQ = period.y_N[at_n][:, None]
    rows = LabelledRows(
        design=Design(("srs",) * 3, population_H, take_H, take_H[:, None]),
        pi_n=(take_H / population_H)[stratum_N[at_n]],
        stratum_n=stratum_N[at_n].astype(np.int32),
        cell_n=cell_N[at_n],
        advertiser_n=period.advertiser_N[at_n],
        y_nQ=y_nQ,
        naive_nQ=y_nQ,
        known_Wn=period.exposure_WN[:, at_n],
        imputed_Wn=np.zeros((3, len(at_n))),
        outcome_Sn=np.array([sweep.outcomes(s, period.score_MN[:, at_n]) for s in range(len(sweep))]),
        score_Kn=period.score_MN[:, at_n],
    )
    segments = make_segments()
    return Question(sweep.table(), ("p",), segments, sum_totals(period, sweep, cell_N, segments), rows)


def shared_out(labels: int, population_H: np.ndarray) -> np.ndarray:
    """Return labels by stratum: equal shares, and what a small stratum lacks to the next larger one."""
    take_H, left = np.zeros(len(population_H), np.int64), min(labels, int(population_H.sum()))
    for place, h in enumerate(np.argsort(population_H)):
        take_H[h] = min(int(population_H[h]), left // (len(population_H) - place))
        left -= int(take_H[h])
    return take_H


def sum_totals(period: Period, sweep: Sweep, cell_N: np.ndarray, segments: Segments) -> Totals:
    """Add up exposure by strategy, outcome and segment, as a replay of thousands leaves it."""
    cells = segments.member_GC.shape[1]
    columns = [WEIGHTS.index(name) for name in WEIGHTINGS]
    sum_SOFGW = np.zeros((len(sweep), 3, 2, len(segments.name), len(WEIGHTS)), np.int64)
    member_CG = segments.member_GC.T.astype(np.float64)
    for s in range(len(sweep)):
        key_N = sweep.outcomes(s, period.score_MN) * cells + cell_N
        for w, column in enumerate(columns):
            by_cell = np.bincount(key_N, period.exposure_WN[w], 3 * cells).reshape(3, cells)
            sum_SOFGW[s, :, 1, :, column] = np.rint(by_cell @ member_CG)
    whole_FCW = np.zeros((2, cells, len(WEIGHTS)), np.int64)
    for w, column in enumerate(columns):
        whole_FCW[1, :, column] = np.rint(np.bincount(cell_N, period.exposure_WN[w], cells))
    return Totals(sum_SOFGW, np.zeros((0, 0, cells, len(WEIGHTS)), np.int64), whole_FCW, folded=True)


def measure(arguments: Sequence[str]) -> Bench:
    """Estimate everything once and read the clock and the peak of the process."""
    parser = argparse.ArgumentParser(prog="scripts/bench estimate")
    parser.add_argument("--strategies", type=int, default=1000)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--advertisers", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    sweep = make_sweep(options.strategies, options.seed)
    size = 4 * options.labels
    question = make_question(make_period(size, options.advertisers, options.seed), sweep, options.labels, options.seed)
    small = make_question(make_period(4000, 50, options.seed), make_sweep(1, options.seed), 1000, options.seed)
    estimate_all(small)  # compiles
    started, worked = time.perf_counter(), time.process_time()
    numbers = len(estimate_all(question, threads=options.threads))
    raw = {
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - worked,
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "numbers": numbers,
        "labels": len(question.rows.pi_n),
    }
    return Bench("estimate", vars(options), raw, bars(options.strategies, options.labels, raw), [str(raw)])


def bars(strategies: int, labels: int, raw: dict[str, float]) -> list[Bar]:
    """Return the bars; at another size than theirs nothing was measured."""
    whole = strategies >= 1000 and labels >= 100_000
    seconds, memory = (raw["seconds"], raw["memory_gb"]) if whole else (None, None)
    return [at_most("estimate.seconds", seconds, 60, " s"), at_most("estimate.memory_gb", memory, 2, " GB")]
