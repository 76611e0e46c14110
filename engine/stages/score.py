"""The score stage: every content that some strategy may ask about, scored once by each model that is asked.

Scores come from the store that all runs share; only what is not there is computed, in levels: a model that strategies
read only where a cheaper one says so waits for the cheaper one's scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine import store
from engine.errors import DataError
from engine.estimate.calibration import CalibrationMap
from engine.read.images import NO_PICTURE
from engine.records import Flags, ScoreTable
from engine.replay.asking import asks_always, levels
from engine.score.folder import ModelFolder
from engine.stages.agreement import agreement_facts
from engine.stages.asked import asked_of, contents_of, distinct_contents
from engine.stages.calibration import calibrated, fit_maps, map_facts
from engine.stages.drift import drift_facts, float32_check
from engine.stages.missing import score_missing, this_machine
from engine.stages.near_copies import find_near_copies
from engine.stages.read import Creatives
from engine.stages.run import Run, models_read
from engine.stages.sheet import ScoreSheet, score_table
from engine.tasks.score import ModelPlan


@dataclass
class Scored:
    """Scores of the contents of the run, as strategies read them.

    hashes : of the run's own score files. contents : model → contents that it scored for this run, whenever that was.
    billed : model → strategy → contents that the strategy alone would have it score, None where nobody knows.
    scored_now : those that were scored now rather than found. twice : by this run and by another one at the same time.
    calibration, near_copies, drift : what the report says of maps, of scores that stand for near-copies and of scores
        in int8, by score column.
    """

    tables: tuple[ScoreTable, ...] = ()
    hashes: tuple[str, ...] = ()
    contents: dict[str, int] = field(default_factory=dict)
    billed: dict[str, dict[str, int | None]] = field(default_factory=dict)
    scored_now: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    near_copies: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, Any] = field(default_factory=dict)


def score_stage(run: Run, creatives: Creatives, *, scores_exist: bool = False) -> Scored:
    """Score every distinct content once, by every model that some strategy may ask about it.

    Raises
    ------
    DataError : `scores_exist` was promised and a content has none.
    """
    plans = model_plans(run)
    finished = [found for plan in plans if (found := _finished(run, plan))]
    if len(finished) < len(plans):
        return _score(run, creatives, plans, scores_exist)
    scored = Scored()
    if plans:
        with run.progress.stage("score", 0):
            for plan, (done, facts) in zip(plans, finished, strict=True):
                table = store.read_committed(done)
                _take_up(scored, plan, done, table, facts, fit_maps(run, creatives, plan, table))
    return scored


def _finished(run: Run, plan: ModelPlan) -> tuple[store.Committed, dict[str, Any]] | None:
    """Return the run's own copy of a model's scores and the facts beside it, None where they have to be made."""
    done = store.find_committed(scores_path(run, plan), _identity(run, plan))
    facts = store.find_committed(facts_path(run, plan.name), _identity(run, plan))
    return None if done is None or facts is None else (done, json.loads(store.read_committed_bytes(facts)))


def model_plans(run: Run) -> tuple[ModelPlan, ...]:
    """Return the models that some strategy reads, the cheapest (by the size of its files) first."""
    config, prepared = run.config, run.prepared
    read = {name for strategy in prepared.asking.strategies for name in models_read(config, strategy)}
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
    for number, level in enumerate(levels(run.prepared.asking, list(by_name))):
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
        checks = {sheet.plan.name: check for sheet in sheets if (check := float32_check(sheet))}
        for check in checks.values():
            check.read(scores, machine)
        lacking = max(int(sheet.missing_U.sum()) for sheet in (*sheets, *checks.values()))
        if scores_exist and lacking:
            raise DataError(f"{run.directory.path}: {lacking} contents lack scores; run `backtest score` first")
        score_missing(run, str(number), sheets, scores)
        _score_checks(run, f"{number}-float32", list(checks.values()), scores)
        for sheet in sheets:
            if not run.prepared.spec.missing_score_allowed:
                sheet.refuse_missing(str(scores.path))
            _keep(run, creatives, scored, sheet, checks.get(sheet.plan.name), contents[sheet.plan.reading].replayed_U)
    return scored


def _score_checks(run: Run, name: str, checks: Sequence[ScoreSheet], scores: store.ScoreStore) -> None:
    """Score what no model of the level, which may be one of the same folder in float32, has scored by now."""
    for check in checks:
        check.read(scores)
    if any(check.missing_U.any() for check in checks):
        score_missing(run, name, checks, scores)


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


def _keep(
    run: Run, creatives: Creatives, scored: Scored, sheet: ScoreSheet, check: ScoreSheet | None, replayed_U: Flags
) -> None:
    """Commit the run's own copy of a model's scores. check : the same in float32, of a model in int8."""
    plan, table = sheet.plan, sheet.table()
    maps = fit_maps(run, creatives, plan, table)
    facts = {
        "contents": int(sheet.wanted_U.sum()),
        "billed": _billed(run, creatives, sheet, replayed_U),
        "machines": dict(sheet.machines),
        "near_copies": {} if sheet.copies is None else _agreement(run, sheet, maps),
        "drift": {} if check is None else drift_facts(run, sheet, check, maps),
    }
    store.commit_bytes(facts_path(run, plan.name), json.dumps(facts, sort_keys=True).encode(), _identity(run, plan))
    made_by = {"fingerprint": plan.fingerprint, "model": plan.name}
    done = store.commit_table(scores_path(run, plan), table, _identity(run, plan), made_by)
    scored.twice[plan.name] = sheet.twice
    _take_up(scored, plan, done, table, facts, maps)


def _take_up(
    scored: Scored,
    plan: ModelPlan,
    done: store.Committed,
    table: pa.Table,
    facts: Mapping[str, Any],
    maps: dict[str, CalibrationMap],
) -> None:
    scored.contents[plan.name] = facts["contents"]
    scored.billed[plan.name] = facts["billed"]
    scored.scored_now.setdefault(plan.name, 0)
    scored.twice.setdefault(plan.name, 0)
    scored.tables = (*scored.tables, calibrated(plan, score_table(plan, table), maps))
    scored.hashes = (*scored.hashes, done.hash)
    scored.calibration |= map_facts(plan, maps)
    scored.near_copies |= facts["near_copies"]
    scored.drift |= facts.get("drift", {})


def _billed(run: Run, creatives: Creatives, sheet: ScoreSheet, replayed_U: Flags) -> dict[str, int | None]:
    """Return, per strategy that reads the model, how many contents it would have scored; None where nobody knows.

    A strategy that asks about every creative is billed for all contents of the period, also where a sample is scored.
    One that asks in places is billed for those where no other strategy asks the same model.
    """
    table, name = run.prepared.asking, sheet.plan.name
    readers = [s for s, strategy in enumerate(table.strategies) if name in models_read(run.config, strategy)]
    # Near-copies: representatives and what was checked; what calibrates may be among them.
    chosen = int((sheet.wanted_U & replayed_U if sheet.copies is None else sheet.wanted_U).sum())
    here = None if run.prepared.spec.sample is not None else chosen
    everything = here if sheet.copies is not None else distinct_contents(run, creatives, sheet.plan.reading)
    in_places = here if len(readers) == 1 else None
    return {table.names[s]: everything if asks_always(table, s, name) else in_places for s in readers}


def _agreement(run: Run, sheet: ScoreSheet, maps: Mapping[str, CalibrationMap]) -> dict[str, Any]:
    """Return, per score column, how many contents carry a near-copy's score and how that of the checked ones agreed."""
    checked_U = sheet.checked_U
    given_nP, own_nP = sheet.score_UP[sheet.representative_U[checked_U]], sheet.score_UP[checked_U]
    counts = {"contents": int(sheet.asked_U.sum()), "propagated": sheet.propagated}
    facts = agreement_facts(run, sheet.plan, maps, given_nP, own_nP)
    return {column: found | counts for column, found in facts.items()}


def _identity(run: Run, plan: ModelPlan) -> str:
    return store.fingerprint([run.identity, plan.fingerprint])


def _size(folder: ModelFolder) -> int:
    return sum((folder.path / name).stat().st_size for name, _ in folder.files)
