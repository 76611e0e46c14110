"""Everything that can be refused before any work starts: data, models, labels and audits, held against the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import Literal, TypeVar

import pyarrow as pa

from engine.config.decisions import logged_values
from engine.config.kinds import kind_faults
from engine.config.scoring import ModelSection
from engine.config.sections import Config
from engine.config.strategies import compile_strategies, find_template, swept_strategies
from engine.errors import BacktestError, DataError, UsageError
from engine.expression import ALWAYS, Atom, velocity_hours
from engine.expression.features import ADVERTISER_AGE
from engine.read.audits import Audit, read_audits
from engine.read.brought import BroughtScores, read_brought
from engine.read.double_labels import double_labelled
from engine.read.labels import labels_before, read_labels, rejected_in_review, resolve_labels
from engine.read.maturity import LabelRule, counted_labels, submission_times
from engine.read.sampling import SampleRule
from engine.read.shards import Source, find_source
from engine.read.spec import CreativesSpec, LoggedValue, check_schema
from engine.records import Decision, EarlierLabels, LabelTable, Reading, ReviewerError
from engine.score.fields import FieldRule, parse_template
from engine.score.folder import ModelFolder, inspect_folder
from engine.score.frames import FrameRule
from engine.score.opening import Opening
from engine.score.pictures import PictureLimits
from engine.state import DAY
from engine.strategy import Rule, Strategy, StrategyTable, build_table, columns_read, features_read, model_of

COLUMN_MODEL = "column:"


@dataclass(frozen=True)
class Prepared:
    """A checked run: what to read, score and replay.

    inputs : name → identity of everything that is read. readings : model → what it reads of a creative.
    reviewed : creatives that history's own reviewers found violating, and since when that was known.
    openings : model → how it is opened. asking : what models are asked for: the table, and whatever a sweep may read.
    """

    source: Source
    spec: CreativesSpec
    table: StrategyTable
    asking: StrategyTable
    features: tuple[str, ...]
    openings: Mapping[str, Opening]
    labels: LabelTable | None
    reviewer_error: Mapping[str, ReviewerError]
    earlier: EarlierLabels | None
    reviewed: pa.Table | None
    audits: tuple[Audit, ...]
    inputs: Mapping[str, str]
    brought: tuple[str, ...]
    readings: Mapping[str, Reading]


def prepare(config: Config) -> Prepared:
    """Check a config against what it names.

    Raises
    ------
    BacktestError : every fault found, one line each.
    """
    faults = _Faults()
    source = faults.first(lambda: find_source(config.creatives.path, config.limits.shard_rows))
    audits = faults.first(lambda: read_audits(config.audits.path, config.audits.use) if config.audits else ())
    brought = [faults.first(partial(_brought, config, name)) for name in config.scores if config.scores[name].path]
    folders = {name: faults.first(partial(_folder, config, name)) for name in config.models}
    labels = faults.first(lambda: _labels(config, audits, source))
    earlier = labels.earlier if labels else None
    guarded = config.creatives.on_missing_score == "review"
    strategies = compile_strategies(config, swept_strategies(config))[0]
    every = [*strategies, *(find_template(config, name).strategy for name in swept_strategies(config))]
    spec = creatives_spec(config, audits or (), tuple(x for x in brought if x is not None), earlier)
    spec = _with_memory(spec, config, every)
    if source is not None:
        faults.first(lambda: check_schema(source.schema, spec, config.creatives.path))
    table = build_table(strategies, missing_to_review=guarded)
    if source is not None:
        faults.first(lambda: _check_kinds(config, table, source.schema))
    faults.stop()
    assert source is not None
    inputs = {"creatives": source.identity}
    openings = {name: _opening(config, name, folder) for name, folder in folders.items() if folder}
    inputs |= {f"models.{name}": opening.fingerprint() for name, opening in openings.items()}
    inputs |= {f"scores.{x.path}": x.identity for x in brought if x}
    inputs |= {"labels": labels.identity} if labels else {}
    inputs |= {"audits": "".join(audit.identity for audit in audits)} if audits else {}
    return Prepared(
        source=source,
        spec=spec,
        table=table,
        asking=_asking(config, table, guarded=guarded),
        features=features_read(every),
        openings=openings,
        labels=labels.table if labels else None,
        reviewer_error=labels.reviewer_error if labels else {},
        earlier=labels.earlier if labels else None,
        reviewed=labels.reviewed if labels else None,
        audits=audits or (),
        inputs=inputs,
        brought=tuple(name for x in config.scores for name in _score_names(config, x)),
        readings=_readings(config),
    )


def creatives_spec(
    config: Config, audits: Sequence[Audit], brought: tuple[BroughtScores, ...], earlier: EarlierLabels | None = None
) -> CreativesSpec:
    """Return what the read stage reads."""
    columns = config.creatives.columns
    named = {"id": columns.id, "advertiser": columns.advertiser, "submitted_at": columns.submitted_at}
    optional = ("impressions", "spend", "logged_decision", "logged_final", "propensity")
    named |= {key: getattr(columns, key) for key in optional if getattr(columns, key)}
    refused = config.exposure.refused or ""
    framed = [audit.frame.creative_id for audit in audits if audit.frame is not None]
    inside = {name: section.creatives for name, section in config.scores.items() if section.creatives}
    return CreativesSpec(
        columns=named,
        readings=tuple(dict.fromkeys(_readings(config).values())),
        attributes=tuple(config.creatives.attributes),
        scores={f"{name}.{policy}": column for name, held in inside.items() for policy, column in held.items()},
        logged=tuple(LoggedValue(value, _delivered(o.decision, o.share)) for value, o in logged_values(config)),
        refused_column=refused.removeprefix(COLUMN_MODEL) if refused.startswith(COLUMN_MODEL) else None,
        spend_unit=config.exposure.spend_unit,
        since=_microseconds(config.period.from_),
        warm_up=_microseconds(config.period.warm_up_from or config.period.from_),
        until=_microseconds(config.period.until),
        text_bytes=config.limits.text_characters,
        missing_score_allowed=config.creatives.on_missing_score == "review",
        bad_image_allowed=config.creatives.on_bad_image == "skip",
        stratum_when=tuple(when for audit in audits for when in audit.when),
        framed=pa.concat_arrays(framed) if framed else None,
        brought=brought,
        sample=SampleRule(sample.share, sample.by, config.seed) if (sample := config.creatives.sample) else None,
        earlier=pa.array(sorted(set(earlier.creative_id)), pa.string()) if earlier else None,
    )


T = TypeVar("T")


class _Faults:
    """Collects the faults of independent checks, so that all are named at once; the first one gives the exit code."""

    def __init__(self) -> None:
        self._errors: list[BacktestError] = []

    def first(self, check: Callable[[], T]) -> T | None:
        """Return what a check returns, or remember its fault."""
        try:
            return check()
        except BacktestError as error:
            self._errors.append(error)
            return None

    def stop(self) -> None:
        """Raise what was remembered."""
        if self._errors:
            raise type(self._errors[0])(*(line for error in self._errors for line in error.faults))


def _readings(config: Config) -> dict[str, Reading]:
    """Return what each model reads; models that read the same columns share a reading."""
    read: dict[str, tuple[tuple[str, ...], Literal["text", "images"]]] = {
        name: (tuple(model.images), "images") if model.images else (_text_read(config, model), "text")
        for name, model in config.models.items()
    }
    distinct = list(dict.fromkeys(read.values()))
    return {name: Reading(distinct.index(what), *what) for name, what in read.items()}


def _text_read(config: Config, model: ModelSection) -> tuple[str, ...]:
    return tuple(model.text or config.creatives.columns.text)


def _delivered(decision: Decision, share: float) -> float:
    return {Decision.APPROVE: 1.0, Decision.LIMIT: share}.get(decision, 0.0)


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _brought(config: Config, name: str) -> BroughtScores:
    section = config.scores[name]
    columns = {f"{name}.{policy}": column for policy, column in section.columns.items()}
    return read_brought(str(section.path), section.key, columns, f"scores.{name}")


def _score_names(config: Config, name: str) -> list[str]:
    return [f"{name}.{policy}" for policy in config.scores[name].policies]


def _folder(config: Config, name: str) -> ModelFolder:
    section = config.models[name]
    folder = inspect_folder(Path(section.path), section.outputs, section.max_length)
    if (folder.kind == "image") != bool(section.images):
        what = "pictures: name their columns in `images`" if folder.kind == "image" else "texts, not `images`"
        raise DataError(f"{folder.path}: models.{name} is a classifier of {what}")
    if section.dtype == "int8":
        _refuse_unpacked(name, folder)
    return folder


def _refuse_unpacked(name: str, folder: ModelFolder) -> None:
    """Refuse int8 for a family without packed tokens before any work; the rest shows when a worker loads it."""
    from engine.score.encoder import FAMILIES

    if folder.architecture not in FAMILIES:
        raise DataError(
            f"{folder.path}: models.{name}.dtype is int8, which {folder.architecture} has no path for; use float32"
        )


def _opening(config: Config, name: str, folder: ModelFolder) -> Opening:
    section, reading = config.models[name], _readings(config)[name]
    frames = FrameRule(**section.frames.model_dump()) if section.frames else FrameRule()
    template = parse_template(section.template, reading.columns) if section.template is not None else ()
    separator = "\n" if section.separator is None else section.separator
    return Opening(
        folder,
        columns=len(reading.columns),
        fields=FieldRule(separator, template, section.apart),
        text_bytes=config.limits.text_characters,
        limits=picture_limits(config),
        frames=frames,
        dtype=section.dtype,
        device=config.execute.device,
        threads=config.execute.threads_per_worker,
    )


def picture_limits(config: Config) -> PictureLimits:
    """Return what a picture may cost."""
    return PictureLimits(bytes=config.limits.image_bytes, pixels=config.limits.image_pixels)


@dataclass(frozen=True)
class _Labels:
    table: LabelTable
    reviewer_error: Mapping[str, ReviewerError]
    earlier: EarlierLabels | None
    reviewed: pa.Table | None
    identity: str


def _labels(config: Config, audits: Sequence[Audit] | None, creatives: Source | None) -> _Labels | None:
    section = config.labels
    if section is None or audits is None or (section.older_than is not None and creatives is None):
        return None
    rows, digest = read_labels(section.paths, section.columns)
    rule = LabelRule(section.resolve, section.known_by, section.older_than, section.guideline)
    submitted = None
    if rule.older_than is not None and creatives is not None:
        columns, ids = config.creatives.columns, rows["creative_id"].unique().to_pylist()
        submitted = submission_times(creatives, columns.id, columns.submitted_at, ids)
    counted, left_out = counted_labels(rows, rule, submitted, section.named)
    earlier = None
    if any(model.calibration for model in config.models.values()):
        earlier = labels_before(counted, config.policies, config.period.from_, section.named, rule.resolve)
    resolved = resolve_labels(counted, config.policies, audits, section.named, rule.resolve, left_out)
    error = _reviewer_error(config, counted, audits)
    return _Labels(resolved, error, earlier, rejected_in_review(rows), digest)


def _reviewer_error(config: Config, labels: pa.Table, audits: Sequence[Audit]) -> Mapping[str, ReviewerError]:
    """Return how the audit's reviewers err, by policy: as given, or as experts' labels count it."""
    section = config.labels
    if section is None or section.reviewer_error is None:
        return {}
    if section.reviewer_error == "double_labelled":
        return double_labelled(labels, config.policies, audits, section.named, section.resolve)
    return {
        policy: ReviewerError(said.sensitivity, said.specificity, said.violating or inf, said.compliant or inf)
        for policy, said in section.reviewer_error.items()
    }


def _with_memory(spec: CreativesSpec, config: Config, strategies: Sequence[Strategy]) -> CreativesSpec:
    """Return what the read stage reads where strategies remember: creatives from before the period, too.

    State runs from `period.warm_up_from`; where that is not set, from the longest window of any feature of the past.
    """
    windows = [window for strategy in strategies for window in _windows(strategy)]
    hours = [h for strategy in strategies for c in columns_read(strategy) if (h := velocity_hours(c)) is not None]
    past = any(ADVERTISER_AGE in columns_read(strategy) for strategy in strategies)
    if not (windows or hours or past):
        return spec
    longest = max([*windows, *(hour * 3_600_000_000 for hour in hours)], default=0)
    warm_up = spec.warm_up if config.period.warm_up_from is not None else spec.since - longest
    readings = spec.readings
    if not readings and any(strategy.memory.copies for strategy in strategies):
        readings = (Reading(0, tuple(config.creatives.columns.text)),)  # no model reads a content; copies do
    return replace(spec, remembers=True, warm_up=warm_up, readings=readings)


def _windows(strategy: Strategy) -> list[int]:
    """Return how far back each part of a strategy's memory reaches, microseconds."""
    memory, out = strategy.memory, []
    if memory.strikes:
        out.append(memory.strikes.within + memory.strikes.lasts)
    if memory.copies:
        out.append(memory.copies.within)
    if memory.capacity:
        out.append((memory.capacity.max_wait + 1) * DAY)
    return out


def _asking(config: Config, table: StrategyTable, *, guarded: bool) -> StrategyTable:
    """Return the table with strategies that ask every model of a sweep about every creative."""
    if config.sweep is None:
        return table
    read = columns_read(find_template(config, config.sweep.strategy).strategy)
    always = [column for column in read if model_of(column) in config.models]
    approve = Rule(ALWAYS, Decision.APPROVE)
    memory = find_template(config, config.sweep.strategy).strategy.memory
    asks = [Strategy("the sweep remembers", (), approve, memory=memory)] if memory else []
    asks += [
        Strategy(f"the sweep reads {c}", (replace(approve, when=Atom(c, ">=", 0.0)),), approve, memory=memory)
        for c in always
    ]
    return build_table([*table.strategies, *asks], missing_to_review=guarded)


def _check_kinds(config: Config, table: StrategyTable, schema: pa.Schema) -> None:
    """Refuse rules that take a text attribute for a number, or the reverse, and post-strata of what is not text."""
    here = [name for name in config.creatives.attributes if name in schema.names]
    numeric = {name: _is_numeric(schema.field(name).type) for name in here}
    faults = list(kind_faults(table.strategies, numeric))
    faults += [
        f"estimate.post_strata: {name} holds numbers; only the values of text attributes are counted"
        for name in config.estimate.post_strata or ()
        if numeric.get(name)
    ]
    if lines := tuple(dict.fromkeys(faults)):
        raise UsageError(*lines)


def _is_numeric(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
