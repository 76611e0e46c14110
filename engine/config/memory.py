"""What a strategy remembers, as written in a config → `Memory`, with every fault named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from engine.config.rules import Renames, Vocabulary
from engine.config.sections import Config
from engine.config.strategy_sections import CapacitySection, CopiesSection, ReviewSection, StrikesSection
from engine.errors import did_you_mean
from engine.records import Decision
from engine.state import DAY, Capacity, Copies, Memory, Strikes
from engine.strategy import model_of


def compile_memory(
    review: ReviewSection,
    strikes: StrikesSection | None,
    copies: CopiesSection | None,
    names: Vocabulary,
    renames: Renames,
) -> Memory:
    """Return what a strategy remembers, from sections without a fault. `drawn_by` is left to calibrated_columns."""
    return Memory(
        capacity=_capacity(review.capacity, names, renames) if review.capacity else None,
        strikes=Strikes(strikes.count, _microseconds(strikes.within), _microseconds(strikes.for_)) if strikes else None,
        copies=Copies(_microseconds(copies.within)) if copies else None,
        outcome=review.outcome,
    )


def calibrated_columns(config: Config, columns: Sequence[str]) -> tuple[str, ...]:
    """Return those of some columns that a calibrated model scores."""
    return tuple(c for c in columns if (model := config.models.get(model_of(c))) is not None and model.calibration)


def memory_faults(
    config: Config, key: str, review: ReviewSection, names: Vocabulary, renames: Renames
) -> Iterator[str]:
    """Yield one line for everything in `review` that names what is not there."""
    if review.outcome == "logged" and not config.labels:
        yield f"{key}.outcome: logged reads review labels; it needs the section `labels`"
    capacity = review.capacity
    if capacity is None:
        return
    for name in capacity.queue:
        if name not in names.attributes:
            yield f"{key}.capacity.queue: unknown attribute {name}{did_you_mean(name, names.attributes)}"
    if capacity.order == "score" and capacity.by:
        try:
            names.complete(names.moved(capacity.by, renames))
        except LookupError as error:
            yield f"{key}.capacity.by: {error.args[0]}"
    weighting = capacity.by or "impressions"
    if capacity.order == "exposure" and getattr(config.creatives.columns, weighting) is None:
        yield f"{key}.capacity.by: needs creatives.columns.{weighting}"


def memory_words(
    review: ReviewSection | None, strikes: StrikesSection | None, copies: CopiesSection | None
) -> list[str]:
    """Return what is remembered in words, for the report."""
    words = [_capacity_words(review.capacity)] if review and review.capacity else []
    if strikes:
        under = strikes.then or "; ".join(
            [*(f"{rule.when} → {rule.then}" for rule in strikes.rules or ()), f"otherwise {strikes.otherwise}"]
        )
        words.append(
            f"{strikes.count} rejections of an advertiser within {strikes.within:g} days: "
            f"{strikes.for_:g} days under [{under}]"
        )
    if copies:
        words.append(f"a rejected content is rejected on sight for {copies.within:g} days")
    return words


def _capacity(section: CapacitySection, names: Vocabulary, renames: Renames) -> Capacity:
    column = names.complete(names.moved(str(section.by), renames)) if section.order == "score" else None
    return Capacity(
        per_day=None if section.limit is None else _reviews(section.limit, section.minutes),
        queue=tuple(section.queue),
        order=section.order,
        column=column,
        weighting="spend" if section.order == "exposure" and section.by == "spend" else "impressions",
        max_wait=section.max_wait,
        overflow=Decision[section.overflow.upper()],
        live=section.waiting == "live",
    )


def _capacity_words(section: CapacitySection) -> str:
    limit = "without limit" if section.limit is None else f"{section.limit:g} {section.unit} a day"
    each = f" per {' and '.join(section.queue)}" if section.queue else ""
    order = {"first": "first in", "score": f"by {section.by}", "exposure": f"by {section.by or 'impressions'}"}
    return (
        f"reviewers {limit}{each}, {order[section.order]}; "
        f"after {section.max_wait} days {section.overflow}; {section.waiting} while waiting"
    )


def _reviews(limit: float, minutes: float | None) -> int:
    """Return how many whole reviews fit into a day, of decimals as they were written."""
    return int(Fraction(str(limit)) // Fraction(str(minutes))) if minutes else int(limit)


def _microseconds(days: float) -> int:
    return round(days * DAY)
