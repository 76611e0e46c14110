"""The search stage: settings of a sweep → what each would have done to history, the best ones, and the front."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from engine.conclude.confirm import Checked, Confirmation, Suspect, confirm
from engine.conclude.judge import Judge, table_of
from engine.config.strategies import find_template
from engine.config.sweep import SweepSection
from engine.errors import UsageError
from engine.expression import parse
from engine.records import Flags
from engine.schema import SEARCH
from engine.search.proposal import Grid, Proposer, Tpe
from engine.search.space import name_of
from engine.search.trial import Goal, Trial, best, front, values_of
from engine.stages.read import Creatives
from engine.stages.replay import Ground
from engine.stages.run import Run
from engine.stages.score import Scored
from engine.strategy import Strategy, Template, bind

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
    """Everything that was tried. on_front_S : trials that no other one beats. numbers : as the config writes them.

    Trials, front and picks know what selects alone; confirmation has the front and the picks again.
    """

    section: SweepSection
    policy: str
    numbers: tuple[str, ...]
    trials: tuple[Trial, ...]
    on_front_S: Flags
    picks: tuple[Pick, ...]
    confirmation: Confirmation

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
            "confirmation": self.confirmation.as_plain(_IN_SUMMARY),
        }

    def table(self) -> pa.Table:
        """Return every number of every trial, as schema.SEARCH."""
        picked: dict[int | None, str] = {}
        for pick in self.picks:
            picked[pick.trial] = ", ".join(filter(None, [picked.get(pick.trial), pick.name]))
        rows = []
        for s, (t, on) in enumerate(zip(self.trials, self.on_front_S, strict=True)):
            setting, again = json.dumps(dict(t.setting)), self.confirmation.of(s) if on or s in picked else {}
            for number, p in t.points.items():
                found = (t.name, setting, number, p.estimate, p.low, p.high, p.reason, bool(on), picked.get(s))
                rows.append((*found, *_again(again.get(number))))
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
    judge = Judge(run, creatives, scored, ground, section)
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
    on_front_S = front(value_SM)
    picks = tuple(_pick(aim, trials, template) for aim in aims)
    picked = [pick.trial for pick in picks if pick.trial is not None]
    ranked = map(int, np.argsort(value_SM[:, 0], kind="stable"))
    again = dict.fromkeys([*picked, *(s for s in ranked if on_front_S[s])])
    suspects = [
        Suspect(replace(bind(template, trials[s].setting), name=trials[s].name), trials[s].setting, s, s in picked)
        for s in again
    ]
    since = section.confirm_from.isoformat() if section.confirm_from else None
    suspects = [*_baseline(run, section), *suspects]
    confirmation = Confirmation(since, run.config.estimate.confidence, 0, None, ())
    if suspects:
        confirmation = confirm(judge, since, suspects, run.config.seed)
    return Searched(section, judge.policy, section.numbers(), tuple(trials), on_front_S, picks, confirmation)


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
    table = table_of(run, [*run.prepared.table.strategies, *searched.strategies])
    return replace(run, prepared=replace(run.prepared, table=table))


def _baseline(run: Run, section: SweepSection) -> list[Suspect]:
    """Return the strategy that settings are held against again: that of `compare`, else of `equal`; none is none."""
    named = [run.config.compare.baseline] if run.config.compare else []
    named += [section.equal.to] if section.equal else []
    known = {strategy.name: strategy for strategy in run.prepared.table.strategies}
    return [Suspect(known[name], None, None, picked=False) for name in named if name in known][:1]


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


def _again(checked: Checked | None) -> tuple[float | None, ...]:
    """Return the confirmed number with its interval, and the bounds that hold for all of the front at once."""
    if checked is None:
        return (None,) * 5
    then = checked.confirmed
    confirmed = (None, None, None) if then is None else (then.estimate, then.low, then.high)
    return (*confirmed, checked.low, checked.high)


def _plain(trial: Trial) -> dict[str, Any]:
    return {"setting": dict(trial.setting), "points": {name: asdict(point) for name, point in trial.points.items()}}
