"""Near-copies of a run: whose score stands for whom, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine import store
from engine.execute import Needs
from engine.read.creatives import ROW
from engine.records import I64, Flags, Reading
from engine.stages.contents import ContentList
from engine.stages.run import Run
from engine.tasks.sketch import SketchTask, read_sketches


@dataclass(frozen=True, eq=False)
class NearCopies:
    """representative_U : the content whose text stands for each, itself where it is alone.

    check : how many others are scored as well, drawn at random by `seed`.
    """

    representative_U: I64
    check: int
    seed: int

    def givers(self, asked_U: Flags) -> I64:
        """Return whose score each content gets: its representative's, or its own where it is checked."""
        giver_U = self.representative_U.copy()
        members = np.flatnonzero(asked_U & (self.representative_U != np.arange(len(asked_U))))
        drawn = np.random.default_rng(self.seed).permutation(len(members))[: self.check]
        giver_U[members[drawn]] = members[drawn]
        return giver_U


def find_near_copies(run: Run, reading: Reading, contents: ContentList) -> NearCopies | None:
    """Group the contents of a reading by near-identical text; None for pictures, and where the config does not ask."""
    section = run.config.creatives.near_copies
    if section is None or reading.kind != "text":
        return None
    from engine.read.near_copies import group_near_copies

    order = np.argsort(contents.row_U, kind="stable")
    row = contents.row_U[order]
    name = f"near-{reading.number}"
    owned, folder = run.directory.path / name / "owned", run.directory.path / name / "sketches"
    todo = []
    for shard in run.shards:
        first, last = np.searchsorted(row, [shard.first_row, shard.first_row + shard.rows])
        if last > first:
            table = pa.table({ROW: row[first:last]})
            store.commit_table(store.shard_path(owned, shard.number), table, run.identity)
            todo.append(shard)
    task = SketchTask(reading, owned, folder, run.identity, run.prepared.spec.text_bytes)
    run.map("sketch", task, todo, Needs(), None)
    sketches = np.concatenate([read_sketches(folder, shard.number, run.identity) for shard in todo])
    leader = group_near_copies(sketches, section.similarity)
    representative_U = np.empty(len(order), np.int64)
    representative_U[order] = order[leader]
    return NearCopies(representative_U, section.check, run.config.seed)
