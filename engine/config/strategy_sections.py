"""The sections of a config that say what a strategy does."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.config.values import Days, Names, Seconds, Section, Share, Word


class RuleSection(Section):
    when: str
    then: str
    policy: str | None = None


class CapacitySection(Section):
    """What a strategy's reviewers can do: `per_day` items, or minutes of which one review takes `minutes`, per queue.

    by : a score or a number for `order: score`; impressions or spend for `order: exposure`. max_wait : days.
    """

    per_day: Annotated[float, Field(ge=0)] | None
    unit: Literal["items", "minutes"] = "items"
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    queue: Names = Field(default_factory=list)
    order: Literal["first", "score", "exposure"] = "first"
    by: str | None = None
    max_wait: Annotated[int, Field(ge=0, le=60)] = 0
    overflow: Literal["approve", "reject", "pending"] = "approve"
    waiting: Literal["held", "live"] = "held"

    @model_validator(mode="after")
    def _one_measure(self) -> CapacitySection:
        if (self.unit == "minutes") != (self.minutes is not None):
            raise ValueError("`minutes` says how long one review takes; it goes with `unit: minutes`")
        counted = self.limit is not None and self.unit == "items"
        if counted and not float(self.per_day or 0).is_integer():
            raise ValueError("per_day counts whole items")
        if (self.order == "score") and self.by is None:
            raise ValueError("`order: score` needs `by`, as in by: v1.scam")
        if self.order == "first" and self.by is not None:
            raise ValueError("`by` goes with `order: score` or `order: exposure`")
        if self.order == "exposure" and self.by not in (None, "impressions", "spend"):
            raise ValueError("`order: exposure` goes by impressions or spend")
        return self

    @property
    def limit(self) -> float | None:
        """What a queue's reviewers do on a day, None without limit."""
        return None if self.per_day is None or math.isinf(self.per_day) else self.per_day


class ReviewSection(Section):
    sensitivity: Share | dict[str, Share] = 1.0
    specificity: Share | dict[str, Share] = 1.0
    wait: Seconds = 0.0
    outcome: Literal["none", "logged", "drawn"] = "none"
    capacity: CapacitySection | None = None


class StrikesSection(Section):
    """`count` rejections of an advertiser within days put it `for` days under `then`, or under rules of its own."""

    count: Annotated[int, Field(ge=1, le=1000)]
    within: Days
    for_: Days = Field(alias="for")
    then: str | None = None
    rules: list[RuleSection] | None = None
    otherwise: str | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> StrikesSection:
        if (self.then is None) == (self.rules is None) or (self.rules is None) != (self.otherwise is None):
            raise ValueError("needs either `then` or `rules` with `otherwise`")
        return self


class CopiesSection(Section):
    """A content that was rejected is rejected on sight for so many days."""

    within: Days


class PolicyRulesSection(Section):
    rules: list[RuleSection]
    otherwise: str


class StrategySection(Section):
    """Rules, or `policies` with rules each, of whose decisions the harshest wins.

    parameters : what `$name` is in its rules where no sweep gives it.
    """

    like: str | None = None
    replace: dict[str, str] = Field(default_factory=dict)
    parameters: dict[Word, float | str] = Field(default_factory=dict)
    rules: list[RuleSection] | None = None
    otherwise: str | None = None
    match: Literal["first", "harshest"] | None = None
    policies: Annotated[dict[str, PolicyRulesSection], Field(min_length=1)] | None = None
    review: ReviewSection | None = None
    strikes: StrikesSection | None = None
    copies: CopiesSection | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> StrategySection:
        given = [name for name in ("rules", "otherwise", "match") if getattr(self, name) is not None]
        if self.policies is not None and given:
            raise ValueError(f"`policies` have rules of their own; {given[0]} belongs to a strategy without them")
        return self
