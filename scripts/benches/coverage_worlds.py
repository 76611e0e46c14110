"""Worlds whose truth is known: how their creatives come about, and how an audit looks at them.

A history is drawn from a superpopulation of advertisers: each has a size, a tendency to violate and a score level of
its own. Two models score every creative. Compliant creatives have uniform scores; violating ones are shifted so that
the score has the AUC that the world names. The old model's score made the audit's strata; `baseline` decides by it,
`candidate` by the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import ndtr, ndtri

from engine.expression import Atom
from engine.records import Decision, ReviewerError
from engine.strategy import Review, Rule, Strategy, StrategyTable, build_table

F64 = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
I64 = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
BASELINE, CANDIDATE = "baseline", "candidate"
POLICY = "p"
UNIT = 100.0  # impressions of a creative of exposure 1: rounding to whole ones stays small


@dataclass(frozen=True)
class History:
    """N creatives of A advertisers, everything known.

    exposure_N : impressions as delivered. expected_N : their mean over histories, all else as it is.
    """

    y_N: I64
    old_N: F64
    new_N: F64
    advertiser_N: I64
    exposure_N: F64
    expected_N: F64


@dataclass(frozen=True)
class Look:
    """How an audit looks: strata by the old score at `edges`, `sizes` drawn of each (all, where there are fewer).

    answering : share of the drawn that answer, by stratum (missing at random within it).
    sensitivity, specificity : of the audit's reviewers. checked : on how many violating and compliant creatives apart
    from the audit they are counted; 0 where labels are taken as they are. together : repetitions in a question, which
    share one count of reviewers' errors: they are not quite independent of one another.
    """

    edges: tuple[float, ...]
    sizes: tuple[int, ...]
    answering: tuple[float, ...] = ()
    sensitivity: float = 1.0
    specificity: float = 1.0
    checked: tuple[int, int] = (0, 0)
    together: int = 20

    def count_errors(self, generator: np.random.Generator) -> Mapping[str, ReviewerError]:
        """Return how the reviewers err as it is counted, by policy; empty where nobody counts."""
        if not any(self.checked):
            return {}
        rates = (self.sensitivity, self.specificity)
        se, sp = (generator.binomial(size, rate) / size for size, rate in zip(self.checked, rates, strict=True))
        return {POLICY: ReviewerError(se, sp, *self.checked)}


@dataclass(frozen=True)
class World:
    """A superpopulation and an audit. tells : what is hard about it, in a sentence."""

    name: str
    tells: str
    draw: Callable[[np.random.Generator], History]
    look: Look


@dataclass(frozen=True)
class Recipe:
    """What makes a history.

    advertisers : their number; creatives : the mean number each. violating : share. lean : how much advertisers' own
    tendencies spread, 1/(1 + lean) being the intra-advertiser correlation of y. old, new : AUC of the two models.
    tail : shape of Pareto exposure, 0 for a log-normal one. giant : share of all exposure that one advertiser has.
    """

    advertisers: int = 400
    creatives: float = 10.0
    violating: float = 0.1
    lean: float = 15.0
    old: float = 0.85
    new: float = 0.9
    tail: float = 0.0
    giant: float = 0.0

    def draw(self, generator: np.random.Generator) -> History:
        """Draw a history."""
        count = 1 + generator.poisson(generator.gamma(2.0, (self.creatives - 1) / 2.0, self.advertisers))
        advertiser_N = np.repeat(np.arange(self.advertisers), count)
        scale_N = np.ones(len(advertiser_N))
        if self.giant:  # half of its share by number, the rest by exposure
            ordinary = len(advertiser_N)
            many = round(ordinary * self.giant / 2)
            advertiser_N = np.concatenate([advertiser_N, np.full(many, self.advertisers)])
            scale = self.giant / (1 - self.giant) * ordinary / many
            scale_N = np.concatenate([scale_N, np.full(many, scale)])
        advertisers, size = int(advertiser_N[-1]) + 1, len(advertiser_N)
        tendency = generator.beta(self.lean * self.violating, self.lean * (1 - self.violating), advertisers)
        y_N = (generator.random(size) < tendency[advertiser_N]).astype(np.int64)
        level_A, shared_N = generator.normal(size=advertisers), generator.normal(size=size)
        old_N, new_N = (
            self._score(generator, auc, y_N, level_A[advertiser_N], shared_N) for auc in (self.old, self.new)
        )
        expected_N = UNIT * scale_N * (2.0 - y_N) * (1.5 - new_N)  # violations and what scores high are seen less
        chance_N = generator.pareto(self.tail, size) + 1.0 if self.tail else generator.lognormal(0.0, 0.8, size)
        mean = self.tail / (self.tail - 1.0) if self.tail else np.exp(0.32)
        return History(y_N, old_N, new_N, advertiser_N, np.rint(expected_N * chance_N / mean), expected_N)

    @staticmethod
    def _score(generator: np.random.Generator, auc: float, y_N: I64, level_N: F64, shared_N: F64) -> F64:
        """Return scores of a model: a tenth of its noise is the advertiser's, a third that of both models."""
        noise_N = sqrt(0.1) * level_N + sqrt(0.3) * shared_N + sqrt(0.6) * generator.normal(size=len(y_N))
        return ndtr(sqrt(2.0) * ndtri(auc) * y_N + noise_N)


def strategies() -> StrategyTable:
    """Two strategies: `baseline` on the old score, `candidate` on the new one, which limits what it is not sure of."""
    review = Review(0.9, 0.95, 0.1)

    def rule(column: str, least: float, decision: Decision, share: float = 1.0) -> Rule:
        return Rule(Atom(column, ">=", least), decision, share, policy=POLICY)

    old = (rule("old.p", 0.97, Decision.REJECT), rule("old.p", 0.9, Decision.REVIEW))
    new = (
        rule("new.p", 0.97, Decision.REJECT),
        rule("new.p", 0.9, Decision.REVIEW),
        rule("new.p", 0.8, Decision.LIMIT, 0.3),
    )
    return build_table(
        [
            Strategy(BASELINE, old, rule("old.p", 0.0, Decision.APPROVE), review=review),
            Strategy(CANDIDATE, new, rule("new.p", 0.0, Decision.APPROVE), review=review),
        ]
    )


_BY_SCORE = (0.8, 0.95)
WORLDS = (
    World(
        "easy",
        "simple random audit of 1,500, models of AUC .93 and .95",
        Recipe(old=0.93, new=0.95).draw,
        Look((), (1500,)),
    ),
    World(
        "rare",
        "one creative in a thousand violates",
        Recipe(advertisers=2000, creatives=20.0, violating=0.001, old=0.9, new=0.95).draw,
        Look(_BY_SCORE, (700, 500, 800)),
    ),
    World(
        "heavy_tail",
        "exposure is Pareto 1.2: its variance is infinite",
        Recipe(violating=0.15, tail=1.2).draw,
        Look(_BY_SCORE, (500, 400, 400)),
    ),
    World(
        "giant",
        "one advertiser has 30 % of the exposure",
        Recipe(giant=0.3).draw,
        Look(_BY_SCORE, (500, 400, 400)),
    ),
    World(
        "old_audit",
        "an old, weak model drew most of the audit from what it rejects, a new one is judged",
        Recipe(old=0.7, new=0.93).draw,
        Look((0.7, 0.9, 0.97), (150, 150, 300, 600)),
    ),
    World(
        "silent",
        "20 % of the drawn do not answer, by stratum 10 to 30 %",
        Recipe().draw,
        Look(_BY_SCORE, (500, 400, 400), answering=(0.9, 0.8, 0.7)),
    ),
    World(
        "wrong_reviewers",
        "the audit's reviewers find 90 % of the violations and clear 98 % of the rest, as counted on 200 and 400",
        Recipe().draw,
        Look(_BY_SCORE, (500, 400, 400), sensitivity=0.9, specificity=0.98, checked=(200, 400), together=4),
    ),
    World(
        "useless",
        "scores say nothing about violations",
        Recipe(old=0.5, new=0.5).draw,
        Look(_BY_SCORE, (500, 400, 400)),
    ),
)
