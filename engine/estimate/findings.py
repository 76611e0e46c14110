"""Where a candidate is worse or better than its baseline: segments of one or two attributes, few of them false.

In every segment the paired difference, of creatives and for `history`, is held against 0: t of its linearised variance.
All segments of all numbers are one family; of those tested, the ones are named whose share of false ones is expected to
stay below `rate` (Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57, 289–300). Segments overlap, which makes tests
positively dependent; there the procedure holds where dependence is by regression on each true null (Benjamini and
Yekutieli 2001, Ann. Stat. 29, 1165–1188, theorem 1.2), and `tests/estimate/test_findings.py` counts for the rest.

Intervals of named segments are widened for having been chosen: their level is 1 − named · rate / tested, so that on
average at most the share `rate` of them misses (Benjamini and Yekutieli 2005, J. Am. Stat. Assoc. 100, 71–81).

A segment with fewer than ENOUGH_EVENTS effective events in its swap set is not tested, nor is one that nothing swaps in
or that holds the very creatives of another; how many is said. Whether one is tested depends on how many
swapped labels there are, not on their direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import stdtr

from engine.estimate.delivery import MACHINE
from engine.estimate.interval import ENOUGH_EVENTS, enough, t_quantile
from engine.estimate.known import creatives_of
from engine.estimate.metrics import RATES, Metric
from engine.estimate.pair import difference
from engine.estimate.policy import bases
from engine.estimate.question import Question
from engine.estimate.ratio import hajek
from engine.estimate.sample import Sample, answered_sample
from engine.estimate.view import View
from engine.records import F64, Flags, Segments

NUMBERS = ("leakage_rate", "overkill_rate")
RATE = 0.05
JOIN = " × "


@dataclass(frozen=True)
class Finding:
    """A segment in which the candidate differs: candidate − baseline. adjusted : least rate at which it is named.

    inside : a named segment of the same number and sign, of one attribute, that holds this one; else None.
    """

    policy: str
    metric: str
    segment_by: str
    segment: str
    estimate: float
    low: float
    high: float
    adjusted: float
    events: float
    labels: int
    creatives: int
    inside: str | None


@dataclass(frozen=True)
class Findings:
    """Named segments, the least adjusted p first. few : segments with too few events. still : nothing swaps there."""

    named: tuple[Finding, ...]
    tested: int
    few: int
    still: int
    rate: float


@dataclass(frozen=True)
class _Tests:
    """The tests of one number, a value per segment. why : "", "few" or "still" """

    policy: str
    metric: str
    estimate: F64
    error: F64
    df: F64
    p: F64
    events: F64
    labels: F64
    why: np.ndarray[tuple[int], np.dtype[np.str_]]


def find_segments_that_differ(question: Question, rate: float = RATE) -> Findings | None:
    """Return where the compared candidate differs from its baseline; None where nobody can tell.

    That is where nothing is compared, there are no segments, sums are by segment already, or a sample is scored.
    """
    if question.pair is None or question.totals.folded or question.scored is not None:
        return None
    deep = deep_segments(question.segments)
    if len(deep.name) < 2:
        return None
    segments = _labelled(deep, question)
    asked = replace(question, segments=segments)
    creatives_G = creatives_of(asked.totals, segments)
    known = bases(asked, creatives_G)[0]
    tests = []
    for q in range(len(asked.readable_policies)):
        sample = answered_sample(asked.rows, q, segments, creatives_G)
        baseline, candidate = (View(asked, known, sample, s, q, MACHINE, "creatives") for s in question.pair)
        for metric in (m for m in RATES if m.name in NUMBERS):
            null = zip(
                *(v.null_reasons(metric.uses(v.given), owed=metric.owed) for v in (baseline, candidate)), strict=True
            )
            told = np.array([a is None and b is None for a, b in null])
            tests.append(_test(sample, baseline, candidate, metric, told))
    found = _name(tests, asked, creatives_G, rate)
    return replace(found, few=found.few + len(tests) * (len(deep.name) - len(segments.name)))


def deep_segments(segments: Segments) -> Segments:
    """Return `all`, the values of each attribute that has segments, and those of each two; of equal ones the first."""
    shown = [k for k, attribute in enumerate(segments.attributes) if attribute in segments.by]
    code_CK, cells = segments.cell_level_CK, len(segments.cell_level_CK)
    names, by, member = ["all"], ["all"], [np.ones(cells, bool)]
    held = {member[0].tobytes()}
    for size in (1, 2):
        for chosen in combinations(shown, size):
            for levels in np.unique(code_CK[:, chosen], axis=0):
                inside = (code_CK[:, chosen] == levels).all(1)
                if inside.tobytes() in held:
                    continue
                held.add(inside.tobytes())
                member.append(inside)
                by.append(JOIN.join(segments.attributes[k] for k in chosen))
                names.append(JOIN.join(segments.levels[k][level] for k, level in zip(chosen, levels, strict=True)))
    return replace(segments, by=tuple(by), name=tuple(names), member_GC=np.array(member))


def _labelled(segments: Segments, question: Question) -> Segments:
    """Return `all` and the segments with enough labels for enough events: those with fewer need no estimate."""
    drawn_n = question.rows.stratum_n >= 0
    labels_C = np.bincount(question.rows.cell_n[drawn_n], minlength=segments.member_GC.shape[1])
    at = np.flatnonzero(segments.member_GC @ labels_C >= ENOUGH_EVENTS)
    at = np.unique(np.append(0, at))
    by, name = (tuple(words[g] for g in at) for words in (segments.by, segments.name))
    return replace(segments, by=by, name=name, member_GC=segments.member_GC[at])


def adjusted_p(p: F64) -> F64:
    """Return, for each of some p-values, the least rate at which Benjamini and Hochberg name it."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    out = np.empty(len(p))
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def _test(sample: Sample, baseline: View, candidate: View, metric: Metric, told: Flags) -> _Tests:
    """Test one number in every segment; told : it is not null there."""
    mine, theirs = (
        hajek(sample, *metric.parts(view.terms()), metric.bounds(view.given, view.occurs_O))
        for view in (candidate, baseline)
    )
    pair = difference(sample, theirs, mine)
    variance, df = sample.history_spread(pair.residual_m)
    swaps = candidate.swaps_with(baseline, metric.per_outcome(baseline.given), metric.per_outcome(candidate.given))
    error = np.sqrt(variance)
    estimate = np.nan_to_num(pair.estimate)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, np.abs(estimate) / error, np.where(estimate != 0, np.inf, 0.0))
    why = np.where(~swaps, "still", np.where(told & enough(pair.events), "", "few"))
    return _Tests(
        candidate.policy_name, metric.name, estimate, error, df, 2 * stdtr(df, -t), pair.events, pair.labels, why
    )


def _name(tests: Sequence[_Tests], asked: Question, creatives_G: F64, rate: float) -> Findings:
    """Correct all tests together and name what is left. `all` is no finding and not tested."""
    places = [(n, g) for n, test in enumerate(tests) for g in range(1, len(test.p)) if not test.why[g]]
    adjusted = adjusted_p(np.array([tests[n].p[g] for n, g in places]))
    chosen = [(adjusted[i], n, g) for i, (n, g) in enumerate(places) if adjusted[i] <= rate]
    level = 1 - rate * len(chosen) / max(len(places), 1)
    named = []
    for value, n, g in sorted(chosen, key=lambda one: (one[0], tests[one[1]].p[one[2]], one[1], one[2])):
        test = tests[n]
        half = float(t_quantile(level, test.df[g]) * test.error[g])
        named.append(
            Finding(
                policy=test.policy,
                metric=test.metric,
                segment_by=asked.segments.by[g],
                segment=asked.segments.name[g],
                estimate=float(test.estimate[g]),
                low=max(float(test.estimate[g]) - half, -1.0),
                high=min(float(test.estimate[g]) + half, 1.0),
                adjusted=float(value),
                events=float(test.events[g]),
                labels=int(test.labels[g]),
                creatives=int(creatives_G[g]),
                inside=_wider(test, [k for _, m, k in chosen if m == n], g, asked.segments),
            )
        )
    few, still = (sum(int((test.why[1:] == word).sum()) for test in tests) for word in ("few", "still"))
    return Findings(tuple(named), len(places), few, still, rate)


def _wider(test: _Tests, named: Sequence[int], g: int, segments: Segments) -> str | None:
    member_GC = segments.member_GC
    for k in named:
        holds = k != g and not (member_GC[g] & ~member_GC[k]).any()
        if holds and JOIN not in segments.by[k] and test.estimate[k] * test.estimate[g] > 0:
            return f"{segments.by[k]} {segments.name[k]}"
    return None
