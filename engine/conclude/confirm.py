"""What a sweep chose, on creatives that did not choose it; and intervals that hold for all of the front at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot
from typing import Any

from engine.conclude.judge import Judge, point_of
from engine.estimate.chosen import Pair, chosen_numbers, paired_numbers
from engine.estimate.metrics import COST, RATES, Number
from engine.estimate.question import Question
from engine.estimate.simultaneous import joint_confidence, standard_error, unit_errors
from engine.records import F64, WEIGHTINGS
from engine.search.space import Setting
from engine.search.trial import Point
from engine.strategy import Strategy


@dataclass(frozen=True)
class Suspect:
    """A strategy that is looked at again. trial : the setting it is, None for the baseline, which nobody selected."""

    strategy: Strategy
    setting: Setting | None
    trial: int | None
    picked: bool


@dataclass(frozen=True)
class Checked:
    """One number again.

    selected, confirmed : over what selected and over what confirms; the second is None where nothing is set apart.
    low, high : hold for all numbers of the front at once; of `confirmed`, else of `selected`; None for the baseline.
    optimism : selected − confirmed, with its standard error; None for cost, a total that grows with the part.
    against : candidate − baseline over what confirms (else over all), of what was picked.
    """

    selected: Point
    confirmed: Point | None
    low: float | None
    high: float | None
    optimism: float | None
    error: float | None
    against: Point | None


@dataclass(frozen=True)
class Confirmation:
    """since : where what confirms begins, None where nothing is set apart. covered : numbers that hold at once.

    joint_confidence : of each of their intervals. rows : the baseline first, if there is one, then what was picked.
    """

    since: str | None
    joint_confidence: float
    covered: int
    baseline: str | None
    rows: tuple[tuple[Suspect, Mapping[str, Checked]], ...]

    def of(self, trial: int) -> Mapping[str, Checked]:
        """Return the numbers of a setting; empty where it was not looked at again."""
        return next((numbers for suspect, numbers in self.rows if suspect.trial == trial), {})

    def as_plain(self, most: int) -> dict[str, Any]:
        """Return what summary.json holds: what was not picked up to `most`."""
        rest = [s.trial for s, _ in self.rows if s.trial is not None and not s.picked][:most]
        shown = [(s, numbers) for s, numbers in self.rows if s.trial is None or s.picked or s.trial in rest]
        return {
            "from": self.since,
            "joint_confidence": self.joint_confidence,
            "covered": self.covered,
            "baseline": self.baseline,
            "strategies": [
                {
                    "name": suspect.strategy.name,
                    "setting": None if suspect.setting is None else dict(suspect.setting),
                    "picked": suspect.picked,
                    "numbers": {written: _plain(checked) for written, checked in numbers.items()},
                }
                for suspect, numbers in shown
            ],
        }


@dataclass(frozen=True)
class _Part:
    """The numbers of all suspects over one part of the period, and the parts of their errors."""

    points: Sequence[Mapping[str, Point]]
    errors: Sequence[Mapping[Number, F64 | None]]


def confirm(judge: Judge, since: str | None, suspects: Sequence[Suspect], seed: int) -> Confirmation:
    """Estimate the numbers of all suspects again, over what selected and over what confirms.

    suspects : the baseline first, if there is one.
    """
    questions = judge.ask([suspect.strategy for suspect in suspects], "confirm")
    parts = [_part(judge, question) for question in questions]
    last, tried = parts[-1], [s for s, suspect in enumerate(suspects) if suspect.trial is not None]
    wide = {(s, written) for s in tried for written, point in last.points[s].items() if _has_width(point)}
    family = [last.errors[s][judge.numbers[written]] for s, written in sorted(wide)]
    level = joint_confidence(family, questions[-1].confidence, seed)
    joint = _part_points(judge, replace(questions[-1], confidence=level))
    against = _against(judge, questions[-1], suspects)
    rows = []
    for s, suspect in enumerate(suspects):
        numbers = {}
        for written, number in judge.numbers.items():
            first, point = parts[0].points[s][written], joint[s][written]
            then = last.points[s][written] if len(parts) > 1 else None
            errors = [_error(part, s, written, number) for part in parts]
            optimism, error = (None, None) if number.metric == COST else _optimism(first, then, errors)
            bounds = (point.low, point.high) if suspect.trial is not None else (None, None)
            numbers[written] = Checked(first, then, *bounds, optimism, error, against.get((s, written)))
        rows.append((suspect, numbers))
    baseline = suspects[0].strategy.name if suspects and suspects[0].trial is None else None
    return Confirmation(since, level, len(wide), baseline, tuple(rows))


def _part(judge: Judge, question: Question) -> _Part:
    numbers = list(dict.fromkeys(judge.numbers.values()))
    errors = list(unit_errors(question, numbers, judge.policy, judge.reading))
    return _Part(_part_points(judge, question), errors)


def _part_points(judge: Judge, question: Question) -> list[Mapping[str, Point]]:
    numbers = list(dict.fromkeys(judge.numbers.values()))
    return [judge.points(found) for found in chosen_numbers(question, numbers, judge.policy, judge.reading)]


def _against(judge: Judge, question: Question, suspects: Sequence[Suspect]) -> dict[tuple[int, str], Point]:
    """Return candidate − baseline of what was picked, of the rates that labels are needed for, by creatives."""
    if not suspects or suspects[0].trial is not None:
        return {}
    names = {metric.name for metric in RATES}
    metrics = {
        written: number.metric
        for written, number in judge.numbers.items()
        if number.metric in names and number.weighting == WEIGHTINGS[0]
    }
    picked = [s for s, suspect in enumerate(suspects) if suspect.picked]
    pairs = [Pair(0, s) for s in picked]
    found = paired_numbers(question, pairs, list(metrics.values()), judge.policy, judge.reading)
    return {
        (s, written): point_of(rows[metric])
        for s, rows in zip(picked, found, strict=True)
        for written, metric in metrics.items()
    }


def _has_width(point: Point) -> bool:
    return point.estimate is not None and point.low != point.high


def _error(part: _Part, suspect: int, written: str, number: Number) -> float | None:
    """Return the standard error of a number; None where it is unknown, as where no event was seen."""
    found = standard_error(part.errors[suspect][number])
    return None if found == 0 and _has_width(part.points[suspect][written]) else found


def _optimism(first: Point, then: Point | None, errors: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return selected − confirmed and its standard error; labels of the two parts are independent for `history`."""
    if then is None or first.estimate is None or then.estimate is None:
        return None, None
    known = [error for error in errors if error is not None]
    return first.estimate - then.estimate, hypot(*known) if len(known) == len(errors) else None


def _plain(checked: Checked) -> dict[str, Any]:
    points = {"selected": checked.selected, "confirmed": checked.confirmed, "against": checked.against}
    plain = {name: None if point is None else asdict(point) for name, point in points.items()}
    return plain | {name: getattr(checked, name) for name in ("low", "high", "optimism", "error")}
