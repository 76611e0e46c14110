"""Do planned labels do the work of more uniform ones? Redrawn in the demo world, answered by its truth file.

Each repetition draws the demo's own audit anew, plans from its answers, and draws and answers the plan; beside it a
simple random draw from the same creatives. Labels travel as tables through the reader, as those of a run do. Widths and
coverage are those of the paired difference, with the new labels alone and together with the demo's own audit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from record import Bench, at_least, at_most

from engine.conclude.numbers import make_question, without_training
from engine.config import load_config
from engine.estimate.known import KnownTotals, creatives_of
from engine.estimate.label_rates import paired_rates
from engine.estimate.metrics import RATES
from engine.estimate.policy import bases
from engine.estimate.sample import HISTORY, answered_sample
from engine.estimate.truth import true_values
from engine.estimate.view import View
from engine.labelling.allocation import Allocation, allocate
from engine.labelling.ground import Comparison, Ground, Wish, find_ground
from engine.labelling.plan import comparison_of
from engine.labelling.table import draw, frame_table, plan_table, stratum_names
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.read.audits import Audit
from engine.read.frame import Frame
from engine.read.labelled import census, join_labels, read_truth
from engine.read.labels import label_columns, resolve_labels
from engine.read.shards import read_table
from engine.records import Estimate
from engine.schema import LABELS
from engine.stages.read import read_stage
from engine.stages.replay import Replayed, Wanted, replay_stage
from engine.stages.replay import find_ground as find_replay_ground
from engine.stages.run import Run, compared
from engine.stages.score import score_stage

CONFIG = "configs/demo.yaml"
SHARES = (1.0, 0.5, 0.25)  # of the uniform draw's labels, that the plan gets


@dataclass(frozen=True)
class World:
    """A finished demo run, the audit that it can redraw, and what is true of every creative of its frame."""

    run: Run
    replayed: Replayed
    comparison: Comparison
    known: KnownTotals
    audit: Audit
    ids: pa.Array
    violating_N: np.ndarray
    unanswered: float
    truth: float


@dataclass(frozen=True)
class Outcome:
    """What one way of labelling came to, over repetitions."""

    name: str
    labels: int
    width: float
    coverage: float
    expected: float


def measure(arguments: Sequence[str]) -> Bench:
    """Redraw, plan, and compare widths and coverage."""
    parser = argparse.ArgumentParser(prog="scripts/bench labels")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--labels", type=int, default=1200, help="of the uniform draw")
    parser.add_argument("--metric", default="leakage_rate")
    parser.add_argument("--weighting", default="creatives")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    wish = Wish(metric=options.metric, weighting=options.weighting, budget=options.labels)
    world = load_world(wish)
    found: dict[str, list[tuple[float, float, bool]]] = {}
    for repetition in range(options.repetitions):
        for name, row, expected in one_repetition(world, wish, np.random.default_rng([options.seed, repetition])):
            assert row.low is not None
            assert row.high is not None
            covers = row.low - 1e-12 <= world.truth <= row.high + 1e-12
            found.setdefault(name, []).append((row.high - row.low, expected, covers))
    outcomes = {name: _outcome(name, rows, options.labels) for name, rows in found.items()}
    return conclude(world, outcomes, vars(options))


def load_world(wish: Wish) -> World:
    """Run the demo (its scores are there) and read back what a redraw needs."""
    config = load_config(CONFIG)
    run = open_run(config, prepare(config), Progress())
    creatives = read_stage(run)
    scored = score_stage(run, creatives, scores_exist=True)
    wanted = Wanted(run.prepared.table, "label-plan", compared(run), keep_all=True, keep_identity="label-plan")
    replayed = replay_stage(run, creatives, scored, find_replay_ground(run, creatives, scored), wanted)
    table, _ = read_table(str(config.report.truth), "report.truth")
    ids, y_NP = read_truth(table, config.policies)
    question = make_question(run, replayed, census(without_training(run, replayed), ids, y_NP), scored.billed)
    (audit,), labels = run.prepared.audits, run.prepared.labels
    assert labels is not None
    unanswered = labels.counts["audit_unanswered"] / labels.counts["audit_drawn"]
    truth = the_number(true_values(replace(question, weightings=(wish.weighting,))), wish).estimate
    assert truth is not None
    comparison = comparison_of(run, replayed)
    known = bases(question, creatives_of(question.totals, question.segments))[0]
    return World(run, replayed, comparison, known, audit, ids, y_NP[:, 0] == 1, unanswered, truth)


def one_repetition(world: World, wish: Wish, generator: np.random.Generator) -> list[tuple[str, Estimate, float]]:
    """Return the number by every way of labelling, with the width that was expected of it."""
    old = world.audit
    assert wish.budget is not None
    first = redraw(old, generator)
    mine = [answered(world, first, generator)]
    known = resolve_labels(mine[0], world.comparison.policies, (old,), "redrawn")
    ground = find_ground(world.comparison, known, (old,), wish)
    lone = replace(ground, earlier=())
    everyone = np.zeros(len(ground.creative_id), np.int32)
    size, zero = np.array([len(everyone)]), np.zeros(1, np.int64)
    out = [("the demo's audit", number(world, wish, mine, (old,)), ground.width(None) or 0.0)]
    ways = [("uniform", Allocation(everyone, size, np.array([wish.budget]), zero), "both")]
    for share in SHARES:
        budget = round(share * wish.budget)
        ways.append((f"plan {share:.0%}", allocate(ground.moves, ground.earlier, budget, wish.floor), "together"))
        ways.append((f"plan {share:.0%}", allocate(lone.moves, (), budget, wish.floor), "alone"))
    for name, found, how in ways:
        audit, labels = label(world, ground, found, generator)
        if how != "alone":
            row = number(world, wish, [*mine, labels], (old, audit))
            out.append((f"{name}, together", row, ground.width(found) or 0.0))
        if how != "together":
            out.append((f"{name}, alone", number(world, wish, [labels], (audit,)), lone.width(found) or 0.0))
    return out


def redraw(audit: Audit, generator: np.random.Generator) -> pa.Table:
    """Return the label rows of another draw of the demo's audit, unanswered."""
    assert audit.frame is not None
    drawn = [
        generator.choice(np.flatnonzero(audit.frame.stratum_F == h), int(size), replace=False)
        for h, size in enumerate(audit.sample_H)
    ]
    at = np.concatenate(drawn)
    count = len(at)
    columns = {field.name: pa.nulls(count, field.type) for field in LABELS} | {
        "creative_id": audit.frame.creative_id.take(pa.array(at)),
        "policy": ["scam"] * count,
        "source": ["audit"] * count,
        "audit_id": [audit.audit_id] * count,
        "stratum": pa.array(audit.strata).take(pa.array(audit.frame.stratum_F[at])),
        "inclusion_probability": audit.frame.chance_F[at],
    }
    return pa.table(columns, schema=LABELS)


def answered(world: World, labels: pa.Table, generator: np.random.Generator) -> pa.Table:
    """Return label rows with the truth filled in, but for those that nobody answers."""
    at = pc.index_in(labels["creative_id"], world.ids).to_numpy()
    code = np.where(generator.random(len(at)) < world.unanswered, 2, world.violating_N[at].astype(np.int64))
    words = pa.array(["COMPLIANT", "VIOLATING", None], pa.string())
    at_label = labels.column_names.index("label")
    filled = labels.set_column(at_label, "label", words.take(pa.array(code)))
    return label_columns(filled, {}, "redrawn")


def label(world: World, ground: Ground, found: Allocation, generator: np.random.Generator) -> tuple[Audit, pa.Table]:
    """Draw and answer an allocation; return it as an audit with its labels."""
    ids = ground.creative_id
    drawn = draw(found, generator.random(len(ids)))
    swap_N, policies = ground.moves.swap_N, world.comparison.policies
    rows = plan_table(ids, found, drawn, swap_N, ground.known_NP, "new", policies, None)
    frame = frame_table(ids, found)
    lone = np.full(len(ids), -1, np.int64)
    strata = tuple(stratum_names(found))
    listed = Frame(ids, found.stratum_N, frame["inclusion_probability"].to_numpy(), lone)
    audit = Audit("new", strata, ("srs",) * len(strata), found.size_h, found.take_h, (), listed, "")
    return audit, answered(world, rows, generator)


def number(world: World, wish: Wish, labels: list[pa.Table], audits: tuple[Audit, ...]) -> Estimate:
    """Return the paired difference from some audits' labels."""
    known = resolve_labels(pa.concat_tables(labels), world.comparison.policies, audits, "redrawn")
    rows = join_labels(world.comparison.kept, known, audits)
    question = replace(make_question(world.run, world.replayed, rows, {}), prices=None, inferences=(HISTORY,))
    creatives_G = creatives_of(question.totals, question.segments)
    sample = answered_sample(rows, 0, question.segments, creatives_G)
    baseline, candidate = (
        View(question, world.known, sample, s, 0, wish.reading, wish.weighting) for s in world.comparison.pair
    )
    metrics = [metric for metric in RATES if metric.name == wish.metric]
    return the_number(list(paired_rates(candidate, baseline, metrics)), wish)


def the_number(estimates: Sequence[Estimate], wish: Wish) -> Estimate:
    """Return the row that a wish is about, over all creatives."""
    sought = (wish.metric, wish.weighting, wish.reading, "all")
    (row,) = [
        e for e in estimates if e.baseline is not None and (e.metric, e.weighting, e.reading, e.segment_by) == sought
    ]
    return row


def conclude(world: World, outcomes: dict[str, Outcome], inputs: dict[str, object]) -> Bench:
    """Return the table and the bars."""
    lines = [f"{'':<26}{'labels':>8}{'width':>10}{'expected':>10}{'covers':>9}   truth {world.truth:+.4f}"]
    lines += [
        f"{o.name:<26}{o.labels:>8,}{o.width:>10.4f}{o.expected:>10.4f}{o.coverage:>9.1%}" for o in outcomes.values()
    ]
    bars = []
    for how in ("alone", "together"):
        uniform = outcomes[f"uniform, {how}"]
        enough = [share for share in SHARES if outcomes[f"plan {share:.0%}, {how}"].width <= uniform.width]
        bars.append(at_most(f"labels.share_of_uniform.{how}", min(enough, default=None), 0.5))
    worst = min(o.coverage for name, o in outcomes.items() if name.startswith("plan"))
    bars.append(at_least("labels.coverage", worst, 0.93))
    raw = {"truth": world.truth, "ways": [vars(o) for o in outcomes.values()]}
    return Bench("labels", inputs, raw, bars, ["", *lines, ""])


def _outcome(name: str, rows: list[tuple[float, float, bool]], labels: int) -> Outcome:
    width, expected, covers = (float(np.mean(column)) for column in zip(*rows, strict=True))
    share = next((s for s in SHARES if name.startswith(f"plan {s:.0%}")), 1.0)
    return Outcome(name, 0 if name.startswith("the demo") else round(share * labels), width, covers, expected)
