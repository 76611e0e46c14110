"""The estimate stage: replayed totals and labels → numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.conclude.off_policy import off_policy_numbers
from engine.config.scoring import ModelSection, ScoresSection
from engine.config.sections import Config
from engine.estimate.estimates import estimate_all
from engine.estimate.naive import NaiveCount, naive_counts
from engine.estimate.question import Prices, Question
from engine.estimate.small_segments import SmallSegments
from engine.estimate.truth import true_values
from engine.read.labelled import census, join_labels, read_truth, scored_sample
from engine.read.shards import read_table
from engine.records import WEIGHTINGS, Estimate, LabelledRows, LabelTable
from engine.report.summary import (
    truth_by_key,
)
from engine.stages.predict import predict_stage
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Replayed, Wanted, replay_stage
from engine.stages.run import Run, compared, sources_read
from engine.stages.score import Scored
from engine.strategy import StrategyTable


@dataclass(frozen=True)
class Numbers:
    """Everything a run concludes.

    truths : the true values, where a simulation knows them. assistance : what rates lean on, in words.
    """

    question: Question
    replayed: Replayed
    estimates: list[Estimate]
    truths: list[Estimate]
    naive: list[NaiveCount]
    naive_truths: dict[tuple[str, str, str], float | None]
    overlapping: int
    drawn_inside: int
    assistance: str


@dataclass(frozen=True)
class Asked:
    """A question and what it leaves out.

    kept : the rows that were kept, without those inside a model's training. overlapping : labelled ones among them.
    drawn_inside : creatives of the period that the audit drew.
    """

    question: Question
    kept: pa.Table
    overlapping: int
    drawn_inside: int


def estimate_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> Numbers:
    """Replay and estimate; where `report.truth` is given, compute the same numbers from it."""
    truth, truth_identity = _truth(run.config)
    every = truth is not None or run.config.off_policy is not None
    wanted = Wanted(run.prepared.table, pair=compared(run), keep_all=every, keep_identity=truth_identity)
    replayed = replay_stage(run, creatives, scored, ground, wanted)
    asked = ask_of(run, replayed, scored.billed)
    since = training_end(run, wanted.table)
    assistance = predict_stage(run, creatives, scored, ground, asked.question, asked.kept, since)
    question = replace(asked.question, predictions=assistance.predictions)
    with run.progress.stage("estimate", 1) as step:
        estimates = estimate_all(question, threads=os.cpu_count() or 1)
        estimates += off_policy_numbers(run.config, replayed, question.readable_policies[-1])
        truths: list[Estimate] = []
        if truth is not None:
            ids, y_nP = read_truth(truth, run.config.policies)
            rows = census(asked.kept, ids, y_nP)
            truths = true_values(replace(asked.question, rows=rows, reviewer_error={}))
        step(len(question.rows.pi_n))
    by_key = truth_by_key(truths)
    naive = list(naive_counts(question))
    naive_truths = {
        (n.strategy, n.policy, n.metric): by_key.get(
            (n.strategy, None, n.policy, "all", "all", "creatives", "machine", n.metric)
        )
        for n in naive
    }
    return Numbers(
        question,
        replayed,
        estimates,
        truths,
        naive,
        naive_truths,
        asked.overlapping,
        asked.drawn_inside,
        assistance.words,
    )


def ask_of(run: Run, replayed: Replayed, billed: Mapping[str, Mapping[str, int | None]]) -> Asked:
    """Return what the estimators are asked about a replay."""
    prepared = run.prepared
    labels = prepared.labels or _no_labels(len(run.config.policies))
    inside = join_labels(replayed.kept, labels, prepared.audits)
    kept = without_training(run, replayed)
    rows = join_labels(kept, labels, prepared.audits)
    overlapping = len(inside.pi_n) - len(rows.pi_n)
    question = make_question(run, replayed, rows, billed, overlapping)
    sample = run.config.creatives.sample
    if sample is not None:
        by_advertiser = sample.by == "advertiser"
        stand = scored_sample(replayed.kept, labels, prepared.audits, sample.share, clustered=by_advertiser)
        question = replace(question, scored=stand)
    return Asked(question, kept, overlapping, int((inside.stratum_n >= 0).sum()))


def make_question(
    run: Run,
    replayed: Replayed,
    rows: LabelledRows,
    billed: Mapping[str, Mapping[str, int | None]],
    overlapping: int = 0,
) -> Question:
    """Return what the estimators are asked. billed : model → strategy → contents, None where nobody knows."""
    config = run.config
    cost = config.cost
    prices = None
    if cost is not None:
        prices = Prices(
            cost.leaked,
            cost.overkilled,
            cost.review_minute * cost.minutes_per_review,
            tuple(_scoring(cost.million_contents / 1e6, billed, name) for name in replayed.wanted.table.names),
            cost.weighting,
        )
    columns = config.creatives.columns
    unmapped = {
        name: f"creatives.columns.{name} is not set" for name in WEIGHTINGS[1:] if getattr(columns, name) is None
    }
    return Question(
        table=replayed.wanted.table,
        policies=tuple(config.policies),
        segments=replayed.segments,
        totals=replayed.totals,
        rows=rows,
        confidence=config.estimate.confidence,
        pair=replayed.wanted.pair,
        prices=prices,
        refused=config.exposure.refused,
        overlapping=overlapping,
        unmapped=unmapped,
        reviewer_error=run.prepared.reviewer_error,
        small=SmallSegments(**config.estimate.small_segments.model_dump()),
        post_strata=_post_strata(run, replayed),
    )


def _post_strata(run: Run, replayed: Replayed) -> tuple[str, ...]:
    """Return what rates are calibrated by: nothing where sums are of all alone, or count what rates leave out."""
    end = training_end(run, replayed.wanted.table)
    if replayed.wanted.whole or (end is not None and end > run.config.period.from_):
        return ()
    return tuple(run.config.estimate.post_strata or ())


def _truth(config: Config) -> tuple[pa.Table | None, str]:
    return read_table(config.report.truth, "report.truth") if config.report.truth else (None, "")


def _no_labels(policies: int) -> LabelTable:
    none = np.zeros((0, policies), np.int8)
    return LabelTable((), none, none, np.zeros(0), np.zeros(0, np.int32), {})


def sections_read(run: Run, table: StrategyTable) -> Mapping[str, ModelSection | ScoresSection]:
    """Return the models and brought scores that some strategy of a table reads."""
    known: dict[str, ModelSection | ScoresSection] = {**run.config.models, **run.config.scores}
    read = {name for s in table.strategies for name in sources_read(s)}
    return {name: section for name, section in known.items() if name in read}


def without_training(run: Run, replayed: Replayed) -> pa.Table:
    """Drop creatives submitted before the end of any compared model's training: their labels may have been learned."""
    kept, end = replayed.kept, training_end(run, replayed.wanted.table)
    if end is None:
        return kept
    return kept.filter(pc.greater_equal(kept["submitted_at"], pa.scalar(end, kept["submitted_at"].type)))


def training_end(run: Run, table: StrategyTable) -> datetime | None:
    """Return when the last training of the models and scores that a table reads ended, None where none is given."""
    sections = sections_read(run, table).values()
    return max((section.trained.until for section in sections if section.trained), default=None)


def _scoring(price: float, billed: Mapping[str, Mapping[str, int | None]], strategy: str) -> float | None:
    """Return what a strategy's scores cost, None where nobody knows how many it would have needed."""
    counts = [by_strategy[strategy] for by_strategy in billed.values() if strategy in by_strategy]
    if price == 0.0:
        return 0.0
    return None if None in counts else price * sum(count for count in counts if count is not None)
