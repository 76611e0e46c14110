"""The `sweep` section: which settings of a strategy's parameters to try, and what makes one good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.config.values import Instant, Names, Section, Word
from engine.errors import did_you_mean
from engine.estimate.metrics import COST, FORMULAS, Number
from engine.expression import Expression, ExpressionError, columns_read, parse
from engine.records import WEIGHTINGS
from engine.search.space import Axis, Interval, Space, evenly

_DRAWN = 1000  # settings, where some parameter is drawn and `draws` is not given
MOST = 10_000


class RangeSection(Section):
    """`steps` values from one number to another, both included."""

    from_: float = Field(alias="from")
    to: float
    steps: Annotated[int, Field(ge=2, le=MOST)]


class UniformSection(Section):
    """Drawn at random between two numbers."""

    uniform: tuple[float, float]


class LogUniformSection(Section):
    """Drawn at random between two numbers above 0, evenly over their logarithms."""

    log_uniform: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


Parameter = (
    Annotated[list[float], Field(min_length=1)]
    | Annotated[list[str], Field(min_length=1)]
    | RangeSection
    | UniformSection
    | LogUniformSection
)


class EqualSection(Section):
    """Re-threshold: among settings that are no worse than strategy `to` in one of `at`, the best one each."""

    to: str
    at: Annotated[Names, Field(min_length=1)]


class SweepSection(Section):
    """Settings of one strategy's `$parameters`, held against each other by numbers over all creatives.

    Numbers are written metric or metric.weighting; a bare metric is weighted by `weighting`. policy : default `any`,
    or the only one. refine : rounds of finer grids around what was best. trials : settings that optuna suggests,
    instead of the grid. front : numbers of the Pareto front, less is better. confirm_from : creatives submitted from
    then on do not choose; what was chosen, and the front, is estimated on them again.
    """

    strategy: str
    parameters: dict[Word, Parameter] = Field(min_length=1)
    draws: Annotated[int, Field(ge=1, le=MOST)] | None = None
    trials: Annotated[int, Field(ge=1, le=MOST)] | None = None
    refine: Annotated[int, Field(ge=0, le=10)] = 0
    minimise: str = "leakage_rate"
    subject_to: str | None = None
    equal: EqualSection | None = None
    front: Names = Field(default_factory=lambda: ["leakage_rate", "overkill_rate", "review_rate"])
    policy: str | None = None
    reading: Literal["machine", "after_review"] = "after_review"
    weighting: Literal["creatives", "impressions", "spend"] = "creatives"
    confirm_from: Instant | None = None

    @model_validator(mode="after")
    def _one_way(self) -> SweepSection:
        drawn = any(isinstance(p, UniformSection | LogUniformSection) for p in self.parameters.values())
        if self.draws and not drawn:
            raise ValueError("draws is given, but no parameter is drawn: write {uniform: [0, 1]}")
        if self.trials and (self.draws or self.refine):
            raise ValueError("trials (optuna) goes without draws and refine")
        for name, p in self.parameters.items():
            low, high = _ends(p)
            if not low < high:
                raise ValueError(f"parameters.{name}: {low:g} must lie below {high:g}")
        return self

    def number(self, written: str, cost_weighting: str) -> Number:
        """Return what `metric` or `metric.weighting` means; cost has one weighting, that of its section."""
        metric, _, weighting = written.partition(".")
        return Number(metric, cost_weighting if metric == COST else weighting or self.weighting)

    def constraint(self) -> Expression | None:
        """Return the constraint; its columns are numbers as written."""
        return None if self.subject_to is None else parse(self.subject_to)

    def numbers(self) -> tuple[str, ...]:
        """Return every number the sweep needs, as written, each once: what is minimised first."""
        constraint = self.constraint()
        read = () if constraint is None else columns_read(constraint)
        return tuple(dict.fromkeys([self.minimise, *self.front, *read, *(self.equal.at if self.equal else ())]))

    def picked(self) -> tuple[str, ...]:
        """Return the names of the strategies that the sweep adds to the run."""
        equals = [f"{self.strategy} at {self.equal.to}'s {number}" for number in self.equal.at] if self.equal else []
        return (f"{self.strategy} best", *equals)

    def space(self, seed: int) -> Space:
        """Return the settings to try."""
        parameters = tuple(_parameter(name, written) for name, written in self.parameters.items())
        drawn = any(isinstance(p, Interval) for p in parameters)
        return Space(parameters, (self.draws or _DRAWN) if drawn else 0, seed)


def sweep_faults(section: SweepSection, policies: list[str], strategies: list[str], *, priced: bool) -> Iterator[str]:
    """Yield one line for every name of the section that means nothing, and for a grid that is too large."""
    try:
        numbers = section.numbers()
    except ExpressionError as error:
        yield f"sweep.subject_to: {error}"
        return
    for written in numbers:
        metric, dot, weighting = written.partition(".")
        if metric not in FORMULAS:
            yield f"sweep: unknown metric {metric}{did_you_mean(metric, FORMULAS)}"
        elif dot and weighting not in WEIGHTINGS:
            yield f"sweep: {written}: unknown weighting {weighting}{did_you_mean(weighting, WEIGHTINGS)}"
        elif metric == COST and not priced:
            yield "sweep: cost needs the section `cost`"
    if section.policy is not None and section.policy not in policies:
        yield f"sweep.policy: unknown policy {section.policy}{did_you_mean(section.policy, policies)}"
    if section.equal and section.equal.to not in strategies:
        yield f"sweep.equal.to: unknown strategy {section.equal.to}{did_you_mean(section.equal.to, strategies)}"
    size = section.space(0).size
    if size > MOST and not section.trials:
        yield f"sweep.parameters: {size:,} settings are more than {MOST:,}; draw some: {{uniform: [0, 1]}} and draws"


def _ends(written: Parameter) -> tuple[float, float]:
    match written:
        case RangeSection():
            return written.from_, written.to
        case UniformSection():
            return written.uniform
        case LogUniformSection():
            return written.log_uniform
    return 0.0, 1.0  # a list has none


def _parameter(name: str, written: Parameter) -> Axis | Interval:
    match written:
        case RangeSection():
            return Axis(name, evenly(written.from_, written.to, written.steps))
        case UniformSection():
            return Interval(name, *written.uniform)
        case LogUniformSection():
            return Interval(name, *written.log_uniform, log=True)
        case _:
            return Axis(name, tuple(written))
