"""Does a strategy as written decide as history did? If not, what it is compared with is not what ran.

Machine decisions are compared: what humans concluded later is no part of a strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.config.sections import Config
from engine.errors import UsageError, did_you_mean
from engine.estimate.outcomes import decided_alike
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.records import I16, I64, LOGGED, Decision
from engine.report.summary import decision_words, rule_words
from engine.report.wording import plain
from engine.stages.read import read_stage
from engine.stages.replay import Wanted, find_ground, replay_stage
from engine.stages.run import sources_read
from engine.stages.score import score_stage
from engine.strategy import StrategyTable, build_table

EXAMPLES = 3  # of each kind of disagreement
DECISIONS = (Decision.APPROVE, Decision.LIMIT, Decision.REVIEW, Decision.REJECT)


@dataclass(frozen=True)
class Example:
    """A creative that was decided otherwise. rule : the one that decides now, in words; scores : what it reads."""

    creative_id: str
    logged: str
    replayed: str
    rule: str
    scores: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Fidelity:
    """How a strategy compares with history's own machine decisions.

    confusion : creatives by logged (rows) and replayed (columns) decision, in the order of DECISIONS.
    equal : creatives decided alike, a LIMIT with the same share.
    """

    strategy: str
    confusion: tuple[tuple[int, ...], ...]
    equal: int
    examples: tuple[Example, ...]

    @property
    def compared(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def share(self) -> float:
        """Share of the compared creatives that are decided alike; 1 where there are none."""
        return self.equal / self.compared if self.compared else 1.0


def check_fidelity(config: Config, strategy: str, progress: Progress) -> Fidelity:
    """Replay a strategy over history and hold every decision against the logged one.

    Raises
    ------
    UsageError : history's decisions are not mapped, or there is no such strategy.
    """
    prepared = prepare(config)
    names = prepared.table.names
    if LOGGED not in names:
        raise UsageError("check-fidelity: needs creatives.columns.logged_decision and creatives.decisions")
    if strategy not in names or strategy == LOGGED:
        raise UsageError(f"check-fidelity: unknown strategy {strategy}{did_you_mean(strategy, set(names) - {LOGGED})}")
    run = open_run(config, prepared, progress)
    creatives = read_stage(run)
    scored = score_stage(run, creatives)
    both = [prepared.table.strategies[names.index(name)] for name in (LOGGED, strategy)]
    table = build_table(both, missing_to_review=prepared.spec.missing_score_allowed)
    wanted = Wanted(table, name="fidelity", keep_all=True, whole=True)
    kept = replay_stage(run, creatives, scored, find_ground(run, creatives, scored), wanted).kept
    outcome_NS = kept["outcome"].combine_chunks().flatten().to_numpy().reshape(-1, 2)
    rules = table.rules
    decided = [np.array([rule.decision for rule in each])[outcome_NS[:, s]] for s, each in enumerate(rules)]
    alike = decided_alike(*rules)[outcome_NS[:, 0], outcome_NS[:, 1]]
    read = [column for column in kept.column_names if column.partition(".")[0] in sources_read(both[1])]
    return Fidelity(
        strategy,
        tuple(tuple(int(((decided[0] == a) & (decided[1] == b)).sum()) for b in DECISIONS) for a in DECISIONS),
        int(alike.sum()),
        _examples(kept, np.flatnonzero(~alike), table, outcome_NS, read),
    )


def fidelity_text(found: Fidelity) -> str:
    """Return what `backtest check-fidelity` prints: the share, the confusion, examples of each kind."""
    lines = [
        f"{found.strategy} decides {found.equal:,} of {found.compared:,} creatives as history did ({found.share:.4%})",
        "",
        "history ↓  replayed →" + "".join(f"{decision.name:>12}" for decision in DECISIONS),
    ]
    for decision, row in zip(DECISIONS, found.confusion, strict=True):
        lines.append(f"{decision.name:<21}" + "".join(f"{count:>12,}" for count in row))
    if found.examples:
        lines += ["", "for example:"]
    for example in found.examples:
        scores = ", ".join(f"{name} {value:.6g}" for name, value in example.scores)
        lines.append(
            f"  {plain(example.creative_id)}: history {example.logged}, now {example.replayed} by {example.rule}"
            + (f" ({scores})" if scores else "")
        )
    return "\n".join(lines)


def _examples(
    kept: pa.Table, differ_n: I64, table: StrategyTable, outcome_NS: I16, read: Sequence[str]
) -> tuple[Example, ...]:
    """Return the first few creatives of each kind of disagreement, in file order."""
    kinds: dict[tuple[str, str], list[int]] = {}
    pair_n = outcome_NS[differ_n].astype(np.int64)
    code_n = pair_n[:, 0] * table.outcomes + pair_n[:, 1]
    for code in np.unique(code_n):
        first = differ_n[np.flatnonzero(code_n == code)[:EXAMPLES]]
        before, after = (table.rules[s][o] for s, o in enumerate(divmod(int(code), table.outcomes)))
        kinds.setdefault((decision_words(before), decision_words(after)), []).extend(map(int, first))
    out = []
    for kind, rows in sorted(kinds.items()):
        for n in sorted(rows)[:EXAMPLES]:
            row = kept.slice(n, 1).to_pylist()[0]
            rule = rule_words(table.rules[1], int(outcome_NS[n, 1]))
            out.append(Example(row["creative_id"], *kind, rule, tuple((name, row[name]) for name in read)))
    return tuple(out)
