"""Examples of leaked, overkilled and swapped creatives: chosen by a hash, so that nobody picks the telling ones."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.conclude.exhibits import Exhibit, read_exhibits
from engine.conclude.numbers import Numbers, training_end
from engine.estimate.delivery import MACHINE, delivery
from engine.read.labelled import with_any
from engine.read.sampling import uniform
from engine.records import ANY, I16, LOGGED, WEIGHTINGS, Flags
from engine.report.summary import decision_words, rule_words
from engine.schema import EXAMPLES
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Replayed, Wanted, replay_stage
from engine.stages.run import Run, sources_read
from engine.stages.score import Scored
from engine.strategy import Rule, Strategy, StrategyTable, build_table

LEAKED, OVERKILLED, SWAPPED = "leaked", "overkilled", "swapped"
MOST = 5  # of a strategy, leaked and overkilled
MOST_SWAPPED = 3  # of each change of a decision
MOST_REPLAYED = 2_000_000  # creatives; of more, swapped ones are looked for among those that the run kept anyway
_APART = 0x5EED
_LABELS = ("COMPLIANT", "VIOLATING")


@dataclass(frozen=True, eq=False)
class Decided:
    """Creatives with what the shown strategies did to them, before any review.

    rows : kept rows of a replay, n of them. strategies, rules : those that are shown, and what can come of each.
    outcome_nS : index into the rules of each.
    """

    rows: pa.Table
    strategies: tuple[Strategy, ...]
    rules: tuple[tuple[Rule, ...], ...]
    outcome_nS: I16

    def take(self, chosen_n: Flags, seed: int, most: int) -> Decided:
        """Return at most so many of the chosen creatives, those of the lowest hashes."""
        at_n = np.flatnonzero(chosen_n)
        hash_n = uniform(self.rows["creative_id"].take(pa.array(at_n)).combine_chunks(), seed)
        at_n = at_n[np.argsort(hash_n, kind="stable")[:most]]
        return replace(self, rows=self.rows.take(pa.array(at_n)), outcome_nS=self.outcome_nS[at_n])


@dataclass(frozen=True, eq=False)
class Chosen:
    """Examples of one kind, of one strategy where they are that strategy's."""

    kind: str
    strategy: str | None
    decided: Decided


def examples_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground, numbers: Numbers) -> pa.Table:
    """Choose examples and read what they say and show; return schema.EXAMPLES."""
    kept = _decided(numbers.replayed, _shown(run, numbers.replayed.wanted.table))
    chosen = [*_judged(run, numbers.replayed, kept), *_swapped(run, _replayed(run, creatives, scored, ground, kept))]
    ids = list(dict.fromkeys(name for each in chosen for name in each.decided.rows["creative_id"].to_pylist()))
    exhibits = read_exhibits(run, creatives, ids)
    rows = [row for each in chosen for row in _rows(run, each, exhibits)]
    return pa.Table.from_pylist(rows, EXAMPLES)


def _shown(run: Run, table: StrategyTable) -> list[int]:
    """Return the strategies that examples are of: the compared pair, else the first that is not history's."""
    compare = run.config.compare
    if compare is not None:
        return [table.names.index(name) for name in (compare.baseline, compare.candidate)]
    return [s for s, name in enumerate(table.names) if name != LOGGED][:1] or [0]


def _decided(replayed: Replayed, shown: Sequence[int]) -> Decided:
    """Return the kept rows of a replay with the outcomes of some of its strategies."""
    kept, table = replayed.kept, replayed.wanted.table
    flat = kept["outcome"].combine_chunks().flatten().to_numpy()
    outcome_nS = flat.reshape(kept.num_rows, len(table.strategies))[:, list(shown)]
    strategies, rules = tuple(table.strategies[s] for s in shown), tuple(table.rules[s] for s in shown)
    return Decided(kept, strategies, rules, outcome_nS)


def _judged(run: Run, replayed: Replayed, kept: Decided) -> Iterator[Chosen]:
    """Yield what leaked and what was overkilled before any review, of creatives that an audit concluded."""
    labels = run.prepared.labels
    if labels is None:
        return
    at_n = pc.index_in(kept.rows["creative_id"], pa.array(labels.creative_id, pa.string()))
    y_n = np.append(with_any(labels.y_nP)[:, -1], np.int8(-1))[pc.fill_null(at_n, -1).to_numpy()]
    end = training_end(run, replayed.wanted.table)
    if end is not None:  # a model may have learned the labels of what came before
        submitted = kept.rows["submitted_at"]
        y_n = np.where(pc.less(submitted, pa.scalar(end, submitted.type)).to_numpy(), -1, y_n)
    policy = run.config.policies[0] if len(run.config.policies) == 1 else ANY
    for s, (strategy, rules) in enumerate(zip(kept.strategies, kept.rules, strict=True)):
        given = delivery(strategy, rules, policy, MACHINE, counted=False)
        outcome_n = kept.outcome_nS[:, s]
        leaked_n = (y_n == 1) & (given.accept_OY[outcome_n, 1] > 0)
        overkilled_n = (y_n == 0) & (given.refuse_OY[outcome_n, 0] > 0)
        for kind, chosen_n in ((LEAKED, leaked_n), (OVERKILLED, overkilled_n)):
            yield Chosen(kind, strategy.name, kept.take(chosen_n, _seed(run), MOST))


def _replayed(run: Run, creatives: Creatives, scored: Scored, ground: Ground, kept: Decided) -> Decided:
    """Return creatives with the decisions of the compared pair: all of them where that is no large matter."""
    count = creatives.counts["kept"]
    if run.config.compare is None or run.config.creatives.sample or not kept.rows.num_rows < count <= MOST_REPLAYED:
        return kept
    table = build_table(kept.strategies, missing_to_review=run.prepared.spec.missing_score_allowed)
    wanted = Wanted(table, name="examples", keep_all=True, whole=True)
    return _decided(replay_stage(run, creatives, scored, ground, wanted), range(len(kept.strategies)))


def _swapped(run: Run, found: Decided) -> Iterator[Chosen]:
    """Yield creatives that the compared strategies decide otherwise, some of each change."""
    if run.config.compare is None:
        return
    words = [[decision_words(rule) for rule in rules] for rules in found.rules]
    names = sorted({word for each in words for word in each})
    code_nS = np.stack(
        [np.array([names.index(word) for word in each])[found.outcome_nS[:, s]] for s, each in enumerate(words)], axis=1
    )
    change_n = np.where(code_nS[:, 0] == code_nS[:, 1], -1, code_nS[:, 0] * len(names) + code_nS[:, 1])
    for change in np.unique(change_n[change_n >= 0]):
        yield Chosen(SWAPPED, None, found.take(change_n == change, _seed(run), MOST_SWAPPED))


def _seed(run: Run) -> int:
    """Return what the hash starts from: another draw than that of a scored sample of this seed."""
    return run.config.seed ^ _APART


def _rows(run: Run, chosen: Chosen, exhibits: Mapping[str, Exhibit]) -> Iterator[dict[str, Any]]:
    """Yield rows of schema.EXAMPLES."""
    found = chosen.decided
    for row, outcome_S in zip(found.rows.to_pylist(), found.outcome_nS.tolist(), strict=True):
        ways = zip(found.strategies, found.rules, outcome_S, strict=True)
        exhibit = exhibits[row["creative_id"]]
        yield {
            "kind": chosen.kind,
            "strategy": chosen.strategy,
            "creative_id": row["creative_id"],
            "labels": _labels(run, row["creative_id"]),
            "ways": [
                {"strategy": strategy.name, "decision": decision_words(rules[o]), "rule": rule_words(rules, o)}
                for strategy, rules, o in ways
            ],
            "scores": [{"column": name, "score": row[name]} for name in _scores(found)],
            "exposure": list(_exposure(run, row)),
            "texts": [{"field": field, "text": text} for field, text in exhibit.texts],
            "pictures": list(exhibit.pictures),
            "notes": list(exhibit.notes),
        }


def _labels(run: Run, creative_id: str) -> list[dict[str, str]]:
    """Return what audits concluded of a creative, by policy."""
    labels = run.prepared.labels
    if labels is None:
        return []
    at = bisect_left(labels.creative_id, creative_id)
    if at == len(labels.creative_id) or labels.creative_id[at] != creative_id:
        return []
    said = zip(run.config.policies, labels.y_nP[at].tolist(), strict=True)
    return [{"policy": policy, "label": _LABELS[y]} for policy, y in said if y >= 0]


def _scores(found: Decided) -> list[str]:
    """Return the score columns that the shown strategies read."""
    read = {name for strategy in found.strategies for name in sources_read(strategy)}
    return [name for name in found.rows.column_names if "." in name and name.partition(".")[0] in read]


def _exposure(run: Run, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the exposures that the config maps, and whether history knows them."""
    for name in WEIGHTINGS[1:]:
        if getattr(run.config.creatives.columns, name) is None:
            continue
        unit = run.config.exposure.spend_unit if name == "spend" else 1.0
        missing, imputed = row[f"{name}_missing"] > 0, row[f"{name}_imputed"]
        value = None if missing else (row[name] + imputed) * unit
        yield {
            "weighting": name,
            "value": value,
            "source": "missing" if missing else "modelled" if imputed else "known",
        }
