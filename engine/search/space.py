"""The settings that a sweep tries: a grid over lists and ranges, or seeded random draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Value = float | str
Setting = Mapping[str, Value]


@dataclass(frozen=True)
class Axis:
    """One parameter with the values it takes, in order."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Interval:
    """One parameter drawn at random, uniformly over [low, high] or, with `log`, over its logarithm."""

    name: str
    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """Return the value at a share of the way from low to high."""
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)

    def around(self, value: float, width: float, steps: int) -> tuple[float, ...]:
        """Return `steps` values around one, at most `width` of the interval to either side; itself among them."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        share = ((math.log(value) if self.log else value) - low) / (high - low)
        ends = max(0.0, share - width), min(1.0, share + width)
        return tuple(sorted({*(self.at(float(x)) for x in np.linspace(*ends, steps)), value}))


@dataclass(frozen=True)
class Space:
    """All parameters of a sweep. draws : random settings, where some parameter is an Interval; else the whole grid."""

    parameters: tuple[Axis | Interval, ...]
    draws: int = 0
    seed: int = 0

    @property
    def size(self) -> int:
        """How many settings the first round has."""
        if self.draws:
            return self.draws
        return math.prod(len(axis.values) for axis in self.parameters if isinstance(axis, Axis))

    def settings(self) -> list[Setting]:
        """Return the settings of the first round; random ones are equal for equal seeds."""
        if not self.draws:
            axes = [axis for axis in self.parameters if isinstance(axis, Axis)]
            names = [axis.name for axis in axes]
            return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*(a.values for a in axes))]
        share_DK = np.random.default_rng(self.seed).random((self.draws, len(self.parameters)))
        return [
            {p.name: _drawn(p, float(share)) for p, share in zip(self.parameters, row, strict=True)} for row in share_DK
        ]


def evenly(low: float, high: float, steps: int) -> tuple[float, ...]:
    """Return `steps` values from low to high, both included, each the shortest decimal that says it."""
    return tuple(dict.fromkeys(float(f"{value:.12g}") for value in np.linspace(low, high, steps)))


def _drawn(parameter: Axis | Interval, share: float) -> Value:
    if isinstance(parameter, Interval):
        return parameter.at(share)
    return parameter.values[min(int(share * len(parameter.values)), len(parameter.values) - 1)]


def name_of(strategy: str, setting: Setting) -> str:
    """Return what a strategy with a setting is called, such as `candidate review_at=0.5 reject_at=0.9`."""
    return " ".join([strategy, *(f"{name}={_shown(value)}" for name, value in setting.items())])


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"


def neighbours(values: Sequence[float], at: float, steps: int) -> tuple[float, ...]:
    """Return `steps` values between the neighbours of a value among those tried; the value itself is one of them."""
    tried = sorted(set(values))
    k = tried.index(at)
    low, high = tried[max(k - 1, 0)], tried[min(k + 1, len(tried) - 1)]
    return tuple(sorted({*evenly(low, high, steps), at}))
