"""The maps through which strategies read scores: fitted on labels known before the period, applied to every score."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.estimate.calibration import CalibrationMap, fit_calibration
from engine.read.creatives import ROW
from engine.records import UNCALIBRATED, ScoreTable
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, earlier_tables
from engine.tasks.score import ModelPlan


def fit_maps(run: Run, creatives: Creatives, plan: ModelPlan, scores: pa.Table) -> dict[str, CalibrationMap]:
    """Return a map per policy of a model, none where the config asks for none.

    scores : content_id and a column per policy, contents of the labelled creatives from before the period included.

    Raises
    ------
    DataError : too few labels, one class only, or scores that fall where violations rise.
    """
    section, earlier = run.config.models[plan.name].calibration, run.prepared.earlier
    if section is None or earlier is None:
        return {}
    lake = _learned_from(run, creatives, plan).combine_chunks()
    at = pc.index_in(pa.array(earlier.creative_id, pa.string()), lake["creative_id"].combine_chunks())
    content = lake[plan.reading.id_column].combine_chunks().take(at)
    row = pc.fill_null(pc.index_in(content, scores["content_id"].combine_chunks()), -1).to_numpy()
    maps = {}
    for policy in plan.policies:
        mine = (row >= 0) & (earlier.policy_n == run.config.policies.index(policy))
        score_n = scores[policy].to_numpy()[row[mine]]
        try:
            maps[policy] = fit_calibration(section.method, score_n, earlier.y_n[mine], earlier.weight_n[mine])
        except DataError as error:
            before = f"{run.config.period.from_:%Y-%m-%d}"
            why = f"it learns from audit labels known before {before}, of creatives submitted before {before}"
            if run.config.models[plan.name].trained:
                why += " and after the model's training"
            key = f"models.{plan.name}.calibration, policy {policy}"
            raise DataError(f"{key}: {error.faults[0]} ({why})") from None
    return maps


def calibrated(plan: ModelPlan, table: ScoreTable, maps: dict[str, CalibrationMap]) -> ScoreTable:
    """Return the scores as strategies read them; the model's own stay beside them under another name."""
    if not maps:
        return table
    mapped = tuple(maps[policy].apply(values) for policy, values in zip(plan.policies, table.values_KU, strict=True))
    own = tuple(UNCALIBRATED + name for name in table.names)
    return replace(table, names=(*table.names, *own), values_KU=(*mapped, *table.values_KU))


def map_facts(plan: ModelPlan, maps: dict[str, CalibrationMap]) -> dict[str, dict[str, object]]:
    """Return what the report says of each map, by score column."""
    return {
        f"{plan.name}.{policy}": {**found.as_plain(), "fingerprint": found.fingerprint()}
        for policy, found in maps.items()
    }


def labelled_before(run: Run, creatives: Creatives, plan: ModelPlan) -> pa.Table | None:
    """Return `row` and content id of the creatives that calibrate a model, None where nothing does."""
    if run.config.models[plan.name].calibration is None:
        return None
    return _learned_from(run, creatives, plan).select([ROW, plan.reading.id_column])


def _learned_from(run: Run, creatives: Creatives, plan: ModelPlan) -> pa.Table:
    """Return the creatives from before the period that a map may learn from: the model must not have learned them."""
    tables = (creatives_plan(run, creatives).without_duplicates(table) for table in earlier_tables(run))
    table = pa.concat_tables(tables).select([ROW, "creative_id", "submitted_at", plan.reading.id_column])
    table = table.filter(pc.is_in(table["creative_id"], run.prepared.spec.earlier))
    trained = run.config.models[plan.name].trained
    if trained is None:
        return table
    return table.filter(pc.greater_equal(table["submitted_at"], pa.scalar(trained.until, table["submitted_at"].type)))
