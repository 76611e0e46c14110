"""The search stage: settings of a sweep → what each would have done to history, the best ones, and the front."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from engine.conclude.numbers import ask_of
from engine.config.strategies import find_template
from engine.config.sweep import SweepSection
from engine.errors import UsageError
from engine.estimate.chosen import chosen_numbers
from engine.estimate.metrics import Number
from engine.estimate.question import Question
from engine.expression import parse
from engine.records import ANY, Estimate, Flags
from engine.schema import SEARCH
from engine.search.proposal import Grid, Proposer, Tpe
from engine.search.space import Setting, name_of
from engine.search.trial import Goal, Point, Trial, best, front, values_of
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run, models_read
from engine.stages.score import Scored
from engine.strategy import Strategy, StrategyTable, Template, bind, build_table

_IN_SUMMARY = 200  # settings of the front; all of them are in search.parquet


@dataclass(frozen=True)
class Pick:
    """What a goal chose.

    name : of the strategy that joins the run, such as `candidate best`. goal : in words. trial : its position, None
    where nothing keeps to the constraint. strategy : the chosen one under its new name.
    """

    name: str
    goal: str
    trial: int | None
    strategy: Strategy | None


@dataclass(frozen=True)
class Searched:
    """Everything that was tried. on_front_S : trials that no other one beats. numbers : as the config writes them."""

    section: SweepSection
    policy: str
    numbers: tuple[str, ...]
    trials: tuple[Trial, ...]
    on_front_S: Flags
    picks: tuple[Pick, ...]

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """The picked strategies, each once."""
        return tuple(pick.strategy for pick in self.picks if pick.strategy is not None)

    def as_plain(self) -> dict[str, Any]:
        """Return what summary.json holds of the sweep: what was picked, and the front by its first number."""
        front = sorted(map(int, np.flatnonzero(self.on_front_S)), key=lambda s: self._first(self.trials[s]))
        return {
            "strategy": self.section.strategy,
            "policy": self.policy,
            "reading": self.section.reading,
            "weighting": self.section.weighting,
            "numbers": list(self.numbers),
            "tried": len(self.trials),
            "picks": [
                {"name": p.name, "goal": p.goal, "trial": None if p.trial is None else _plain(self.trials[p.trial])}
                for p in self.picks
            ],
            "on_front": len(front),
            "front": [_plain(self.trials[s]) for s in front[:_IN_SUMMARY]],
        }

    def table(self) -> pa.Table:
        """Return every number of every trial, as schema.SEARCH."""
        picked: dict[int | None, str] = {}
        for pick in self.picks:
            picked[pick.trial] = ", ".join(filter(None, [picked.get(pick.trial), pick.name]))
        rows = [
            (t.name, json.dumps(dict(t.setting)), number, p.estimate, p.low, p.high, p.reason, bool(on), picked.get(s))
            for s, (t, on) in enumerate(zip(self.trials, self.on_front_S, strict=True))
            for number, p in t.points.items()
        ]
        columns = zip(*rows, strict=True) if rows else ((),) * len(SEARCH)
        return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SEARCH, strict=True)], schema=SEARCH)

    def _first(self, trial: Trial) -> float:
        value = trial.points[self.section.front[0]].estimate
        assert value is not None, "a front holds numbers alone"
        return value


def search_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> Searched | None:
    """Try the settings of `sweep`, round by round; None where the config has no sweep."""
    section = run.config.sweep
    if section is None:
        return None
    judge = _Judge(run, creatives, scored, ground, section)
    template = find_template(run.config, section.strategy)
    standard = None
    if section.equal:
        known = run.prepared.table.strategies[run.prepared.table.names.index(section.equal.to)]
        standard = judge.trials([known], [{}])[0]
    aims = _aims(section, standard)
    proposer = _proposer(run, section, aims)
    trials: list[Trial] = []
    while settings := proposer.propose(trials):
        names = [name_of(section.strategy, setting) for setting in settings]
        strategies = [
            replace(bind(template, setting), name=name) for name, setting in zip(names, settings, strict=True)
        ]
        trials += judge.trials(strategies, settings)
    value_SM = np.stack([values_of(trials, number) for number in section.front], axis=1)
    picks = tuple(_pick(aim, trials, template) for aim in aims)
    return Searched(section, judge.policy, section.numbers(), tuple(trials), front(value_SM), picks)


def with_picks(run: Run, searched: Searched | None) -> Run:
    """Return the run with the picked strategies beside those of the config.

    Raises
    ------
    UsageError : what is to be compared was not found.
    """
    if searched is None:
        return run
    compare, names = run.config.compare, {strategy.name for strategy in searched.strategies}
    for key, name in (("baseline", compare.baseline), ("candidate", compare.candidate)) if compare else ():
        if name in searched.section.picked() and name not in names:
            raise UsageError(f"compare.{key}: the sweep found no {name}: nothing keeps to its constraint")
    if not searched.strategies:
        return run
    table = _table(run, [*run.prepared.table.strategies, *searched.strategies])
    return replace(run, prepared=replace(run.prepared, table=table))


def billed_with(run: Run, scored: Scored, strategies: Sequence[Strategy]) -> dict[str, dict[str, int | None]]:
    """Return what each model's contents are billed to: a sweep asks about every creative, so all to each setting."""
    sampled = run.prepared.spec.sample is not None
    out = {model: dict(billed) for model, billed in scored.billed.items()}
    for strategy in strategies:
        for model in models_read(run.config, strategy):
            out.setdefault(model, {}).setdefault(strategy.name, None if sampled else scored.contents[model])
    return out


class _Judge:
    """Replays strategies and estimates the numbers that the sweep needs."""

    def __init__(self, run: Run, creatives: Creatives, scored: Scored, ground: Ground, section: SweepSection) -> None:
        self._run, self._creatives, self._scored, self._ground = run, creatives, scored, ground
        self._section, self._round = section, 0
        several = len(run.config.policies) > 1
        self.policy = section.policy or (ANY if several else run.config.policies[0])
        cost = run.config.cost.weighting if run.config.cost else "creatives"
        self._numbers = {written: section.number(written, cost) for written in section.numbers()}

    def trials(self, strategies: Sequence[Strategy], settings: Sequence[Setting]) -> list[Trial]:
        """Return one trial per strategy, in order."""
        question = self._question(strategies)
        numbers = list(dict.fromkeys(self._numbers.values()))
        out: list[Trial] = []
        with self._run.progress.stage("search", 1) as step:
            found = chosen_numbers(question, numbers, self.policy, self._section.reading)
            for strategy, setting, estimates in zip(strategies, settings, found, strict=True):
                out.append(Trial(strategy.name, setting, self._points(estimates)))
            step(len(strategies))
        return out

    def _question(self, strategies: Sequence[Strategy]) -> Question:
        wanted = Wanted(_table(self._run, strategies), name=f"search-{self._round}", whole=True)
        self._round += 1
        replayed = replay_stage(self._run, self._creatives, self._scored, self._ground, wanted)
        return ask_of(self._run, replayed, billed_with(self._run, self._scored, strategies)).question

    def _points(self, estimates: Mapping[Number, Estimate]) -> dict[str, Point]:
        rows = {written: estimates[number] for written, number in self._numbers.items()}
        return {w: Point(row.estimate, row.low, row.high, row.null_reason) for w, row in rows.items()}


@dataclass(frozen=True)
class _Aim:
    """A goal, the name of what it picks, and the goal in words. goal is None where there is nothing to equal."""

    name: str
    words: str
    goal: Goal | None


def _aims(section: SweepSection, standard: Trial | None) -> list[_Aim]:
    ties = tuple(number for number in section.front if number != section.minimise)
    words = f"the least {section.minimise}" + (f" with {section.subject_to}" if section.subject_to else "")
    names = section.picked()
    aims = [_Aim(names[0], words, Goal(section.minimise, section.constraint(), ties))]
    if section.equal is None or standard is None:
        return aims
    for name, number in zip(names[1:], section.equal.at, strict=True):
        value = standard.points[number].estimate
        held = None if value is None else Goal(section.minimise, parse(f"{number} <= {value!r}"), ties)
        said = f"{section.equal.to}'s {number}"
        words = f"the least {section.minimise} at no more than {said}"
        aims.append(_Aim(name, words, held))
    return aims


def _proposer(run: Run, section: SweepSection, aims: Sequence[_Aim]) -> Proposer:
    space, goals = section.space(run.config.seed), [aim.goal for aim in aims if aim.goal is not None]
    return Tpe(space, goals[0], section.trials) if section.trials else Grid(space, goals, section.refine)


def _pick(aim: _Aim, trials: Sequence[Trial], template: Template) -> Pick:
    at = best(trials, aim.goal) if aim.goal is not None else None
    strategy = None if at is None else replace(bind(template, trials[at].setting), name=aim.name)
    return Pick(aim.name, aim.words, at, strategy)


def _plain(trial: Trial) -> dict[str, Any]:
    return {"setting": dict(trial.setting), "points": {name: asdict(point) for name, point in trial.points.items()}}


def _table(run: Run, strategies: Sequence[Strategy]) -> StrategyTable:
    return build_table(strategies, missing_to_review=run.prepared.spec.missing_score_allowed)
