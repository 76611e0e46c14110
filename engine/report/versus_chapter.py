"""The chapter of a comparison: both at equal levels, what the swap set holds, how the scores differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.report import wording
from engine.report.cells import Notes, number_cell, written
from engine.report.lookup import Key, Number, numbers_of
from engine.report.page import Block, Cell, Fold, Grid, Group, Section, Text
from engine.report.run_summary import RunSummary

_METRICS = ("leakage_rate", "overkill_rate")


def versus(run: RunSummary) -> Section | None:
    """What `backtest compare` finds beside the differences; None where the run was not made by it."""
    facts = run.versus
    if not facts:
        return None
    blocks: list[Block] = [_levels(facts["levels"]), *_points(run, facts)]
    if facts["scores"]:
        blocks.append(_scores(facts["scores"]))
    for weighting in run.weightings:
        cells = [c for c in facts["cells"] if (c["policy"], c["weighting"]) == (run.policy, weighting)]
        if cells:
            grid = _cells(cells, run)
            title = f"What the cells of the swap matrix hold, by {weighting}"
            blocks.append(grid if weighting == run.weightings[0] else Fold(title, (grid,)))
    return Section("versus", "Side by side", tuple(blocks))


def versus_lines(run: RunSummary) -> list[str]:
    """Return the levels and the facts beside them, for a terminal."""
    if not run.versus:
        return []
    lines = []
    for level in run.versus["levels"]:
        moved = (
            ""
            if level["by"] is None
            else f" (thresholds moved by {wording.fixed(level['by'], 2, signed=True)} log-odds)"
        )
        missed = f" ({level['short']})" if level["short"] else ""
        lines.append(f"{level['name']}{moved}{missed}: {level['reason'] or _level_words(level)}")
    lines += [block.text for block in _points(run, run.versus)]
    for row in run.versus["scores"]:
        area = " → ".join(f"{side['estimate']:.4f}" for side in row["area"])
        lines.append(f"{wording.clip(row['candidate'])} for {wording.clip(row['baseline'])}: AUC {area}")
    return lines


def _level_words(level: Mapping[str, Any]) -> str:
    said = []
    for number in _paired(level).values():
        value, interval, _ = written(number)
        said.append(f"{number.key.metric} {value} {interval}".rstrip())
    own = _own(level)["review_rate"]
    return ", ".join([*said, f"review_rate of the candidate {written(own)[0]}"])


def _levels(levels: list[Mapping[str, Any]]) -> Grid:
    notes = Notes()
    rows = []
    for level in levels:
        if level["reason"]:
            marks = notes.mark(level["reason"])
            rows.append((Cell(level["name"], notes=marks), *[Cell(wording.DASH) for _ in range(6)]))
            continue
        own, paired = _own(level), _paired(level)
        moved = wording.DASH if level["by"] is None else wording.fixed(level["by"], 2, signed=True)
        cells = [number_cell(own[metric], notes) for metric in (*_METRICS, "review_rate")]
        cells += [number_cell(paired[metric], notes) for metric in _METRICS]
        name = Cell(level["name"], notes=notes.mark(level["short"]))
        rows.append((name, Cell(moved, tone="number"), *cells))
    head = ("Candidate", "Moved by (log-odds)", "Leakage", "Overkill", "Sent to review", "Leakage −", "Overkill −")
    title = (
        "The candidate as configured, with its REVIEW thresholds moved to the baseline's review load, and with all "
        "thresholds moved to its overkill, which is matched on these labels; − is less the baseline"
    )
    return Grid(title, head, (Group("", tuple(rows)),), tuple(notes.texts))


def _own(level: Mapping[str, Any]) -> dict[str, Number]:
    return {n.key.metric: n for n in numbers_of(level["own"].values())}


def _paired(level: Mapping[str, Any]) -> dict[str, Number]:
    return {n.key.metric: n for n in numbers_of(level["paired"].values())}


def _points(run: RunSummary, facts: Mapping[str, Any]) -> list[Text]:
    found, out = facts["advertisers"], []
    out.append(
        Text(
            f"Of {wording.count(found['labelled'])} advertisers with a labelled creative, "
            f"{wording.count(found['affected'])} have one that the candidate decides otherwise."
        )
    )
    if facts["fidelity"] is not None:
        equal, compared = facts["fidelity"]["equal"], facts["fidelity"]["compared"]
        share = wording.share(equal / compared if compared else None)
        out.append(
            Text(
                f"{wording.clip(run.baseline or '')} decides {wording.count(equal)} of {wording.count(compared)} "
                f"creatives as history did ({share})."
            )
        )
    return out


def _scores(rows: list[Mapping[str, Any]]) -> Grid:
    groups, notes = [], Notes()
    for row in rows:
        names = [wording.clip(row[side], 40) for side in ("baseline", "candidate")]
        areas = [*row["area"], row["area_gained"]]
        precision = [*row["precision"], row["precision"][1] - row["precision"][0]]
        signs = (False, False, True)
        lines = zip((*names, "gained"), areas, precision, signs, strict=True)
        cells = tuple(
            (
                Cell(name),
                _area(area, notes, signed=signed),
                Cell(wording.fixed(average, 4, signed=signed), tone="number"),
            )
            for name, area, average, signed in lines
        )
        groups.append(Group(f"{names[0]} → {names[1]}", cells, _moved(row)))
    title = "Scores on the audit's labels, weighted by its design"
    return Grid(title, ("Score", "AUC", "Average precision"), tuple(groups), tuple(notes.texts))


def _moved(row: Mapping[str, Any]) -> str:
    """Say how far apart two scores of the same creatives are, and on how many labels that rests."""
    correlation = wording.DASH if row["correlation"] is None else f"{row['correlation']:.3f}"
    return (
        f"{wording.count(row['violating'])} of {wording.count(row['labels'])} labels violate; mean shift "
        f"{wording.fixed(row['shift'], 4, signed=True)}, mean distance {row['distance']:.4f}, correlation {correlation}"
    )


def _area(side: Mapping[str, Any], notes: Notes, *, signed: bool) -> Cell:
    estimate = wording.fixed(side["estimate"], 4, signed=signed)
    if reason := side["null_reason"]:
        return Cell(estimate, notes=notes.mark(reason), tone="number")
    low, high = (wording.fixed(side[name], 4, signed=signed) for name in ("low", "high"))
    return Cell(estimate, f"[{low}, {high}]", tone="number")


def _cells(cells: list[Mapping[str, Any]], run: RunSummary) -> Grid:
    notes, rows = Notes(), []
    for cell in sorted(cells, key=lambda c: c["baseline"] == c["candidate"]):
        key = Key(run.candidate or "", cell["policy"], "share", cell["weighting"], "machine")
        number = Number(key, cell["share"], cell["low"], cell["high"], cell["labels"], null_reason=cell["null_reason"])
        held = _held(run, cell)
        both = f"{cell['baseline']} → {cell['candidate']}"
        rows.append(
            (
                Cell(both),
                Cell(held, tone="number"),
                number_cell(number, notes),
                Cell(wording.count(cell["labels"]), tone="number"),
            )
        )
    title = f"What the cells of the swap matrix hold, by {cells[0]['weighting']}: baseline → candidate"
    return Grid(
        title, ("Decision", "Holds", "Violating share", "Labels"), (Group("", tuple(rows)),), tuple(notes.texts)
    )


def _held(run: RunSummary, cell: Mapping[str, Any]) -> str:
    """Return what a cell holds of all creatives, by its weighting."""
    if run.swap is None or cell["weighting"] not in run.swap.matrices:
        return wording.DASH
    at = [run.swap.decisions.index(cell[side]) for side in ("baseline", "candidate")]
    return wording.count(run.swap.matrices[cell["weighting"]][at[0]][at[1]])
