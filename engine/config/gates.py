"""The `gates` section: what the candidate must meet, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from engine.config.values import Section
from engine.errors import did_you_mean
from engine.estimate.metrics import COST, FORMULAS, Number
from engine.records import WEIGHTINGS
from engine.verdict.gate import Gate, parse_requirement


def _requirement(text: str) -> str:
    parse_requirement(text)
    return text


class GateSection(Section):
    """`leakage_rate.impressions: worse by at most 0.001`, and to what it applies.

    The line is short for `number` and `must`. policy : default `any`, or the only one. segments : an attribute; every
    one of its segments must meet the gate.
    """

    number: str
    must: Annotated[str, AfterValidator(_requirement)]
    policy: str | None = None
    reading: Literal["machine", "after_review"] = "machine"
    inference: Literal["history", "future"] = "history"
    segments: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, written: Any) -> Any:
        if not isinstance(written, dict) or {"number", "must"} & set(written):
            return written
        unknown = [key for key in written if key not in cls.model_fields]
        numbers = [key for key in unknown if str(key).partition(".")[0] in FORMULAS] or unknown
        if len(numbers) != 1:
            raise ValueError("a gate is one line such as `leakage_rate.impressions: worse by at most 0.001`")
        rest = {key: value for key, value in written.items() if key != numbers[0]}
        return {"number": numbers[0], "must": written[numbers[0]], **rest}

    def gate(self, policies: Sequence[str], cost_weighting: str) -> Gate:
        """Return the gate. policies : those of the config, and last `any` where there are several."""
        metric, _, weighting = self.number.partition(".")
        number = Number(metric, cost_weighting if metric == COST else weighting or WEIGHTINGS[0])
        policy = self.policy or policies[-1]
        return Gate(number, parse_requirement(self.must), policy, self.reading, self.inference, self.segments)


def gate_faults(
    gates: Sequence[GateSection],
    policies: Sequence[str],
    attributes: Sequence[str],
    *,
    compared: bool,
    priced: bool,
) -> Iterator[str]:
    """Yield one line for every name of a gate that means nothing.

    attributes : those that the report has segments of. compared, priced : the config has `compare`, has `cost`.
    """
    if gates and not compared:
        yield "gates: need `compare: {baseline: ..., candidate: ...}`"
    for i, gate in enumerate(gates):
        metric, dot, weighting = gate.number.partition(".")
        if metric not in FORMULAS:
            yield f"gates.{i}: unknown metric {metric}{did_you_mean(metric, FORMULAS)}"
        elif metric == COST and dot:
            yield f"gates.{i}: {gate.number}: cost has one weighting, that of the section `cost`"
        elif dot and weighting not in WEIGHTINGS:
            yield f"gates.{i}: {gate.number}: unknown weighting {weighting}{did_you_mean(weighting, WEIGHTINGS)}"
        elif metric == COST and not priced:
            yield f"gates.{i}: cost needs the section `cost`"
        if gate.policy is not None and gate.policy not in policies:
            yield f"gates.{i}.policy: unknown policy {gate.policy}{did_you_mean(gate.policy, policies)}"
        if gate.segments is not None and gate.segments not in attributes:
            yield f"gates.{i}.segments: unknown attribute {gate.segments}{did_you_mean(gate.segments, attributes)}"
