"""Scoring what no run has scored yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine import store
from engine.execute import Needs
from engine.read.creatives import ROW
from engine.stages.run import Run
from engine.stages.sheet import ScoreSheet, numeric_facts
from engine.tasks.machine import MachineTask
from engine.tasks.score import ScoreTask


def score_missing(run: Run, name: str, sheets: Sequence[ScoreSheet], scores: store.ScoreStore) -> None:
    """Score what the sheets miss, and take it up. name : of the folder that says what is to do."""
    config, spec = run.config, run.prepared.spec
    folder = run.directory.path / "todo" / name
    sheets = [sheet for sheet in sheets if sheet.missing_U.any()]
    todo = []
    for shard, table in zip(run.shards, _todo(run, sheets), strict=True):
        if table.num_rows:
            store.commit_table(store.shard_path(folder, shard.number), table, run.identity)
            todo.append(shard)
    plans = tuple(sheet.plan for sheet in sheets)
    task = ScoreTask(plans, folder, run.identity, scores, spec.missing_score_allowed)
    needs = Needs(cpus=float(config.execute.threads_per_worker), gpus=config.execute.gpus_per_worker, apart=True)
    run.progress.waited("score", run.map("score", task, todo, needs, None))
    for sheet in sheets:
        sheet.read(scores)
        assert not sheet.missing_U.any(), "the stage scored what was missing"


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


def this_machine(run: Run, sheets: Sequence[ScoreSheet]) -> str:
    """Return what the machine that would score does to scores; asks one worker."""
    path = run.directory.path / "machine.json"
    plans = tuple(sheet.plan for sheet in sheets)
    needs = Needs(
        cpus=float(run.config.execute.threads_per_worker), gpus=run.config.execute.gpus_per_worker, apart=True
    )
    run.map("machine", MachineTask(plans[0], path), run.shards[:1], needs, None)
    return numeric_facts(path.read_text())
