"""The sections of a config. Every key is known, typed and has its default here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from engine.config.gates import GateSection
from engine.config.scoring import ModelSection, ScoresSection
from engine.config.strategy_sections import StrategySection
from engine.config.sweep import SweepSection
from engine.config.values import Instant, Names, Seconds, Section, Share, TimeZone, Word, each_once
from engine.records import ANY


class Period(Section):
    """Numbers count creatives submitted in [from, until); earlier ones since `warm_up_from` only warm up state.

    time_zone : the team's: hours, weekdays and the days of its reviewers are those of its clocks.
    """

    warm_up_from: Instant | None = None
    from_: Instant = Field(alias="from")
    until: Instant
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _in_order(self) -> Period:
        if not (self.warm_up_from or self.from_) <= self.from_ < self.until:
            raise ValueError("needs warm_up_from <= from < until")
        return self


class CreativeColumns(Section):
    id: str = "creative_id"
    advertiser: str = "advertiser_id"
    submitted_at: str = "submitted_at"
    text: Names = Field(default_factory=list)
    images: Names = Field(default_factory=list)
    impressions: str | None = None
    spend: str | None = None
    logged_decision: str | None = None
    logged_final: str | None = None
    propensity: str | None = None


class SampleSection(Section):
    """Score a share of the creatives (drawn one by one, or an advertiser with all of its own) and every labelled one.

    With share 0 labelled creatives alone are scored: rates that divide by labels lose nothing.
    """

    share: Share
    by: Literal["creative", "advertiser"] = "creative"
    always: Literal["labelled"] = "labelled"


class NearCopiesSection(Section):
    """Score one of a group of near-identical texts for all of them; `check` of the others are scored as well."""

    similarity: Annotated[float, Field(ge=0.7, le=1)]
    check: Annotated[int, Field(ge=1)] = 500


class CreativesSection(Section):
    path: str
    columns: CreativeColumns = CreativeColumns()
    attributes: Names = Field(default_factory=list)
    decisions: dict[str, str] = Field(default_factory=dict)
    on_duplicate: Literal["stop", "first", "last"] = "stop"
    on_missing_score: Literal["stop", "review"] = "stop"
    on_bad_image: Literal["quarantine", "skip"] = "quarantine"
    on_no_image: Literal["missing", "zero"] = "missing"
    sample: SampleSection | None = None
    near_copies: NearCopiesSection | None = None


class ReviewerErrorSection(Section):
    """How often the audit's reviewers are right about one policy, and on how many creatives that was counted.

    violating, compliant : creatives whose truth was known; without them the rates are taken as known.
    """

    sensitivity: Share
    specificity: Share
    violating: Annotated[int, Field(ge=1)] | None = None
    compliant: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _tells_apart(self) -> ReviewerErrorSection:
        if self.sensitivity + self.specificity <= 1:
            raise ValueError("sensitivity + specificity must be above 1: such labels say no more than chance")
        return self


class LabelsSection(Section):
    """`resolve` names which of several labels of a creative and policy holds.

    A label that was not known by `known_by`, or not at least `older_than` after its creative was submitted, counts as
    not yet answered; one under another `guideline` (a version, or `latest`) is left out. `reviewer_error` takes the
    reviewers' own error out of every number: their rates by policy (and for `any` where there are several), or
    `double_labelled`: counted on audited creatives that carry a label of source `expert` as well.
    `path`: a file, a folder, or several of them one after the other, as labels that came back to a label plan.
    """

    path: str | Annotated[Names, Field(min_length=1)]
    columns: dict[str, str] = Field(default_factory=dict)
    resolve: Literal["latest", "majority", "strictest", "first"] = "latest"
    known_by: Instant | None = None
    older_than: Seconds | None = None
    guideline: str | None = None
    reviewer_error: Literal["double_labelled"] | dict[str, ReviewerErrorSection] | None = None

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path

    @property
    def named(self) -> str:
        """What errors call the labels."""
        return ", ".join(self.paths)


class AuditsSection(Section):
    """`use` names the audits that stand for history: one, several, or `all` of the table."""

    path: str
    use: str | Annotated[Names, Field(min_length=1)] | None = None


class ExposureSection(Section):
    """`refused` names the model that fills impressions and spend of creatives that history did not deliver."""

    spend_unit: Annotated[float, Field(gt=0)] = 0.01
    refused: str | None = None
    life: Seconds | None = None

    @model_validator(mode="after")
    def _known_model(self) -> ExposureSection:
        if self.refused not in (None, "segment_median", "zero") and not str(self.refused).startswith("column:"):
            raise ValueError(f"refused is {self.refused!r}; write segment_median, zero or column:NAME")
        return self


class CostSection(Section):
    leaked: float = 0.0
    overkilled: float = 0.0
    review_minute: float = 0.0
    minutes_per_review: float = 0.0
    million_contents: float = 0.0
    weighting: Literal["creatives", "impressions", "spend"] = "creatives"


class SmallSegmentsSection(Section):
    """`rule`: what becomes of a segment's number behind which fewer `labels` or effective `events` stand."""

    rule: Literal["show", "suppress", "shrink"] = "show"
    labels: Annotated[int, Field(ge=0)] = 30
    events: Annotated[float, Field(ge=0)] = 0.0


class EstimateSection(Section):
    """`estimator` of rates that labels are needed for: `auto` is the rule in engine/estimate/README.md.

    post_strata : text attributes by whose combinations such rates are calibrated to counted creatives.
    """

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    segments: Names | None = None
    small_segments: SmallSegmentsSection = SmallSegmentsSection()
    rules: bool = True
    estimator: Literal["auto", "hajek", "difference"] = "auto"
    post_strata: Annotated[Names, Field(min_length=1)] | None = None


class SeriesSection(Section):
    """`by`: how long the pieces of the period are over which numbers are followed; `auto` lets the labels choose."""

    by: Literal["auto", "day", "week", "four_weeks", "none"] = "auto"


class OffPolicySection(Section):
    """What delivered outcomes would have been, where history took decisions by chance and logged with which propensity.

    clip : largest weight 1 / propensity; what it cuts off is bias that no interval holds.
    """

    outcomes: Annotated[list[Literal["impressions", "spend"]], Field(min_length=1), AfterValidator(each_once)]
    estimator: Literal["doubly_robust", "snips", "ips"] = "doubly_robust"
    clip: Annotated[float, Field(ge=1)] | None = None


class CompareSection(Section):
    """confidence : of each gate's one-sided bound. looks : how often labels will be judged, declared beforehand."""

    baseline: str
    candidate: str
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    looks: Annotated[int, Field(ge=1, le=50)] = 1


class LimitsSection(Section):
    quarantine_share: Share = 0.001
    text_characters: Annotated[int, Field(ge=1)] = 100_000
    image_bytes: Annotated[int, Field(ge=1)] = 20_000_000
    image_pixels: Annotated[int, Field(ge=1, le=178_956_970)] = 50_000_000
    shard_rows: Annotated[int, Field(ge=1)] = 50_000
    cells: Annotated[int, Field(ge=1)] = 10_000


class StoreSection(Section):
    """Where runs are kept, and the scores that they share.

    scores : default: the folder `_scores` beside the runs. on_numeric_change : what to do with scores that another
    version of torch, instruction set, thread count or device computed.
    """

    path: str = "runs"
    scores: str | None = None
    on_numeric_change: Literal["reuse", "rescore"] = "reuse"


class ExecuteSection(Section):
    where: Literal["local", "ray"] = "local"
    workers: Annotated[int, Field(ge=1)] | None = None
    threads_per_worker: Annotated[int, Field(ge=1)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0.0
    address: str | None = None


class ReportSection(Section):
    """examples : show what some leaked, overkilled and swapped creatives say and show; without it no page holds any."""

    truth: str | None = None
    html: bool = True
    examples: bool = False


class MlflowSection(Section):
    """A tracking server and its experiment."""

    uri: str
    experiment: str = "ad-backtest"


class TrackioSection(Section):
    """A project; `space` or `server` where it is not kept on this machine."""

    project: str = "ad-backtest"
    space: str | None = None
    server: str | None = None


class TrackSection(Section):
    """Trackers that are told of a finished run. Addresses may hold secrets: no file of the run holds them."""

    mlflow: MlflowSection | None = None
    trackio: TrackioSection | None = None


class Config(Section):
    run: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: int = 0
    period: Period
    creatives: CreativesSection
    labels: LabelsSection | None = None
    audits: AuditsSection | None = None
    policies: Annotated[list[Word], Field(min_length=1), AfterValidator(each_once)]
    models: dict[Word, ModelSection] = Field(default_factory=dict)
    scores: dict[Word, ScoresSection] = Field(default_factory=dict)
    strategies: dict[str, StrategySection] = Field(default_factory=dict)
    sweep: SweepSection | None = None
    exposure: ExposureSection = ExposureSection()
    cost: CostSection | None = None
    estimate: EstimateSection = EstimateSection()
    series: SeriesSection = SeriesSection()

    off_policy: OffPolicySection | None = None
    compare: CompareSection | None = None
    gates: list[GateSection] = Field(default_factory=list)
    limits: LimitsSection = LimitsSection()
    store: StoreSection = StoreSection()
    execute: ExecuteSection = ExecuteSection()
    report: ReportSection = ReportSection()
    track: TrackSection = TrackSection()

    @model_validator(mode="after")
    def _reviewers_named(self) -> Config:
        given = self.labels.reviewer_error if self.labels else None
        if isinstance(given, dict):
            strange = [name for name in given if name not in (*self.policies, ANY)]
            lacking = [name for name in self.policies if name not in given]
            if strange or lacking:
                told = f"names {strange[0]}, which is no policy" if strange else f"does not name {lacking[0]}"
                raise ValueError(f"labels.reviewer_error {told}: name every policy, and any where there are several")
        return self

    def score_columns(self) -> dict[str, str]:
        """Return every score column, `v1.scam`, with the policy it scores."""
        sources = {name: list(model.outputs) for name, model in self.models.items()}
        sources |= {name: list(scores.policies) for name, scores in self.scores.items()}
        return {f"{name}.{policy}": policy for name, policies in sources.items() for policy in policies}

    def decided(self) -> dict[str, object]:
        """Return what decides the numbers: no `run`, `execute`, `report`, `track`, and not where runs are kept."""
        return self.model_dump(mode="json", by_alias=True, exclude={"run", "execute", "report", "track", "store"})
