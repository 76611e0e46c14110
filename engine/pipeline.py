"""The road of a run: read → score → replay → estimate → report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engine.conclude.examples import examples_stage
from engine.conclude.judge import billed_with
from engine.conclude.numbers import Numbers, estimate_stage
from engine.conclude.replicates import with_replicates
from engine.conclude.report import Insight, report_stage
from engine.conclude.rules import rules_stage
from engine.conclude.search import search_stage, with_picks
from engine.conclude.series import series_stage
from engine.conclude.tracked import track_stage
from engine.conclude.verdict import verdict_stage
from engine.conclude.versus import versus_stage
from engine.conclude.waiting import waiting_stage
from engine.config.sections import Config
from engine.execute import Executor, LocalExecutor, RayExecutor
from engine.manifest import finish, start
from engine.prepare import Prepared, prepare
from engine.progress import Progress
from engine.stages.read import Creatives, read_stage
from engine.stages.replay import find_ground
from engine.stages.run import Run
from engine.stages.score import Scored, score_stage
from engine.store import RunDirectory


@dataclass(frozen=True)
class Finished:
    """A run that is complete: its directory, what was read and scored, and its numbers (None after `score`).

    warnings : trackers that were not told.
    """

    directory: Path
    creatives: Creatives
    scored: Scored
    numbers: Numbers | None
    warnings: tuple[str, ...] = ()


def run(
    config: Config,
    progress: Progress,
    *,
    score_only: bool = False,
    scores_exist: bool = False,
    side_by_side: bool = False,
) -> Finished:
    """Execute a config; what is already committed is not done again.

    Parameters
    ----------
    score_only : stop after the scores. scores_exist : stop with a fault where a score would have to be computed.
    side_by_side : also hold baseline and candidate against each other at equal levels, cell by cell, score by score.

    Raises
    ------
    BacktestError : see engine.errors.
    """
    prepared = prepare(config)
    under_way = open_run(config, prepared, progress)
    start(under_way)
    creatives = read_stage(under_way)
    scored = score_stage(under_way, creatives, scores_exist=scores_exist)
    if score_only:
        finish(under_way, creatives, scored, None)
        return Finished(under_way.directory.path, creatives, scored, None)
    ground = find_ground(under_way, creatives, scored)
    searched = search_stage(under_way, creatives, scored, ground)
    under_way = with_picks(under_way, searched)
    if searched is not None:
        scored = replace(scored, billed=billed_with(under_way, scored, searched.strategies))
    numbers = estimate_stage(under_way, creatives, scored, ground)
    numbers.estimates[:] = with_replicates(under_way, creatives, scored, ground, numbers.estimates)
    rules = rules_stage(under_way, creatives, scored, ground) if config.estimate.rules else {}
    verdict = verdict_stage(under_way, numbers.question)
    beside = versus_stage(under_way, creatives, scored, ground, numbers) if side_by_side else {}
    examples = examples_stage(under_way, creatives, scored, ground, numbers) if config.report.examples else None
    series = series_stage(under_way, creatives, scored, ground, numbers)
    waiting = waiting_stage(under_way, creatives, scored, ground)
    insight = Insight(rules, searched, verdict, beside, examples, series, waiting)
    summary = report_stage(under_way, creatives, scored, numbers, insight)
    finish(under_way, creatives, scored, numbers, verdict.look if verdict else None)
    return Finished(under_way.directory.path, creatives, scored, numbers, track_stage(under_way, summary))


def open_run(config: Config, prepared: Prepared, progress: Progress) -> Run:
    """Return a run on its own directory; nothing is written yet."""
    directory = RunDirectory(Path(config.store.path) / config.run)
    identity = directory.claim(config.decided(), prepared.inputs)
    return Run(config, prepared, directory, identity, executor(config), progress)


def executor(config: Config) -> Executor:
    """Return where the run's work goes."""
    if config.execute.where == "ray":
        return RayExecutor(config.execute.address, config.execute.workers)
    return LocalExecutor(config.execute.workers)
