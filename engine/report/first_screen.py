"""The first screen: the question, the answer in words, one table, one picture, and what is not known."""

from __future__ import annotations

from engine.report import wording
from engine.report.cells import Notes, look_of, number_cell, phrase, strategy_cell
from engine.report.drift_blocks import drift_seen
from engine.report.gates import VerdictSummary
from engine.report.lookup import Number
from engine.report.page import Answer, Cell, Grid, Group, Points, Spot, Tradeoff
from engine.report.run_summary import RunSummary

_COLUMNS = ("leakage_rate", "overkill_rate", "review_rate")
_LABELLED = ("leakage_rate", "overkill_rate")
_VERBS = (("leakage_rate", "leaks", "violates"), ("overkill_rate", "wrongly refuses", "is compliant"))
_LONG = 400  # characters of a sentence that somebody else wrote
_FEW_EVENTS = 30  # below it the engine trusts no normal approximation


def question(run: RunSummary) -> str:
    """Ask what the run answers."""
    subject = "these strategies" if len(run.names) > 1 else "this strategy"
    period = f"from {wording.day(run.period.start)} until {wording.day(run.period.until)}"
    return f"If {subject} had decided {period}, what would have leaked and what would have been wrongly refused?"


def imprint(run: RunSummary) -> str:
    """Say what made the page."""
    return f"backtest {run.engine} · fingerprint {run.fingerprint[:16]}"


def answers(run: RunSummary) -> tuple[Answer, ...]:
    """Answer in sentences: verdict and comparison where there are any, else the first strategies' own numbers."""
    if run.candidate is not None:
        concluded = [] if run.verdict is None else [_concluded(run.verdict)]
        return (*concluded, *(_versus(run, metric, verb) for metric, verb, _ in _VERBS))
    return tuple(_alone(run, name, *verb) for name in run.names[:2] for verb in _VERBS)


def headline(run: RunSummary) -> Grid:
    """Leakage, overkill and review load of every strategy, under both readings."""
    notes = Notes()
    groups = []
    for reading, title in wording.READINGS.items():
        rows = tuple(_row(run, name, reading, notes) for name in run.names)
        if any(cell.text != wording.DASH for row in rows for cell in row[1:]) or reading == "machine":
            groups.append(Group(title, rows))
    head = ("Strategy", "Leakage", "Overkill", "Sent to review")
    return Grid(_scope(run), head, tuple(groups), tuple(notes.texts))


def picture(run: RunSummary) -> Tradeoff:
    """Leakage against overkill, machine alone; strategies without both numbers are named in the caption."""
    spots = tuple(
        Spot(
            name,
            look_of(run, name),
            run.number(name, "overkill_rate"),
            run.number(name, "leakage_rate"),
        )
        for name in run.names
    )
    caption = f"Leakage against overkill, machine alone, with {_level(run)} intervals; lower left is better."
    if any(n.truth is not None for spot in spots for n in (spot.x, spot.y)):
        caption += " Hollow markers: the truth, known because this history was simulated."
    absent = [spot.name for spot in spots if spot.x.estimate is None or spot.y.estimate is None]
    if absent:
        caption += f" Not drawn, for want of a number: {', '.join(map(wording.clip, absent))}."
    return Tradeoff("tradeoff", caption, spots)


def unknowns(run: RunSummary) -> tuple[Points, ...]:
    """Say what the numbers of the first screen rest on and what they cannot tell."""
    numbers = [run.number(name, metric) for name in run.names for metric in _LABELLED]
    warnings = (*run.warnings, *(drift_seen(run.series) if run.series else ()), *_warned(numbers))
    evidence = (_answered(run), *_thin(numbers), *_support(numbers))
    points = (*evidence, _sentence(run.training_overlap), *_filled(run))
    clipped = tuple(wording.clip(warning, _LONG) for warning in warnings)
    return (*([Points(clipped, "warning")] if clipped else []), Points(points))


def _concluded(verdict: VerdictSummary) -> Answer:
    line = wording.clip(verdict.line, _LONG)
    return Answer(line[0].upper() + line[1:])


def _versus(run: RunSummary, metric: str, verb: str) -> Answer:
    number = run.difference(metric)
    candidate, baseline = wording.clip(run.candidate or ""), wording.clip(run.baseline or "")
    unsure = f"Whether {candidate} {verb} more or less than {baseline}"
    if number.estimate is None or number.low is None or number.high is None:
        return Answer(f"{unsure} cannot be told: {phrase(number)}")
    if number.low > 0 or number.high < 0:
        return Answer(f"{candidate} {verb} {'more' if number.low > 0 else 'less'} than {baseline}:", phrase(number))
    if number.exact:
        return Answer(f"{candidate} {verb} exactly as much as {baseline}.")
    return Answer(f"{unsure}, these labels cannot tell:", phrase(number))


def _alone(run: RunSummary, name: str, metric: str, verb: str, of_what: str) -> Answer:
    number, words = run.number(name, metric), f"Of what {of_what}, {wording.clip(name)} {verb}"
    return Answer(words, phrase(number)) if number.estimate is not None else Answer(f"{words} {phrase(number)}")


def _row(run: RunSummary, name: str, reading: str, notes: Notes) -> tuple[Cell, ...]:
    numbers = (run.number(name, metric, reading=reading) for metric in _COLUMNS)
    return (strategy_cell(run, name), *(number_cell(number, notes) for number in numbers))


def _scope(run: RunSummary) -> str:
    return f"policy {wording.clip(run.policy)} · by {run.weightings[0]} · this history · {_level(run)} intervals"


def _level(run: RunSummary) -> str:
    return f"{100 * run.confidence:g} %"


def _answered(run: RunSummary) -> str:
    labels = run.labels
    drawn, answered = labels["audit_drawn"], labels["audit_answered"]
    text = f"{wording.count(answered)} of {wording.count(drawn)} audited creatives have been answered"
    if labels["audit_unknown"]:
        text += f", {wording.count(labels['audit_unknown'])} of them UNKNOWN"
    return text + "."


def _warned(numbers: list[Number]) -> list[str]:
    """Write each warning once, with the numbers that it is about."""
    about: dict[str, dict[str, list[str]]] = {}
    for number in numbers:
        if number.warning:
            about.setdefault(number.warning, {}).setdefault(number.key.metric, []).append(number.key.strategy)
    said = []
    for text, metrics in about.items():
        whose = (f"{metric} of {', '.join(map(wording.clip, names))}" for metric, names in metrics.items())
        said.append(f"{' and '.join(whose)}: {text}")
    return said


def _thin(numbers: list[Number]) -> list[str]:
    """Name the numbers that rest on few effective events."""
    thin = [n for n in numbers if n.estimate is not None and (n.effective_events or 0) < _FEW_EVENTS and not n.exact]
    said = "{} of {} rests on {} effective events."
    return [
        said.format(n.key.metric, wording.clip(n.key.strategy), wording.count(n.effective_events)) for n in thin[:6]
    ]


def _support(numbers: list[Number]) -> list[str]:
    known = [n.support for n in numbers if n.support is not None]
    if not known:
        return ["Support is unknown: no audit's frame says which creatives could have been drawn."]
    if min(known) >= 1:
        return ["The audit could have drawn every creative behind these numbers."]
    drawn = f"The audit could have drawn {wording.share(min(known))} of the exposure behind them"
    return [f"{drawn}; the bounds whatever the rest is stand with each number."]


def _filled(run: RunSummary) -> list[str]:
    exposure = run.exposure
    said = []
    if exposure.refused:
        model = wording.clip(exposure.refused)
        said.append(f"Exposure of creatives that history refused is modelled, not known: {model}.")
    for weighting in run.weightings:
        if imputed := exposure.imputed.get(weighting):
            said.append(f"{weighting.capitalize()}: modelled for {wording.count(imputed)} creatives.")
        if missing := exposure.missing.get(weighting):
            said.append(f"{weighting.capitalize()}: missing, not zero, for {wording.count(missing)} creatives.")
    return said


def _sentence(text: str) -> str:
    text = wording.clip(text.strip(), _LONG) or "training overlap unknown"
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
