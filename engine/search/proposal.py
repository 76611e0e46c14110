"""Which settings to try next: the grid and finer ones around what was good, or those that optuna suggests."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from engine.errors import UsageError
from engine.search.space import Axis, Interval, Setting, Space, Value, neighbours
from engine.search.trial import Goal, Trial, allowed, best, values_of

_STEPS = 5  # values of a parameter in a finer grid


class Proposer(Protocol):
    """Proposes settings, round by round, until there are none."""

    def propose(self, tried: Sequence[Trial]) -> list[Setting]: ...


class Grid:
    """All settings of a space, then `rounds` finer grids around the best of every goal."""

    def __init__(self, space: Space, goals: Sequence[Goal], rounds: int) -> None:
        self._space, self._goals, self._rounds = space, goals, rounds
        self._round = -1

    def propose(self, tried: Sequence[Trial]) -> list[Setting]:
        """Return settings that have not been tried."""
        self._round += 1
        if self._round == 0:
            return self._space.settings()
        if self._round > self._rounds:
            return []
        known = {tuple(trial.setting.items()) for trial in tried}
        found: dict[tuple[tuple[str, Value], ...], Setting] = {}
        for goal in self._goals:
            at = best(tried, goal)
            if at is not None:
                for setting in self._around(tried, tried[at].setting):
                    found.setdefault(tuple(setting.items()), setting)
        return [setting for key, setting in found.items() if key not in known]

    def _around(self, tried: Sequence[Trial], centre: Setting) -> list[Setting]:
        """Return a finer grid around a setting, half as wide with every round; texts stay as they are."""
        axes: list[tuple[Value, ...]] = []
        for parameter in self._space.parameters:
            at = centre[parameter.name]
            if isinstance(at, str):
                axes.append((at,))
            elif isinstance(parameter, Interval):
                axes.append(parameter.around(at, 0.5 ** (self._round + 2), _STEPS))
            else:
                numbers = [v for trial in tried if not isinstance(v := trial.setting[parameter.name], str)]
                axes.append(neighbours(numbers, at, _STEPS))
        return [dict(zip(centre, chosen, strict=True)) for chosen in itertools.product(*axes)]


class Tpe:
    """Settings that optuna's tree-structured Parzen estimator suggests, `batch` at a time.

    Source: Bergstra, Bardenet, Bengio, Kégl 2011; constraints: Watanabe, Hutter 2023.
    """

    def __init__(self, space: Space, goal: Goal, trials: int, batch: int = 50) -> None:
        try:
            import optuna
        except ImportError:
            raise UsageError("sweep.trials: needs optuna: pip install 'ad-backtest[search]'") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._goal, self._left, self._batch = space, goal, trials, batch
        self._told = 0
        sampler = optuna.samplers.TPESampler(seed=space.seed, multivariate=True, constant_liar=True)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._asked: list[Any] = []
        self._failed = optuna.trial.TrialState.FAIL

    def propose(self, tried: Sequence[Trial]) -> list[Setting]:
        """Tell optuna what came of its last suggestions and return its next ones."""
        came = tried[self._told :]
        value_S, fit_S = values_of(came, self._goal.minimise), allowed(came, self._goal.constraint)
        for asked, value, fit in zip(self._asked, value_S, fit_S, strict=True):
            asked.set_constraint("allowed", 0.0 if fit else 1.0)
            if np.isnan(value):
                self._study.tell(asked, state=self._failed)
            else:
                self._study.tell(asked, float(value))
        self._told = len(tried)
        size = min(self._batch, self._left)
        self._left -= size
        self._asked = [self._study.ask() for _ in range(size)]
        return [{p.name: _suggested(asked, p) for p in self._space.parameters} for asked in self._asked]


def _suggested(trial: Any, parameter: Axis | Interval) -> Value:
    if isinstance(parameter, Interval):
        return float(trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.log))
    values = parameter.values
    if all(isinstance(value, float) for value in values):  # in order, so that optuna knows which are near
        return sorted(values)[trial.suggest_int(parameter.name, 0, len(values) - 1)]
    value: Value = trial.suggest_categorical(parameter.name, list(values))
    return value
