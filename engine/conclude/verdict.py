"""The verdict stage: the gates of a config, judged on what the run knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.conclude.looks import open_register
from engine.config.sections import Config
from engine.estimate.contrast import contrasted
from engine.estimate.evidence import Contrast, Evidence
from engine.estimate.outcomes import decided_alike, swap_sums
from engine.estimate.question import Question
from engine.records import ANY
from engine.stages.run import Run
from engine.verdict.gate import Gate
from engine.verdict.verdict import Finding, Verdict, decide

_DRAWN = "human decisions are drawn, and how much the draws move it is not part of its bounds"


def verdict_stage(run: Run, question: Question) -> Verdict | None:
    """Judge every gate and count the look; None where the config has no gate."""
    config = run.config
    if not config.gates or config.compare is None:
        return None
    register = open_register(run, question)
    with run.progress.stage("gates", 1) as step:
        verdict = decide(
            gates_of(config),
            lambda contrast, level: _evidence(question, contrast, level),
            config.compare.confidence,
            register.look,
            unchanged=no_decision_changes(question),
        )
        step(len(verdict.findings))
    register.note(verdict, config.run)
    return verdict


def gates_of(config: Config) -> list[Gate]:
    """Return the gates of a config, in order."""
    policies = [*config.policies, *([ANY] if len(config.policies) > 1 else [])]
    weighting = config.cost.weighting if config.cost else "creatives"
    return [gate.gate(policies, weighting) for gate in config.gates]


def no_decision_changes(question: Question) -> bool:
    """Return whether baseline and candidate decide every creative of the period alike; False where nobody counted."""
    if question.pair is None or question.scored is not None:
        return False
    alike_OQ = decided_alike(*(question.table.rules[s] for s in question.pair))
    rows, columns = alike_OQ.shape
    return not (swap_sums(question)[:rows, :columns, 0] * ~alike_OQ).any()


def verdict_facts(verdict: Verdict, config: Config) -> dict[str, Any]:
    """Return gates.json as plain values."""
    assert config.compare is not None
    look = verdict.look
    return {
        "verdict": verdict.decision.value,
        "line": verdict.line,
        "reason": verdict.reason,
        "more": verdict.more,
        "baseline": config.compare.baseline,
        "candidate": config.compare.candidate,
        "confidence": config.compare.confidence,
        "look": look.number,
        "looks": look.declared,
        "looks_in_config": config.compare.looks,
        "gates": [_finding_facts(finding) for finding in verdict.findings],
    }


def _finding_facts(finding: Finding) -> dict[str, Any]:
    gate, evidence, needed = finding.gate, finding.evidence, finding.needed
    return {
        "gate": finding.name,
        "outcome": finding.outcome.value,
        "reason": finding.reason,
        "metric": gate.number.metric,
        "weighting": gate.number.weighting,
        "policy": gate.policy,
        "reading": gate.reading,
        "inference": gate.inference,
        "segment_by": gate.by or "all",
        "segment": finding.segment,
        "formula": gate.contrast.formula,
        "estimate": evidence.estimate,
        "low": evidence.low,
        "high": evidence.high,
        "level": finding.level,
        "labels": evidence.labels,
        "effective_events": evidence.events,
        "warning": evidence.warning,
        "labels_needed": needed.labels if needed else None,
        "more_labels": needed.more if needed else None,
        "not_planned": needed.reason if needed else None,
    }


def _evidence(question: Question, contrast: Contrast, level: float) -> Sequence[Evidence]:
    assert question.pair is not None
    if any(question.table.strategies[s].memory.outcome == "drawn" for s in question.pair):
        names = zip(question.segments.by, question.segments.name, strict=True)
        return [Evidence(by, name, None, None, None, 0, 0, null_reason=_DRAWN) for by, name in names]
    return contrasted(question, contrast, level)
