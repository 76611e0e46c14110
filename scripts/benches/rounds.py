"""Interleaved rounds: every contestant scores the same texts in every round, so that noise meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from arithmetic import Peak, settle
from peers import Variant
from texts import Texts

from engine.records import F32

OURS = "ours"
_AGAIN = 1.5  # variants within 50 % of the best trial are tried twice, the better time counts
_NEAR = 1.1  # variants within 10 % of the best trial stay in; the fastest of each round counts
_REST = 0.3  # seconds after which the threads of the contestant before no longer spin


@dataclass(frozen=True)
class Rounds:
    """Seconds by contestant and round, operations per second of the best product by round, scores, what was tried."""

    seconds: dict[str, list[float]]
    peak: list[float]
    scores: dict[str, F32]
    trial: dict[str, dict[str, float]]
    chosen: dict[str, Variant] = field(default_factory=dict)

    def ratio(self, name: str) -> float | None:
        """Return how many times as long as ours a contestant takes: median over rounds of the ratio in a round."""
        if name not in self.seconds:
            return None
        return statistics.median(a / b for a, b in zip(self.seconds[name], self.seconds[OURS], strict=True))

    def share(self, name: str, flops: float) -> float:
        """Return the median share of the peak of the same round that a contestant's useful operations reach."""
        return statistics.median(flops / s / p for s, p in zip(self.seconds[name], self.peak, strict=True))

    def median(self, name: str) -> float:
        """Return the median seconds of a contestant."""
        return statistics.median(self.seconds[name])


def measure_rounds(
    contestants: Mapping[str, Sequence[Variant]], texts: Texts, rounds: int, peak: Peak, device: str
) -> Rounds:
    """Try every variant on a quarter of the texts, then run the best ones in turn, another first in each round.

    The peak is measured before and after ours in each round; the better one counts.
    """
    few = texts.part(max(1, len(texts) // 4))
    tried = {name: _try(variants, few, device) for name, variants in contestants.items() if variants}
    kept = {name: fast_ones(contestants[name], seconds, _NEAR) for name, seconds in tried.items()}
    measured = Rounds({name: [] for name in kept}, [], {}, tried)
    best: dict[str, float] = {}
    names = list(kept)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            before = peak.rate() if name == OURS else 0.0
            timed = [(_timed(variant, texts, device), variant) for variant in kept[name]]
            (seconds, scores), variant = min(timed, key=lambda pair: pair[0][0])
            measured.seconds[name].append(seconds)
            measured.scores[name] = scores
            if seconds < best.get(name, np.inf):
                best[name], measured.chosen[name] = seconds, variant
            if name == OURS:
                measured.peak.append(max(before, peak.rate()))
    return measured


def _try(variants: Sequence[Variant], texts: Texts, device: str) -> dict[str, float]:
    seconds = {variant.label: _timed(variant, texts, device)[0] for variant in variants}
    for variant in fast_ones(variants, seconds, _AGAIN):
        seconds[variant.label] = min(seconds[variant.label], _timed(variant, texts, device)[0])
    return seconds


def fast_ones(variants: Sequence[Variant], seconds: Mapping[str, float], near: float) -> list[Variant]:
    """Return the variants whose seconds are at most `near` times the least."""
    limit = near * min(seconds.values())
    return [variant for variant in variants if seconds[variant.label] <= limit]


def _timed(variant: Variant, texts: Texts, device: str) -> tuple[float, F32]:
    time.sleep(_REST)
    settle(device)
    start = time.perf_counter()
    scores = variant.score(texts)
    settle(device)
    return time.perf_counter() - start, scores
