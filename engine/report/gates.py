"""Gates for people and machines: lines for a terminal, JUnit XML for CI, a Markdown block for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from engine.report import wording
from engine.report.page import Block, Cell, Grid, Group, Section, Text
from engine.report.wording import plain

_LONG = 300  # characters of a sentence that quotes names


@dataclass(frozen=True)
class GateSummary:
    """One gate in one segment. outcome : pass, fail or undecided; level : one-sided confidence of each bound."""

    gate: str
    outcome: str
    reason: str
    policy: str
    warning: str | None
    level: float
    labels: int
    more_labels: int | None
    not_planned: str | None


@dataclass(frozen=True)
class VerdictSummary:
    """What gates.json says."""

    verdict: str
    line: str
    baseline: str
    candidate: str
    confidence: float
    look: int
    looks: int
    looks_in_config: int
    gates: tuple[GateSummary, ...]

    @property
    def about(self) -> str:
        """What is compared, how surely, and which look it is."""
        said = f"{wording.clip(self.candidate)} against {wording.clip(self.baseline)}, look {self.look} of {self.looks}"
        said += f" declared, {100 * self.confidence:g} % one-sided confidence"
        if self.looks_in_config != self.looks:
            said += f"; compare.looks is {self.looks_in_config} now, but what was declared at the first look holds"
        return said


def read_verdict(row: Mapping[str, Any] | None) -> VerdictSummary | None:
    """Read what gates.json or summary.json holds; None where the run has no gates."""
    if row is None:
        return None
    gates = tuple(GateSummary(**{name: gate[name] for name in GateSummary.__annotations__}) for gate in row["gates"])
    facts = {name: row[name] for name in VerdictSummary.__annotations__ if name != "gates"}
    return VerdictSummary(**facts, gates=gates)


def gate_lines(verdict: VerdictSummary) -> list[str]:
    """Return the verdict, then a line a gate, for a terminal."""
    width = max(len(gate.outcome) for gate in verdict.gates)
    lines = [plain(verdict.line), f"  {plain(verdict.about)}"]
    return lines + [f"  {gate.outcome:<{width}}  {plain(_sentence(gate))}" for gate in verdict.gates]


def junit_xml(verdict: VerdictSummary) -> str:
    """Return a test suite with one case a gate: a failed gate is a failure, an undecided one an error."""
    count = {outcome: sum(gate.outcome == outcome for gate in verdict.gates) for outcome in ("fail", "undecided")}
    suite = ElementTree.Element(
        "testsuite",
        name=plain(f"gates of {verdict.candidate} against {verdict.baseline}"),
        tests=str(len(verdict.gates)),
        failures=str(count["fail"]),
        errors=str(count["undecided"]),
    )
    for gate in verdict.gates:
        case = ElementTree.SubElement(suite, "testcase", classname=plain(f"gates.{gate.policy}"), name=plain(gate.gate))
        tag = {"fail": "failure", "undecided": "error"}.get(gate.outcome, "system-out")
        said = ElementTree.SubElement(case, tag)
        if tag != "system-out":
            said.set("message", plain(f"{gate.outcome}: {gate.reason}"))
        said.text = plain(_sentence(gate))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def verdict_section(verdict: VerdictSummary | None) -> Section | None:
    """The chapter of the verdict: the gates, each with what it rests on; None where there are none."""
    if verdict is None:
        return None
    return Section("verdict", "The verdict", verdict_blocks(verdict))


def verdict_blocks(verdict: VerdictSummary) -> tuple[Block, ...]:
    """The verdict in words, and a table of the gates."""
    rows = tuple(
        (
            Cell(gate.outcome),
            Cell(wording.clip(gate.gate, _LONG)),
            Cell(wording.clip(_why(gate), _LONG), tone="words"),
            Cell(wording.count(gate.labels), tone="number"),
            Cell(wording.count(gate.more_labels) if gate.outcome == "undecided" else "", tone="number"),
        )
        for gate in verdict.gates
    )
    grid = Grid("", ("Outcome", "Gate", "Evidence", "Labels", "More needed"), (Group("", rows),), _notes(verdict.gates))
    return Text(wording.clip(verdict.line, 2 * _LONG)), Text(verdict.about[0].upper() + verdict.about[1:] + "."), grid


def _notes(gates: Sequence[GateSummary]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{gate.gate}: {gate.warning}" for gate in gates if gate.warning))


def _sentence(gate: GateSummary) -> str:
    warned = f"; {gate.warning}" if gate.warning else ""
    return f"{gate.gate}: {_why(gate)}{warned}"


def _why(gate: GateSummary) -> str:
    if gate.outcome != "undecided":
        return gate.reason
    if gate.more_labels is not None:
        return f"{gate.reason}; {wording.count(gate.more_labels)} more labels would tell"
    return gate.reason + (f"; {gate.not_planned}" if gate.not_planned and gate.not_planned != gate.reason else "")
