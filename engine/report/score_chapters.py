"""The chapters about scores themselves: by label, reliability and its maps, near-copies."""

from __future__ import annotations

from engine.records import UNCALIBRATED
from engine.report import wording
from engine.report.page import Block, Cell, Curve, Gallery, Grid, Group, Reliability, Section, Shape, Text
from engine.report.run_summary import AgreementSummary, ReliabilitySummary, RunSummary, ScoreShape


def scores(run: RunSummary) -> Section | None:
    """How each score column is distributed over violating and compliant creatives."""
    if not run.scores:
        return None
    said = "Shares of each group by score, estimated from the audit by design weights: further apart is better."
    shapes = Gallery(tuple(_shape(i, s) for i, s in enumerate(run.scores)))
    return Section("scores", "Scores by label", (Text(said), shapes, *_near_copies(run), *_drift(run)))


def reliability(run: RunSummary) -> Section | None:
    """Whether a score means what it says, before and after a map."""
    if not run.reliability:
        return None
    said = (
        "Creatives in bins of like scores: their mean score against the share of them that violates, estimated from "
        "the audit by design weights. On the diagonal a score is that share. Error is the expected distance from it; "
        "some of it is noise, and “if calibrated” is what noise alone would make."
    )
    names = list(dict.fromkeys(r.column.removeprefix(UNCALIBRATED) for r in run.reliability))
    pictures = tuple(_picture(i, name, run) for i, name in enumerate(names))
    rows = tuple(_row(r, run) for r in run.reliability)
    head = ("Scores", "Policy", "Labels", "Error", "If calibrated", "Debiased (RMS)", "Map")
    return Section("reliability", "Reliability", (Text(said), Gallery(pictures), Grid("", head, (Group("", rows),))))


def _picture(i: int, name: str, run: RunSummary) -> Reliability:
    both = [r for r in run.reliability if r.column.removeprefix(UNCALIBRATED) == name]
    curves = tuple(Curve(_which(r, run), *(r.bins[key] for key in ("score", "share", "low", "high"))) for r in both)
    title = f"{wording.clip(name, 40)}: share of violations by score"
    return Reliability(f"reliability-{i}", title, title, curves)


def _which(r: ReliabilitySummary, run: RunSummary) -> str:
    if r.column.startswith(UNCALIBRATED):
        return "the model's own"
    return "as strategies read it" if r.column in run.calibration else "score"


def _row(r: ReliabilitySummary, run: RunSummary) -> tuple[Cell, ...]:
    found = run.calibration.get(r.column)
    words = f"{found['method']} on {wording.count(found['labels'])} labels, {found['fingerprint']}" if found else "none"
    numbers = (r.error, r.error_if_calibrated, r.debiased)
    return (
        Cell(wording.clip(r.column, 60), tone="code"),
        Cell(wording.clip(r.policy)),
        Cell(wording.count(r.labels), tone="number"),
        *(Cell(wording.share(number), tone="number") for number in numbers),
        Cell(words, tone="words"),
    )


def _near_copies(run: RunSummary) -> tuple[Block, ...]:
    if not run.near_copies:
        return ()
    said = (
        "Some contents carry the score of a near-identical text. Of those, some were drawn at random and scored "
        "themselves as well: the table shows how the two scores agree, and at how many of all such contents, at most "
        "(95 % for each threshold), a strategy that compares with it would decide otherwise."
    )
    return (Text(said), _agreement("near-copies", ("Contents", "Carried", "Checked"), run.near_copies))


def _drift(run: RunSummary) -> tuple[Block, ...]:
    if not run.drift:
        return ()
    said = (
        "Some models score in int8, which rounds. Some of their contents were drawn at random and scored in float32 as "
        "well: the table shows how the two scores agree, and at how many of all contents, at most (95 % for each "
        "threshold), a strategy that compares with it would decide otherwise in float32."
    )
    return (Text(said), _agreement("int8", ("Contents", "Checked"), run.drift))


def _agreement(name: str, counts: tuple[str, ...], found: tuple[AgreementSummary, ...]) -> Grid:
    head = ("Scores", *counts, "Mean difference", "Largest", "Threshold", "Same side", "Other")
    return Grid(name, head, (Group("", tuple(row for facts in found for row in _agreement_rows(facts))),))


def _agreement_rows(facts: AgreementSummary) -> tuple[tuple[Cell, ...], ...]:
    first = (
        Cell(wording.clip(facts.column, 60), tone="code"),
        *(Cell(wording.count(number), tone="number") for number in facts.counts),
        *(Cell(wording.DASH if x is None else f"{x:.3g}", tone="number") for x in (facts.mean, facts.largest)),
    )
    empty = (Cell("", tone="code"), *(Cell("", tone="number") for _ in range(len(first) - 1)))
    sides = [
        (Cell(f"{threshold:g}", tone="number"), *(Cell(wording.share(x), tone="number") for x in (equal, changed)))
        for threshold, equal, changed in facts.sides
    ] or [tuple(Cell(wording.DASH, tone="number") for _ in range(3))]
    return tuple((*(first if i == 0 else empty), *side) for i, side in enumerate(sides))


def _shape(i: int, s: ScoreShape) -> Shape:
    violating, compliant = (tuple(value or 0.0 for value in bins) for bins in (s.violating, s.compliant))
    title = f"{wording.clip(s.column, 40)} by label of {wording.clip(s.policy, 40)}"
    return Shape(f"scores-{i}", title, title, s.edges, violating, compliant)
