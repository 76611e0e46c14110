"""One creative's way through every strategy of a finished run: what each rule asked, what it saw, what decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.conclude.search import search_stage, with_picks
from engine.errors import UsageError
from engine.expression import Atom, atoms, columns_of_atoms, evaluate, expression_text
from engine.manifest import finished_config
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.records import LOGGED, NOT_ASKED, Column
from engine.replay.walk import decided_at, walk
from engine.report.summary import decision_words, rule_words
from engine.report.wording import plain
from engine.stages.events import Events
from engine.stages.read import Creatives, creatives_plan, read_stage
from engine.stages.replay import find_ground
from engine.stages.run import Run
from engine.stages.score import score_stage
from engine.strategy import Rule, Strategy
from engine.tasks.stateful import remembered


@dataclass(frozen=True)
class Step:
    """A rule on the way: whether its condition holds, and the values that it saw. reached : no earlier one decided."""

    rule: str
    when: str
    holds: bool
    reached: bool
    saw: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Way:
    """What one strategy did with the creative, and what its memory made of that, if it has one."""

    strategy: str
    steps: tuple[Step, ...]
    decision: str
    memory: str = ""


@dataclass(frozen=True)
class Explained:
    """A creative, as the run knows it. facts : attribute, exposure or label → value in words."""

    creative_id: str
    facts: tuple[tuple[str, str], ...]
    ways: tuple[Way, ...]


def explain(run_dir: str, creative_id: str, progress: Progress) -> Explained:
    """Retrace a creative's way through every strategy of a finished run.

    Raises
    ------
    DataError : no finished run. UsageError : no creative of the period has this id.
    """
    config = finished_config(Path(run_dir))
    run = open_run(config, prepare(config), progress)
    creatives = read_stage(run)
    row, place = _find(run, creatives, creative_id)
    scored = score_stage(run, creatives, scores_exist=True)
    columns = creatives_plan(run, creatives).columns(row, scored.tables)
    ground = find_ground(run, creatives, scored)
    searched = search_stage(run, creatives, scored, ground)
    table = with_picks(run, searched).prepared.table
    ways = [_way(*each, columns) for each in zip(table.strategies, table.rules, strict=True)]
    if ground.events is not None:
        ways = [_remembering(run, ground.events, way, s, place) for way, s in zip(ways, table.strategies, strict=True)]
    return Explained(creative_id, tuple(_facts(run, row, columns)), tuple(ways))


def explained_text(found: Explained) -> str:
    """Return what `backtest explain` prints."""
    lines = [f"creative {plain(found.creative_id)}", *(f"  {name}: {plain(value)}" for name, value in found.facts)]
    for way in found.ways:
        lines += ["", f"{plain(way.strategy)}: {way.decision}" + (f"; {plain(way.memory)}" if way.memory else "")]
        for step in way.steps:
            mark = "holds" if step.holds else "does not hold"
            if not step.reached:
                mark += ", not reached"
            saw = ", ".join(f"{name} = {value}" for name, value in step.saw)
            lines.append(f"  {step.rule}: {plain(step.when)}: {mark}" + (f" ({plain(saw)})" if saw else ""))
    return "\n".join(lines)


def _find(run: Run, creatives: Creatives, creative_id: str) -> tuple[pa.Table, int]:
    """Return a creative's row, and how many creatives of the period come before it."""
    plan, before = creatives_plan(run, creatives), 0
    for shard in run.shards:
        table = plan.scored(plan.read(shard.number))
        at = pc.index(table["creative_id"], creative_id).as_py()
        if at >= 0:
            return table.slice(at, 1), before + at
        before += table.num_rows
    raise UsageError(f"explain: no creative of the period has the id {plain(creative_id)!r}")


def _facts(run: Run, row: pa.Table, columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    values = row.to_pylist()[0]
    names = ["advertiser_id", "submitted_at", *run.prepared.spec.attributes, "impressions", "spend"]
    for name in names:
        if name in values:
            yield name, "null" if values[name] is None else _scaled(run, name, values[name])
    for column in columns:
        if "." in column.name:
            yield column.name, _value(column)


def _scaled(run: Run, name: str, value: object) -> str:
    if name == "spend" and isinstance(value, int):
        return f"{value * run.config.exposure.spend_unit:g}"
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if hasattr(value, "strftime") else str(value)


def _way(strategy: Strategy, rules: tuple[Rule, ...], columns: Sequence[Column]) -> Way:
    steps: list[Step] = []
    decided: int | None = None
    for i, rule in enumerate(rules):
        asked = [] if rule.guard else list(atoms(rule.when))
        known = columns_of_atoms(list(atoms(rule.when)), columns)
        holds = bool(evaluate(rule.when, known, 1)[0])
        if strategy.name != LOGGED or (holds and decided is None):  # history's rules are one per logged value
            words = "always" if i == len(rules) - 1 else expression_text(rule.when)
            steps.append(Step(rule_words(rules, i), words, holds, decided is None, tuple(_saw(asked, known))))
        if holds and decided is None:
            decided = i
    assert decided is not None, "the last rule always fires"
    return Way(strategy.name, tuple(steps), decision_words(rules[decided]))


def _remembering(run: Run, events: Events, way: Way, strategy: Strategy, place: int) -> Way:
    """Return the way with what came of it: another rule, a copy, a queue, and when that was final."""
    if not strategy.memory:
        return way
    missing = run.prepared.spec.missing_score_allowed
    found = remembered(events.table, strategy, tuple(run.config.policies), missing_to_review=missing)
    code_N = walk(events.table.history, found.memory, found.codes, found.decided, found.reviewers)
    n = int(events.period_N[place])
    rule = found.codes.meaning[code_N[n]]
    at = int(decided_at(events.table.history, found.codes, code_N)[n])
    final = "not decided by the end of the period" if at == np.iinfo(np.int64).max else _moment(at)
    became = f", then {rule.final.name}" if rule.final is not None else ""
    return replace(way, decision=decision_words(rule) + became, memory=f"{rule.said}, {final}")


def _moment(at: int) -> str:
    return f"at {datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _saw(asked: Sequence[Atom], known: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(atom.column for atom in asked):
        yield name, _value(known[name])


def _value(column: Column) -> str:
    value = column.values_N[0]
    if column.levels is not None:
        return "null" if value < 0 else column.levels[int(value)]
    if value == NOT_ASKED and "." in column.name:
        return "not asked for"
    return "null" if np.isnan(value) else f"{value:.9g}"
