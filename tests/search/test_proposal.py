"""Proposers find the best of a function that is known."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from engine.errors import UsageError
from engine.expression import parse
from engine.search.proposal import Grid, Proposer, Tpe
from engine.search.space import Axis, Interval, Setting, Space, evenly
from engine.search.trial import Goal, Point, Trial, best

GOAL = Goal("loss", parse("load <= 0.6"))


def judged(setting: Setting) -> Trial:
    """A bowl around (0.33, 0.71), with a load that forbids a corner."""
    t, u = float(setting["t"]), float(setting["u"])
    loss, load = (t - 0.33) ** 2 + (u - 0.71) ** 2, t
    return Trial(str(setting), setting, {"loss": Point(loss, None, None), "load": Point(load, None, None)})


def searched(proposer: Proposer) -> list[Trial]:
    trials: list[Trial] = []
    while settings := proposer.propose(trials):
        trials += [judged(setting) for setting in settings]
    return trials


def least(trials: list[Trial]) -> float:
    at = best(trials, GOAL)
    assert at is not None
    value = trials[at].points["loss"].estimate
    assert value is not None
    return value


def test_finer_grids_come_nearer_and_repeat_nothing() -> None:
    space = Space((Axis("t", evenly(0, 1, 5)), Axis("u", evenly(0, 1, 5))))
    coarse, fine = searched(Grid(space, [GOAL], 0)), searched(Grid(space, [GOAL], 3))
    assert len(coarse) == 25
    names = [trial.name for trial in fine]
    assert len(set(names)) == len(names)
    assert least(fine) < 0.05 * least(coarse)


def test_random_draws_are_refined_too() -> None:
    space = Space((Interval("t", 0.0, 1.0), Interval("u", 0.01, 1.0, log=True)), draws=30, seed=1)
    assert least(searched(Grid(space, [GOAL], 3))) < 0.1 * least(searched(Grid(space, [GOAL], 0)))


def test_texts_are_not_refined() -> None:
    space = Space((Axis("t", (0.2, 0.4)), Axis("u", (0.7, 0.8)), Axis("kind", ("a", "b"))))
    assert {trial.setting["kind"] for trial in searched(Grid(space, [GOAL], 1))} == {"a", "b"}
    assert len(searched(Grid(space, [GOAL], 1))) > 8


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")
def test_optuna_gets_near_with_a_seed_and_keeps_to_the_constraint() -> None:
    space = Space((Interval("t", 0.0, 1.0), Interval("u", 0.0, 1.0)), seed=5)
    trials = searched(Tpe(space, GOAL, 120, batch=20))
    assert len(trials) == 120
    assert least(trials) < 0.005
    again = searched(Tpe(space, GOAL, 120, batch=20))
    assert [trial.setting for trial in again] == [trial.setting for trial in trials]


def test_without_optuna_the_fault_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="pip install"):
        Tpe(Space((Interval("t", 0.0, 1.0),)), GOAL, 10)
