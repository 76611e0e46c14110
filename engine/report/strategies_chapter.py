"""The chapter of strategies: their words, what each rule does and adds, and what each model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.report import wording
from engine.report.cells import Notes, number_cell
from engine.report.lookup import Number
from engine.report.page import Cell, Fold, Grid, Group, Points, Section, Span, Text
from engine.report.run_summary import Firing, RunSummary, StrategySummary

_ADDED = ("leakage_rate", "overkill_rate")
_FUNNEL = ("Model", "Contents", "Share")


def strategies(run: RunSummary) -> Section:
    """Every strategy in its operator's words, and how often each rule decided."""
    folds = [_strategy(run, strategy) for strategy in run.strategies if strategy.name in run.names]
    return Section("strategies", "Strategies", tuple(folds))


def _strategy(run: RunSummary, strategy: StrategySummary) -> Fold:
    blocks: list[Text | Points | Grid] = [Text(wording.clip(strategy.words, 4000))]
    if strategy.rules:
        blocks.append(_rules(strategy.rules))
    blocks += _funnel(run, strategy.name)
    idle = tuple(_idle(rule) for rule in strategy.rules if not rule.creatives)
    if idle:
        blocks.append(Points(idle, "warning"))
    judged = [rule for rule in strategy.rules if rule.together]
    if len(judged) > 1:
        blocks.append(_together(judged))
    exposures = [
        f"{count} {name}"
        for name, value in strategy.exposures.items()
        if (count := wording.count(value)) != wording.DASH
    ]
    if exposures:
        blocks.append(Text(f"Exposure: {', '.join(exposures)}."))
    return Fold(wording.clip(strategy.name), tuple(blocks), open=len(run.strategies) <= 4)


def _funnel(run: RunSummary, strategy: str) -> list[Grid]:
    """What a strategy asks of each model, the most first; nothing for one model, or where nobody knows."""
    asked = {model.name: model.asked[strategy] for model in run.models if strategy in model.asked}
    known = {name: count for name, count in asked.items() if count is not None}
    whole = run.counts["contents"]
    if len(known) < 2 or len(known) < len(asked) or not whole:
        return []
    steps = [("all contents", whole), *sorted(known.items(), key=lambda step: -step[1])]
    rows = tuple(
        (
            Cell(wording.clip(name)),
            Cell(wording.count(count), tone="number"),
            Cell(wording.share(count / whole), tone="number", bar=count / whole),
        )
        for name, count in steps
    )
    return [Grid("the funnel: contents that each model reads for this strategy", _FUNNEL, (Group("", rows),))]


def _rules(rules: Sequence[Firing]) -> Grid:
    """How often each rule decides and fires, and what it adds, where that was asked."""
    asked = any(rule.fires is not None for rule in rules)
    notes, rows = Notes(), []
    most = {metric: _most_added(rules, metric) for metric in _ADDED}
    for rule in rules:
        cells = [
            Cell(wording.clip(rule.rule, 400), tone="code"),
            Cell(wording.count(rule.creatives), tone="number"),
            Cell(wording.share(rule.share), tone="number", bar=rule.share),
        ]
        if asked:
            cells += [Cell(wording.count(count), tone="number") for count in (rule.fires, rule.alone)]
            cells += [_added(rule.adds.get(metric), notes, most[metric]) for metric in _ADDED]
        rows.append(tuple(cells))
    head = ("Rule", "Creatives it decides", "Share")
    more = ("Fires", "Fires alone", *(f"Adds to {metric}, after review" for metric in _ADDED)) if asked else ()
    return Grid("", (*head, *more), (Group("", tuple(rows)),), tuple(notes.texts))


def _added(number: Number | None, notes: Notes, most: float) -> Cell:
    """Write what a rule adds, as a bar from 0 too; `most` is the end of the column on either side."""
    if number is None:
        return Cell(wording.DASH)
    cell = number_cell(number, notes)
    if number.estimate is None or number.low is None or number.high is None or most <= 0:
        return cell
    value, low, high = (0.5 + 0.5 * v / most for v in (number.estimate, number.low, number.high))
    return replace(cell, span=Span(0.5, value, low, high))


def _most_added(rules: Sequence[Firing], metric: str) -> float:
    """Return how far from 0 the furthest end of an interval lies."""
    found = [rule.adds[metric] for rule in rules if metric in rule.adds]
    return max((abs(v) for number in found for v in (number.low, number.high) if v is not None), default=0.0)


def _idle(rule: Firing) -> str:
    said = "its condition never holds" if not rule.fires else "an earlier rule decides wherever its condition holds"
    return f"{wording.clip(rule.rule, 120)} never decides: {said}."


def _together(rules: Sequence[Firing]) -> Grid:
    """For how many creatives the conditions of two rules hold; on the diagonal, of one."""
    names = [wording.clip(rule.rule.partition(":")[0], 24) for rule in rules]
    rows = tuple(
        (Cell(name), *(Cell(wording.count(count), tone="number") for count in rule.together))
        for name, rule in zip(names, rules, strict=True)
    )
    return Grid("for how many creatives two conditions hold", ("", *names), (Group("", rows),))
