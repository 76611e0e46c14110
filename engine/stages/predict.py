"""The second look at all creatives: predictions fitted on the labels, and what they say of every creative, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.estimate.post_strata import post_strata_words
from engine.estimate.predictions import Predictions, Predictor, codes_of, fit_predictors
from engine.estimate.question import Question
from engine.execute import Needs
from engine.records import ANY, I64, UNCALIBRATED, Flags
from engine.stages.read import Creatives, creatives_plan
from engine.stages.replay import Ground
from engine.stages.run import Run, read_identified
from engine.stages.score import Scored
from engine.tasks.predict import PredictPlan, PredictTask, folds

LARGEST = 1 << 28  # bytes of the sums


@dataclass(frozen=True)
class Assistance:
    """The predictions that rates lean on, or None, and in words why or of what."""

    predictions: Predictions | None
    words: str


def predict_stage(
    run: Run,
    creatives: Creatives,
    scored: Scored,
    ground: Ground,
    question: Question,
    kept: pa.Table,
    since: datetime | None,
) -> Assistance:
    """Fit predictions on the labels and add them up over all creatives.

    Parameters
    ----------
    kept : the replay's rows that the question's labelled ones come from. since : see PredictPlan.
    """
    if question.post_strata:
        return Assistance(None, post_strata_words(question.post_strata))
    names = [name for name in kept.column_names if "." in name]
    strategies = tuple(s for s, strategy in enumerate(question.table.strategies) if not strategy.memory)
    reason = _refusal(run, names, strategies)
    if reason:
        return _none(reason)
    labelled = kept.filter(pc.is_in(kept["creative_id"], run.labelled))
    fold_n = folds(labelled["advertiser_id"].combine_chunks(), run.config.seed)
    columns_Q = [_read_for(run, policy, names) for policy in question.readable_policies]
    predictors = fit_predictors(question.rows, question.segments, columns_Q, fold_n)
    if not any(predictors):
        return _none("the labels of some fold of advertisers are all violating or all compliant")
    plan = PredictPlan(
        creatives=creatives_plan(run, creatives),
        table=question.table,
        segments=question.segments,
        medians=ground.medians,
        scores=scored.tables,
        predictors=predictors,
        names=tuple(names),
        strategies=strategies,
        seed=run.config.seed,
        since=since,
    )
    if prod(plan.shape) * 8 > LARGEST:
        return _none(f"its sums would take {prod(plan.shape) * 8 / 2**20:.0f} MiB, more than {LARGEST >> 20}")
    sum_QSOCGW = np.zeros((len(predictors), len(question.table.strategies), *plan.shape[2:]), np.int64)
    sum_QSOCGW[:, list(strategies)] = _summed(run, plan, scored)
    summed_S = np.isin(np.arange(len(question.table.strategies)), strategies)
    code_Qn = codes_of(predictors, question.rows.score_Kn, fold_n)
    guarded = run.config.estimate.estimator == "auto"
    found = Predictions(predictors, code_Qn, sum_QSOCGW, summed_S, guarded)
    return Assistance(found, _words(question, predictors, names, summed_S))


def _refusal(run: Run, names: Sequence[str], strategies: Sequence[int]) -> str:
    """Return why there can be no predictions, or nothing."""
    if run.config.estimate.post_strata:
        return "estimate.post_strata counts creatives from inside a model's training, and rates leave them out"
    if run.config.estimate.estimator == "hajek":
        return "estimate.estimator says so"
    if run.config.creatives.sample is not None:
        return "creatives.sample leaves creatives without a score"
    if run.prepared.labels is None:
        return "there are no labels"
    if not names:
        return "no strategy reads a score"
    return "" if strategies else "every strategy remembers: what it decides is not a creative's own"


def _summed(run: Run, plan: PredictPlan, scored: Scored) -> I64:
    """Return the sums of all shards."""
    fitted = [
        one and [repr(one.indices), [edge.tolist() for edge in one.edges], one.value_C.tolist()]
        for one in plan.predictors
    ]
    asked = [fitted, plan.names, plan.strategies, plan.since, repr(plan.table.rules), repr(plan.table.struck)]
    identity = store.fingerprint([run.identity, asked, scored.hashes])
    folder = run.directory.path / "predicted"
    run.map("predict", PredictTask(folder, identity), run.shards, Needs(), plan)
    sums = np.zeros(prod(plan.shape), np.int64)
    for shard in run.shards:
        found = read_identified(store.shard_path(folder, shard.number), identity)
        sums[found["at"].to_numpy()] += found["sum"].to_numpy()  # each place stands once in a shard
    return sums.reshape(plan.shape)


def _read_for(run: Run, policy: str, names: Sequence[str]) -> tuple[int, ...]:
    """Return the scores that predict a policy: its own, as strategies read them; all of them for `any`."""
    policy_of = run.config.score_columns()
    return tuple(
        k
        for k, name in enumerate(names)
        if not name.startswith(UNCALIBRATED) and (policy == ANY or policy_of[name] == policy)
    )


def _none(reason: str) -> Assistance:
    return Assistance(None, f"Rates that need labels are Hájek ratios: {reason}.")


def _words(question: Question, predictors: Sequence[Predictor | None], names: Sequence[str], summed_S: Flags) -> str:
    said = [
        f"{policy} from {', '.join(names[k] for k in predictor.columns)}"
        for policy, predictor in zip(question.readable_policies, predictors, strict=True)
        if predictor
    ]
    left = [name for name, summed in zip(question.table.names, summed_S, strict=True) if not summed]
    rest = f"; Hájek ratios for {', '.join(left)}, which remember" if left else ""
    return (
        f"Rates of this history lean on predictions of {'; '.join(said)}, where `estimator` says `difference`: "
        f"a wrong prediction makes an interval wide, not wrong{rest}."
    )
