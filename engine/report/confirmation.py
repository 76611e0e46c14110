"""Typed view of `search.confirmation` in summary.json: the front and what a sweep picked, estimated again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.report.lookup import Key, Number


@dataclass(frozen=True)
class Again:
    """One number again. low, high : hold for all of the front at once, of `confirmed`, else of `selected`.

    optimism : selected − confirmed, error its standard error. against : the difference to the baseline.
    """

    selected: Number
    confirmed: Number | None
    joint: Number
    optimism: float | None
    error: float | None
    against: Number | None


@dataclass(frozen=True)
class Suspect:
    """A strategy that was looked at again. setting : None for the baseline, which nobody selected."""

    name: str
    setting: Mapping[str, float | str] | None
    picked: bool
    numbers: Mapping[str, Again]


@dataclass(frozen=True)
class ConfirmationSummary:
    """since : ISO moment from which creatives confirm, None where the labels that select are all there are.

    joint_confidence : of each joint interval, so that all `covered` of them hold at once.
    """

    since: str | None
    joint_confidence: float
    covered: int
    baseline: str | None
    suspects: tuple[Suspect, ...]

    @property
    def chief(self) -> tuple[Suspect, ...]:
        """What was picked, and last the baseline."""
        picked = [suspect for suspect in self.suspects if suspect.picked]
        return (*picked, *(suspect for suspect in self.suspects if suspect.setting is None))


def read_confirmation(search: Mapping[str, Any]) -> ConfirmationSummary | None:
    """Read it from summary.json's `search`; None where an older engine wrote that."""
    row = search.get("confirmation")
    if row is None:
        return None
    suspects = tuple(_suspect(search, row["baseline"], each) for each in row["strategies"])
    return ConfirmationSummary(row["from"], row["joint_confidence"], row["covered"], row["baseline"], suspects)


def _suspect(search: Mapping[str, Any], baseline: str | None, row: Mapping[str, Any]) -> Suspect:
    numbers = {}
    for written, checked in row["numbers"].items():
        metric, _, weighting = written.partition(".")
        weighting = weighting or search.get("weighting", "creatives")
        key = Key(row["name"], search["policy"], metric, weighting, search["reading"])
        numbers[written] = _again(key, baseline, checked)
    return Suspect(row["name"], row["setting"], row["picked"], numbers)


def _again(key: Key, baseline: str | None, row: Mapping[str, Any]) -> Again:
    selected, confirmed = (_number(key, row[name]) for name in ("selected", "confirmed"))
    assert selected is not None, "everything that is looked at again was selected by its numbers"
    joint = replace(confirmed or selected, low=row["low"], high=row["high"])
    against = _number(replace(key, baseline=baseline), row["against"])
    return Again(selected, confirmed, joint, row["optimism"], row["error"], against)


def _number(key: Key, point: Mapping[str, Any] | None) -> Number | None:
    if point is None:
        return None
    return Number(key, point["estimate"], point["low"], point["high"], null_reason=point["reason"])
