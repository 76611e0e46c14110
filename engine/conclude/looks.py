"""How often a comparison has been looked at: a small file beside the runs, one for each comparison.

Whatever things are called and wherever they lie: a comparison is how many creatives of the period, with which exposure,
the two strategies decide in each pair of ways; a look is what the audits have concluded of them so far. Judged again on
the same labels it is the same look; without any label it is none. What was declared at the first look holds. Two runs
that look at the same moment may be counted as one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from engine import store
from engine.errors import DataError
from engine.estimate.outcomes import swap_sums
from engine.estimate.question import Question
from engine.records import WEIGHTS
from engine.stages.run import Run, sources_read
from engine.strategy import Rule
from engine.verdict.verdict import Look, Verdict

_KNOWN = [WEIGHTS.index(name) for name in ("creatives", "impressions", "spend")]


@dataclass(frozen=True)
class Register:
    """The looks at one comparison. path : its file. labels : identity of what is looked at now, None without labels."""

    path: Path
    labels: str | None
    declared: int
    looks: tuple[Mapping[str, Any], ...]

    @property
    def look(self) -> Look:
        """This look, and what the earlier ones knew."""
        seen = [look["labels"] for look in self.looks]
        at = seen.index(self.labels) if self.labels in seen else len(seen)
        keys = {key for look in self.looks[:at] for key in look["information"]}
        earlier = {key: [look["information"].get(key) for look in self.looks[:at]] for key in keys}
        return Look(at + 1, self.declared, earlier, counted=self.labels is not None)

    def note(self, verdict: Verdict, run: str) -> None:
        """Write down that this look was made, and what it knew; nothing where there was nothing to look at."""
        if self.labels is None:
            return
        found = {finding.key: finding.information for finding in verdict.findings}
        at = verdict.look.number - 1
        known: Mapping[str, Any] = self.looks[at] if at < len(self.looks) else {"labels": self.labels, "run": run}
        mine = {**known, "information": {**known.get("information", {}), **found}}
        looks = [*self.looks[:at], mine, *self.looks[at + 1 :]]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = {"declared": self.declared, "looks": looks}
        store.write_whole(self.path, (json.dumps(written, indent=1) + "\n").encode())


def open_register(run: Run, question: Question) -> Register:
    """Return the looks at the run's comparison.

    Raises
    ------
    DataError : the file that counts them cannot be read, or does not say what it should.
    """
    assert run.config.compare is not None
    path = Path(run.config.store.path) / "_looks" / f"{_comparison(run, question)[:32]}.json"
    declared, looks = run.config.compare.looks, tuple[Mapping[str, Any], ...]()
    if path.exists():
        try:
            declared, looks = _read(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); it counts the looks at this comparison") from None
    return Register(path, labels_identity(question), declared, looks)


def labels_identity(question: Question) -> str | None:
    """Return the identity of what audits concluded of the period: equal rows in any order are equal labels."""
    rows = question.rows
    drawn_n = np.isfinite(rows.pi_n)
    if not (rows.y_nQ[drawn_n] >= 0).any():
        return None
    decided = [
        np.array(part)[rows.outcome_Sn[s]]
        for s in question.pair or ()
        for part in zip(*((rule.decision, rule.share) for rule in question.table.rules[s]), strict=True)
    ]
    known_Wn = np.nan_to_num(rows.known_Wn)  # which of the rest a model fills is no matter of labels
    table_nK = np.stack([rows.pi_n, *rows.y_nQ.T, *known_Wn, *decided], axis=1)[drawn_n]
    ordered = np.ascontiguousarray(table_nK[np.lexsort(table_nK.T)])
    design = rows.design
    strata = sorted(zip(design.method_H, design.population_H.tolist(), design.drawn_H.tolist(), strict=True))
    return store.fingerprint([blake3(ordered.tobytes()).hexdigest(), strata])


def _comparison(run: Run, question: Question) -> str:
    """Return the identity of what is compared."""
    if question.scored is not None:  # a sample: how many fall into each pair is estimated, and moves with the labels
        return _written(run, question)
    assert question.pair is not None
    before, after = (question.table.rules[s] for s in question.pair)
    sum_OQW = swap_sums(question)[..., _KNOWN]
    sums: dict[tuple[str, str], Any] = {}
    for o, one in enumerate(before):
        for q, other in enumerate(after):
            if sum_OQW[o, q, 0]:
                key = _effect(one), _effect(other)
                sums[key] = sums.get(key, 0) + sum_OQW[o, q]
    exposed = any(total[1:].any() for total in sums.values())
    by_cell = [] if exposed else _by_cell(question)
    return store.fingerprint([sorted((*key, *total.tolist()) for key, total in sums.items()), by_cell])


def _effect(rule: Rule) -> str:
    """Return what an outcome means for a creative, whichever rule brought it about."""
    return repr((rule.decision, rule.share, rule.final, rule.final_share, rule.waited, rule.queued))


def _by_cell(question: Question) -> list[list[int]]:
    """Return creatives by pair of outcomes and cell: where no exposure is known, few numbers tell swap sets apart."""
    count_OQC = question.totals.swap_OQCW[..., 0]
    return sorted(sorted(count_C[count_C > 0].tolist()) for count_C in count_OQC.reshape(-1, count_OQC.shape[-1]))


def _written(run: Run, question: Question) -> str:
    """Return the identity of both strategies as they are written, and of what they read."""
    assert question.pair is not None
    pair = [question.table.strategies[s] for s in question.pair]
    read = set().union(*(sources_read(strategy) for strategy in pair))
    paths = {f"scores.{run.config.scores[name].path}" for name in read & set(run.config.scores)}
    wanted = {"creatives", *(f"models.{name}" for name in read), *paths}
    inputs = sorted(identity for name, identity in run.prepared.inputs.items() if name in wanted)
    rules = [repr(replace(strategy, name="", words="")) for strategy in pair]
    period = run.config.decided()["period"]
    return store.fingerprint([rules, inputs, period])


def _read(known: Mapping[str, Any]) -> tuple[int, tuple[Mapping[str, Any], ...]]:
    declared, looks = int(known["declared"]), tuple(known["looks"])
    if declared < 1:
        raise ValueError(f"declared is {declared}")
    for look in looks:
        values = [value for value in look["information"].values() if value is not None]
        if not isinstance(look["labels"], str) or not all(isinstance(value, int | float) for value in values):
            raise ValueError("a look needs `labels`, a text, and `information`, numbers by gate")
    return declared, looks
