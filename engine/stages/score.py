"""The score stage: every content that some strategy may ask about, scored once by each model that is asked.

Scores come from the store that all runs share; only what is not there is computed, in levels: a model that strategies
read only where a cheaper one says so waits for the cheaper one's scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine import store
from engine.errors import DataError
from engine.read.images import NO_PICTURE
from engine.records import ScoreTable
from engine.replay.asking import levels
from engine.score.folder import ModelFolder
from engine.stages.asked import asked_of, contents_of
from engine.stages.calibration import calibrated, fit_maps, map_facts
from engine.stages.missing import score_missing, this_machine
from engine.stages.near_copies import find_near_copies, thresholds
from engine.stages.read import Creatives
from engine.stages.run import Run, models_read
from engine.stages.sheet import ScoreSheet, score_table
from engine.tasks.score import ModelPlan


@dataclass
class Scored:
    """Scores of the contents of the run, as strategies read them.

    contents : model → contents that it scored for this run, whenever that was. scored_now : those of them that were
    scored now rather than found. twice : scored by this run and by another one at the same time.
    calibration, near_copies : what the report says of maps and of scores that stand for near-copies, by score column.
    """

    tables: tuple[ScoreTable, ...] = ()
    contents: dict[str, int] = field(default_factory=dict)
    scored_now: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    near_copies: dict[str, Any] = field(default_factory=dict)


def score_stage(run: Run, creatives: Creatives, *, scores_exist: bool = False) -> Scored:
    """Score every distinct content once, by every model that some strategy may ask about it.

    Raises
    ------
    DataError : `scores_exist` was promised and a content has none.
    """
    plans = model_plans(run)
    finished = {plan.name: store.find_committed(scores_path(run, plan), _identity(run, plan)) for plan in plans}
    if not all(finished.values()):
        return _score(run, creatives, plans, scores_exist)
    scored = Scored()
    if plans:
        with run.progress.stage("score", 0):
            for plan in plans:
                found = finished[plan.name]
                assert found is not None
                facts = json.loads(facts_path(run, plan.name).read_bytes())
                _take_up(run, scored, plan, store.read_committed(found), facts)
    return scored


def model_plans(run: Run) -> tuple[ModelPlan, ...]:
    """Return the models that some strategy reads, the cheapest (by the size of its files) first."""
    config, prepared = run.config, run.prepared
    read = {name for strategy in prepared.table.strategies for name in models_read(config, strategy)}
    plans = []
    for name in sorted(read, key=lambda name: (_size(prepared.openings[name].folder), list(config.models).index(name))):
        opening = prepared.openings[name]
        plans.append(ModelPlan(name, prepared.readings[name], opening, opening.fingerprint()))
    return tuple(plans)


def scores_path(run: Run, plan: ModelPlan) -> Path:
    """Return where the run keeps a model's scores."""
    return run.directory.path / "scores" / f"{plan.name}.parquet"


def facts_path(run: Run, model: str) -> Path:
    """Return where the run notes which machines computed a model's scores, and how near-copies agreed."""
    return run.directory.path / "scores" / f"{model}.facts.json"


def shared_scores(run: Run) -> store.ScoreStore:
    """Return the scores that runs share."""
    section = run.config.store
    return store.ScoreStore(Path(section.scores) if section.scores else Path(section.path) / "_scores")


def _score(run: Run, creatives: Creatives, plans: Sequence[ModelPlan], scores_exist: bool) -> Scored:
    """Find what is scored already, score the rest, level by level, and keep the run's own copy."""
    scores, scored = shared_scores(run), Scored()
    contents = contents_of(run, creatives, plans)
    copies = {reading: find_near_copies(run, reading, held.every) for reading, held in contents.items()}
    by_name = {plan.name: plan for plan in plans}
    for number, level in enumerate(levels(run.prepared.table, list(by_name))):
        mine = [by_name[name] for name in level]
        unscored = frozenset(by_name) - set(scored.contents)
        asked = asked_of(run, creatives, number, mine, scored.tables, unscored, contents)
        sheets = [
            ScoreSheet(plan, contents[plan.reading].every, asked_U, copies[plan.reading])
            for plan, asked_U in zip(mine, asked, strict=True)
        ]
        machine = this_machine(run, sheets) if run.config.store.on_numeric_change == "rescore" else None
        for sheet in sheets:
            if sheet.plan.reading.kind == "images":
                _settle_without_pictures(run, sheet)
            sheet.read(scores, machine)
            scored.scored_now[sheet.plan.name] = int(sheet.missing_U.sum())
            sheet.twice = 0  # what earlier runs computed twice was counted then
        lacking = max(scored.scored_now[name] for name in level)
        if scores_exist and lacking:
            raise DataError(f"{run.directory.path}: {lacking} contents lack scores; run `backtest score` first")
        score_missing(run, number, sheets, scores)
        for sheet in sheets:
            _keep(run, scored, sheet)
    return scored


def _settle_without_pictures(run: Run, sheet: ScoreSheet) -> None:
    """Score creatives that show no picture by the config's rule.

    Raises
    ------
    DataError : there are some, and no rule says what to make of them.
    """
    zero = run.config.creatives.on_no_image == "zero"
    asked = sheet.asks_about(NO_PICTURE)
    if asked and not zero and not run.prepared.spec.missing_score_allowed:
        raise DataError(
            f"models.{sheet.plan.name}: some creatives show no picture in {', '.join(sheet.plan.reading.columns)}, so "
            "they have no score; set creatives.on_no_image: zero or creatives.on_missing_score: review"
        )
    sheet.settle(NO_PICTURE, 0.0 if zero else float("nan"))


def _keep(run: Run, scored: Scored, sheet: ScoreSheet) -> None:
    """Commit the run's own copy of a model's scores."""
    plan, table = sheet.plan, sheet.table()
    near = {} if sheet.copies is None else _agreement(run, sheet)
    facts = {"contents": int(sheet.wanted_U.sum()), "machines": dict(sheet.machines), "near_copies": near}
    store.write_whole(facts_path(run, plan.name), json.dumps(facts, sort_keys=True).encode())
    made_by = {"fingerprint": plan.fingerprint, "model": plan.name}
    store.commit_table(scores_path(run, plan), table, _identity(run, plan), made_by)
    scored.twice[plan.name] = sheet.twice
    _take_up(run, scored, plan, table, facts)


def _take_up(run: Run, scored: Scored, plan: ModelPlan, table: pa.Table, facts: Mapping[str, Any]) -> None:
    maps = fit_maps(run, plan, table)
    scored.contents[plan.name] = facts["contents"]
    scored.scored_now.setdefault(plan.name, 0)
    scored.twice.setdefault(plan.name, 0)
    scored.tables = (*scored.tables, calibrated(plan, score_table(plan, table), maps))
    scored.calibration |= map_facts(plan, maps)
    scored.near_copies |= facts["near_copies"]


def _agreement(run: Run, sheet: ScoreSheet) -> dict[str, Any]:
    """Return, per score column, how many contents carry a near-copy's score and how that of the checked ones agreed."""
    from engine.read.near_copies import agreement

    found = {}
    checked_U = sheet.checked_U
    for p, policy in enumerate(sheet.plan.policies):
        column = f"{sheet.plan.name}.{policy}"
        own, given = (sheet.score_UP[at, p] for at in (checked_U, sheet.representative_U[checked_U]))
        facts = asdict(agreement(given, own, thresholds(run, column)))
        found[column] = facts | {"contents": int(sheet.asked_U.sum()), "propagated": sheet.propagated}
    return found


def _identity(run: Run, plan: ModelPlan) -> str:
    return store.fingerprint([run.identity, plan.fingerprint])


def _size(folder: ModelFolder) -> int:
    return sum((folder.path / name).stat().st_size for name, _ in folder.files)
