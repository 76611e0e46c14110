"""One run under way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine import store
from engine.config.sections import Config
from engine.errors import DataError
from engine.execute import Executor, Needs, Task
from engine.prepare import Prepared
from engine.progress import Progress
from engine.records import Shard
from engine.strategy import Strategy, columns_read, model_of
from engine.tasks.read import earlier_path


@dataclass(frozen=True)
class Run:
    """One run under way: its config, what was checked, where it writes and runs."""

    config: Config
    prepared: Prepared
    directory: store.RunDirectory
    identity: str
    executor: Executor
    progress: Progress

    @property
    def creatives(self) -> Path:
        return self.directory.path / "creatives"

    @property
    def shards(self) -> tuple[Shard, ...]:
        return self.prepared.source.shards

    @property
    def labelled(self) -> pa.Array:
        """Ids of the creatives with a label of any source, or drawn by the audit."""
        labels = self.prepared.labels
        return pa.array(labels.creative_id if labels else (), pa.string())

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the creatives of each shard, in order."""
        for shard in self.shards:
            table = read_identified(store.shard_path(self.creatives, shard.number), self.identity)
            yield table if columns is None else table.select(columns)

    def map(self, stage: str, task: Task[Any], shards: Sequence[Shard], needs: Needs, shared: object) -> float:
        """Work through the shards, wherever the run runs; return the seconds for which workers waited for input."""
        waited = 0.0
        with self.progress.stage(stage, len(shards)) as step:
            for receipt in self.executor.map(task, shards, needs=needs, shared=shared):
                step(receipt.rows)
                waited += receipt.waited
        return waited


def earlier_tables(run: Run) -> Iterator[pa.Table]:
    """Yield each shard's creatives from before the period whose labels calibrate."""
    for shard in run.shards:
        yield read_identified(earlier_path(run.creatives, shard.number), run.identity)


def read_identified(path: Path, identity: str) -> pa.Table:
    """Read an output that an earlier stage of the same run committed.

    Raises
    ------
    DataError : it is not there, or not of this identity.
    """
    found = store.find_committed(path, identity)
    if found is None:
        raise DataError(f"{path}: is not there or of another run; run the stage that makes it")
    return store.read_committed(found)


def compared(run: Run) -> tuple[int, int] | None:
    """Return the indices of baseline and candidate, if two strategies are compared."""
    compare, names = run.config.compare, run.prepared.table.names
    return (names.index(compare.baseline), names.index(compare.candidate)) if compare else None


def sources_read(strategy: Strategy) -> set[str]:
    """Return the models and brought scores whose columns a strategy's rules read."""
    return {model for column in columns_read(strategy) if (model := model_of(column))}


def models_read(config: Config, strategy: Strategy) -> set[str]:
    """Return the models that have to score for a strategy."""
    return sources_read(strategy) & set(config.models)
