"""Contents of a shard that have no score yet → parts of the score store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.errors import DataError
from engine.read.identity import content_id
from engine.read.images import ROWS, picture_rows
from engine.read.text import as_contents, raw_fields
from engine.records import F32, Contents, Reading, Receipt, Shard
from engine.score.open import AnyScorer, machine_facts, open_scorer
from engine.score.opening import Opening
from engine.score.text import PreparedTexts
from engine.store import ScoreStore
from engine.tasks.ahead import Ahead
from engine.tasks.owned import Portions, stream_owned
from engine.tasks.work import Work

_PORTIONS = {"text": Portions(256, 8192), "images": Portions(16, 64, ROWS)}


@dataclass(frozen=True)
class ModelPlan:
    """A model of the run: what it reads, how a worker opens it, and the fingerprint of its scores."""

    name: str
    reading: Reading
    opening: Opening
    fingerprint: str

    @property
    def policies(self) -> tuple[str, ...]:
        return self.opening.folder.policies


@dataclass(frozen=True)
class Portion:
    """Some contents, read and prepared, for the models that read them alike. ids : binary, one per content."""

    models: tuple[int, ...]
    ids: pa.Array
    prepared: PreparedTexts | Contents


@dataclass
class _Scored:
    """What one model has scored of a shard so far."""

    ids: list[pa.Array] = field(default_factory=list)
    score_UP: list[F32] = field(default_factory=list)


@dataclass(frozen=True)
class ScoreTask:
    """Contents of a shard that have no score → a part of the store per model.

    todo : folder of todo/shard-00000.parquet: `row`, counted over the lake, and per model the id of the content that
    it has to score there, or null.
    """

    models: tuple[ModelPlan, ...]
    todo: Path
    identity: str
    scores: ScoreStore
    missing_allowed: bool

    def open(self, shared: None) -> Work:  # noqa: ARG002 - what is to do lies on disk
        """Load the models; return the work on one shard."""
        scorers = tuple(open_scorer(plan.opening) for plan in self.models)
        machines = tuple(machine_facts(scorer) for scorer in scorers)
        return lambda shard: self._score(shard, scorers, machines)

    def _score(self, shard: Shard, scorers: tuple[AnyScorer, ...], machines: tuple[dict[str, object], ...]) -> Receipt:
        found = store.find_committed(store.shard_path(self.todo, shard.number), self.identity)
        assert found is not None, "the driver wrote down what is to do"
        todo = store.read_committed(found)
        scored = tuple(_Scored() for _ in self.models)
        portions = Ahead(self._portions(shard, todo, scorers))
        for portion in portions:
            for number in portion.models:
                score_UP = scorers[number].score_prepared(portion.prepared)  # type: ignore[arg-type]
                self._check_missing(self.models[number], scorers[number], score_UP)
                scored[number].ids.append(portion.ids)
                scored[number].score_UP.append(score_UP)
        hashes = [
            self.scores.commit(plan.fingerprint, _part(plan, done), machine).hash
            for plan, done, machine in zip(self.models, scored, machines, strict=True)
            if done.ids
        ]
        return Receipt(shard.number, str(self.scores.path), todo.num_rows, store.fingerprint(hashes), portions.waited)

    def _portions(self, shard: Shard, todo: pa.Table, scorers: tuple[AnyScorer, ...]) -> Iterator[Portion]:
        """Read and prepare what is to do, one reading after the other."""
        for reading in dict.fromkeys(plan.reading for plan in self.models):
            numbers = [n for n, plan in enumerate(self.models) if plan.reading == reading]
            wanted_N = np.logical_or.reduce([todo[self.models[n].name].is_valid().to_numpy() for n in numbers])
            owned = todo.filter(pa.array(wanted_N))
            for table, ids in stream_owned(shard, owned, list(reading.columns), _PORTIONS[reading.kind]):
                yield from self._prepared(reading, numbers, scorers, table, ids)

    def _prepared(
        self, reading: Reading, numbers: list[int], scorers: tuple[AnyScorer, ...], table: pa.Table, ids: pa.Table
    ) -> Iterator[Portion]:
        """Yield a portion per set of models that score the same rows and prepare them alike (share a tokenizer)."""
        together: dict[object, list[int]] = {}
        for n in numbers:
            key = (scorers[n].prepare_key, ids[self.models[n].name].is_valid().to_numpy().tobytes())
            together.setdefault(key, []).append(n)
        for alike in together.values():
            column = ids[self.models[alike[0]].name]
            mine = column.filter(column.is_valid()).combine_chunks()
            if len(mine):
                contents = self._contents(reading, table.filter(column.is_valid()), mine)
                yield Portion(tuple(alike), mine, scorers[alike[0]].prepare(contents))

    def _contents(self, reading: Reading, table: pa.Table, ids: pa.Array) -> Contents:
        """Return what is read of some rows; a picture at a path that is another one by now is no content of theirs."""
        opening = self.models[0].opening
        if reading.kind == "text":
            return as_contents(raw_fields(table, reading.columns), opening.text_bytes)
        pictures = tuple(picture_rows(table, reading.columns, opening.limits.bytes))
        for row, (content, wanted) in enumerate(zip(pictures, ids.to_pylist(), strict=True)):
            if content_id(content) != wanted:
                shown = next(
                    (v for v in table.slice(row, 1).to_pylist()[0].values() if isinstance(v, str)), "a picture"
                )
                raise DataError(
                    f"{shown}: is not what it was when the run read it; restore the file, or start another run"
                )
        return Contents((), pictures)

    def _check_missing(self, plan: ModelPlan, scorer: AnyScorer, score_UP: F32) -> None:
        if not self.missing_allowed and np.isnan(score_UP).any():
            raise DataError(missing_words(plan.name, str(scorer.folder.path), int(np.isnan(score_UP).sum())))


def missing_words(model: str, where: str, count: int) -> str:
    """Return what a run says about NaN scores that no rule covers."""
    return f"model {model} ({where}) gave {count} NaN scores; mend the model or set creatives.on_missing_score: review"


def _part(plan: ModelPlan, done: _Scored) -> pa.Table:
    score_UP = np.concatenate(done.score_UP)
    columns = {name: pa.array(score_UP[:, p]) for p, name in enumerate(plan.opening.label_columns)}
    return pa.table({"content_id": pa.concat_arrays(done.ids)} | columns)
