"""Exposure of creatives as exact integers: known, imputed for what history refused, or missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import I64, WEIGHTS, Flags


@dataclass(frozen=True)
class Exposure:
    """One exposure of N creatives: integers, and where they are unknown."""

    value_N: I64
    missing_N: Flags


def impute(exposure: Exposure, guess_N: I64 | None) -> tuple[I64, I64, Flags]:
    """Return (known, imputed, missing): a guess below 0 or no guess at all leaves the creative missing."""
    known = np.where(exposure.missing_N, 0, exposure.value_N)
    if guess_N is None:
        return known, np.zeros_like(known), exposure.missing_N
    filled = exposure.missing_N & (guess_N >= 0)
    return known, np.where(filled, guess_N, 0), exposure.missing_N & ~filled


def stack_weights(parts: dict[str, tuple[I64, I64, Flags]], rows: int) -> I64:
    """Return weight_NW by records.WEIGHTS."""
    weight_NW = np.zeros((rows, len(WEIGHTS)), np.int64)
    weight_NW[:, 0] = 1
    for name, (known, imputed, missing) in parts.items():
        at = WEIGHTS.index(name)
        weight_NW[:, at], weight_NW[:, at + 1], weight_NW[:, at + 2] = known, imputed, missing
    return weight_NW
