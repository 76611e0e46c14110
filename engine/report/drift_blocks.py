"""What the chapter of time says of drift: a plain sentence where something drifts, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.report import wording
from engine.report.page import Cell, Fold, Grid, Group, Points, Text
from engine.report.series import ColumnDrift, ScoreDrifts, SeriesSummary

_SHIFTED = 0.25  # from here on convention calls it a shift


def drift_words(series: SeriesSummary) -> Points | Text:
    """Return a sentence for everything that drifts, or that nothing is seen to."""
    said = (*_label_words(series), *(_score_words(series.scores) if series.scores else ()))
    return Points(said, "warning") if said else Text(_quiet(series))


def drift_seen(series: SeriesSummary) -> list[str]:
    """Name what drifts, for the first screen; nothing where nothing does."""
    said = [] if series.label_piece is None else ["the violating share of what is submitted"]
    scores = series.scores.columns if series.scores else ()
    said += [f"the scores {wording.clip(found.column, 60)}" for found in scores if any(found.drifts)]
    return [f"Drift within the period: {', '.join(said)} (see Over time)."] if said else []


def drift_table(scores: ScoreDrifts) -> Fold:
    """Return the index of every score and piece."""
    return Fold("Scores against the first ones", (Text(_explained(scores)), _grid(scores)))


def _quiet(series: SeriesSummary) -> str:
    looked = [f"scores by {series.scores.by}"] if series.scores else []
    looked += ["the violating share"] if series.label_p is not None else []
    if not looked:
        return "Whether scores or the violating share drift is not known: there is too little to compare."
    return f"No drift is seen in {' and '.join(looked)}."


def _label_words(series: SeriesSummary) -> Iterator[str]:
    if series.label_piece is None or series.label_p is None:
        return
    number = series.line("", "violating_share")[series.label_piece]
    yield (
        f"The violating share of what is submitted drifts (p {_p(series.label_p)}): farthest from the others is the "
        f"piece from {series.starts[series.label_piece]} on, {wording.share(number.estimate)}. A number of the whole "
        "period is a mean over times that differ."
    )


def _score_words(scores: ScoreDrifts) -> Iterator[str]:
    for found in scores.columns:
        if not any(found.drifts):
            continue
        first = found.drifts.index(True)
        most = max(psi for psi, drifts in zip(found.psi, found.drifts, strict=True) if drifts)
        much = "shifted" if most >= _SHIFTED else "moved somewhat"
        yield (
            f"{wording.clip(found.column, 60)}: scores have {much} against those before {_until(scores)} (PSI up to "
            f"{most:.2f}), first from {scores.starts[scores.reference + first]} on. A threshold chosen then may not do "
            "now what it did."
        )


def _explained(scores: ScoreDrifts) -> str:
    return (
        f"Each later {scores.by} against everything before {_until(scores)}. PSI, the population stability index over "
        "deciles: by convention, and no more than that, below 0.1 is stable and from 0.25 on shifted. Beside it stands "
        "what chance alone makes of it, exceeded somewhere in at most about 5 % of histories without drift; "
        "chance lies in advertisers, not in creatives. A sentence asks for both: beyond chance, and 0.1 or more. KS is "
        "the greatest distance of the distribution functions."
    )


def _grid(scores: ScoreDrifts) -> Grid:
    groups = tuple(Group(wording.clip(found.column, 60), _rows(scores, found)) for found in scores.columns)
    return Grid("", ("From", "PSI", "By chance, up to", "KS", "Drifts"), groups)


def _rows(scores: ScoreDrifts, found: ColumnDrift) -> tuple[tuple[Cell, ...], ...]:
    values = zip(
        scores.starts[scores.reference :], found.psi, found.threshold, found.distance, found.drifts, strict=True
    )
    return tuple(
        (Cell(start), *(Cell(f"{value:.3f}", tone="number") for value in numbers), Cell("yes" if drifts else "no"))
        for start, *numbers, drifts in values
    )


def _until(scores: ScoreDrifts) -> str:
    return scores.starts[scores.reference]


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
