"""The scores of one model for the contents of a run, as they come in."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from engine.errors import DataError
from engine.read.identity import id_halves
from engine.records import F32, I64, Flags, ScoreTable
from engine.stages.contents import ContentList
from engine.stages.near_copies import NearCopies
from engine.store import ScoreStore
from engine.store.scores import Part
from engine.tasks.score import ModelPlan, missing_words


@dataclass(frozen=True, eq=False)
class _Hit:
    """Wanted contents that a part of the store holds: where they stand, and their scores."""

    at: I64
    score_nP: F32
    machine: str


@dataclass(eq=False)
class ScoreSheet:
    """Scores of one model for the contents that some strategy may ask it about.

    asked_U : those contents. copies : near-copies, of which only representatives (and a few to check) are scored.
    wanted_U : what is scored. score_UP : float32, NaN until found. found_U : has a score, NaN included.
    machines : what a machine does to scores, as JSON → contents it scored. twice : scored by two runs at once.
    """

    plan: ModelPlan
    contents: ContentList
    asked_U: Flags
    copies: NearCopies | None = None
    wanted_U: Flags = field(init=False)
    giver_U: I64 = field(init=False)
    score_UP: F32 = field(init=False)
    found_U: Flags = field(init=False)
    machines: Counter[str] = field(default_factory=Counter)
    twice: int = 0
    _read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.giver_U = np.arange(len(self.contents))
        if self.copies is not None:
            self.giver_U = self.copies.givers(self.asked_U)
        self.wanted_U = np.zeros(len(self.contents), bool)
        self.wanted_U[self.giver_U[self.asked_U]] = True
        self.score_UP = np.full((len(self.contents), len(self.plan.policies)), np.nan, np.float32)
        self.found_U = np.zeros(len(self.contents), bool)

    @property
    def representative_U(self) -> I64:
        """Whose text stands for each content."""
        assert self.copies is not None
        return self.copies.representative_U

    @property
    def checked_U(self) -> I64:
        """Contents that have both a representative and a score of their own, to compare."""
        own = self.asked_U & (self.giver_U == np.arange(len(self.contents)))
        return np.flatnonzero(own & (self.representative_U != self.giver_U))

    @property
    def propagated(self) -> int:
        """How many contents carry the score of another one."""
        return int((self.asked_U & (self.giver_U != np.arange(len(self.contents)))).sum())

    @property
    def missing_U(self) -> Flags:
        """What has to be scored."""
        return self.wanted_U & ~self.found_U

    def asks_about(self, content_id: bytes) -> bool:
        """Say whether a strategy may ask about a content."""
        at = self.contents.find(pa.array([content_id], pa.binary(len(content_id))))
        return bool(at[0] >= 0 and self.asked_U[at[0]])

    def settle(self, content_id: bytes, score: float) -> None:
        """Give a content its score without asking the model: a creative without pictures shows it nothing."""
        at = self.contents.find(pa.array([content_id], pa.binary(len(content_id))))
        if at[0] >= 0:
            self.wanted_U[at[0]] = False
            self.found_U[at[0]], self.score_UP[at[0]] = True, score

    def read(self, scores: ScoreStore, machine: str | None = None) -> None:
        """Take scores from the parts of the store that were not there before.

        Parameters
        ----------
        machine : take only scores that this kind of machine computed (see numeric_facts); None: any. Where machines
            of several kinds scored a content, the kind that scored most of what is wanted comes first.
        """
        hits: dict[str, list[_Hit]] = {}
        for committed in scores.parts(self.plan.fingerprint):
            if committed.path.name in self._read:
                continue
            self._read.add(committed.path.name)
            part = scores.read(committed, self.plan.fingerprint)
            if set(self.plan.opening.label_columns) <= set(part.table.column_names):  # else others' labels
                hits.setdefault(numeric_facts(part.machine), []).append(self._hit(part))
        if machine is not None:
            hits = {kind: found for kind, found in hits.items() if kind == machine}
        for _, found in sorted(hits.items(), key=lambda item: (-sum(len(hit.at) for hit in item[1]), item[0])):
            for hit in found:
                new = ~self.found_U[hit.at]
                self.twice += int((~new).sum())
                self.found_U[hit.at[new]] = True
                self.score_UP[hit.at[new]] = hit.score_nP[new]
                self.machines[hit.machine] += int(new.sum())

    def _hit(self, part: Part) -> _Hit:
        at = self.contents.find(part.table["content_id"])
        inside = np.flatnonzero(at >= 0)
        inside = inside[self.wanted_U[at[inside]]]
        score = [part.table[name].to_numpy()[inside] for name in self.plan.opening.label_columns]
        return _Hit(at[inside], np.stack(score, axis=1), part.machine)

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
        """Return the scores that were asked for, in the order of the lake; a near-copy has that of its giver.

        near_copy_of : the giver's content id, null where a content has a score of its own; only with near-copies.
        """
        chosen = np.flatnonzero(self.asked_U)
        chosen = chosen[np.argsort(self.contents.row_U[chosen], kind="stable")]
        giver = self.giver_U[chosen]
        columns = {policy: pa.array(self.score_UP[giver, p]) for p, policy in enumerate(self.plan.policies)}
        if self.copies is not None:
            columns["near_copy_of"] = self.contents.ids.take(pa.array(giver, mask=giver == chosen))
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
