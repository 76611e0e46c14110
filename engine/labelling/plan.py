"""From a run's config to a label plan on disk: replay, weigh, allocate, draw, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.conclude.numbers import without_training
from engine.config.sections import Config
from engine.errors import UsageError
from engine.labelling.allocation import FEWEST_LABELS, Allocation, allocate
from engine.labelling.ground import Comparison, Ground, Wish, check_wish, find_ground
from engine.labelling.table import (
    Files,
    audits_table,
    check_target,
    draw,
    draw_numbers,
    files_of,
    frame_table,
    plan_table,
    write_files,
)
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.read.shards import read_shard_columns, read_table
from engine.records import UNCALIBRATED
from engine.schema import AUDITS
from engine.stages.read import read_stage
from engine.stages.replay import Replayed, Wanted, replay_stage
from engine.stages.replay import find_ground as find_replay_ground
from engine.stages.run import Run, compared
from engine.stages.score import score_stage

AUDIT = "label-plan"


@dataclass(frozen=True)
class LabelPlan:
    """A plan that lies on disk. swapped : creatives in the swap set. now, then : widths to expect without and with it.

    known : drawn creatives that an earlier audit has the labels of. use : the audits to combine, the plan's own last.
    """

    files: Files
    use: tuple[str, ...]
    wish: Wish
    creatives: int
    drawn: int
    swapped: int
    swapped_drawn: int
    known: int
    now: float | None
    then: float
    alone: str | None


def plan_labels(
    config: Config, wish: Wish, out: Path, progress: Progress, *, audit_id: str = AUDIT, texts: bool = False
) -> LabelPlan:
    """Replay the comparison and write which creatives to label, each with its probability.

    texts : show annotators the text columns.

    Raises
    ------
    UsageError : nothing is compared, the wish cannot be met or names what is not there, the audit's name is taken,
        or a file that it would write is there and holds something else.
    DataError : the number that the labels are for would be null.
    """
    check_request(config, wish)
    check_target(
        out, {"creatives.path": [config.creatives.path], "labels.path": config.labels.paths if config.labels else []}
    )
    earlier = _earlier_audits(config, audit_id)
    run = open_run(config, prepare(config), progress)
    comparison = find_comparison(run)
    ground = find_ground(comparison, run.prepared.labels, run.prepared.audits, wish)
    found = allocate(ground.moves, ground.earlier, find_budget(ground, wish), wish.floor)
    ids, files = ground.creative_id, files_of(out)
    drawn = draw(found, draw_numbers(ids, config.seed, audit_id))
    shown = _texts(run, ids.take(pa.array(drawn))) if texts else None
    plan = plan_table(ids, found, drawn, ground.moves.swap_N, ground.known_NP, audit_id, config.policies, shown)
    period = f"creatives submitted {config.period.from_:%Y-%m-%d}..{config.period.until:%Y-%m-%d}"
    audits = audits_table(earlier, found, audit_id, period, files.frame)
    names = config.labels.columns if config.labels else {}
    plan = plan.rename_columns([names.get(name, name) for name in plan.column_names])  # read beside the earlier labels
    write_files(files, plan, frame_table(ids, found), audits)
    combined = [audit.audit_id for audit in run.prepared.audits] if ground.alone is None else []
    return _facts(ground, found, drawn, wish, files, (*combined, audit_id))


def check_request(config: Config, wish: Wish) -> None:
    """Refuse what no plan can be made for.

    Raises
    ------
    UsageError : see the lines.
    """
    if config.compare is None:
        raise UsageError("compare: is not in the config; write compare: {baseline: ..., candidate: ...}")
    if config.creatives.sample is not None:
        raise UsageError("creatives.sample: a label plan needs every creative scored; take the sample out")
    if (wish.budget is None) == (wish.width is None):
        raise UsageError("label-plan: give --budget or --width, one of them")
    if wish.budget is not None and wish.budget < FEWEST_LABELS:
        raise UsageError(f"--budget: {wish.budget} is below {FEWEST_LABELS}, too few for strata that can be estimated")
    if wish.width is not None and not wish.width > 0:
        raise UsageError(f"--width: {wish.width} must be above 0")
    check_wish(tuple(config.policies), wish)


def find_comparison(run: Run) -> Comparison:
    """Replay all strategies and keep what they did with every creative of the period."""
    creatives = read_stage(run)
    scored = score_stage(run, creatives)
    wanted = Wanted(run.prepared.table, name="label-plan", keep_all=True, keep_identity="label-plan")
    return comparison_of(run, replay_stage(run, creatives, scored, find_replay_ground(run, creatives, scored), wanted))


def comparison_of(run: Run, replayed: Replayed) -> Comparison:
    """Return the comparison of a config over a replay that kept every creative."""
    pair = compared(run)
    assert pair is not None
    kept = without_training(run, replayed)
    policy_of = run.config.score_columns()
    names = [name for name in kept.column_names if "." in name]
    of_column = {name: policy_of[name.removeprefix(UNCALIBRATED)] for name in names}
    policies = tuple(run.config.policies)
    config = run.config
    return Comparison(
        kept, replayed.wanted.table, pair, policies, of_column, config.estimate.confidence, config.exposure.refused
    )


def find_budget(ground: Ground, wish: Wish) -> int:
    """Return how many creatives to label: the budget, or the fewest that a width needs.

    Raises
    ------
    UsageError : no label would move the difference, the width is there already, or not even all labels reach it.
    """
    if not ground.moves.square_N.any():
        raise UsageError("label-plan: both strategies count every creative alike; no label would move the difference")
    whole = len(ground.creative_id)
    if wish.budget is not None:
        return min(wish.budget, whole)
    assert wish.width is not None
    now = ground.width(None)
    if now is not None and now <= wish.width:
        raise UsageError(f"--width: the labels that are there are expected to reach {now:.4g} already")

    def width(budget: int) -> float:
        return ground.width(allocate(ground.moves, ground.earlier, budget, wish.floor)) or 0.0

    low, high = min(FEWEST_LABELS, whole) - 1, whole
    if (least := width(high)) > wish.width:
        raise UsageError(f"--width: {wish.width:.4g} is not reached by labelling all {whole:,} creatives: {least:.4g}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if width(middle) <= wish.width else (middle, high)
    return high


def label_plan_text(plan: LabelPlan, step: Sequence[str]) -> str:
    """Return what `backtest label-plan` prints. step : lines of what to do next."""
    wish = plan.wish
    number = f"{wish.metric} by {wish.weighting}, {wish.reading.replace('_', ' ')}"
    now = "nothing" if plan.now is None else f"{plan.now:.4g}"
    lines = [
        f"drawn {plan.drawn:,} of {plan.creatives:,} creatives: {plan.swapped_drawn:,} of {plan.swapped:,} that swap, "
        f"{plan.drawn - plan.swapped_drawn:,} of the rest",
        f"width of the interval of the difference in {number}: now {now}, then {plan.then:.4g} (expected)",
    ]
    if plan.known:
        lines.append(f"{plan.known:,} of them have the label of an earlier audit: {plan.drawn - plan.known:,} to label")
    lines.append(f"stands alone: {plan.alone}" if plan.alone else f"combined with {', '.join(plan.use[:-1])}")
    return "\n".join([*lines, *step])


def _facts(
    ground: Ground, found: Allocation, drawn: np.ndarray, wish: Wish, files: Files, use: tuple[str, ...]
) -> LabelPlan:
    swaps_N, then = ground.moves.swap_N != 0, ground.width(found)
    assert then is not None
    return LabelPlan(
        files=files,
        use=use,
        wish=wish,
        creatives=len(ground.creative_id),
        drawn=len(drawn),
        swapped=int(swaps_N.sum()),
        swapped_drawn=int(swaps_N[drawn].sum()),
        known=int((ground.known_NP[drawn] >= 0).all(1).sum()),
        now=ground.width(None),
        then=then,
        alone=ground.alone,
    )


def _earlier_audits(config: Config, audit_id: str) -> pa.Table:
    """Return the audits table that the plan's rows are added to."""
    if config.audits is None:
        return AUDITS.empty_table()
    table, _ = read_table(config.audits.path, "audits.path")
    if "audit_id" in table.column_names and audit_id in pc.unique(table["audit_id"].cast(pa.string())).to_pylist():
        raise UsageError(f"--audit-id: {audit_id} stands in {config.audits.path} already; name another")
    return table


def _texts(run: Run, ids: pa.Array) -> pa.Table:
    """Return the text columns of some creatives, in their order."""
    columns = run.config.creatives.columns
    parts = []
    for shard in run.prepared.source.shards:
        table = read_shard_columns(shard, [columns.id, *columns.text])
        table = table.set_column(0, columns.id, table[columns.id].cast(pa.string()))
        parts.append(table.filter(pc.is_in(table[columns.id], ids)))
    whole = pa.concat_tables(parts)
    return whole.take(pc.index_in(ids, whole[columns.id].combine_chunks())).drop_columns([columns.id])
