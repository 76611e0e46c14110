"""The contents of a run, and about which of them each model is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from engine import store
from engine.execute import Needs
from engine.read.creatives import ROW, SAMPLED
from engine.records import Flags, Reading, ScoreTable
from engine.replay.asking import asks_always
from engine.stages.calibration import labelled_before
from engine.stages.contents import ContentList, list_contents
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, read_identified
from engine.tasks.ask import AskPlan, AskTask
from engine.tasks.score import ModelPlan


@dataclass(frozen=True, eq=False)
class Contents:
    """The contents of a reading. replayed_U : of creatives that the run works on; the rest only calibrates."""

    every: ContentList
    replayed_U: Flags


def contents_of(run: Run, creatives: Creatives, plans: Sequence[ModelPlan]) -> dict[Reading, Contents]:
    """Return the distinct contents of each reading that some model reads."""
    found = {}
    for reading in dict.fromkeys(plan.reading for plan in plans):
        table = _rows(run, creatives, reading)
        before = [
            rows
            for plan in plans
            if plan.reading == reading and (rows := labelled_before(run, creatives, plan)) is not None
        ]
        every = list_contents(pa.concat_tables([*before, table]).sort_by(ROW), reading.id_column)
        replayed = np.zeros(len(every), bool)
        replayed[every.find(table[reading.id_column])] = True
        found[reading] = Contents(every, replayed)
    return found


def asked_of(
    run: Run,
    creatives: Creatives,
    level: int,
    plans: Sequence[ModelPlan],
    scored: tuple[ScoreTable, ...],
    unscored: frozenset[str],
    contents: Mapping[Reading, Contents],
) -> list[Flags]:
    """Return about which contents each model of a level is asked.

    Parameters
    ----------
    scored : what earlier levels found, as strategies read it. unscored : the models without scores, these included.
    """
    table = run.prepared.asking
    strategies = range(len(table.strategies))
    asked = [contents[plan.reading].replayed_U.copy() for plan in plans]
    some = [n for n, plan in enumerate(plans) if not any(asks_always(table, s, plan.name) for s in strategies)]
    if some:
        models = tuple((plans[n].name, plans[n].reading) for n in some)
        shared = AskPlan(creatives_plan(run, creatives), table, scored, models, unscored)
        folder = run.directory.path / "asked" / str(level)
        identity = store.fingerprint([run.identity, [_digest(table) for table in scored], sorted(unscored), models])
        run.map("ask", AskTask(folder, identity), run.shards, Needs(), shared)
        found = pa.concat_tables(read_identified(store.shard_path(folder, s.number), identity) for s in run.shards)
        for number, n in enumerate(some):
            ids = found["content_id"].filter(pc.equal(found["model"], number))
            asked[n][:] = False
            asked[n][contents[plans[n].reading].every.find(ids)] = True
    for plan, asked_U in zip(plans, asked, strict=True):
        before = labelled_before(run, creatives, plan)
        if before is not None:
            asked_U[contents[plan.reading].every.find(before[plan.reading.id_column])] = True
    return asked


def _digest(table: ScoreTable) -> str:
    """Return a hash of scores: what is asked next depends on them."""
    digest = blake3()
    for values in (table.key_high_U, table.key_low_U, *table.values_KU):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _rows(run: Run, creatives: Creatives, reading: Reading) -> pa.Table:
    plan = creatives_plan(run, creatives)
    columns = [ROW, reading.id_column] + (["creative_id", SAMPLED] if run.prepared.spec.sample else [])
    tables = [plan.scored(plan.without_duplicates(table)) for table in run.tables(columns)]
    warming = [] if not plan.remembers else [plan.scored(plan.warming(shard.number)) for shard in run.shards]
    rows = pa.concat_tables(each.select([ROW, reading.id_column]) for each in (*warming, *tables))
    return rows.sort_by(ROW) if warming else rows


def distinct_contents(run: Run, creatives: Creatives, reading: Reading) -> int:
    """Return how many contents the creatives of the period have, scored or not."""
    plan = creatives_plan(run, creatives)
    tables = (plan.without_duplicates(table) for table in run.tables([ROW, reading.id_column]))
    return len(list_contents(pa.concat_tables(tables), reading.id_column))
