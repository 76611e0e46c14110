"""The score stage: every content that some strategy may ask about, scored once by each model that is asked.

Scores come from the store that all runs share; only what is not there is computed, in levels: a model that strategies
read only where a cheaper one says so waits for the cheaper one's scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.errors import DataError
from engine.execute import Needs
from engine.read.creatives import ROW, SAMPLED
from engine.records import Flags, Reading, ScoreTable
from engine.replay.asking import asks_always, levels
from engine.score.folder import ModelFolder
from engine.score.open import open_scorer
from engine.stages.contents import ContentList, ScoreSheet, list_contents, numeric_facts, score_table
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, models_read, read_identified
from engine.tasks.ask import AskPlan, AskTask
from engine.tasks.machine import MachineTask
from engine.tasks.score import ModelPlan, ScoreTask


@dataclass(frozen=True)
class Scored:
    """Scores of the contents of the run.

    contents : model → contents that it was asked about. scored_now : those that were scored rather than found.
    twice : scored by this run and by another one at the same time.
    """

    tables: tuple[ScoreTable, ...]
    contents: Mapping[str, int]
    scored_now: Mapping[str, int]
    twice: Mapping[str, int]


def score_stage(run: Run, creatives: Creatives, *, scores_exist: bool = False) -> Scored:
    """Score every distinct content once, by every model that some strategy may ask about it.

    Raises
    ------
    DataError : `scores_exist` was promised and a content has none.
    """
    plans = model_plans(run)
    finished = [store.find_committed(scores_path(run, plan), _identity(run, plan)) for plan in plans]
    if all(finished):
        with run.progress.stage("score", 0):
            tables = [store.read_committed(found) for found in finished if found]
        nothing = {plan.name: 0 for plan in plans}
        contents = {plan.name: table.num_rows for plan, table in zip(plans, tables, strict=True)}
        held = tuple(score_table(plan, table) for plan, table in zip(plans, tables, strict=True))
        return Scored(held, contents, nothing, nothing)
    sheets = _fill_sheets(run, creatives, plans, scores_exist)
    tables = []
    for sheet, _ in sheets:
        table = sheet.table()
        facts = {"fingerprint": sheet.plan.fingerprint, "model": sheet.plan.name}
        store.write_whole(machines_path(run, sheet.plan.name), json.dumps(sheet.machines, sort_keys=True).encode())
        store.commit_table(scores_path(run, sheet.plan), table, _identity(run, sheet.plan), facts)
        tables.append(score_table(sheet.plan, table))
    return Scored(
        tuple(tables),
        {sheet.plan.name: int(sheet.wanted_U.sum()) for sheet, _ in sheets},
        {sheet.plan.name: now for sheet, now in sheets},
        {sheet.plan.name: sheet.twice for sheet, _ in sheets},
    )


def model_plans(run: Run) -> tuple[ModelPlan, ...]:
    """Return the models that some strategy reads, the cheapest (by the size of its files) first."""
    config, prepared = run.config, run.prepared
    read = {name for strategy in prepared.table.strategies for name in models_read(config, strategy)}
    plans = []
    for name in sorted(read, key=lambda name: (_size(prepared.folders[name]), list(config.models).index(name))):
        opened = partial(
            open_scorer,
            prepared.folders[name],
            device=config.execute.device,
            threads=config.execute.threads_per_worker,
            separator=config.models[name].separator,
        )
        policies = prepared.folders[name].policies
        plans.append(ModelPlan(name, prepared.readings[name], policies, prepared.fingerprints[name], opened))
    return tuple(plans)


def scores_path(run: Run, plan: ModelPlan) -> Path:
    """Return where the run keeps a model's scores."""
    return run.directory.path / "scores" / f"{plan.name}.parquet"


def machines_path(run: Run, model: str) -> Path:
    """Return where the run notes which machines computed a model's scores."""
    return run.directory.path / "scores" / f"{model}.machines.json"


def _fill_sheets(
    run: Run, creatives: Creatives, plans: Sequence[ModelPlan], scores_exist: bool
) -> list[tuple[ScoreSheet, int]]:
    """Return each model's sheet, filled, and how many contents were scored for it now."""
    scores = shared_scores(run)
    lists = {plan.reading: contents_of(run, creatives, plan.reading) for plan in plans}
    by_name = {plan.name: plan for plan in plans}
    sheets: dict[str, ScoreSheet] = {}
    now: dict[str, int] = {}
    for number, level in enumerate(levels(run.prepared.table, list(by_name))):
        mine = [by_name[name] for name in level]
        wanted = _wanted(run, creatives, number, mine, list(sheets.values()), set(by_name) - set(sheets), lists)
        fresh = [ScoreSheet(plan, lists[plan.reading], w) for plan, w in zip(mine, wanted, strict=True)]
        machine = _machine(run, fresh) if run.config.store.on_numeric_change == "rescore" else None
        for sheet in fresh:
            sheet.read(scores, machine)
            now[sheet.plan.name] = int(sheet.missing_U.sum())
            sheet.twice = 0  # what earlier runs computed twice was counted then
        if scores_exist and any(now[name] for name in level):
            raise DataError(f"{run.directory.path}: {max(now.values())} contents lack scores; run `backtest score`")
        _score_missing(run, number, fresh, scores)
        sheets |= {sheet.plan.name: sheet for sheet in fresh}
    return [(sheets[plan.name], now[plan.name]) for plan in plans]


def shared_scores(run: Run) -> store.ScoreStore:
    """Return the scores that runs share."""
    section = run.config.store
    return store.ScoreStore(Path(section.scores) if section.scores else Path(section.path) / "_scores")


def contents_of(run: Run, creatives: Creatives, reading: Reading) -> ContentList:
    """Return the distinct contents of the creatives that the run works on."""
    plan = creatives_plan(run, creatives)
    columns = [ROW, reading.id_column] + (["creative_id", SAMPLED] if run.prepared.spec.sample else [])
    tables = (plan.scored(plan.without_duplicates(table)) for table in run.tables(columns))
    table = pa.concat_tables(each.select([ROW, reading.id_column]) for each in tables)
    return list_contents(table, reading.id_column)


def _wanted(
    run: Run,
    creatives: Creatives,
    level: int,
    plans: Sequence[ModelPlan],
    scored: Sequence[ScoreSheet],
    unscored: set[str],
    lists: Mapping[Reading, ContentList],
) -> list[Flags]:
    """Return which contents each model of a level is asked about."""
    table = run.prepared.table
    strategies = range(len(table.strategies))
    wanted = [np.ones(len(lists[plan.reading]), bool) for plan in plans]
    some = [n for n, plan in enumerate(plans) if not any(asks_always(table, s, plan.name) for s in strategies)]
    if not some:
        return wanted
    models = tuple((plans[n].name, plans[n].reading) for n in some)
    held = tuple(score_table(sheet.plan, sheet.table()) for sheet in scored)
    shared = AskPlan(creatives_plan(run, creatives), table, held, models, frozenset(unscored))
    folder = run.directory.path / "asked" / str(level)
    run.map("ask", AskTask(folder, run.identity), run.shards, Needs(), shared)
    asked = pa.concat_tables(read_identified(store.shard_path(folder, s.number), run.identity) for s in run.shards)
    for number, n in enumerate(some):
        wanted[n][:] = False
        ids = asked["content_id"].filter(pc.equal(asked["model"], number))
        wanted[n][lists[plans[n].reading].find(ids)] = True
    return wanted


def _score_missing(run: Run, level: int, sheets: Sequence[ScoreSheet], scores: store.ScoreStore) -> None:
    """Score what the sheets miss, and take it up."""
    config, spec = run.config, run.prepared.spec
    folder = run.directory.path / "todo" / str(level)
    sheets = [sheet for sheet in sheets if sheet.missing_U.any()]
    todo = []
    for shard, table in zip(run.shards, _todo(run, sheets), strict=True):
        if table.num_rows:
            store.commit_table(store.shard_path(folder, shard.number), table, run.identity)
            todo.append(shard)
    plans = tuple(sheet.plan for sheet in sheets)
    task = ScoreTask(plans, folder, run.identity, scores, spec.text_bytes, spec.missing_score_allowed)
    needs = Needs(cpus=float(config.execute.threads_per_worker), gpus=config.execute.gpus_per_worker, apart=True)
    run.progress.waited("score", run.map("score", task, todo, needs, None))
    for sheet in sheets:
        sheet.read(scores)
        assert not sheet.missing_U.any(), "the stage scored what was missing"
    if not spec.missing_score_allowed:
        for sheet in sheets:
            sheet.refuse_missing(str(scores.path))


def _todo(run: Run, sheets: Sequence[ScoreSheet]) -> list[pa.Table]:
    """Return, per shard, the rows at which models find the contents that they have to score."""
    places = []
    for sheet in sheets:
        missing = np.flatnonzero(sheet.missing_U)
        missing = missing[np.argsort(sheet.contents.row_U[missing])]
        places.append((sheet, missing, sheet.contents.row_U[missing]))
    tables = []
    for shard in run.shards:
        bounds = [shard.first_row, shard.first_row + shard.rows]
        cuts = [np.searchsorted(row, bounds) for _, _, row in places]
        mine = [(sheet, at[a:b], row[a:b]) for (sheet, at, row), (a, b) in zip(places, cuts, strict=True)]
        rows = np.unique(np.concatenate([row for _, _, row in mine])) if mine else np.zeros(0, np.int64)
        columns = {ROW: pa.array(rows)}
        for sheet, at, row in mine:
            here = np.zeros(len(rows), np.int64)
            absent = np.ones(len(rows), bool)
            where = np.searchsorted(rows, row)
            here[where], absent[where] = at, False
            columns[sheet.plan.name] = sheet.contents.ids.take(pa.array(here, mask=absent))
        tables.append(pa.table(columns))
    return tables


def _machine(run: Run, sheets: Sequence[ScoreSheet]) -> str:
    """Return what the machine that would score does to scores; asks one worker."""
    path = run.directory.path / "machine.json"
    plans = tuple(sheet.plan for sheet in sheets)
    needs = Needs(
        cpus=float(run.config.execute.threads_per_worker), gpus=run.config.execute.gpus_per_worker, apart=True
    )
    run.map("machine", MachineTask(plans[0], path), run.shards[:1], needs, None)
    return numeric_facts(path.read_text())


def _identity(run: Run, plan: ModelPlan) -> str:
    return store.fingerprint([run.identity, plan.fingerprint])


def _size(folder: ModelFolder) -> int:
    return sum((folder.path / name).stat().st_size for name, _ in folder.files)
