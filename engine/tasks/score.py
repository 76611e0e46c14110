"""Contents of a shard that have no score yet → parts of the score store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.errors import DataError
from engine.read.text import as_contents, raw_fields
from engine.records import F32, Reading, Receipt, Shard
from engine.score.open import machine_facts
from engine.score.text import HuggingFaceText
from engine.score.tokens import Tokens
from engine.store import ScoreStore
from engine.tasks.ahead import Ahead
from engine.tasks.owned import stream_owned
from engine.tasks.work import Work

_FIRST_PORTION, _PORTION = 256, 8192  # contents; the first ones are few, so that the model starts soon


@dataclass(frozen=True)
class ModelPlan:
    """A model of the run: what it reads, what makes its scores, and how a worker opens it."""

    name: str
    reading: Reading
    policies: tuple[str, ...]
    fingerprint: str
    open: Callable[[], HuggingFaceText]


@dataclass(frozen=True)
class Portion:
    """Some contents, read and tokenized, for the models that read them alike. ids : binary, one per content."""

    models: tuple[int, ...]
    ids: pa.Array
    tokens: Tokens


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
    text_bytes: int
    missing_allowed: bool

    def open(self, shared: None) -> Work:  # noqa: ARG002 - what is to do lies on disk
        """Load the models; return the work on one shard."""
        scorers = tuple(plan.open() for plan in self.models)
        machines = tuple(machine_facts(scorer) for scorer in scorers)
        return lambda shard: self._score(shard, scorers, machines)

    def _score(
        self, shard: Shard, scorers: tuple[HuggingFaceText, ...], machines: tuple[dict[str, object], ...]
    ) -> Receipt:
        found = store.find_committed(store.shard_path(self.todo, shard.number), self.identity)
        assert found is not None, "the driver wrote down what is to do"
        todo = store.read_committed(found)
        scored = tuple(_Scored() for _ in self.models)
        portions = Ahead(self._portions(shard, todo, scorers))
        for portion in portions:
            for number in portion.models:
                score_UP = scorers[number].score_tokens(portion.tokens)
                self._check_missing(self.models[number], scorers[number], score_UP)
                scored[number].ids.append(portion.ids)
                scored[number].score_UP.append(score_UP)
        hashes = [
            self.scores.commit(plan.fingerprint, _part(plan, done), machine).hash
            for plan, done, machine in zip(self.models, scored, machines, strict=True)
            if done.ids
        ]
        return Receipt(shard.number, str(self.scores.path), todo.num_rows, store.fingerprint(hashes), portions.waited)

    def _portions(self, shard: Shard, todo: pa.Table, scorers: tuple[HuggingFaceText, ...]) -> Iterator[Portion]:
        """Read and tokenize what is to do; models that read the same contents in the same way share the tokens."""
        for text, ids in self._streamed(shard, todo):
            together: dict[object, list[int]] = {}
            for number, (plan, scorer) in enumerate(zip(self.models, scorers, strict=True)):
                key = (scorer.tokens_key, plan.reading, ids[plan.name].is_valid().to_numpy().tobytes())
                together.setdefault(key, []).append(number)
            for numbers in together.values():
                plan = self.models[numbers[0]]
                wanted = ids[plan.name].is_valid()
                fields = raw_fields(text.filter(wanted), plan.reading.columns)
                mine = ids[plan.name].filter(wanted).combine_chunks()
                if len(mine):
                    tokens = scorers[numbers[0]].tokens(as_contents(fields, self.text_bytes))
                    yield Portion(tuple(numbers), mine, tokens)

    def _streamed(self, shard: Shard, todo: pa.Table) -> Iterator[tuple[pa.Table, pa.Table]]:
        columns = list(dict.fromkeys(column for plan in self.models for column in plan.reading.columns))
        return stream_owned(shard, todo, columns, _FIRST_PORTION, _PORTION)

    def _check_missing(self, plan: ModelPlan, scorer: HuggingFaceText, score_UP: F32) -> None:
        if not self.missing_allowed and np.isnan(score_UP).any():
            raise DataError(missing_words(plan.name, str(scorer.folder.path), int(np.isnan(score_UP).sum())))


def missing_words(model: str, where: str, count: int) -> str:
    """Return what a run says about NaN scores that no rule covers."""
    return f"model {model} ({where}) gave {count} NaN scores; mend the model or set creatives.on_missing_score: review"


def _part(plan: ModelPlan, done: _Scored) -> pa.Table:
    score_UP = np.concatenate(done.score_UP)
    columns = {policy: pa.array(score_UP[:, p]) for p, policy in enumerate(plan.policies)}
    return pa.table({"content_id": pa.concat_arrays(done.ids)} | columns)
