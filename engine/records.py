"""Values that cross a stage: frozen, shapes stated.

Shape letters: N creatives, U contents, P policies, S strategies, O outcomes, C cells, W weights, n labelled, H strata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from math import inf
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
Flags = NDArray[np.bool_]

ANY = "any"  # the policy that is violated when some policy is
LOGGED = "logged"  # the reserved strategy that replays history's own decisions
WEIGHTINGS = ("creatives", "impressions", "spend")


class Decision(IntEnum):
    """What a strategy does with a creative, by rising harshness. PENDING is a final decision only."""

    APPROVE = 0
    LIMIT = 1
    REVIEW = 2
    REJECT = 3
    PENDING = 4


@dataclass(frozen=True)
class Shard:
    """A unit of work: consecutive row groups of one Parquet file.

    `first_row` counts from the start of all files in order; `partition` holds the Hive keys of the file's folder.
    """

    number: int
    path: str
    row_groups: tuple[int, ...]
    rows: int
    first_row: int
    partition: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Receipt:
    """What a worker hands back for a shard: where the output lies and what it is, never the data.

    waited : seconds for which its work stood still for want of input.
    """

    shard: int
    path: str
    rows: int
    hash: str
    waited: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What some models of a run read of a creative: equal values in these columns are one content.

    number : counts the readings of a run from 0.
    """

    number: int
    columns: tuple[str, ...]
    kind: Literal["text", "images"] = "text"

    @property
    def id_column(self) -> str:
        """The column that holds the content's id: `content_id`, then `content_id_1` and so on."""
        return f"content_id_{self.number}" if self.number else "content_id"


@dataclass(frozen=True)
class Contents:
    """What models read, one tuple per content each; where both are given they are of one length.

    fields : text fields in config order; a field may be None. Empty where no model reads texts.
    images : encoded picture files, such as the frames of a carousel; one may be None. Empty where none is read.
    """

    fields: tuple[tuple[str | None, ...], ...]
    images: tuple[tuple[bytes | None, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.fields) or len(self.images)


NOT_ASKED = -1.0  # stands where a score was not computed because no decision depends on it; below every score


UNCALIBRATED = (
    "uncalibrated "  # before the name of a score column: the model's own score, where rules read a mapped one
)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of the contents of one reading, looked up by content identity.

    id_column : the column of the creatives that holds the identity.
    key_high_U, key_low_U : uint64, the two big-endian halves of the 16-byte content id, sorted by (high, low).
    names : score columns such as `v1.scam`; values_KU one array each, in its own dtype, NaN where the model gave none.
    """

    id_column: str
    key_high_U: U64
    key_low_U: U64
    names: tuple[str, ...]
    values_KU: tuple[NDArray[np.floating], ...]


@dataclass(frozen=True)
class Column:
    """A column that rules read. Numbers: float array, NaN is null. Categories: codes into `levels`, -1 is null."""

    name: str
    values_N: NDArray[np.generic]
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Segments:
    """How cells group into segments.

    A cell is one observed combination of all categorical attributes.
    by, name : the segments in order; ("all", "all") is the first.
    member_GC : bool, segment g contains cell c.
    """

    attributes: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    cell_level_CK: I32
    by: tuple[str, ...]
    name: tuple[str, ...]
    member_GC: Flags


@dataclass(frozen=True)
class Totals:
    """Exact sums over the creatives of the period that the run scores. Additive: totals of shards merge by `+`.

    sum_SOFCW : int64, shape (S, O, 2, C, W); axis F: 0 outside, 1 inside the frame of some audit; axis W: WEIGHTS.
        Where `folded`, cells are added up to segments already: shape (S, O, 2, G, W), for sweeps of thousands.
    swap_OQCW : int64, shape (O, O, C, W), baseline outcome × candidate outcome of the configured comparison;
        empty where nothing is compared.
    whole_FCW : int64, shape (2, C, W), over all creatives of the period, scored or not.
    """

    sum_SOFCW: I64
    swap_OQCW: I64
    whole_FCW: I64
    folded: bool = False

    def __add__(self, other: Totals) -> Totals:
        sums = self.sum_SOFCW + other.sum_SOFCW
        return Totals(sums, self.swap_OQCW + other.swap_OQCW, self.whole_FCW + other.whole_FCW, self.folded)


WEIGHTS = (
    "creatives",
    "impressions",  # known
    "impressions_imputed",  # filled by the model named in exposure.refused
    "impressions_missing",  # number of creatives that lack it
    "spend",
    "spend_imputed",
    "spend_missing",
)


@dataclass(frozen=True)
class Draws:
    """Who was drawn: a row per creative and audit that drew it; d of them.

    row_d : the creative's place in the table that this belongs to, -1 where it is not there.
    stratum_d : code over the strata of all audits. chance_d : inclusion probability in that audit, in (0, 1].
    part_d : how much of the creative the audit stands for, in [0, 1]; over all audits that could have drawn it 1.
    cluster_d : what was drawn whole, numbered over all strata; -1 where the creative itself was drawn.
    answered_dQ : the audit's own label is concluded, by policy and last, where a table has it, `any`.
    """

    row_d: I64
    stratum_d: I32
    chance_d: F64
    part_d: F64
    cluster_d: I64
    answered_dQ: Flags

    def take(self, at: I64 | Flags) -> Draws:
        """Return some of the draws."""
        return Draws(*(getattr(self, field.name)[at] for field in fields(self)))


def single_draws(stratum_n: I32, chance_n: F64, answered_nQ: Flags) -> Draws:
    """Return the draws of one audit that drew creative by creative, those with a stratum."""
    row_d = np.flatnonzero(stratum_n >= 0)
    one, alone = np.ones(len(row_d)), np.full(len(row_d), -1, np.int64)
    return Draws(row_d, stratum_n[row_d], chance_n[row_d], one, alone, answered_nQ[row_d])


@dataclass(frozen=True)
class StratumAnswers:
    """What one stratum of an audit drew and heard, in creatives: drawn = answered + unknown + waiting.

    unknown : of those without a conclusion under every policy, the ones with an UNKNOWN. waiting : the others of them.
    """

    audit: str
    stratum: str
    method: str
    population: int
    drawn: int
    answered: int
    unknown: int
    waiting: int


@dataclass(frozen=True)
class LabelTable:
    """Every creative with a label (or drawn and not yet answered), sorted by id; n of them.

    y_nP : int8, the audits' conclusion: 1 VIOLATING, 0 COMPLIANT, -1 none. naive_nP : that of labels of any source.
    pi_n, stratum_n : of drawn creatives 1 over the weight before answers are counted (one audit's inclusion
        probability) and the code of a stratum that drew it; NaN, -1 for the rest.
    counts : rows by source, and the audits' answers; strata : the answers by stratum.
    draws : None stands for each drawn creative once, as pi_n, stratum_n and y_nP say.
    """

    creative_id: tuple[str, ...]
    y_nP: I8
    naive_nP: I8
    pi_n: F64
    stratum_n: I32
    counts: Mapping[str, int]
    strata: tuple[StratumAnswers, ...] = ()
    draws: Draws | None = None


@dataclass(frozen=True)
class EarlierLabels:
    """Audit labels that were known before the period: what a calibration may learn from.

    One row per creative and policy. y_n : 1 VIOLATING, 0 COMPLIANT. weight_n : 1/π.
    """

    creative_id: tuple[str, ...]
    policy_n: I64
    y_n: I8
    weight_n: F64


@dataclass(frozen=True)
class Design:
    """How the audits drew: what a variance needs. H : the strata of one audit after the other.

    method_H : "srs", "poisson", "pps" or "cluster"; population_H, drawn_H : creatives.
    answered_HQ : drawn creatives whose label is concluded, per policy and last, where there are several, for `any`.
    """

    method_H: tuple[str, ...]
    population_H: I64
    drawn_H: I64
    answered_HQ: I64


@dataclass(frozen=True)
class LabelledRows:
    """Creatives of the period with a label, and what every strategy did with them.

    pi_n : as in LabelTable, NaN where no audit drew. stratum_n, cell_n, advertiser_n : codes.
    y_nQ, naive_nQ : int8 as in LabelTable; Q policies, and last `any` where there are several.
    known_Wn, imputed_Wn : float64 (3, n), exposure by WEIGHTINGS; known is NaN where missing.
    outcome_Sn : int16, index into the strategy's rules.
    score_Kn : float64, the scores, for pictures only.
    draws : all draws of the audits, those outside the period too; None as in LabelTable.
    """

    design: Design
    pi_n: F64
    stratum_n: I32
    cell_n: I64
    advertiser_n: I64
    y_nQ: I8
    naive_nQ: I8
    known_Wn: F64
    imputed_Wn: F64
    outcome_Sn: I16
    score_Kn: F64
    draws: Draws | None = None


@dataclass(frozen=True)
class ScoredSample:
    """The creatives that stand for the period where a run scores a sample of it.

    rows : y is -1 where there is no label. weight_n : how many creatives each stands for.
    share : of the unlabelled creatives, 0 where the audit's own draw is all there is (weight_n is 1/π then).
    clustered : whole advertisers were drawn, not single creatives.
    """

    rows: LabelledRows
    weight_n: F64
    share: float
    clustered: bool


@dataclass(frozen=True)
class ReviewerError:
    """How often the audit's reviewers are right about one policy, and on how many creatives that was counted.

    violating, compliant : creatives whose truth is known; infinite where the rates are taken as known.
    """

    sensitivity: float
    specificity: float
    violating: float = inf
    compliant: float = inf

    @property
    def power(self) -> float:
        """How much more often a violating creative is called violating than a compliant one."""
        return max(self.sensitivity + self.specificity - 1, 1e-6)

    @property
    def perfect(self) -> bool:
        """Whether labels are right for sure."""
        return self.sensitivity == self.specificity == 1 and self.violating == self.compliant == inf


class Estimate(NamedTuple):
    """One number of the report: a row of estimates.parquet (see schema.ESTIMATES)."""

    strategy: str
    baseline: str | None
    policy: str
    segment_by: str
    segment: str
    weighting: str
    reading: str
    metric: str
    inference: str
    estimator: str | None
    estimate: float | None
    low: float | None
    high: float | None
    confidence: float
    labels: int
    effective_size: float
    effective_events: float
    support: float | None
    least: float | None
    most: float | None
    warning: str | None
    null_reason: str | None
    formula: str
