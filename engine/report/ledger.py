"""The chapters that show the work: the naive count, what was read, labels, formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.records import StratumAnswers
from engine.report import wording
from engine.report.cells import Notes, number_cell, strategy_cell
from engine.report.lookup import Key
from engine.report.page import Cell, Grid, Group, Points, Section, Text
from engine.report.run_summary import Naive, RunSummary

_READ = {
    "kept": "submitted in the period: what every number counts",
    "warm_up": "before the period: feeds state, is not counted",
    "outside_period": "outside both",
    "quarantined": "unreadable: see quarantine.parquet",
}
_KEPT = {
    "contents": "distinct contents",
    "advertisers": "advertisers",
    "null_text": "creatives without text",
    "empty_text": "creatives with empty text",
    "clipped_text": "texts cut at the length limit",
    "invalid_utf8": "texts that were not valid UTF-8",
}
_PICTURES = {"pictures": "pictures, of all creatives read", "no_picture": "creatives without a picture"}
_LEFT_OUT = {
    "labels_late": "known after labels.known_by: as if not yet answered",
    "labels_young": "younger than labels.older_than: as if not yet answered",
    "labels_other_guideline": "under another guideline: left out",
}
_LABELS = {
    "audit_drawn": "drawn by an audit",
    "audit_answered": "of these answered",
    "audit_unanswered": "of these not yet answered",
    "audit_unknown": "of the answers UNKNOWN",
    "audit_outside_period": "audited outside the period",
    "review": "from the review queue",
    "report": "from users' reports",
}


def naive(run: RunSummary) -> Section | None:
    """What counting labelled rows would have said, beside the estimate."""
    rows = [row for row in run.naive if row.strategy in run.names]
    if not rows:
        return None
    notes = Notes()
    said = (
        "Counting labelled rows answers another question: how bad is what somebody chose to see. "
        "It is shown so that nobody repeats it."
    )
    metrics = dict.fromkeys(row.metric for row in rows)
    groups = tuple(Group(m, tuple(_naive_row(run, row, notes) for row in rows if row.metric == m)) for m in metrics)
    head = ("Strategy", "Policy", "Naive count", "Labelled rows", "Estimate")
    return Section("naive", "Not a count of labels", (Text(said), Grid("", head, groups, tuple(notes.texts))))


def reading(run: RunSummary) -> Section:
    """The counts of the read, which add up, and what was kept."""
    counts = run.counts
    parts = " + ".join(f"{wording.count(counts[name])} {name}" for name in _READ)
    missing = counts["read"] - sum(counts[name] for name in _READ)
    said = f"{wording.count(counts['read'])} read = {parts}."
    if missing:
        said += f" These do not add up: {wording.count(missing)} creatives are unaccounted for."
    head = ("Creatives", "Count", "Meaning")
    read = _counted("read", counts, _READ)
    kept = _counted("of those kept", counts, _KEPT)
    bad = {name: "left out, or its creative in quarantine" for name in sorted(counts) if name.startswith("image ")}
    shown = (_counted("pictures", counts, _PICTURES | bad),) if counts["pictures"] else ()
    return Section("read", "What was read", (Text(said), Grid("", head, (read, kept, *shown))))


def labels(run: RunSummary) -> Section:
    """Labels by source, and appeals, which are never used as labels of a population."""
    counts = run.labels
    overturned, decided = counts["appeals_overturned"], counts["appeals_decided"]
    rate = wording.share(overturned / decided if decided else None)
    appeals = (
        f"Appeals: {wording.count(overturned)} of {wording.count(decided)} decided were overturned ({rate}). "
        "Advertisers choose what to appeal, so this is never used as a label of a population. "
        "Nor are review and report labels: only an audit has known inclusion probabilities."
    )
    asked = {name: meaning for name, meaning in _LEFT_OUT.items() if name in counts}
    left_out = (_counted("labels that do not count", counts, asked),) if asked else ()
    grid = Grid("", ("Labels", "Count", "Meaning"), (_counted("", counts, _LABELS), *left_out))
    strata = (_strata(run.strata),) if run.strata else ()
    return Section("labels", "Labels and appeals", (grid, *strata, Text(appeals)))


def _strata(strata: Sequence[StratumAnswers]) -> Grid:
    """What each stratum drew and heard; unknown and waiting creatives are taken as missing at random within it."""
    rows = tuple(
        (
            Cell(wording.clip(f"{stratum.audit}: {stratum.stratum}")),
            Cell(stratum.method, tone="code"),
            *(
                Cell(wording.count(count), tone="number")
                for count in (stratum.population, stratum.drawn, stratum.answered, stratum.unknown, stratum.waiting)
            ),
        )
        for stratum in strata
    )
    head = ("Stratum", "Drawn by", "Creatives", "Drawn", "Answered", "UNKNOWN", "Not yet answered")
    return Grid("who answered, taken within a stratum as a random part of the drawn", head, (Group("", rows),))


def formulas(run: RunSummary) -> Section:
    """What every metric divides by, and the words around it."""
    known = [*(m for m in wording.GLOSSES if m in run.formulas), *run.formulas]
    rows = tuple(
        (
            Cell(metric, tone="code"),
            Cell(run.formulas[metric], tone="code"),
            Cell(wording.GLOSSES.get(metric, ""), tone="words"),
        )
        for metric in dict.fromkeys(known)
    )
    said = (
        "y is 1 where a creative violates the policy, w its exposure; of each creative a strategy delivers "
        "a share A, withholds H while it waits for a human, refuses R. Machine alone, a REVIEW is withheld; "
        "after review, the human has decided with the strategy's sensitivity and specificity."
    )
    return Section(
        "formulas", "Formulas", (Text(said), Grid("", ("Metric", "Formula", "In words"), (Group("", rows),)))
    )


def assumptions(run: RunSummary) -> Section | None:
    """What has to be true for the numbers to mean what they say."""
    if not run.assumptions:
        return None
    return Section("assumptions", "Assumptions", (Points(tuple(wording.clip(said, 1000) for said in run.assumptions)),))


def _naive_row(run: RunSummary, row: Naive, notes: Notes) -> tuple[Cell, ...]:
    number = run.headline.get(Key(row.strategy, row.policy, row.metric, run.weightings[0], "machine"))
    empty = None if row.estimate is not None else "no labelled row to count"
    counted = Cell(wording.share(row.estimate), notes=notes.mark(empty), tone="number")
    labels = Cell(wording.count(row.labels), tone="number")
    estimate = number_cell(replace(number, truth=number.truth if number.truth is not None else row.truth), notes)
    return (strategy_cell(run, row.strategy), Cell(wording.clip(row.policy)), counted, labels, estimate)


def _counted(title: str, counts: Mapping[str, int], meanings: Mapping[str, str]) -> Group:
    rows = []
    for name, meaning in meanings.items():
        value = counts[name]
        rows.append((Cell(name, tone="code"), Cell(wording.count(value), tone="number"), Cell(meaning, tone="words")))
    return Group(title, tuple(rows))
