"""The demo as a world: its audits redrawn by seed; nothing is scored again.

The demo's finished run holds what every strategy did with every creative; its frame says how the audit draws; its truth
file, which estimation never reads, says what is right. Each repetition draws the same strata and sizes anew, loses the
same share of answers, and estimates everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from record import Bench, within

from engine.conclude.numbers import make_question
from engine.config import Config, load_config
from engine.estimate.estimates import estimate_all
from engine.estimate.naive import naive_counts
from engine.estimate.question import Question
from engine.estimate.sample import HISTORY
from engine.estimate.truth import true_values
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.read.audits import Audit
from engine.read.labelled import census, join_labels, read_truth
from engine.read.labels import read_labels, resolve_labels
from engine.read.shards import read_table
from engine.records import Estimate, LabelTable
from engine.report.tables import key_of
from engine.stages.read import read_stage
from engine.stages.replay import Replayed, Wanted, find_ground, replay_stage
from engine.stages.run import Run, compared
from engine.stages.score import score_stage

ENOUGH = 30.0
CONFIG = "configs/demo.yaml"
Key = tuple[str | None, ...]


@dataclass(frozen=True)
class World:
    """A finished demo run, whom the audit can draw, and what is true. stratum_n, y_n by frame row;
    others_n is what reviews, appeals and reports said (-1 nothing)."""

    run: Run
    replayed: Replayed
    audit: Audit
    creative_id: pa.Array
    stratum_n: np.ndarray
    y_n: np.ndarray
    others_n: np.ndarray
    unanswered: float
    billed: Mapping[str, Mapping[str, int | None]]
    truth: dict[Key, float | None]


def redrawn(repetitions: int, seed: int) -> Bench:
    """Redraw audits of the demo and count how often intervals contain the truth."""
    world = load_world()
    tally = Tally()
    for repetition in range(repetitions):
        generator = np.random.default_rng([seed, repetition])
        question = redraw(world, generator)
        tally.add(estimate_all(question), world.truth)
        tally.add_naive(question, world.truth)
    return conclude(world, tally, repetitions, seed)


class Tally:
    """Sums over repetitions by number."""

    def __init__(self) -> None:
        self.inside: dict[Key, int] = {}
        self.seen: dict[Key, int] = {}
        self.warned: dict[Key, int] = {}
        self.events: dict[Key, float] = {}
        self.width: dict[Key, float] = {}
        self.error: dict[Key, float] = {}
        self.naive: dict[Key, list[float]] = {}

    def add(self, estimates: Sequence[Estimate], truth: dict[Key, float | None]) -> None:
        """Count one repetition. Known totals are left out: nothing about them is random."""
        for row in estimates:
            key, true = key_of(row), truth.get(key_of(row))
            if row.estimate is None or row.low is None or row.high is None or true is None:
                continue
            if str(row.estimator).endswith(("exact", "no_swap", "census")):
                continue
            slack = 1e-9 * max(1.0, abs(true))
            self.inside[key] = self.inside.get(key, 0) + (row.low - slack <= true <= row.high + slack)
            self.seen[key] = self.seen.get(key, 0) + 1
            self.warned[key] = self.warned.get(key, 0) + (row.warning is not None)
            self.events[key] = self.events.get(key, 0.0) + row.effective_events
            self.width[key] = self.width.get(key, 0.0) + row.high - row.low
            self.error[key] = self.error.get(key, 0.0) + row.estimate - true

    def add_naive(self, question: Question, truth: dict[Key, float | None]) -> None:
        """Keep the naive count's error."""
        for n in naive_counts(question):
            key: Key = (n.strategy, None, n.policy, "all", "all", "creatives", "machine", n.metric)
            true = truth.get(key)
            if n.estimate is not None and true is not None:
                self.naive.setdefault(key, []).append(n.estimate - true)


def load_world() -> World:
    """Run the demo (all of it is committed already) and read back what a redraw needs."""
    config = load_config(CONFIG)
    prepared = prepare(config)
    run = open_run(config, prepared, Progress())
    creatives = read_stage(run)
    scored = score_stage(run, creatives, scores_exist=True)
    truth_table, identity = read_table(str(config.report.truth), "report.truth")
    wanted = Wanted(prepared.table, pair=compared(run), keep_all=True, keep_identity=identity)
    replayed = replay_stage(run, creatives, scored, find_ground(run, creatives, scored), wanted)
    ids, y_nP = read_truth(truth_table, config.policies)
    question = make_question(run, replayed, census(replayed.kept, ids, y_nP), scored.billed)
    truth = {key_of(row): row.estimate for row in true_values(question)}
    assert len(prepared.audits) == 1
    assert prepared.labels is not None
    frame, _ = read_table("data/demo/frame.parquet", "frame")
    at = pc.index_in(frame["creative_id"], ids).to_numpy()
    stratum = pc.index_in(frame["stratum"], pa.array(prepared.audits[0].strata)).to_numpy()
    counts = prepared.labels.counts
    unanswered = counts["audit_unanswered"] / counts["audit_drawn"]
    frame_ids = frame["creative_id"].combine_chunks()
    others = _other_labels(config, frame_ids)
    return World(
        run, replayed, prepared.audits[0], frame_ids, stratum, y_nP[at], others, unanswered, scored.billed, truth
    )


def _other_labels(config: Config, ids: pa.Array) -> np.ndarray:
    """Return what nobody drew but somebody labelled, per frame row and policy."""
    assert config.labels is not None
    table, _ = read_labels(config.labels.paths, config.labels.columns)
    found = resolve_labels(
        table.filter(pc.not_equal(table["source"], "audit")), config.policies, (), config.labels.named
    )
    at = pc.index_in(ids, pa.array(found.creative_id)).fill_null(-1).to_numpy()
    return np.where((at >= 0)[:, None], found.naive_nP[at], -1).astype(np.int8)


def redraw(world: World, generator: np.random.Generator) -> Question:
    """Return the estimators' question under another draw of the same audit (and the history's own reviews)."""
    chosen = []
    for h, size in enumerate(world.audit.sample_H):
        members = np.flatnonzero(world.stratum_n == h)
        chosen.append(generator.choice(members, int(size), replace=False))
    drawn_n = np.zeros(len(world.y_n), bool)
    drawn_n[np.concatenate(chosen)] = True
    rows = np.flatnonzero(drawn_n | (world.others_n >= 0).any(1))
    drawn = drawn_n[rows]
    answered = drawn & (generator.random(len(rows)) >= world.unanswered)
    y_nP = np.where(answered[:, None], world.y_n[rows], -1).astype(np.int8)
    pi_H = world.audit.sample_H / world.audit.population_H
    stratum_n = np.where(drawn, world.stratum_n[rows], -1).astype(np.int32)
    labels = LabelTable(
        creative_id=tuple(world.creative_id.take(pa.array(rows)).to_pylist()),
        y_nP=y_nP,
        naive_nP=np.where(y_nP >= 0, y_nP, world.others_n[rows]).astype(np.int8),
        pi_n=np.where(drawn, pi_H[world.stratum_n[rows]], np.nan),
        stratum_n=stratum_n,
        counts={},
    )
    joined = join_labels(world.replayed.kept, labels, (world.audit,))
    return replace(make_question(world.run, world.replayed, joined, world.billed), inferences=(HISTORY,))


def conclude(world: World, tally: Tally, repetitions: int, seed: int) -> Bench:
    """Pool the numbers with enough events and say what holds."""
    plenty = [key for key, seen in tally.seen.items() if tally.events[key] / seen >= ENOUGH]
    few = [key for key in tally.seen if key not in set(plenty)]
    pooled, pooled_few = (
        sum(tally.inside[k] for k in keys) / max(1, sum(tally.seen[k] for k in keys)) for keys in (plenty, few)
    )
    per_number = sorted(tally.inside[k] / tally.seen[k] for k in plenty)
    lines = [
        f"== demo: {repetitions} audits of its one history, {len(tally.seen)} random numbers, "
        f"{len(plenty)} with a mean of >= 30 effective events",
        f"95 % intervals that contain the truth: {pooled:.2%} pooled where events suffice, {pooled_few:.2%} elsewhere",
        f"lowest and highest single number: {per_number[0]:.1%} and {per_number[-1]:.1%}",
        "",
        f"{'mean error of':<44}{'engine':>10}{'naive count':>14}{'truth':>10}",
    ]
    for key, errors in sorted(tally.naive.items(), key=lambda item: str(item[0])):
        if key in tally.seen:
            mean = tally.error[key] / tally.seen[key]
            lines.append(
                f"{key[0]!s:<22}{key[-1]!s:<22}{mean:>+10.4f}{np.mean(errors):>+14.4f}{world.truth[key]:>10.4f}"
            )
    raw = {
        "pooled": pooled,
        "pooled_few_events": pooled_few,
        "numbers": [
            {
                "key": list(k),
                "coverage": tally.inside[k] / tally.seen[k],
                "events": tally.events[k] / tally.seen[k],
                "width": tally.width[k] / tally.seen[k],
                "mean_error": tally.error[k] / tally.seen[k],
                "warned": tally.warned[k] / tally.seen[k],
            }
            for k in tally.seen
        ],
    }
    bars = [within("coverage.demo_pooled", pooled, 0.93, 0.97)]
    return Bench("coverage", {"config": CONFIG, "repetitions": repetitions, "seed": seed}, raw, bars, ["", *lines, ""])
