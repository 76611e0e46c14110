"""The distinct contents of a run, and the scores of one model as they come in."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from engine.errors import DataError
from engine.read.creatives import ROW
from engine.read.identity import id_halves, owned_rows, positions
from engine.records import F32, I64, U64, Flags, ScoreTable
from engine.store import ScoreStore
from engine.tasks.score import ModelPlan, missing_words


@dataclass(frozen=True, eq=False)
class ContentList:
    """The U distinct contents of a reading, sorted by id; row_U : where the first creative that has it lies."""

    ids: pa.Array
    high_U: U64
    low_U: U64
    row_U: I64

    def __len__(self) -> int:
        return len(self.row_U)

    def find(self, ids: pa.Array | pa.ChunkedArray) -> I64:
        """Return where ids stand in the list, -1 where they do not."""
        return positions(self.high_U, self.low_U, *id_halves(ids))


def list_contents(table: pa.Table, id_column: str) -> ContentList:
    """Return the contents of some creatives (`row` and the id column, in file order); the first one owns a content."""
    owned = table.take(pa.array(owned_rows(*id_halves(table[id_column]))))
    ids = owned[id_column].combine_chunks()
    high, low = id_halves(ids)
    order = np.lexsort((low, high))
    return ContentList(ids.take(pa.array(order)), high[order], low[order], owned[ROW].to_numpy()[order])


@dataclass(eq=False)
class ScoreSheet:
    """Scores of one model for the contents that some strategy may ask it about.

    wanted_U : those contents. score_UP : float32, NaN until found. found_U : has a score, NaN included.
    machines : what a machine does to scores, as JSON → contents it scored. twice : scored by two runs at once.
    """

    plan: ModelPlan
    contents: ContentList
    wanted_U: Flags
    score_UP: F32 = field(init=False)
    found_U: Flags = field(init=False)
    machines: Counter[str] = field(default_factory=Counter)
    twice: int = 0
    _read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.score_UP = np.full((len(self.contents), len(self.plan.policies)), np.nan, np.float32)
        self.found_U = np.zeros(len(self.contents), bool)

    @property
    def missing_U(self) -> Flags:
        """What has to be scored."""
        return self.wanted_U & ~self.found_U

    def read(self, scores: ScoreStore, machine: str | None = None) -> None:
        """Take scores from the parts of the store that were not there before.

        Parameters
        ----------
        machine : take only scores that this kind of machine computed (see numeric_facts); None: any.
        """
        for committed in scores.parts(self.plan.fingerprint):
            if committed.path.name in self._read:
                continue
            self._read.add(committed.path.name)
            part = scores.read(committed, self.plan.fingerprint)
            if machine is not None and numeric_facts(part.machine) != machine:
                continue
            at = self.contents.find(part.table["content_id"])
            inside = np.flatnonzero(at >= 0)
            inside = inside[self.wanted_U[at[inside]]]
            self.twice += int(self.found_U[at[inside]].sum())
            new = inside[~self.found_U[at[inside]]]
            self.found_U[at[new]] = True
            for p, policy in enumerate(self.plan.policies):
                self.score_UP[at[new], p] = part.table[policy].to_numpy()[new]
            self.machines[part.machine] += len(new)

    def refuse_missing(self, where: str) -> None:
        """Refuse NaN scores, which another run may have allowed.

        Raises
        ------
        DataError : there are some.
        """
        count = int(np.isnan(self.score_UP[self.wanted_U]).sum())
        if count:
            raise DataError(missing_words(self.plan.name, where, count))

    def table(self) -> pa.Table:
        """Return the wanted scores, in the order of the lake."""
        chosen = np.flatnonzero(self.wanted_U)
        chosen = chosen[np.argsort(self.contents.row_U[chosen], kind="stable")]
        columns = {policy: self.score_UP[chosen, p] for p, policy in enumerate(self.plan.policies)}
        return pa.table({"content_id": self.contents.ids.take(pa.array(chosen))} | columns)


def score_table(plan: ModelPlan, table: pa.Table) -> ScoreTable:
    """Return the scores of one model as rules look them up."""
    high, low = id_halves(table["content_id"])
    order = np.lexsort((low, high))
    return ScoreTable(
        plan.reading.id_column,
        high[order],
        low[order],
        tuple(f"{plan.name}.{policy}" for policy in plan.policies),
        tuple(table[policy].to_numpy()[order] for policy in plan.policies),
    )


def numeric_facts(machine: str) -> str:
    """Return the part of a machine's facts that may change the last bits of a score, as JSON."""
    facts = json.loads(machine)
    return json.dumps({name: facts.get(name) for name in ("torch", "device", "instruction_set", "threads")})
