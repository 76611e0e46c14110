"""What the best of many is worth: simulated sweeps in worlds where everything is known, through the engine's own road.

Bounds come from the binomial, z = 4: fewer than one false alarm in ten thousand for each check.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pytest

from engine.conclude.confirm import Confirmation, Suspect, confirm
from engine.conclude.judge import Judge, point_of
from engine.estimate.chosen import chosen_numbers, within
from engine.estimate.metrics import Number
from engine.estimate.question import Question
from engine.expression import Atom
from engine.read.labelled import with_any
from engine.records import WEIGHTS, Decision, Design, LabelledRows, Segments, Totals
from engine.search.trial import front
from engine.strategy import Rule, Strategy, build_table

WHOLE = bool(os.environ.get("BACKTEST_ALL"))
Z = 4.0
PARTS = Segments(
    (), (), np.zeros((2, 0), np.int32), ("all", "piece", "piece"), ("all", "0", "1"),
    np.array([[True, True], [True, False], [False, True]]),
)  # fmt: skip
NUMBERS = {"leakage_rate": Number("leakage_rate", "creatives"), "overkill_rate": Number("overkill_rate", "creatives")}


@dataclass(frozen=True)
class History:
    """N creatives: whether each violates, the part of the period that it lies in, and its stratum of the audit."""

    y_N: np.ndarray
    part_N: np.ndarray
    stratum_N: np.ndarray

    @staticmethod
    def draw(generator: np.random.Generator, size: int, share: float) -> History:
        y_N = (generator.random(size) < share).astype(np.int8)
        lean = generator.random(size) < 0.3 + 0.4 * y_N
        return History(y_N, (np.arange(size) >= 0.55 * size).astype(np.int64), lean.astype(np.int64))

    def audit(self, generator: np.random.Generator, rate_H: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return who is drawn, by stratum and without replacement, and everybody's inclusion probability."""
        drawn, chance_N = [], np.zeros(len(self.y_N))
        for h, rate in enumerate(rate_H):
            members = np.flatnonzero(self.stratum_N == h)
            drawn.append(generator.choice(members, round(rate * len(members)), replace=False))
            chance_N[members] = len(drawn[-1]) / len(members)
        return np.sort(np.concatenate(drawn)), chance_N

    def truth(self, refused_SN: np.ndarray, part: int, number: str) -> np.ndarray:
        """Return leakage or overkill of every setting over one part, (S,)."""
        mine_N = (self.part_N == part) & (self.y_N == (1 if number == "leakage_rate" else 0))
        refused_S = refused_SN[:, mine_N].mean(1)
        return np.asarray(1 - refused_S if number == "leakage_rate" else refused_S)


@dataclass(frozen=True)
class Sweep:
    """An audited history and settings that refuse some of it; refused_SN : bool."""

    history: History
    refused_SN: np.ndarray
    at_n: np.ndarray
    chance_N: np.ndarray

    def names(self) -> list[str]:
        return [str(s) for s in range(len(self.refused_SN))]

    def strategy(self, name: str) -> Strategy:
        refuse = Rule(Atom("m.p", ">=", 0.5), Decision.REJECT, policy="p")
        return Strategy(name, (refuse,), Rule(Atom("m.p", ">=", 0.0), Decision.APPROVE, policy="p"))

    def question(self, chosen: Sequence[int]) -> Question:
        """Return the question about some settings, the parts of the period as cells."""
        history, at = self.history, self.at_n
        outcome_SN = np.where(self.refused_SN[list(chosen)], 0, 1).astype(np.int16)
        whole = np.zeros((2, 2, len(WEIGHTS)), np.int64)
        whole[1, :, 0] = np.bincount(history.part_N, minlength=2)
        sums = np.zeros((len(chosen), 2, 2, 2, len(WEIGHTS)), np.int64)
        for s, outcome_N in enumerate(outcome_SN):
            sums[s, :, 1, :, 0] = np.bincount(2 * outcome_N + history.part_N, minlength=4).reshape(2, 2)
        stratum_n = history.stratum_N[at].astype(np.int32)
        y_nQ, taken_H = with_any(history.y_N[at][:, None]), np.bincount(stratum_n, minlength=2)
        design = Design(("srs", "srs"), np.bincount(history.stratum_N, minlength=2), taken_H, taken_H[:, None])
        one = np.ones((3, len(at)))
        rows = LabelledRows(
            design, self.chance_N[at], stratum_n, history.part_N[at], np.arange(len(at)), y_nQ, y_nQ, one, 0 * one,
            outcome_SN[:, at], np.zeros((0, len(at))),
        )  # fmt: skip
        totals = Totals(sums, np.zeros((0, 0, 0, 0), np.int64), whole)
        table = build_table([self.strategy(str(s)) for s in chosen])
        return Question(table, ("p",), PARTS, totals, rows)

    def points(self, number: str) -> np.ndarray:
        """Return the plain estimate of every setting over what selects, (S,): what the engine's points must equal."""
        history, at = self.history, self.at_n
        counts_n = (history.part_N[at] == 0) & (history.y_N[at] == (1 if number == "leakage_rate" else 0))
        weight_n = counts_n / self.chance_N[at]
        refused_S = self.refused_SN[:, at] @ weight_n / weight_n.sum()
        return np.asarray(1 - refused_S if number == "leakage_rate" else refused_S)


class Simulated(Judge):
    """Asks a simulated sweep where a run would replay. split : whether the second part confirms."""

    def __init__(self, sweep: Sweep, *, split: bool = True) -> None:
        self._sweep, self._split = sweep, split
        self.policy, self.reading, self.numbers = "p", "machine", NUMBERS

    def ask(self, strategies: Sequence[Strategy], name: str) -> tuple[Question, ...]:
        assert name == "confirm"
        question = self._sweep.question([int(strategy.name) for strategy in strategies])
        return (within(question, 1), within(question, 2)) if self._split else (within(question, 1),)


def again(sweep: Sweep, chosen: Sequence[int], seed: int) -> Confirmation:
    suspects = [Suspect(sweep.strategy(str(s)), {}, int(s), picked=True) for s in chosen]
    return confirm(Simulated(sweep), "later", suspects, seed)


def covers(low: float | None, high: float | None, truth: float) -> bool:
    assert low is not None
    assert high is not None
    return low - 1e-12 <= truth <= high + 1e-12


def test_the_naive_best_of_a_thousand_is_optimistic_and_its_confirmed_number_covers():
    """Useless scores: every setting refuses half of everything, at random."""
    repetitions = 1000 if WHOLE else 25
    optimism, naive, confirmed = [], 0, 0
    for seed in range(repetitions):
        generator = np.random.default_rng([11, seed])
        history = History.draw(generator, 4000, 0.12)
        refused_SN = np.unpackbits(generator.integers(0, 256, (1000, 500), np.uint8), axis=1).astype(bool)
        sweep = Sweep(history, refused_SN, *history.audit(generator, (0.2, 0.5)))
        points = sweep.points("leakage_rate")
        best = int(np.argmin(points))
        found = again(sweep, [best], seed).of(best)["leakage_rate"]
        assert found.selected.estimate == pytest.approx(points[best], abs=1e-12)
        optimism.append(found.optimism)
        (before,), (truth,) = (history.truth(refused_SN[[best]], part, "leakage_rate") for part in (0, 1))
        naive += covers(found.selected.low, found.selected.high, before)
        assert found.confirmed is not None
        confirmed += covers(found.confirmed.low, found.confirmed.high, truth)
    mean, error = np.mean(optimism), np.std(optimism, ddof=1) / sqrt(repetitions)
    print(
        f"\nbest of 1,000 useless settings, {repetitions} simulations: leakage_rate selected − confirmed "
        f"{100 * mean:.1f} ± {100 * error:.1f} pp; 95 % intervals cover: selected {naive / repetitions:.1%}, "
        f"confirmed {confirmed / repetitions:.1%}"
    )
    assert mean < -Z * error
    slack = Z * sqrt(0.95 * 0.05 / repetitions)
    assert naive / repetitions < 0.95 - slack
    assert confirmed / repetitions >= 0.95 - slack


def test_intervals_at_once_cover_all_of_a_front_that_other_creatives_chose():
    repetitions, least = (1200, 0.935) if WHOLE else (12, 0.95 - Z * sqrt(0.95 * 0.05 / 12))
    together = alone = numbers = 0
    for seed in range(repetitions):
        generator = np.random.default_rng([12, seed])
        history = History.draw(generator, 6000, 0.15)
        score_N = 1.2 * history.y_N + generator.normal(size=6000)
        other_N = 0.8 * history.y_N + generator.normal(size=6000)
        cuts = np.linspace(-0.2, 1.4, 4)
        refused_SN = np.stack([(score_N >= a) & (other_N >= b - 1) for a in cuts for b in cuts])
        sweep = Sweep(history, refused_SN, *history.audit(generator, (0.25, 0.5)))
        on_front = np.flatnonzero(front(np.stack([sweep.points(number) for number in NUMBERS], axis=1)))
        found = again(sweep, on_front, seed)
        inside, own = [], []
        for number in NUMBERS:
            truth_S = history.truth(refused_SN[on_front], 1, number)
            for s, truth in zip(on_front, truth_S, strict=True):
                checked = found.of(int(s))[number]
                assert checked.confirmed is not None
                inside.append(covers(checked.low, checked.high, truth))
                own.append(covers(checked.confirmed.low, checked.confirmed.high, truth))
        together, alone, numbers = together + all(inside), alone + all(own), numbers + len(inside)
    print(
        f"\nfronts of {numbers / repetitions:.0f} numbers, {repetitions} simulations: all covered by intervals at once "
        f"{together / repetitions:.1%}, by intervals of one number {alone / repetitions:.1%}"
    )
    assert together / repetitions >= least
    assert alone < together


def test_intervals_at_once_of_one_number_are_its_own():
    generator = np.random.default_rng(3)
    history = History.draw(generator, 3000, 0.2)
    sweep = Sweep(history, generator.random((1, 3000)) < 0.5, *history.audit(generator, (0.3, 0.3)))
    (question,) = Simulated(sweep, split=False).ask([sweep.strategy("0")], "confirm")
    (own,) = chosen_numbers(question, [NUMBERS["leakage_rate"]], "p", "machine")
    judge = Simulated(sweep, split=False)
    judge.numbers = {"leakage_rate": NUMBERS["leakage_rate"]}
    found = confirm(judge, None, [Suspect(sweep.strategy("0"), {}, 0, picked=True)], 1)
    checked, point = found.of(0)["leakage_rate"], point_of(own[NUMBERS["leakage_rate"]])
    assert checked.selected == point
    assert checked.confirmed is None
    assert checked.optimism is None
    again_at = replace(question, confidence=found.joint_confidence)
    (wide,) = chosen_numbers(again_at, [NUMBERS["leakage_rate"]], "p", "machine")
    assert (checked.low, checked.high) == (wide[NUMBERS["leakage_rate"]].low, wide[NUMBERS["leakage_rate"]].high)
    assert abs(found.joint_confidence - 0.95) < 0.01


def test_where_no_event_was_seen_the_optimism_has_no_error_and_the_number_an_interval_all_the_same():
    generator = np.random.default_rng(4)
    history = History.draw(generator, 3000, 0.2)
    everything = np.ones((1, 3000), bool)
    sweep = Sweep(history, everything, *history.audit(generator, (0.3, 0.3)))
    checked = again(sweep, [0], 1).of(0)["leakage_rate"]
    assert checked.selected.estimate == 0
    assert checked.optimism == 0
    assert checked.error is None
    assert checked.confirmed is not None
    assert checked.high is not None
    assert checked.high >= (checked.confirmed.high or 1) > 0
