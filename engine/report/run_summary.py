"""Typed view of summary.json: what every page is told about a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engine.records import ANY, StratumAnswers
from engine.report.confirmation import ConfirmationSummary, read_confirmation
from engine.report.example import ExampleSummary, read_example
from engine.report.findings import FindingsSummary, read_findings
from engine.report.gates import VerdictSummary, read_verdict
from engine.report.lookup import Key, Number, Numbers, numbers_of
from engine.report.series import SeriesSummary, WaitingSummary, read_series, read_waiting

MOST_STRATEGIES = 12  # a page shows this many; a sweep's rest is in estimates.parquet
FRONTIER = ("leakage_rate", "overkill_rate", "review_rate")  # what every strategy shows in one picture


@dataclass(frozen=True)
class Period:
    """ISO moments: state runs from `warm_up_from`, numbers count creatives submitted in [start, until)."""

    warm_up_from: str | None
    start: str
    until: str


@dataclass(frozen=True)
class Firing:
    """How often a rule decided, and what it does beside the others.

    fires, alone : creatives for which its condition holds, and for which no other rule's does; None where not counted.
    together : per rule, creatives for which both hold. adds : strategy − strategy without the rule, by metric.
    """

    rule: str
    creatives: int
    share: float | None
    fires: int | None = None
    alone: int | None = None
    together: tuple[int, ...] = ()
    adds: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class StrategySummary:
    """A strategy in its operator's words, its rules, and its exposure by weighting where known."""

    name: str
    words: str
    rules: tuple[Firing, ...]
    exposures: Mapping[str, float | None]


@dataclass(frozen=True)
class Exposure:
    """The model that fills in missing exposure, and how many creatives it filled or left missing."""

    refused: str | None
    imputed: Mapping[str, int]
    missing: Mapping[str, int]


@dataclass(frozen=True)
class Naive:
    """What counting labelled rows would have said."""

    strategy: str
    policy: str
    metric: str
    estimate: float | None
    labels: int
    truth: float | None


@dataclass(frozen=True)
class Swap:
    """Baseline decision (rows) × candidate decision (columns), by weighting; None where it is missing."""

    decisions: tuple[str, ...]
    matrices: Mapping[str, tuple[tuple[float | None, ...], ...]]


@dataclass(frozen=True)
class ScoreShape:
    """Design-weighted share of violating and of compliant creatives per bin of a score column."""

    column: str
    policy: str
    edges: tuple[float, ...]
    violating: tuple[float | None, ...]
    compliant: tuple[float | None, ...]


@dataclass(frozen=True)
class ReliabilitySummary:
    """Violating share by bin of a score column, with bounds, and how far it is from calibrated."""

    column: str
    policy: str
    labels: int
    bins: Mapping[str, tuple[float, ...]]
    error: float
    error_if_calibrated: float
    debiased: float


@dataclass(frozen=True)
class AgreementSummary:
    """How well given scores agree with others: differences, and (threshold, equal share, at most changed).

    counts : contents; those that carry the score of a near-copy, for near-copies alone; those that were checked.
    """

    column: str
    counts: tuple[int, ...]
    mean: float | None
    largest: float | None
    sides: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class ModelSummary:
    """How many contents a model scored for the run, and by strategy how many it alone asks for; None: nobody knows."""

    name: str
    contents: int
    asked: Mapping[str, int | None]


@dataclass(frozen=True)
class TrialSummary:
    """A setting that was tried. points : number as written → estimate, low, high, reason."""

    setting: Mapping[str, float | str]
    points: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class PickSummary:
    """What a goal chose, None where nothing keeps to it."""

    name: str
    goal: str
    trial: TrialSummary | None


@dataclass(frozen=True)
class SearchSummary:
    """A sweep. numbers : metric or metric.weighting, as the config writes them. on_front : settings on the front.

    weighting : of a bare metric.
    """

    strategy: str
    policy: str
    reading: str
    numbers: tuple[str, ...]
    tried: int
    picks: tuple[PickSummary, ...]
    on_front: int
    front: tuple[TrialSummary, ...]
    weighting: str = "creatives"
    confirmation: ConfirmationSummary | None = None


@dataclass(frozen=True)
class RunSummary:
    """A run as summary.json tells it. Text is as it stands in the file: not yet safe to print.

    counts, labels : a name that the file lacks counts 0. headline : every number of the strategies that a page shows,
    of the others what `FRONTIER` names.
    """

    engine: str
    name: str
    fingerprint: str
    period: Period
    counts: Mapping[str, int]
    policies: tuple[str, ...]
    weightings: tuple[str, ...]
    segments: tuple[tuple[str, str], ...]
    confidence: float
    strategies: tuple[StrategySummary, ...]
    baseline: str | None
    candidate: str | None
    labels: Mapping[str, int]
    training_overlap: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    exposure: Exposure
    headline: Numbers
    paired: Numbers
    naive: tuple[Naive, ...]
    swap: Swap | None
    scores: tuple[ScoreShape, ...]
    reliability: tuple[ReliabilitySummary, ...]
    calibration: Mapping[str, Mapping[str, Any]]
    near_copies: tuple[AgreementSummary, ...]
    drift: tuple[AgreementSummary, ...]
    formulas: Mapping[str, str]
    search: SearchSummary | None = None
    strata: tuple[StratumAnswers, ...] = ()
    verdict: VerdictSummary | None = None
    versus: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[ExampleSummary, ...] | None = None
    models: tuple[ModelSummary, ...] = ()
    findings: FindingsSummary | None = None
    series: SeriesSummary | None = None
    waiting: WaitingSummary | None = None

    @cached_property
    def policy(self) -> str:
        """The policy of the first screen: the only one, else `any`, else the first."""
        estimated = {number.key.policy for number in self.headline}
        return ANY if len(self.policies) > 1 and ANY in estimated else self.policies[0]

    @cached_property
    def every_policy(self) -> tuple[str, ...]:
        """All policies that have numbers, that of the first screen first."""
        names = (self.policy, *self.policies, *(number.key.policy for number in self.headline))
        return tuple(dict.fromkeys(names))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The strategies that a page shows: the compared pair first, then as in the config."""
        rest = [*(strategy.name for strategy in self.strategies), *(number.key.strategy for number in self.headline)]
        return _shown(self.baseline, self.candidate, rest)

    @cached_property
    def left_out(self) -> int:
        """How many strategies have numbers that no page shows."""
        return len({number.key.strategy for number in self.headline} - set(self.names))

    def number(self, strategy: str, metric: str, *, reading: str = "machine") -> Number:
        """Return a number of the first screen: its policy, weighted by creatives, over all segments."""
        return self.headline.get(Key(strategy, self.policy, metric, self.weightings[0], reading))

    def difference(self, metric: str) -> Number:
        """Return candidate − baseline on the first screen, machine alone; null where nothing is compared."""
        key = Key(self.candidate or "", self.policy, metric, self.weightings[0], "machine", baseline=self.baseline)
        return self.paired.get(key)


def read_summary(summary: Mapping[str, Any]) -> RunSummary:
    """Read the keys of summary.json. Raises KeyError where the file is not one that this engine wrote.

    `run`, the name, and `examples`, rows of schema.EXAMPLES, are no part of the file: who makes pages adds them.
    """
    compare = summary["compare"] or {}
    examples = summary.get("examples")
    return RunSummary(
        engine=summary["engine"],
        name=summary["run"],
        fingerprint=summary["fingerprint"],
        period=Period(*(summary["period"][name] for name in ("warm_up_from", "from", "until"))),
        counts=Counter(summary["counts"]),
        policies=tuple(summary["policies"]),
        weightings=tuple(summary["weightings"]),
        segments=tuple((by, name) for by, name in summary["segments"]),
        confidence=summary["confidence"],
        strategies=tuple(_strategy(row) for row in summary["strategies"]),
        baseline=compare.get("baseline"),
        candidate=compare.get("candidate"),
        labels=Counter(summary["labels"]),
        training_overlap=summary["training_overlap"],
        assumptions=tuple(summary["assumptions"]),
        warnings=tuple(summary["warnings"]),
        exposure=_exposure(summary["exposure"]),
        headline=_headline(summary, compare.get("baseline"), compare.get("candidate")),
        paired=numbers_of(summary["paired"]),
        naive=tuple(_naive(row) for row in summary["naive"]),
        swap=_swap(summary["swap"]),
        scores=tuple(_scores(row) for row in summary["scores"]),
        reliability=tuple(_reliability(row) for row in summary["reliability"]),
        calibration=summary["calibration"],
        near_copies=_agreements(summary["near_copies"], "contents", "propagated", "members"),
        drift=_agreements(summary["drift"], "contents", "members"),
        formulas=summary["formulas"],
        search=_search(summary.get("search")),
        verdict=read_verdict(summary.get("verdict")),
        versus=summary.get("versus") or {},
        strata=tuple(StratumAnswers(**row) for row in summary.get("strata") or ()),
        examples=None if examples is None else tuple(read_example(row) for row in examples),
        models=tuple(ModelSummary(name, **row) for name, row in (summary.get("models") or {}).items()),
        findings=read_findings(summary.get("findings")),
        series=read_series(summary.get("series")),
        waiting=read_waiting(summary.get("waiting")),
    )


def _shown(baseline: str | None, candidate: str | None, names: Iterable[str]) -> tuple[str, ...]:
    pair = [name for name in (baseline, candidate) if name is not None]
    return tuple(dict.fromkeys([*pair, *names]))[:MOST_STRATEGIES]


def _headline(summary: Mapping[str, Any], baseline: str | None, candidate: str | None) -> Numbers:
    """Read the numbers over all segments, leaving out what no page shows: a thousand strategies have 132,000."""
    rows = summary["headline"]
    named = [*(row["name"] for row in summary["strategies"]), *(row["strategy"] for row in rows)]
    shown = set(_shown(baseline, candidate, named))
    seen = (r for r in rows if r["strategy"] in shown or (r["metric"] in FRONTIER and r["inference"] == "history"))
    return numbers_of(seen)


def _strategy(row: Mapping[str, Any]) -> StrategySummary:
    rules = tuple(_firing(rule) for rule in row["rules"])
    return StrategySummary(row["name"], row["words"], rules, row.get("exposures") or {})


def _firing(row: Mapping[str, Any]) -> Firing:
    adds = {number.key.metric: number for number in numbers_of(row.get("adds") or ())}
    together = tuple(row.get("together") or ())
    return Firing(row["rule"], row["creatives"], row["share"], row.get("fires"), row.get("alone"), together, adds)


def _search(row: Mapping[str, Any] | None) -> SearchSummary | None:
    if row is None:
        return None
    picks = (PickSummary(p["name"], p["goal"], _trial(p["trial"]) if p["trial"] else None) for p in row["picks"])
    front = tuple(_trial(trial) for trial in row["front"])
    facts = (row["strategy"], row["policy"], row["reading"], tuple(row["numbers"]), row["tried"])
    weighting = row.get("weighting", "creatives")
    return SearchSummary(*facts, tuple(picks), row["on_front"], front, weighting, read_confirmation(row))


def _trial(row: Mapping[str, Any]) -> TrialSummary:
    return TrialSummary(row["setting"], row["points"])


def _naive(row: Mapping[str, Any]) -> Naive:
    return Naive(row["strategy"], row["policy"], row["metric"], row["estimate"], row["labels"], truth=row.get("truth"))


def _exposure(row: Mapping[str, Any]) -> Exposure:
    return Exposure(row["refused"], row.get("imputed") or {}, row.get("missing") or {})


def _swap(row: Mapping[str, Any] | None) -> Swap | None:
    if row is None:
        return None
    weightings = [name for name in row if name != "decisions" and row[name] is not None]
    return Swap(tuple(row["decisions"]), {name: tuple(map(tuple, row[name])) for name in weightings})


def _reliability(row: Mapping[str, Any]) -> ReliabilitySummary:
    bins = {name: tuple(row[name]) for name in ("score", "share", "low", "high")}
    errors = (row[name] for name in ("error", "error_if_calibrated", "debiased"))
    return ReliabilitySummary(row["column"], row["policy"], row["labels"], bins, *errors)


def _agreements(rows: Mapping[str, Mapping[str, Any]], *counts: str) -> tuple[AgreementSummary, ...]:
    return tuple(
        AgreementSummary(
            column=column,
            counts=tuple(row[name] for name in counts),
            mean=row["mean_difference"],
            largest=row["max_difference"],
            sides=tuple((side["threshold"], side["equal"], side["changed_high"]) for side in row["sides"]),
        )
        for column, row in rows.items()
    )


def _scores(row: Mapping[str, Any]) -> ScoreShape:
    bins = (tuple(row[name]) for name in ("edges", "violating", "compliant"))
    return ScoreShape(row["column"], row["policy"], *bins)
