"""The chapter of segments in which the candidate is worse or better, false discoveries controlled."""

from __future__ import annotations

from collections.abc import Sequence

from engine.report import wording
from engine.report.cells import Notes, number_cell
from engine.report.findings import FindingsSummary, FindingSummary
from engine.report.lookup import Key, Number
from engine.report.page import Block, Cell, Fold, Grid, Group, Section, Text
from engine.report.run_summary import RunSummary

MOST = 40  # rows of each grid; all are in summary.json
_HEAD = ("Segment", "Number", "Difference", "Adjusted p", "Events", "Creatives")


def findings(run: RunSummary) -> Section | None:
    """Where it goes wrong, and where better; None where nothing is compared or no segment could be tested."""
    found = run.findings
    if found is None or run.candidate is None:
        return None
    said = (
        f"{wording.clip(run.candidate)} minus {wording.clip(run.baseline or '')} in every segment of one or two "
        "attributes, by creatives, machine alone, this history. "
        f"{wording.count(found.tested)} differences were tested; of those named, {found.rate:.0%} or less are expected "
        f"to be no difference. {wording.count(found.few)} more had too few swapped labels to be tested, in "
        f"{wording.count(found.still)} nothing swaps. Intervals allow for having been chosen."
    )
    outer = [one for one in found.named if one.inside is None]
    inner = [one for one in found.named if one.inside is not None]
    blocks: list[Block] = [Text(said)]
    if outer:
        blocks.append(_grid(run, outer))
    else:
        blocks.append(Text(_none(found)))
    if inner:
        title = f"{wording.count(len(inner))} narrower, inside named segments"
        blocks.append(Fold(title, (_grid(run, inner),)))
    return Section("findings", "Where it differs", tuple(blocks))


def _none(found: FindingsSummary) -> str:
    return "No segment is named." if found.tested else "No segment has enough swapped labels to be tested."


def _grid(run: RunSummary, named: Sequence[FindingSummary]) -> Grid:
    notes = Notes()
    groups = []
    for title, worse in (("Worse", True), ("Better", False)):
        mine = [one for one in named if one.worse == worse]
        if mine:
            aside = f"the first {MOST} of {wording.count(len(mine))}" if len(mine) > MOST else ""
            groups.append(Group(title, tuple(_row(run, one, notes) for one in mine[:MOST]), aside))
    return Grid("", _HEAD, tuple(groups), tuple(notes.texts))


def _row(run: RunSummary, one: FindingSummary, notes: Notes) -> tuple[Cell, ...]:
    key = Key(run.candidate or "", one.policy, one.metric, "creatives", "machine", baseline=run.baseline)
    number = Number(key, one.estimate, one.low, one.high, labels=one.labels, effective_events=one.events)
    name = f"{wording.clip(one.segment_by, 60)}: {wording.clip(one.segment, 60)}"
    what = one.metric if len(run.policies) == 1 else f"{one.metric}, {wording.clip(one.policy, 40)}"
    small = "< 0.0001" if one.adjusted < 1e-4 else f"{one.adjusted:.4f}"
    counts = (small, wording.count(one.events), wording.count(one.creatives))
    return (Cell(name), Cell(what), number_cell(number, notes), *(Cell(text, tone="number") for text in counts))
