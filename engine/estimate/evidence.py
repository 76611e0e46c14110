"""What a gate asks of one number of candidate and baseline, and what is known of it: names, no computation."""

from __future__ import annotations

from dataclasses import dataclass

from engine.estimate.metrics import Number


@dataclass(frozen=True)
class Contrast:
    """candidate − factor · baseline of one number. policy : of rates that labels are needed for; others are `any`'s."""

    number: Number
    policy: str
    reading: str
    inference: str
    factor: float

    @property
    def formula(self) -> str:
        """What is subtracted from what."""
        if self.factor == 0.0:
            return "candidate"
        return f"candidate − {'' if self.factor == 1.0 else f'{self.factor:g} · '}baseline"

    @property
    def key(self) -> str:
        """A name that no other contrast has."""
        parts = (self.policy, self.number.metric, self.number.weighting, self.reading, self.inference, self.formula)
        return " · ".join(parts)


@dataclass(frozen=True)
class Evidence:
    """What is known of a contrast in one segment; estimate is None where it cannot be had, for the reason given.

    low, high : each a one-sided bound at the level that was asked for, whatever the labels are that no audit could have
    given. labels : creatives of the segment with a concluded label, of `creatives` that audits could have drawn.
    events : effective events, None where there is no single number.
    """

    segment_by: str
    segment: str
    estimate: float | None
    low: float | None
    high: float | None
    labels: int
    creatives: int
    events: float | None = None
    warning: str | None = None
    null_reason: str | None = None
