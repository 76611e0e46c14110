"""A shard of the lake → creatives in the engine's own columns, and quarantined rows beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine import store
from engine.read.creatives import read_creatives
from engine.read.spec import CreativesSpec
from engine.records import Receipt, Shard
from engine.score.pictures import PictureLimits, check_picture
from engine.tasks.work import Work


@dataclass(frozen=True)
class ReadTask:
    """Lake → creatives/shard-00000.parquet (and quarantined rows beside it)."""

    folder: Path
    identity: str
    limits: PictureLimits

    def open(self, shared: CreativesSpec) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._read(shard, shared)

    def _read(self, shard: Shard, spec: CreativesSpec) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            read = read_creatives(shard, spec, partial(check_picture, limits=self.limits), self.limits.bytes)
            store.commit_table(quarantine_path(self.folder, shard.number), read.quarantine, self.identity)
            store.commit_table(earlier_path(self.folder, shard.number), read.earlier, self.identity)
            done = store.commit_table(path, read.creatives, self.identity, read.counts)
        return done.receipt(shard.number)


def earlier_path(folder: Path, number: int) -> Path:
    """Return where a shard's creatives from before the period lie: those that calibrate or warm up state."""
    return folder / f"earlier-{number:05d}.parquet"


def quarantine_path(folder: Path, number: int) -> Path:
    """Return where the quarantined rows of a shard lie."""
    return folder / f"quarantine-{number:05d}.parquet"
