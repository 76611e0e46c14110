"""What history decided by chance, and what strategies would have done, as off-policy estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.config.decisions import logged_values
from engine.config.sections import Config
from engine.errors import DataError
from engine.estimate.off_policy.estimates import Asked, off_policy_estimates
from engine.estimate.off_policy.logged import LoggedRows, Target
from engine.read.creatives import PROPENSITY
from engine.records import F64, I64, LOGGED, Decision, Estimate, Flags
from engine.stages.replay import Replayed
from engine.strategy import StrategyTable
from engine.tasks.predict import folds


def off_policy_numbers(config: Config, replayed: Replayed, policy: str) -> list[Estimate]:
    """Return mean delivered impressions and spend per creative under every strategy that does not remember.

    Sums run over creatives in order of their id, so that shards and workers change no byte.
    A strategy that remembers is left out: what it decides hangs on other creatives' decisions. `logged` is what chance
    made of history, and known as it was. No other strategy may read what that chance moved.
    """
    asked = config.off_policy
    if asked is None:
        return []
    kept = replayed.kept.sort_by("creative_id")
    table = replayed.wanted.table
    actions = _actions(config, table)
    decision_N, share_N = _logged(config, kept, actions)
    out: list[Estimate] = []
    for outcome in asked.outcomes:
        unit = config.exposure.spend_unit if outcome == "spend" else 1.0
        rows = LoggedRows(
            advertiser_N=np.unique(kept["advertiser_id"].to_numpy(), return_inverse=True)[1].astype(np.int64),
            decision_N=decision_N,
            cell_N=kept["cell"].to_numpy(),
            fold_N=folds(kept["advertiser_id"].combine_chunks(), config.seed),
            propensity_N=kept[PROPENSITY].to_numpy(),
            outcome_N=_delivered(kept, outcome, share_N) * unit,
        )
        targets = _targets(table, kept, actions, rows)
        member_GN = replayed.segments.member_GC[:, rows.cell_N]
        wanted = Asked(outcome, asked.estimator, config.estimate.confidence, asked.clip)
        as_it_was = replace(rows, propensity_N=np.ones(len(rows)))
        for name, target in targets.items():
            log = as_it_was if name == LOGGED else rows
            found = off_policy_estimates(log, {name: target}, replayed.segments, member_GN, wanted)
            out += [one._replace(policy=policy) for one in found]
    return out


def _action(decision: Decision, share: float) -> tuple[str, float]:
    return decision.name, share if decision is Decision.LIMIT else 1.0


def _actions(config: Config, table: StrategyTable) -> Mapping[tuple[str, float], int]:
    """Return a code for every decision, LIMITs by their share, that history or a strategy took."""
    logged = [_action(o.decision, o.share) for _, o in logged_values(config)]
    found = {*logged, *(_action(rule.decision, rule.share) for rules in table.rules for rule in rules)}
    return {action: code for code, action in enumerate(sorted(found))}


def _logged(config: Config, kept: pa.Table, actions: Mapping[tuple[str, float], int]) -> tuple[I64, F64]:
    """Return history's decision of every creative, and the share of its exposure that it was given.

    Exposure of what a LIMIT delivered was divided by its share when it was read; here that is undone.
    """
    values = [outcome for _, outcome in logged_values(config)]
    machine_N, final_N = np.divmod(kept[LOGGED].to_numpy().astype(np.int64), len(values) + 1)
    code_V = np.array([actions[_action(o.decision, o.share)] for o in values])
    given = (Decision.APPROVE, Decision.LIMIT)
    share_V = np.array([_action(o.decision, o.share)[1] if o.decision in given else 0.0 for o in values])
    return code_V[machine_N], share_V[np.where(final_N < len(values), final_N, machine_N)]


def _delivered(kept: pa.Table, outcome: str, share_N: F64) -> F64:
    """Return what each creative was given: 0 where history delivered nothing.

    Raises
    ------
    DataError : creatives that were delivered and lack the number.
    """
    unknown_N = (kept[f"{outcome}_missing"].to_numpy() > 0) | (kept[f"{outcome}_imputed"].to_numpy() > 0)
    lacking = np.flatnonzero(unknown_N & (share_N > 0))
    if len(lacking):
        first = kept["creative_id"][int(lacking[0])].as_py()
        raise DataError(
            f"off_policy.outcomes: {len(lacking)} delivered creatives have no {outcome} (first: {first}); "
            f"mend creatives.columns.{outcome} or leave it out of off_policy.outcomes"
        )
    return kept[outcome].to_numpy() * share_N


def _targets(
    table: StrategyTable, kept: pa.Table, actions: Mapping[tuple[str, float], int], rows: LoggedRows
) -> dict[str, Target]:
    """Return what each strategy does; a REJECT delivers nothing, unless some of history's delivered something."""
    outcome_NS = kept["outcome"].combine_chunks().flatten().to_numpy().reshape(len(rows), len(table.strategies))
    reject = actions.get((Decision.REJECT.name, 1.0), -1)
    nothing = not rows.outcome_N[rows.decision_N == reject].any()
    out = {}
    for s, strategy in enumerate(table.strategies):
        if strategy.memory:
            continue
        code_O = np.array([actions[_action(rule.decision, rule.share)] for rule in table.rules[s]])
        decision_N = code_O[outcome_NS[:, s]]
        zero_N: Flags = (decision_N == reject) & nothing
        out[strategy.name] = Target(decision_N, zero_N)
    return out
