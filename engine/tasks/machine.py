"""What a worker's machine does to scores, asked before anything is scored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from engine import store
from engine.records import Receipt, Shard
from engine.score.open import machine_facts, open_scorer
from engine.tasks.score import ModelPlan
from engine.tasks.work import Work


@dataclass(frozen=True)
class MachineTask:
    """Any shard → the facts of the machine that would score it, as JSON at `path`."""

    model: ModelPlan
    path: Path

    def open(self, shared: None) -> Work:  # noqa: ARG002 - nothing is shared
        """Return the work on one shard."""
        return self._ask

    def _ask(self, shard: Shard) -> Receipt:
        facts = json.dumps(machine_facts(open_scorer(self.model.opening)), sort_keys=True).encode()
        store.write_whole(self.path, facts)
        return Receipt(shard.number, str(self.path), 0, "")
