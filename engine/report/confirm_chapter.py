"""What a sweep chose, estimated again: selected, confirmed, optimism, and intervals that hold for the front at once."""

from __future__ import annotations

from engine.report import wording
from engine.report.cells import Notes, number_cell, optimism, setting_words
from engine.report.columns import columns
from engine.report.confirmation import Again, ConfirmationSummary, Suspect
from engine.report.page import Block, Cell, Fold, Grid, Group, Text
from engine.report.run_summary import RunSummary, SearchSummary

MOST = 40  # rows of the front on the page; all of it is in search.parquet
_CAUTION = (
    "A number of the best of many settings flatters it: it was chosen for that number. What is chosen here wants "
    "to be confirmed on creatives that did not choose it: `sweep.confirm_from` sets some apart."
)


def confirmed(run: RunSummary, found: SearchSummary) -> list[Block]:
    """Say what the numbers above are worth, and show those that can be trusted."""
    again = found.confirmation
    if again is None or not again.suspects:
        return [Text(_CAUTION)]
    said = _CAUTION if again.since is None else _set_apart(again)
    title = "The front again" if again.since is None else "The front on creatives that did not choose it"
    front = Fold(f"{title}: intervals that hold for all of it at once", (_front(found, again),))
    return [Text(said), _grid(found, again), Text(_at_once(run, again)), front]


def sweep_lines(run: RunSummary) -> list[str]:
    """Return what the terminal says of a sweep that confirms: selected, confirmed, optimism; else nothing."""
    found = run.search
    again = found.confirmation if found else None
    if found is None or again is None or again.since is None:
        return []
    rows = []
    for suspect in again.chief:
        for written, number in suspect.numbers.items():
            notes = Notes()
            both = [number_cell(each, notes) for each in (number.selected, number.confirmed) if each]
            rows.append(
                [
                    wording.plain(wording.clip(_title(found, suspect), 48)),
                    written,
                    *(f"{cell.text} {cell.interval}".rstrip() for cell in both),
                    optimism(number),
                ]
            )
    moment = wording.day(again.since)
    head = ["sweep", "number", f"selected before {moment}", "confirmed from it on", "optimism"]
    return columns(head, rows)


def _set_apart(again: ConfirmationSummary) -> str:
    compared = ""
    if again.baseline is not None:
        name = wording.clip(again.baseline)
        compared = f" {name} was not selected: its difference is change alone."
    return (
        f"Creatives submitted before {wording.day(again.since)} selected; those from it on chose nothing and confirm. "
        "Optimism is selected minus confirmed, ± its standard error: how much selection flattered, and what changed "
        f"between both parts.{compared} Other chapters read the whole period, so their numbers of what was chosen are "
        "flattered too."
    )


def _at_once(run: RunSummary, again: ConfirmationSummary) -> str:
    numbers = f"{wording.count(again.covered)} numbers of what was chosen and of the front have an interval"
    which = f"{numbers} on creatives that did not choose them."
    if again.since is None:
        which = f"{numbers}. The same labels chose them: they hold at once as if they had been named beforehand."
    return (
        f"{which} Intervals that hold at once do so for all of them together with {100 * run.confidence:g} % "
        f"(multiplier bootstrap of the greatest deviation): each is one of {100 * again.joint_confidence:.6g} %."
    )


def _grid(found: SearchSummary, again: ConfirmationSummary) -> Grid:
    """One group a strategy, one row a number."""
    notes = Notes()
    groups = tuple(
        Group(
            _title(found, suspect),
            tuple(_row(again, written, each, notes) for written, each in suspect.numbers.items()),
        )
        for suspect in again.chief
    )
    against = [f"Against {wording.clip(again.baseline, 40)}"] if again.baseline is not None else []
    middle = ["Confirmed", "Optimism"] if again.since is not None else []
    return Grid("", ("Number", "Selected", *middle, "At once", *against), groups, tuple(notes.texts))


def _row(again: ConfirmationSummary, written: str, each: Again, notes: Notes) -> tuple[Cell, ...]:
    none = Cell("", tone="number")
    cells = [Cell(written), number_cell(each.selected, notes)]
    if again.since is not None:
        cells.append(number_cell(each.confirmed, notes) if each.confirmed else none)
        cells.append(Cell(optimism(each), tone="number"))
    cells.append(number_cell(each.joint, notes) if each.joint.low is not None else none)
    if again.baseline is not None:
        cells.append(number_cell(each.against, notes) if each.against else none)
    return tuple(cells)


def _front(found: SearchSummary, again: ConfirmationSummary) -> Grid:
    notes = Notes()
    tried = [suspect for suspect in again.suspects if suspect.setting is not None]
    rows = tuple(
        (Cell(setting_words(s.setting or {})), *(number_cell(s.numbers[n].joint, notes) for n in found.numbers))
        for s in tried[:MOST]
    )
    title = f"the first {MOST}; all are in search.parquet" if len(tried) > MOST else ""
    return Grid(title, ("Setting", *found.numbers), (Group("", rows),), tuple(notes.texts))


def _title(found: SearchSummary, suspect: Suspect) -> str:
    """Name what was picked as the run does, and the baseline as what it is."""
    if suspect.setting is None:
        return f"{wording.clip(suspect.name)}, not selected"
    picked = [p.name for p in found.picks if p.trial is not None and p.trial.setting == suspect.setting]
    return ", ".join(wording.clip(name) for name in picked)
