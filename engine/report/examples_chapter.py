"""The chapter of examples: some leaked, overkilled and swapped creatives, where the config asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.report import wording
from engine.report.example import ExampleSummary
from engine.report.page import Exhibit, Fold, Section, Text
from engine.report.run_summary import RunSummary

_TITLES = {"leaked": "Leaked under", "overkilled": "Overkilled under", "swapped": "Swapped"}


def examples(run: RunSummary) -> Section | None:
    """Show some creatives; None where the config does not ask for them."""
    if run.examples is None:
        return None
    said = (
        "Chosen by a hash of their ids among all that qualify, before any review: leaked and overkilled ones among "
        "creatives that an audit concluded. They show what happens, not how often: that is what the estimates are for."
    )
    groups: dict[str, list[ExampleSummary]] = {}
    for example in run.examples:
        groups.setdefault(_title(example), []).append(example)
    folds = [Fold(f"{title} ({len(found)})", _exhibits(found)) for title, found in groups.items()]
    none = [] if groups else [Text("No creative qualifies.")]
    return Section("examples", "Examples", (Text(said), *none, *folds))


def _title(example: ExampleSummary) -> str:
    title = _TITLES[example.kind]
    if example.strategy is not None:
        return f"{title} {wording.clip(example.strategy)}"
    return f"{title} from {' to '.join(way.decision for way in example.ways)}"


def _exhibits(found: Sequence[ExampleSummary]) -> tuple[Exhibit, ...]:
    return tuple(
        Exhibit(
            title=wording.clip(example.creative_id),
            facts=tuple(_facts(example)),
            texts=tuple((wording.clip(field), _text(text)) for field, text in example.texts.items()),
            pictures=example.pictures,
            notes=example.notes,
        )
        for example in found
    )


def _text(text: str | None) -> str:
    return "(null)" if text is None else text or "(empty)"


def _facts(example: ExampleSummary) -> Iterator[tuple[str, str]]:
    for way in example.ways:
        yield wording.clip(way.strategy), way.rule
    for policy, label in example.labels.items():
        yield f"label {wording.clip(policy)}", label
    if not example.labels:
        yield "label", "none of an audit"
    for column, score in example.scores.items():
        yield wording.clip(column), "not asked for, or none" if score is None else f"{score:.4g}"
    for weighting, (value, source) in example.exposure.items():
        yield weighting, source if value is None else f"{wording.count(value)} ({source})"
