"""Whole runs over made-up lakes: the stage's share, the rate with duplicates, and how often a content is scored."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from peers import Model
from stage import StageRun, bare_seconds, repeated, run_stage, stage_config, write_lake
from texts import Texts, made_up_texts
from tokenizers import Tokenizer

DUPLICATES = (0.0, 0.5, 0.9)
WHERES: tuple[Literal["local", "ray"], ...] = ("local", "ray")
_SAMPLE = 300  # contents that tell how fast the bare scorer is
_GROWTH = 0.01
_SEED = 3


@dataclass(frozen=True)
class StageShares:
    """The bare scorer's seconds on the same contents, before and after each run of the stage, by shard."""

    shards: int
    rows: int
    bare: list[list[float]]
    stages: dict[str, StageRun]

    def bare_beside(self, where: str) -> float:
        """Return the mean of the bare seconds measured just before and just after a stage."""
        at = list(self.stages).index(where)
        return (sum(self.bare[at]) + sum(self.bare[at + 1])) / 2

    def share(self, where: str) -> float:
        """Return the bare scorer's seconds over the stage's."""
        return self.bare_beside(where) / self.stages[where].seconds


@dataclass(frozen=True)
class ThreeRuns:
    """The same data twice, then 1 % more of it under another run name."""

    distinct: int
    scored: tuple[int, int, int]

    @property
    def once(self) -> float:
        return sum(self.scored) / self.distinct


class Backtests:
    """Runs over lakes of made-up texts whose lengths follow `like`, below a folder."""

    def __init__(self, model: Model, like: Texts, tokenizer: Tokenizer, folder: Path) -> None:
        self._model = model
        self._like = like
        self._tokenizer = tokenizer
        self._folder = folder

    def rows_for(self, seconds: float) -> int:
        """Return how many contents the bare scorer scores in so many seconds; at least 8."""
        sample = self._lake("sample", [self._texts(_SAMPLE, 0)])
        return max(8, round(_SAMPLE / sum(bare_seconds(self._model, sample)) * seconds))

    def shares(self, shards: int, rows: int) -> StageShares:
        """Measure bare, local, bare, ray, bare on shards of `rows` distinct contents."""
        texts = self._texts(shards * rows, _SEED)
        lake = self._lake("shares", [texts[n * rows : (n + 1) * rows] for n in range(shards)])
        bare = [bare_seconds(self._model, lake)]
        stages: dict[str, StageRun] = {}
        for where in WHERES:
            stages[where] = self._run(lake, f"shares-{where}", "whole", where, rows)
            bare.append(bare_seconds(self._model, lake))
        return StageShares(shards, shards * rows, bare, stages)

    def duplicates(self, rows: int) -> dict[float, StageRun]:
        """Score `rows` distinct contents among creatives of which a share are repeats."""
        texts = self._texts(rows, _SEED)
        found = {}
        for share in DUPLICATES:
            creatives = repeated(texts, share, _SEED)
            lake = self._lake(f"duplicates-{share:g}", [creatives])
            found[share] = self._run(lake, f"duplicates-{share:g}", "whole", "local", len(creatives))
        return found

    def sequence(self, rows: int) -> ThreeRuns:
        """Score a lake, score it again, and score it grown by 1 % under another name; all runs share one store."""
        more = max(1, round(_GROWTH * rows))
        texts = self._texts(rows + more, _SEED)
        lake = self._lake("sequence", [texts[:rows]])
        runs = [self._run(lake, "sequence", "first", "local", rows) for _ in range(2)]
        grown = self._lake("grown", [texts[:rows], texts[rows:]])
        runs.append(self._run(grown, "sequence", "grown", "local", rows))
        return ThreeRuns(rows + more, (runs[0].scored_now, runs[1].scored_now, runs[2].scored_now))

    def _texts(self, count: int, seed: int) -> list[str]:
        return list(made_up_texts("", self._tokenizer, self._like.length_U, count, seed).texts)

    def _lake(self, name: str, shards: list[list[str]]) -> Path:
        return write_lake(self._folder / name / "lake", shards)

    def _run(self, lake: Path, store: str, run: str, where: Literal["local", "ray"], rows: int) -> StageRun:
        return run_stage(stage_config(self._model, lake, self._folder / store / "runs", run, where, rows))


def stage_lines(shares: StageShares, duplicates: dict[float, StageRun], sequence: ThreeRuns) -> list[str]:
    """Return the lines that a person reads."""
    per_shard = statistics.median(s for bare in shares.bare for s in bare)
    lines = [
        "",
        f"whole score stage: {shares.shards} shards, {shares.rows:,} made-up contents, {per_shard:.1f} s of bare "
        "scoring a shard; 1 worker, 1 thread, opening the model counted",
    ]
    for where, run in shares.stages.items():
        waited = "not recorded" if run.waited is None else f"{run.waited:.2f} s"
        text = (
            f"{where:<6} stage {run.seconds:.1f} s, bare {shares.bare_beside(where):.1f} s: {shares.share(where):.1%}, "
            f"{run.seconds - shares.bare_beside(where):.1f} s above it; "
            f"whole run {run.whole:.1f} s; the model waited for input: {waited}"
        )
        if run.connect > 1:
            with_start = shares.bare_beside(where) / (run.seconds + run.connect)
            text += f"; connecting took {run.connect:.1f} s, with it {with_start:.1%}"
        lines.append(text)
    lines += [
        f"{share:>4.0%} duplicates: {run.rows:,} creatives, {run.scored_now:,} scored, stage {run.seconds:.1f} s, "
        f"{run.rows / run.seconds:,.0f} creatives/s"
        for share, run in duplicates.items()
    ]
    first, again, grown = sequence.scored
    lines.append(
        f"runs in sequence: {first:,} scored at first, {again:,} again, {grown:,} with 1 % more under another run "
        f"name; {sequence.distinct:,} distinct"
    )
    return lines


def stage_raw(shares: StageShares, duplicates: dict[float, StageRun], sequence: ThreeRuns) -> dict[str, Any]:
    """Return every figure of the whole runs."""
    return {
        "shares": {
            "rows": shares.rows,
            "bare_s": shares.bare,
            "runs": {k: asdict(v) for k, v in shares.stages.items()},
        },
        "duplicates": {f"{share:g}": asdict(run) for share, run in duplicates.items()},
        "sequence": asdict(sequence),
    }
