"""The numbers of a page's strategies over time: replayed and estimated by pieces of the period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.calendar import MICROSECONDS_OF_DAY, even_cuts_of_days, local_date
from engine.conclude.drift import Drifts, drift_stage
from engine.conclude.numbers import Numbers, ask_of, without_training
from engine.estimate.drift import LabelDrift, label_drift
from engine.estimate.known import creatives_of
from engine.estimate.metrics import VIOLATING_SHARE
from engine.estimate.over_time import piece_rates
from engine.estimate.sample import FUTURE, HISTORY
from engine.read.segments import PIECE, piece_codes
from engine.records import F64, I64, Estimate
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run, compared
from engine.stages.score import Scored
from engine.strategy import build_table

DAYS = {"day": 1, "week": 7, "four_weeks": 28}
SHOWN = ("leakage_rate", "overkill_rate", "review_rate", "reject_rate")
STRATEGIES = 4  # are followed: baseline and candidate, then as in the config
ENOUGH = 30.0  # effective violating labels in the median piece
MOST = 62  # pieces that a picture holds


@dataclass(frozen=True)
class Pieces:
    """The period cut into pieces of equal numbers of local days, the last one up to half shorter or longer.

    by : key of DAYS. cuts : instants between the pieces, microseconds since 1970 UTC. starts : local dates.
    days : how long each piece is, in days of 24 hours.
    """

    by: str
    cuts: tuple[int, ...]
    starts: tuple[str, ...]
    days: tuple[float, ...]


@dataclass(frozen=True)
class Series:
    """Numbers of each piece. creatives_T : submitted in each. violating : their violating share, one a piece.

    label_drift : whether that share changes. scores : whether scores do, None where that is not asked.
    """

    pieces: Pieces
    policy: str
    creatives_T: I64
    violating: tuple[Estimate, ...]
    numbers: tuple[Estimate, ...]
    label_drift: LabelDrift
    scores: Drifts | None

    def as_plain(self) -> dict[str, Any]:
        """Return what summary.json holds."""
        return {
            "by": self.pieces.by,
            "starts": list(self.pieces.starts),
            "days": list(self.pieces.days),
            "policy": self.policy,
            "creatives": self.creatives_T.tolist(),
            "violating": [_plain(row) for row in self.violating],
            "label_drift": asdict(self.label_drift),
            "scores": self.scores.as_plain() if self.scores else None,
            "numbers": [{"strategy": row.strategy, "metric": row.metric} | _plain(row) for row in self.numbers],
        }


def series_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground, numbers: Numbers) -> Series | None:
    """Replay the first strategies of the page by pieces of the period and estimate them; None where nothing is cut."""
    pieces = choose_pieces(run, numbers)
    if pieces is None:
        return None
    table = run.prepared.table
    first = tuple(dict.fromkeys([*(compared(run) or ()), *range(len(table.names))]))[:STRATEGIES]
    asked = build_table([table.strategies[s] for s in first], missing_to_review=run.prepared.spec.missing_score_allowed)
    wanted = Wanted(asked, name="series", whole=True, cuts=pieces.cuts)
    question = ask_of(run, replay_stage(run, creatives, scored, ground, wanted), {}).question
    policy = question.readable_policies[-1]
    with run.progress.stage("series", 1) as step:
        rows = list(piece_rates(replace(question, inferences=(HISTORY,)), (*SHOWN, VIOLATING_SHARE.name)))
        again = next(piece_rates(replace(question, inferences=(FUTURE,)), (VIOLATING_SHARE.name,)))
        step(len(question.rows.pi_n))
    return Series(
        pieces,
        policy,
        creatives_of(question.totals, question.segments)[1:].astype(np.int64),
        tuple(row for row in rows[0] if row.segment_by == PIECE and row.metric == VIOLATING_SHARE.name),
        tuple(row for found in rows for row in found if row.segment_by == PIECE and row.metric in SHOWN),
        label_drift([row for row in again if row.segment_by == PIECE], question.confidence),
        drift_stage(run, creatives, scored),
    )


def choose_pieces(run: Run, numbers: Numbers) -> Pieces | None:
    """Cut the period as the config says; `auto` takes the finest cut whose median piece holds ENOUGH.

    Where no cut does, the coarsest that makes two pieces; where nothing is labelled, the finest of at most MOST pieces.
    """
    wanted, spec, zone = run.config.series.by, run.prepared.spec, run.config.period.time_zone
    every = {by: even_cuts_of_days(spec.since, spec.until, zone, days) for by, days in DAYS.items()}
    possible = {by: cuts for by, cuts in every.items() if cuts and (by == wanted or len(cuts) < MOST)}
    if wanted != "auto":
        possible = {by: cuts for by, cuts in possible.items() if by == wanted}
    if not possible:
        return None
    by = _finest(possible, *_violating(run, numbers)) if wanted == "auto" else wanted
    starts = tuple(local_date(at, zone) for at in (spec.since, *possible[by]))
    edges = (spec.since, *possible[by], spec.until)
    days = tuple(round((end - start) / MICROSECONDS_OF_DAY, 6) for start, end in pairwise(edges))
    return Pieces(by, possible[by], starts, days)


def _violating(run: Run, numbers: Numbers) -> tuple[I64, F64]:
    """Return when the violating creatives that an audit drew were submitted, and their weights 1/π."""
    rows, labels = numbers.question.rows, run.prepared.labels
    kept = without_training(run, numbers.replayed)
    labelled = pc.is_in(kept["creative_id"], pa.array(labels.creative_id if labels else (), pa.string()))
    time_n = kept["submitted_at"].filter(labelled).cast(pa.int64()).to_numpy()
    chosen = (rows.stratum_n >= 0) & (rows.y_nQ[:, -1] == 1)
    return time_n[chosen], 1 / rows.pi_n[chosen]


def _finest(possible: Mapping[str, tuple[int, ...]], time_n: I64, weight_n: F64) -> str:
    """Return the finest cut whose median piece holds ENOUGH effective violating labels: Kish's (Σw)²/Σw²."""
    if not len(time_n):
        return next(iter(possible))
    for by, cuts in possible.items():
        piece_n = piece_codes(time_n, cuts)
        first, second = (np.bincount(piece_n, power, len(cuts) + 1) for power in (weight_n, weight_n**2))
        if np.median(first**2 / np.maximum(second, 1e-300)) >= ENOUGH:
            return by
    return list(possible)[-1]


def _plain(row: Estimate) -> dict[str, Any]:
    names = ("estimate", "low", "high", "labels", "effective_events", "warning", "null_reason")
    return {"piece": int(row.segment)} | {name: getattr(row, name) for name in names}
