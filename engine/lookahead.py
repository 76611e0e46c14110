"""Does any decision depend on what was not known yet? History is cut at several moments and replayed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from engine.config.sections import Config
from engine.expression import is_feature, velocity_hours
from engine.expression.features import ADVERTISER_AGE
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.records import F64, I64
from engine.replay.history import History, advertiser_age, velocity
from engine.replay.walk import changed_later, decided_at, walk
from engine.report.wording import plain
from engine.stages.events import collect_events
from engine.stages.read import read_stage
from engine.stages.replay import find_ground
from engine.stages.run import Run
from engine.stages.score import score_stage
from engine.tasks.stateful import EventTable, remembered


@dataclass(frozen=True)
class Cut:
    """History cut at a moment (microseconds): what is about a strategy, or a feature of the past.

    final : decisions (or values) that were known by then. changed : those that the whole history tells otherwise.
    """

    what: str
    moment: int
    final: int
    changed: int


def check_lookahead(config: Config, moments: int, progress: Progress) -> list[Cut]:
    """Cut the history of every stateful strategy, and of every feature of an advertiser's past, at some moments.

    Rules on scores and attributes decide each creative by itself: where they are all, there is nothing to cut.
    """
    run = open_run(config, prepare(config), progress)
    creatives = read_stage(run)
    scored = score_stage(run, creatives)
    ground = find_ground(run, creatives, scored)
    events = ground.events
    if events is None and any(_of_the_past(name) for name in run.prepared.features):
        events = collect_events(run, creatives, scored, ground.segments, ground.medians)
    if events is None:
        return []
    table = events.table
    spec = run.prepared.spec
    at = np.linspace(spec.since, spec.until, moments + 2)[1:-1].astype(np.int64)
    cuts = [cut for strategy in _stateful(run) for cut in _cut_strategy(run, table, strategy, at)]
    return cuts + [cut for column in table.columns for cut in _cut_feature(table, column.name, column.values_N, at)]


def lookahead_text(cuts: Sequence[Cut]) -> str:
    """Return what `backtest check-lookahead` prints."""
    if not cuts:
        return "nothing remembers: every creative is decided by itself"
    lines = []
    for cut in cuts:
        moment = datetime.fromtimestamp(cut.moment / 1e6, UTC)
        verdict = "none changed" if not cut.changed else f"{cut.changed:,} CHANGED"
        lines.append(f"{plain(cut.what)}: until {moment:%Y-%m-%d %H:%M}: {cut.final:,} were final, {verdict}")
    return "\n".join(lines)


def _stateful(run: Run) -> list[int]:
    return [s for s, strategy in enumerate(run.prepared.table.strategies) if strategy.memory]


def _cut_strategy(run: Run, events: EventTable, strategy: int, at: I64) -> list[Cut]:
    written = run.prepared.table.strategies[strategy]
    missing = run.prepared.spec.missing_score_allowed
    found = remembered(events, written, tuple(run.config.policies), missing_to_review=missing)
    asked = (found.memory, found.codes, found.decided, found.reviewers)
    changed = changed_later(events.history, *asked, at)
    final_N = decided_at(events.history, found.codes, walk(events.history, *asked))
    return [
        Cut(written.name, int(moment), int((final_N <= moment).sum()), len(rows))
        for moment, rows in zip(at, changed, strict=True)
    ]


def _cut_feature(events: EventTable, name: str, value_N: np.ndarray, at: I64) -> list[Cut]:
    if not _of_the_past(name):
        return []
    out = []
    for moment in at:
        known = events.history.before(int(moment))
        rows = len(known.time_N)
        out.append(Cut(name, int(moment), rows, int((_feature(known, name) != value_N[:rows]).sum())))
    return out


def _of_the_past(name: str) -> bool:
    return is_feature(name) and (name == ADVERTISER_AGE or velocity_hours(name) is not None)


def _feature(history: History, name: str) -> F64:
    hours = velocity_hours(name)
    return advertiser_age(history) if hours is None else velocity(history, hours)
