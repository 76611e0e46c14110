"""What every label plan of a comparison stands on: the creatives, and what their labels would move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, UsageError, did_you_mean
from engine.estimate.delivery import MACHINE, READINGS, Delivery, delivery
from engine.estimate.interval import t_quantile
from engine.estimate.metrics import FORMULAS, RATES, Metric
from engine.labelling.allocation import Allocation, EarlierAudit, expected_variance
from engine.labelling.belief import FOLDS, violating_chance
from engine.labelling.influence import Influence, Side, influence
from engine.read.audits import Audit
from engine.read.labelled import census, with_any
from engine.read.sampling import uniform
from engine.records import ANY, F64, I8, WEIGHTINGS, LabelledRows, LabelTable
from engine.strategy import StrategyTable

FLOOR = 0.1
_MANY = 1e7
_FOLD_SEED = -1  # folds are of the creative's id alone, the same for every plan


@dataclass(frozen=True)
class Wish:
    """What the labels are for: the paired difference of one number, and how many they may be or how wide it may be.

    budget : creatives to label; width : of the whole interval, high − low. One of the two is given.
    policy : None for the first. floor : share of the budget that lies on all creatives alike.
    """

    metric: str = "leakage_rate"
    weighting: str = "creatives"
    policy: str | None = None
    reading: str = MACHINE
    budget: int | None = None
    width: float | None = None
    floor: float = FLOOR


@dataclass(frozen=True)
class Comparison:
    """Two strategies over the creatives of a period.

    kept : every creative as the replay keeps it, without those inside a model's training. pair : baseline, candidate.
    score_policy : score column of `kept` → its policy. refused : the exposure model of refused creatives, or None.
    """

    kept: pa.Table
    table: StrategyTable
    pair: tuple[int, int]
    policies: tuple[str, ...]
    score_policy: dict[str, str]
    confidence: float
    refused: str | None = None


@dataclass(frozen=True)
class Ground:
    """known_NP : the label of an earlier audit, 1, 0 or -1 for none.

    answered : share of drawn creatives that were answered so far.
    alone : why the plan is not combined with earlier audits, else None.
    """

    creative_id: pa.Array
    moves: Influence
    earlier: tuple[EarlierAudit, ...]
    known_NP: I8
    answered: float
    confidence: float
    alone: str | None

    def width(self, found: Allocation | None) -> float | None:
        """Return the width to expect with a plan's labels; None of no labels at all."""
        if found is None and not self.earlier:
            return None
        variance = expected_variance(self.moves, self.earlier, found, self.answered)
        return float(2 * t_quantile(self.confidence, _MANY) * np.sqrt(max(variance, 0.0)))


def find_ground(asked: Comparison, labels: LabelTable | None, audits: Sequence[Audit], wish: Wish) -> Ground:
    """Return what every label would move.

    Raises
    ------
    UsageError : the wish names what is not there. DataError : the number would be null.
    """
    metric, q = check_wish(asked.policies, wish)
    ids = asked.kept["creative_id"].combine_chunks()
    none_NP = np.zeros((len(ids), len(asked.policies)), np.int8)
    rows = census(asked.kept, ids, none_NP)
    policy = _names(asked.policies)[q]
    place, label, weight = _labelled(ids, labels, q)
    names = [name for name in asked.kept.column_names if "." in name]
    of_policy = [k for k, name in enumerate(names) if policy == ANY or asked.score_policy[name] == policy]
    fold_N = (uniform(ids, _FOLD_SEED) * FOLDS).astype(np.int64)
    chance_N = violating_chance(rows.score_Kn[of_policy], place, label, weight, fold_N)
    exposure_N = _exposure(rows, wish, asked.refused)
    baseline, candidate = (Side(_given(asked, s, policy, metric, wish, rows), rows.outcome_Sn[s]) for s in asked.pair)
    earlier, alone = _earlier(ids, labels, audits, q)
    answered = float(np.mean([audit.answered for audit in earlier])) if earlier else 1.0
    moves = influence(metric, baseline, candidate, chance_N, exposure_N)
    return Ground(ids, moves, earlier, _known(ids, labels, len(asked.policies)), answered, asked.confidence, alone)


def check_wish(policies: tuple[str, ...], wish: Wish) -> tuple[Metric, int]:
    """Return the metric and the place of the policy that a wish names.

    Raises
    ------
    UsageError : it names what is not there, or a metric that no plan can be made for.
    """
    metrics = {metric.name: metric for metric in RATES}
    if wish.metric in FORMULAS and wish.metric not in metrics:
        raise UsageError(f"--metric: labels cannot be planned for {wish.metric}; take one of {', '.join(metrics)}")
    names = _names(policies)
    policy = wish.policy or policies[0]
    known = {"metric": (wish.metric, metrics), "weighting": (wish.weighting, WEIGHTINGS), "policy": (policy, names),
             "reading": (wish.reading, READINGS)}  # fmt: skip
    faults = [
        f"label-plan: unknown {what} {word}{did_you_mean(word, words)}"
        for what, (word, words) in known.items()
        if word not in words
    ]
    if faults:
        raise UsageError(*faults)
    return metrics[wish.metric], names.index(policy)


def _names(policies: tuple[str, ...]) -> tuple[str, ...]:
    return policies if len(policies) == 1 else (*policies, ANY)


def _labelled(ids: pa.Array, labels: LabelTable | None, q: int) -> tuple[np.ndarray, np.ndarray, F64]:
    """Return places, labels and weights of the creatives that the audits concluded on."""
    if labels is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0)
    y_n = with_any(labels.y_nP)[:, q]
    at_n = pc.fill_null(pc.index_in(pa.array(labels.creative_id, pa.string()), ids), -1).to_numpy()
    chosen = (y_n >= 0) & (labels.stratum_n >= 0) & (at_n >= 0)
    return at_n[chosen].astype(np.int64), y_n[chosen], 1.0 / labels.pi_n[chosen]


def _known(ids: pa.Array, labels: LabelTable | None, policies: int) -> I8:
    """Return what the audits concluded on each creative."""
    known_NP = np.full((len(ids), policies), -1, np.int8)
    if labels is not None:
        at_n = pc.fill_null(pc.index_in(pa.array(labels.creative_id, pa.string()), ids), -1).to_numpy()
        chosen = (labels.stratum_n >= 0) & (at_n >= 0)
        known_NP[at_n[chosen].astype(np.int64)] = labels.y_nP[chosen]
    return known_NP


def _exposure(rows: LabelledRows, wish: Wish, refused: str | None) -> F64:
    """Return the exposure of every creative, imputed exposure included."""
    w = WEIGHTINGS.index(wish.weighting)
    known_N = rows.known_Wn[w]
    lacking = int(np.isnan(known_N).sum())
    if lacking and refused is None:
        raise DataError(
            f"label-plan: {lacking} creatives lack {wish.weighting} (history did not deliver them), and {wish.metric} "
            "would be null; exposure.refused can name a model, or take --weighting creatives"
        )
    return np.asarray(np.nan_to_num(known_N) + rows.imputed_Wn[w])


def _given(asked: Comparison, s: int, policy: str, metric: Metric, wish: Wish, rows: LabelledRows) -> Delivery:
    """Return what a strategy's outcomes do; refuse where the number would be null."""
    strategy, rules = asked.table.strategies[s], asked.table.rules[s]
    given = delivery(strategy, rules, policy, wish.reading, counted=wish.weighting == "creatives")
    fires_O = np.bincount(rows.outcome_Sn[s], minlength=len(given.owed_O)) > 0
    if given.null_reason or (fires_O & given.unknown_O).any():
        raise DataError(f"label-plan: {strategy.name} after review is null: {given.null_reason or 'no logged_final'}")
    if metric.owed and (fires_O & given.ambiguous_O & given.touches_O).any():
        raise UsageError(f"label-plan: {strategy.name}: name one policy with `policy:` on each rule for {metric.name}")
    return given


def _earlier(
    ids: pa.Array, labels: LabelTable | None, audits: Sequence[Audit], q: int
) -> tuple[tuple[EarlierAudit, ...], str | None]:
    """Return the audits that a plan's labels can be combined with, or why not."""
    if labels is None or not audits:
        return (), "there is no earlier audit"
    for audit in audits:
        if audit.frame is None or audit.when:
            return (), f"audit {audit.audit_id} has strata without frame_path, and only frame files can be combined"
    found, first = [], 0
    for audit in audits:
        assert audit.frame is not None
        at_N = audit.frame.places(ids)
        strata = len(audit.strata)
        found.append(
            EarlierAudit(
                chance_N=np.append(audit.frame.chance_F, 0.0)[at_N],
                stratum_N=np.append(audit.frame.stratum_F, np.int32(-1))[at_N],
                population_H=audit.population_H,
                simple_H=np.array([method == "srs" for method in audit.method_H]),
                answered=_answered(labels, first, strata, q),
            )
        )
        first += strata
    return tuple(found), None


def _answered(labels: LabelTable, first: int, strata: int, q: int) -> float:
    """Return the share of an audit's draws that were answered."""
    if labels.draws is None:
        mine_n = (labels.stratum_n >= first) & (labels.stratum_n < first + strata)
        answered_n = with_any(labels.y_nP)[mine_n, q] >= 0
    else:
        mine_d = (labels.draws.stratum_d >= first) & (labels.draws.stratum_d < first + strata)
        answered_dP = labels.draws.answered_dQ[mine_d]
        answered_n = answered_dP[:, q] if q < answered_dP.shape[1] else answered_dP.all(1)
    return max(float(answered_n.mean()), 0.01) if len(answered_n) else 1.0
