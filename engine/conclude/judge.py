"""Replays strategies of a sweep, and asks for their numbers over the period or over one of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.conclude.numbers import ask_of
from engine.config.sweep import SweepSection
from engine.errors import UsageError
from engine.estimate.chosen import chosen_numbers, within
from engine.estimate.known import creatives_of
from engine.estimate.metrics import Number
from engine.estimate.question import Question
from engine.records import ANY, Estimate
from engine.search.space import Setting
from engine.search.trial import Point, Trial
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run, models_read
from engine.stages.score import Scored
from engine.strategy import Strategy, StrategyTable, build_table


class Judge:
    """Replays strategies and estimates the numbers that the sweep needs.

    numbers : as the config writes them, and what they mean. reading, policy : what they are about.
    """

    def __init__(self, run: Run, creatives: Creatives, scored: Scored, ground: Ground, section: SweepSection) -> None:
        self._run, self._creatives, self._scored, self._ground = run, creatives, scored, ground
        self._round = 0
        several = len(run.config.policies) > 1
        self.policy = section.policy or (ANY if several else run.config.policies[0])
        self.reading = section.reading
        cost = run.config.cost.weighting if run.config.cost else "creatives"
        self.numbers = {written: section.number(written, cost) for written in section.numbers()}
        since = section.confirm_from
        self._cuts = () if since is None else (round(since.timestamp() * 1e6),)

    def trials(self, strategies: Sequence[Strategy], settings: Sequence[Setting]) -> list[Trial]:
        """Return one trial per strategy, in order, with its numbers over what selects: all before the confirmation."""
        question = self.ask(strategies, f"search-{self._round}")[0]
        self._round += 1
        with self._run.progress.stage("search", 1) as step:
            found = chosen_numbers(question, list(dict.fromkeys(self.numbers.values())), self.policy, self.reading)
            out = [
                Trial(strategy.name, setting, self.points(estimates))
                for strategy, setting, estimates in zip(strategies, settings, found, strict=True)
            ]
            step(len(strategies))
        return out

    def ask(self, strategies: Sequence[Strategy], name: str) -> tuple[Question, ...]:
        """Replay strategies; return the question about each part of the period: what selects, then what confirms.

        name : of the replay, a folder of its own. Where nothing is set apart there is one part, the period.

        Raises
        ------
        UsageError : a part has no creatives.
        """
        table = table_of(self._run, strategies)
        wanted = Wanted(table, name=name, whole=True, cuts=self._cuts)
        replayed = replay_stage(self._run, self._creatives, self._scored, self._ground, wanted)
        question = ask_of(self._run, replayed, billed_with(self._run, self._scored, strategies)).question
        if not self._cuts:
            return (question,)
        parts = within(question, 1), within(question, 2)
        for part, words in zip(parts, ("before it", "from it on"), strict=True):
            if not creatives_of(part.totals, part.segments).all():
                raise UsageError(f"sweep.confirm_from: no creative of the period was submitted {words}")
        return parts

    def points(self, estimates: Mapping[Number, Estimate]) -> dict[str, Point]:
        """Return the numbers by how the config writes them."""
        return {written: point_of(estimates[number]) for written, number in self.numbers.items()}


def point_of(row: Estimate) -> Point:
    """Return what a sweep keeps of an estimate."""
    return Point(row.estimate, row.low, row.high, row.null_reason)


def billed_with(run: Run, scored: Scored, strategies: Iterable[Strategy]) -> dict[str, dict[str, int | None]]:
    """Return what each model's contents are billed to: a sweep asks about every creative, so all to each setting."""
    sampled = run.prepared.spec.sample is not None
    out = {model: dict(billed) for model, billed in scored.billed.items()}
    for strategy in strategies:
        for model in models_read(run.config, strategy):
            out.setdefault(model, {}).setdefault(strategy.name, None if sampled else scored.contents[model])
    return out


def table_of(run: Run, strategies: Sequence[Strategy]) -> StrategyTable:
    """Return the strategies as a table."""
    return build_table(strategies, missing_to_review=run.prepared.spec.missing_score_allowed)
