"""Gates → one verdict: ship, do not ship, or label more creatives first.

Ship needs every gate to pass; one that fails is enough not to ship; else labels are missing. That all gates must pass
needs no correction between gates (intersection–union test, Berger 1982, Technometrics 24, 295–300). A gate by segment
is a claim about each segment, so its bounds are corrected for their number (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from scipy.special import ndtri

from engine.estimate.evidence import Contrast, Evidence
from engine.verdict.gate import Gate, Outcome, judge
from engine.verdict.looks import look_level
from engine.verdict.power import Needed, labels_needed

Ask = Callable[[Contrast, float], Sequence[Evidence]]  # evidence of every segment, at a one-sided confidence
Information = float | None  # 1/variance of what a gate looks at
DASH = "—"
_LAST_LOOK = "this was the last declared look, so labels of another period have to decide (see compare.looks)"


class Decision(StrEnum):
    """What to do with the candidate."""

    SHIP = "ship"
    DO_NOT_SHIP = "do not ship"
    LABEL_MORE = "label more creatives"


@dataclass(frozen=True)
class Look:
    """Which look this is, of how many that were declared beforehand.

    earlier : key of a finding → the information of each earlier look, in order. counted : there were labels to look at.
    """

    number: int = 1
    declared: int = 1
    earlier: Mapping[str, Sequence[Information]] | None = None
    counted: bool = True

    @property
    def beyond(self) -> bool:
        return self.number > self.declared


@dataclass(frozen=True)
class Finding:
    """A gate in one segment: what came of it, on which evidence, and how many labels would decide it.

    level : one-sided confidence of each bound. information : what later looks have to know of this one.
    """

    gate: Gate
    segment: str
    outcome: Outcome
    evidence: Evidence
    level: float
    information: Information
    reason: str
    needed: Needed | None = None

    @property
    def key(self) -> str:
        """The finding's name among those of other looks."""
        return f"{self.gate.contrast.key} · {self.gate.by or 'all'} = {self.segment}"

    @property
    def name(self) -> str:
        """The gate in words, with its segment."""
        return self.gate.words() + (f", {self.gate.by} = {self.segment}" if self.gate.by else "")


@dataclass(frozen=True)
class Verdict:
    """What to do, why, and on which findings. more : labels that would decide, where they can be planned."""

    decision: Decision
    reason: str
    findings: tuple[Finding, ...]
    look: Look
    more: int | None = None

    @property
    def line(self) -> str:
        """The verdict as a person reads it first."""
        if self.decision is Decision.LABEL_MORE and self.more is not None:
            return f"label {self.more:,} more creatives: {self.reason}"
        return f"{self.decision.value}: {self.reason}"


def decide(gates: Sequence[Gate], ask: Ask, confidence: float, look: Look, *, unchanged: bool = False) -> Verdict:
    """Return the verdict of some gates, at least one.

    Parameters
    ----------
    confidence : one-sided, of the whole comparison. unchanged : no creative of the period changes its decision.
    """
    findings = tuple(finding for gate in gates for finding in judge_gate(gate, ask, confidence, look))
    failed = [finding for finding in findings if finding.outcome is Outcome.FAIL]
    open_ = [finding for finding in findings if finding.outcome is Outcome.UNDECIDED]
    if failed:
        return Verdict(Decision.DO_NOT_SHIP, _said(failed), findings, look)
    if not open_:
        passed = "the gate passes" if len(findings) == 1 else f"all {len(findings)} gates pass"
        return Verdict(Decision.SHIP, "no creative changes its decision" if unchanged else passed, findings, look)
    last = f"; {_LAST_LOOK}" if look.counted and look.number == look.declared else ""
    return Verdict(Decision.LABEL_MORE, _said(open_) + last, findings, look, more_labels(open_))


def more_labels(findings: Sequence[Finding]) -> int | None:
    """Return how many creatives decide all of them, None where one cannot be planned.

    Segments of one attribute share no creative, so what they need adds up. A label tells all gates of its creative, and
    counts in a segment of each attribute: of gates and of attributes the largest number is enough.
    """
    by_segment: dict[str, dict[str, int]] = {}
    for finding in findings:
        if finding.needed is None or finding.needed.more is None:
            return None
        of = by_segment.setdefault(finding.gate.by or "all", {})
        of[finding.segment] = max(of.get(finding.segment, 0), finding.needed.more)
    return max((sum(of.values()) for of in by_segment.values()), default=None)


def judge_gate(gate: Gate, ask: Ask, confidence: float, look: Look) -> list[Finding]:
    """Return what comes of a gate, a finding for each of its segments."""
    whole = "all" if gate.by is None else gate.by
    first = [each for each in ask(gate.contrast, confidence) if each.segment_by == whole]
    if not first:
        reason = f"{whole} has no segments: it is no categorical attribute of the report"
        lost = Evidence(whole, DASH, None, None, None, 0, 0, null_reason=reason)
        return [Finding(gate, DASH, Outcome.UNDECIDED, lost, confidence, None, reason, Needed(None, None, reason))]
    each_level = 1 - (1 - confidence) / len(first)  # Bonferroni
    known = [_information(evidence, confidence) for evidence in first]
    blank = [
        Finding(gate, e.segment, Outcome.UNDECIDED, e, each_level, i, "") for e, i in zip(first, known, strict=True)
    ]
    if look.beyond:
        reason = f"look {look.number} of {look.declared} declared: what is looked at again is sure of less than it says"
        lost_n = Needed(None, None, "no declared look is left")
        return [replace(finding, reason=reason, needed=lost_n) for finding in blank]
    level = max(look_level(each_level, look.declared, _history(look, finding)) for finding in blank)
    found = [each for each in ask(gate.contrast, level) if each.segment_by == whole] if level != confidence else first
    return [
        _found(replace(finding, evidence=evidence, level=level), each_level, look)
        for finding, evidence in zip(blank, found, strict=True)
    ]


def _found(finding: Finding, each_level: float, look: Look) -> Finding:
    gate, evidence = finding.gate, finding.evidence
    outcome = judge(gate, evidence)
    if evidence.null_reason is not None:
        return replace(finding, outcome=outcome, reason=evidence.null_reason, needed=_plan(finding, each_level, look))
    what = gate.contrast.formula
    sure = f"each end with {100 * finding.level:.4g} % confidence"
    if evidence.low == evidence.high:
        reason = f"{what} = {_number(evidence.estimate)}, known of all creatives"
    else:
        bounds = f"[{_number(evidence.low)}, {_number(evidence.high)}]"
        reason = f"{what} = {_number(evidence.estimate)} {bounds}, {sure}"
    needed = _plan(finding, each_level, look) if outcome is Outcome.UNDECIDED else None
    return replace(finding, outcome=outcome, reason=reason, needed=needed)


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.4g}".replace("-", "−")


def _plan(finding: Finding, each_level: float, look: Look) -> Needed:
    """Return the labels for the next look; where none is left, for a comparison of its own at the same level."""
    gate, evidence, level = finding.gate, finding.evidence, finding.level
    needed = labels_needed(gate, evidence, level, each_level)
    if needed.labels is None or look.number == look.declared or finding.information is None:
        return needed
    grown = finding.information * needed.labels / evidence.labels
    later = look_level(each_level, look.declared, [*_history(look, finding), grown])
    return labels_needed(gate, evidence, level, later)


def _history(look: Look, finding: Finding) -> list[Information]:
    """Return the information of each look so far, this one's last; None for looks at which it was not judged."""
    known = list((look.earlier or {}).get(finding.key, ()))[: look.number - 1]
    return [*[None] * (look.number - 1 - len(known)), *known, finding.information]


def _information(evidence: Evidence, confidence: float) -> Information:
    if evidence.low is None or evidence.high is None or evidence.high <= evidence.low:
        return None
    error = (evidence.high - evidence.low) / (2 * float(ndtri(confidence)))
    return 1 / error**2


def _said(findings: Sequence[Finding]) -> str:
    """Return why, in the words of the first finding, and of how many others it is true."""
    first = findings[0]
    words = {Outcome.FAIL: "fails", Outcome.UNDECIDED: "is undecided", Outcome.PASS: "passes"}[first.outcome]
    others = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    planned = ""
    if first.outcome is Outcome.UNDECIDED and first.needed and first.needed.more is None and first.needed.reason:
        planned = f"; how many labels would tell cannot be planned: {first.needed.reason}"
    return f"{first.name} {words}: {first.reason}{others}{planned}"
