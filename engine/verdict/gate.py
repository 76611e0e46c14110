"""A gate: what the candidate must not do worse, or must do better, than the baseline, and what the bounds say of it.

Every gate is one inequality, harm ≤ limit, with harm = sign · (candidate − factor · baseline):

    worse by at most m       s (c − b) ≤ m             s = 1 where less is better, −1 where more is
    worse by at most p %     s (c − (1 + s p) b) ≤ 0
    better by at least m     s (c − b) ≤ −m
    better by at least p %   s (c − (1 − s p) b) ≤ 0
    at most x, at least x    c ≤ x, −c ≤ −x

It passes when the upper one-sided bound of harm is at most the limit, fails when the lower one lies above it, and is
undecided otherwise (non-inferiority and superiority by confidence bounds: Blackwelder 1982, Controlled Clinical Trials
3, 345–353). A number that cannot be had is undecided.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import did_you_mean
from engine.estimate.evidence import Contrast, Evidence
from engine.estimate.metrics import Number

MORE_IS_BETTER = ("review_precision", "automation_rate")
PHRASES = ("worse by at most", "better by at least", "at most", "at least")
_WRITTEN = re.compile(
    r"(?P<phrase>[a-z][a-z ]*?)\s+(?P<amount>-?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)"
)


class Outcome(StrEnum):
    """What the bounds say of a gate."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Requirement:
    """The right-hand side of a gate. amount : in the metric's unit, a share of the baseline's where `relative`."""

    phrase: str
    amount: float
    relative: bool

    @property
    def compares(self) -> bool:
        """Whether it asks about the baseline at all."""
        return self.phrase in PHRASES[:2]


def parse_requirement(text: str) -> Requirement:
    """Read `worse by at most 0.001`, `better by at least 5 %`, `at most 0.02` or `at least 0.3`.

    Raises
    ------
    ValueError : it is none of these.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if not found:
        raise ValueError(
            "write `worse by at most 0.001`, `worse by at most 5 %`, `better by at least …` or `at most …`"
        )
    phrase = " ".join(found["phrase"].split())
    if phrase not in PHRASES:
        raise ValueError(f"unknown words {phrase!r}{did_you_mean(phrase, PHRASES)}")
    amount, relative = float(found["amount"]), bool(found["percent"])
    if not math.isfinite(amount):
        raise ValueError(f"{found['amount']} is no finite number")
    required = Requirement(phrase, amount / 100 if relative else amount, relative)
    if not required.compares and relative:
        raise ValueError(
            f"{phrase} is a limit of the number itself: write it without %, as in `{phrase} {amount / 100:g}`"
        )
    if required.compares and amount < 0:
        raise ValueError(f"a margin is not negative; write `{PHRASES[1] if phrase == PHRASES[0] else PHRASES[0]}`")
    if required.relative and required.amount >= 1 and phrase == PHRASES[1]:
        raise ValueError("nothing is better by 100 % or more")
    return required


@dataclass(frozen=True)
class Gate:
    """One requirement on one number. by : attribute each of whose segments must meet it; None is all creatives."""

    number: Number
    required: Requirement
    policy: str
    reading: str
    inference: str
    by: str | None = None

    @property
    def sign(self) -> float:
        """1 where harm grows with the number, −1 where it shrinks."""
        if self.required.compares:
            return -1.0 if self.number.metric in MORE_IS_BETTER else 1.0
        return 1.0 if self.required.phrase == "at most" else -1.0

    @property
    def contrast(self) -> Contrast:
        """What has to be estimated."""
        return Contrast(self.number, self.policy, self.reading, self.inference, self._factor)

    @property
    def limit(self) -> float:
        """The greatest harm that passes."""
        if not self.required.compares:
            return self.sign * self.required.amount
        if self.required.relative:
            return 0.0
        return self.required.amount if self.required.phrase == PHRASES[0] else -self.required.amount

    @property
    def _factor(self) -> float:
        if not self.required.compares:
            return 0.0
        if not self.required.relative:
            return 1.0
        room = self.required.amount if self.required.phrase == PHRASES[0] else -self.required.amount
        return 1.0 + self.sign * room

    def words(self) -> str:
        """Return the gate as a sentence would have it, such as `leakage_rate.impressions worse by at most 0.001`."""
        number = self.number.metric
        number += "" if self.number.weighting == "creatives" or number == "cost" else f".{self.number.weighting}"
        amount = f"{100 * self.required.amount:g} %" if self.required.relative else f"{self.required.amount:g}"
        more = [] if self.reading == "machine" else ["after review"]
        more += [] if self.inference == "history" else [self.inference]
        return " ".join([number, self.required.phrase, amount, *([f"({', '.join(more)})"] if more else [])])


@dataclass(frozen=True)
class Harm:
    """How much harm there is, by estimate and one-sided bounds."""

    estimate: float
    low: float
    high: float


def harm_of(gate: Gate, evidence: Evidence) -> Harm | None:
    """Return the harm of one segment, None where the number cannot be had."""
    if evidence.estimate is None or evidence.low is None or evidence.high is None:
        return None
    low, high = sorted((gate.sign * evidence.low, gate.sign * evidence.high))
    return Harm(gate.sign * evidence.estimate, low, high)


def judge(gate: Gate, evidence: Evidence) -> Outcome:
    """Return what the bounds say of one segment."""
    harm = harm_of(gate, evidence)
    if harm is None:
        return Outcome.UNDECIDED
    if harm.high <= gate.limit:
        return Outcome.PASS
    return Outcome.FAIL if harm.low > gate.limit else Outcome.UNDECIDED
