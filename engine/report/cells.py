"""Numbers → cells: the value, its interval, the truth beside it, and a note where something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.records import LOGGED
from engine.report import wording
from engine.report.confirmation import Again
from engine.report.lookup import Number
from engine.report.page import Cell, Look
from engine.report.run_summary import RunSummary

_COLOURS = 6


@dataclass
class Notes:
    """Collects the reasons and warnings of one grid and numbers each distinct one from 1."""

    texts: list[str] = field(default_factory=list)

    def mark(self, *texts: str | None) -> tuple[int, ...]:
        """Return the numbers of the texts that are there, adding the new ones."""
        marks = []
        for text in (wording.clip(text, 400) for text in texts if text):
            if text not in self.texts:
                self.texts.append(text)
            marks.append(self.texts.index(text) + 1)
        return tuple(marks)


def look_of(run: RunSummary, strategy: str) -> Look:
    """Return how a strategy is drawn: logged grey and diamond, the baseline square, all others round."""
    if strategy == LOGGED:
        return Look(0, "diamond")
    drawn = [name for name in run.names if name != LOGGED]
    colour = 1 + drawn.index(strategy) % _COLOURS if strategy in drawn else 0
    return Look(colour, "square" if strategy == run.baseline else "circle")


def strategy_cell(run: RunSummary, strategy: str) -> Cell:
    """Name a strategy beside its marker."""
    return Cell(wording.clip(strategy), look=look_of(run, strategy))


def number_cell(number: Number, notes: Notes) -> Cell:
    """Write a number; a null one is a dash with its reason among the notes."""
    value, interval, truth = written(number)
    missing = value == wording.DASH
    reason = number.null_reason or "no reason given" if missing else None
    if not missing and not interval:
        reason = "no interval"
    marks = notes.mark(reason, number.warning)
    return Cell(value, interval, truth, marks, tip=_tip(number), tone="number")


def written(number: Number) -> tuple[str, str, str]:
    """Return value, interval and truth as text; "" where there is none.

    Rates are percentages, differences of rates are percentage points (pp), `cost` and means are amounts.
    """
    paired, amount = number.key.baseline is not None, number.key.metric.startswith(("cost", "mean."))
    scale, unit = (1.0, "") if amount else (100.0, " pp" if paired else " %")
    places = max(wording.decimals(_width(number, scale)), 0 if amount else 1)

    def write(value: float) -> str:
        return wording.fixed(scale * value, places, signed=paired)

    value, interval, truth = wording.DASH, "", ""
    if number.estimate is not None:
        value = write(number.estimate) + unit
        if number.exact:
            interval = "exact"
        elif number.low is not None and number.high is not None:
            interval = f"[{write(number.low)}, {write(number.high)}]"
    if number.truth is not None:
        truth = write(number.truth) + unit
    if number.exact and truth == value:
        truth = ""  # a total known exactly is its own truth
    return value, interval, truth


def optimism(again: Again) -> str:
    """Write selected − confirmed of a rate ± its standard error; "" where there is none, as of cost."""
    if again.optimism is None:
        return ""
    error = again.error
    places = max(wording.decimals(400 * error if error else None), 1)
    spread = f" ± {wording.fixed(100 * error, places)}" if error else ""
    return f"{wording.fixed(100 * again.optimism, places, signed=True)}{spread} pp"


def phrase(number: Number) -> str:
    """Write a number and its interval on one line, or the dash and its reason."""
    value, interval, _ = written(number)
    if value == wording.DASH:
        return f"{wording.DASH} ({wording.clip(number.null_reason or 'no reason given', 200)})"
    return f"{value} {interval}".rstrip()


def setting_words(setting: Mapping[str, float | str]) -> str:
    """Write a setting of a sweep."""
    return ", ".join(f"{name} = {_value(value)}" for name, value in setting.items())


def _value(value: float | str) -> str:
    return wording.clip(value, 40) if isinstance(value, str) else f"{value:.6g}"


def _width(number: Number, scale: float) -> float | None:
    if number.low is None or number.high is None:
        return None
    return scale * (number.high - number.low)


def _tip(number: Number) -> str:
    parts = [f"{wording.count(number.labels)} labels"]
    if number.effective_size is not None:
        parts.append(f"size {wording.count(number.effective_size)}")
    if number.effective_events is not None:
        parts.append(f"{wording.count(number.effective_events)} events")
    if number.support is not None:
        parts.append(f"support {wording.share(number.support)}")
    if number.least is not None and number.most is not None:
        parts.append(f"whatever other labels would be: [{number.least:.4g}, {number.most:.4g}]")
    if number.estimator:
        parts.append(number.estimator)
    return " · ".join(parts)
