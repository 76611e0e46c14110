"""What a run would cost before it runs: contents to score and the width to expect, for a few ways to score less.

Widths are those of a share of one half, the widest there is, at 95 % confidence: known labels (1/π, exposure 1) give
the effective size behind leakage and overkill, the size of the sample that behind rates of decisions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.config.sections import Config
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.read.creatives import ROW
from engine.read.images import NO_PICTURE
from engine.read.sampling import uniform
from engine.records import F64, Flags
from engine.stages.calibration import labelled_before
from engine.stages.contents import list_contents
from engine.stages.read import Creatives, creatives_plan, read_stage
from engine.stages.run import Run
from engine.stages.score import model_plans, shared_scores
from engine.stages.sheet import ScoreSheet

SHARES = (0.01, 0.05, 0.2)
_Z = 1.96


@dataclass(frozen=True)
class Option:
    """One way to score. Half-widths are null where the option cannot answer.

    to_score : model → contents without a score; upper bounds for a model that strategies read only in places, and where
        near-copies share scores.
    cost : in the config's prices; hours : at the pace of the latest run of the same models, one machine.
    leakage, overkill, decisions : half-widths of leakage_rate, overkill_rate and review_rate.
    """

    name: str
    to_score: Mapping[str, int]
    cost: float | None
    hours: float | None
    leakage: float | None
    overkill: float | None
    decisions: float | None


def plan(config: Config, progress: Progress) -> list[Option]:
    """Read the creatives (which a run keeps) and weigh labelled-only, sampled and full scoring."""
    run = open_run(config, prepare(config), progress)
    creatives = read_stage(run)
    table = _creatives(run, creatives)
    labelled = pc.is_in(table["creative_id"], run.labelled).to_numpy()
    by = config.creatives.sample.by if config.creatives.sample else "creative"
    chance = uniform(table[f"{by}_id"].combine_chunks(), config.seed)
    units = table["advertiser_id"] if by == "advertiser" else None
    label_widths = _label_widths(run)
    wanted = sorted({*SHARES, *([config.creatives.sample.share] if config.creatives.sample else [])} - {0.0, 1.0})
    options = [_option(run, creatives, table, "labelled only", labelled, label_widths, _audit_width(run))]
    for share in wanted:
        width = _sample_width(labelled, share, units)
        options.append(
            _option(run, creatives, table, f"{share:.4g} of {by}s", labelled | (chance < share), label_widths, width)
        )
    everything = np.ones(table.num_rows, bool)
    options.append(_option(run, creatives, table, "everything", everything, label_widths, 0.0))
    return [_priced(run, option) for option in options]


def _creatives(run: Run, creatives: Creatives) -> pa.Table:
    plan = creatives_plan(run, creatives)
    ids = [reading.id_column for reading in run.prepared.spec.readings]
    columns = [ROW, "creative_id", "advertiser_id", *ids]
    return pa.concat_tables(plan.without_duplicates(table) for table in run.tables(columns))


def _option(
    run: Run,
    creatives: Creatives,
    table: pa.Table,
    name: str,
    chosen: Flags,
    labels: tuple[float | None, float | None],
    width: float | None,
) -> Option:
    some = table.filter(pa.array(chosen))
    to_score = {}
    for model in model_plans(run):
        columns = [ROW, model.reading.id_column]
        before = labelled_before(run, creatives, model)
        rows = [some.select(columns), *([] if before is None else [before])]
        contents = list_contents(pa.concat_tables(rows).sort_by(ROW), model.reading.id_column)
        sheet = ScoreSheet(model, contents, np.ones(len(contents), bool))
        if model.reading.kind == "images":
            sheet.settle(NO_PICTURE, 0.0)  # the model is never asked about creatives without a picture
        sheet.read(shared_scores(run))
        to_score[model.name] = int(sheet.missing_U.sum())
    return Option(name, to_score, None, None, *labels, width)


def _priced(run: Run, option: Option) -> Option:
    cost, pace = run.config.cost, _pace(run)
    contents = sum(option.to_score.values())
    return replace(
        option,
        cost=cost.million_contents * contents / 1e6 if cost else None,
        hours=max(option.to_score.values(), default=0) / pace / 3600 if pace else None,
    )


def _pace(run: Run) -> float | None:
    """Return the contents per second of the latest run that scored by the same models, None where there was none."""
    mine = {model.fingerprint for model in model_plans(run)}
    found: list[tuple[str, float]] = []
    for path in Path(run.config.store.path).glob("*/manifest.json"):
        try:
            manifest = json.loads(path.read_bytes())
            stage = manifest["stages"]["score"]
            if mine <= set(manifest["models"].values()) and stage["rows"] and stage["seconds"]:
                found.append((str(manifest["finished"]), stage["rows"] / stage["seconds"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a run under way, or somebody else's file
    return max(found)[1] if found else None


def _label_widths(run: Run) -> tuple[float | None, float | None]:
    """Return the half-widths of a share of the violating and of the compliant creatives."""
    labels = run.prepared.labels
    if labels is None:
        return None, None
    y_n, pi_n = labels.y_nP[:, 0], labels.pi_n
    drawn = labels.stratum_n >= 0
    violating, compliant = (_effective(1 / pi_n[drawn & (y_n == y)]) for y in (1, 0))
    return _half_width(violating), _half_width(compliant)


def _audit_width(run: Run) -> float | None:
    labels = run.prepared.labels
    return None if labels is None else _half_width(_effective(1 / labels.pi_n[labels.stratum_n >= 0]))


def _sample_width(labelled: Flags, share: float, units: pa.ChunkedArray | None) -> float | None:
    """Return the half-width of a share of all creatives: Poisson sampling of those without a label.

    Where advertisers are drawn whole, as if all creatives of one were decided alike, which is the worst case.
    """
    rest = ~labelled
    sizes = np.ones(int(rest.sum()))
    if units is not None:
        sizes = pc.value_counts(units.filter(pa.array(rest))).field("counts").to_numpy().astype(np.float64)
    variance = 0.25 * (1 - share) / share * float((sizes**2).sum()) / len(labelled) ** 2
    return min(_Z * float(np.sqrt(variance)), 0.5)


def _effective(weight_n: F64) -> float:
    return float(weight_n.sum() ** 2 / (weight_n**2).sum()) if len(weight_n) else 0.0


def _half_width(effective: float) -> float | None:
    return min(_Z * 0.5 / float(np.sqrt(effective)), 0.5) if effective > 0 else None


def plan_table(options: Sequence[Option]) -> str:
    """Return the options as lines of text."""
    models = list(options[0].to_score)
    head = ["scored", *(f"{name} to score" for name in models), "cost", "hours", "leakage ±", "overkill ±", "review ±"]
    rows = [head]
    for option in options:
        widths = [_percent(width) for width in (option.leakage, option.overkill, option.decisions)]
        cost = "–" if option.cost is None else f"{option.cost:,.2f}"
        hours = "–" if option.hours is None else f"{option.hours:,.2f}"
        rows.append([option.name, *(f"{option.to_score[name]:,}" for name in models), cost, hours, *widths])
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join([row[0].ljust(width[0]), *(c.rjust(w) for c, w in zip(row[1:], width[1:], strict=True))])
             for row in rows]  # fmt: skip
    return "\n".join(lines) + (
        "\n\n± : half of the widest 95 % interval to expect of leakage_rate, overkill_rate and review_rate over all "
        "creatives, by creatives, machine alone; 0 is a count.\nleakage and overkill divide by labels: scoring more "
        "does not narrow them.\n"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
