"""The contestants side by side on one set of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from arithmetic import Arithmetic, Peak
from memory import peak_megabytes
from peers import Model, Name, Variant, open_contestant, padding, why_absent
from rounds import OURS, Rounds, measure_rounds
from texts import Texts

from engine.records import Contents

NAMES: tuple[Name, ...] = get_args(Name)
EDGES = (0.5, 0.9)  # thresholds at which int8 and float32 are compared


@dataclass(frozen=True)
class Drift:
    """How int8 scores differ from ours in float32: absolute differences, and contents on the other side by threshold.

    A content counts as changed where one of its scores lies on the other side.
    """

    mean: float
    largest: float
    changed: dict[str, int]


@dataclass(frozen=True)
class Race:
    """What one set of texts gave. padding : ours, on all texts; megabytes : peaks, where they were measured."""

    texts: Texts
    part: Texts
    rounds: Rounds
    flops: float
    padding: float
    megabytes: dict[str, float | None] = field(default_factory=dict)

    def difference(self, name: str) -> float | None:
        """Return the largest absolute difference of a contestant's scores to plain eager torch's."""
        if name not in self.rounds.scores or "eager" not in self.rounds.scores:
            return None
        return float(np.abs(self.rounds.scores[name] - self.rounds.scores["eager"]).max())

    @property
    def drift(self) -> Drift | None:
        """How int8 differs from float32, None where int8 did not take part."""
        if "int8" not in self.rounds.scores:
            return None
        whole, plain = self.rounds.scores["int8"], self.rounds.scores[OURS]
        away = np.abs(whole.astype(np.float64) - plain)
        changed = {f"{edge:g}": int(((whole >= edge) != (plain >= edge)).any(axis=1).sum()) for edge in EDGES}
        return Drift(float(away.mean()), float(away.max()), changed)

    def raw(self) -> dict[str, Any]:
        """Return every figure that the table is made of."""
        rounds = self.rounds
        return {
            "seconds": rounds.seconds,
            "peak_flops_per_second": rounds.peak,
            "trial_seconds": rounds.trial,
            "chosen": {name: variant.label for name, variant in rounds.chosen.items()},
            "useful_flops": self.flops,
            "padding": self.padding,
            "difference": {name: self.difference(name) for name in rounds.scores},
            "megabytes": self.megabytes,
            "drift": asdict(self.drift) if self.drift else None,
        }


def open_all(model: Model, graphs: Path) -> dict[str, list[Variant]]:
    """Load every contestant that can take part."""
    return {name: open_contestant(name, model, graphs) for name in NAMES}


def run_race(
    contestants: Mapping[str, Sequence[Variant]],
    model: Model,
    arithmetic: Arithmetic,
    texts: Texts,
    count: int,
    rounds: int,
) -> Race:
    """Measure the contestants on a part of some texts, and the padding of ours on all of them."""
    part = texts.part(count)
    peak = Peak(arithmetic, model.device)
    measured = measure_rounds(contestants, part, rounds, peak, model.device)
    return Race(texts, part, measured, arithmetic.flops(part.length_U), our_padding(model, texts))


def measure_memory(race: Race, model: Model, graphs: Path, folder: Path) -> None:
    """Fill in the peak of each contestant, in the variant that won, on a quarter of the part."""
    few = race.part.part(max(1, len(race.part) // 4))
    for name in NAMES:
        if name in race.rounds.chosen:
            label = race.rounds.chosen[name].label
            race.megabytes[name] = peak_megabytes(name, label, model, few, graphs, folder)


def our_padding(model: Model, texts: Texts) -> float:
    """Return computed tokens over real tokens − 1 of our scorer on some texts. It computes what it plans."""
    from engine.score.open import open_scorer
    from engine.score.opening import Opening
    from engine.score.text import HuggingFaceText

    scorer = open_scorer(Opening(model.folder, device=model.device, threads=model.threads))
    assert isinstance(scorer, HuggingFaceText)
    return scorer.workload(scorer.tokens(Contents(tuple((text,) for text in texts.texts)))).padding


def table(race: Race, model: Model) -> list[str]:
    """Return the lines that a person reads."""
    part, rounds = race.part, race.rounds
    lines = [
        "",
        f"{race.texts.name}: {len(part):,} of {len(race.texts):,} distinct contents, stratified by length, "
        f"{part.tokens:,} tokens; {model.device}, {model.threads} threads, {len(rounds.peak)} rounds, "
        f"peak {np.median(rounds.peak) / 1e9:,.0f} GFLOP/s",
        f"{'':<11} {'best variant':<24} {'rows/s':>8} {'tokens/s':>9} {'of peak':>8} {'padding':>8} "
        f"{'time/ours':>9} {'difference':>10} {'peak MB':>8}",
    ]
    for name in NAMES:
        if name not in rounds.seconds:
            lines.append(f"{name:<11} {why_absent(name, model)}")
            continue
        variant, seconds = rounds.chosen[name], rounds.median(name)
        padded = padding(part.length_U, variant.batch, variant.ordered) if variant.batch else race.padding
        megabytes = race.megabytes.get(name)
        lines.append(
            f"{name:<11} {variant.label or '-':<24} {len(part) / seconds:>8.1f} {part.tokens / seconds:>9.0f} "
            f"{rounds.share(name, race.flops):>8.1%} {padded:>8.1%} {rounds.ratio(name) or 1:>9.2f} "
            f"{race.difference(name) or 0:>10.1e} {'-' if megabytes is None else f'{megabytes:,.0f}':>8}"
        )
    return [*lines, *_drift_lines(race.drift, len(part))]


def _drift_lines(drift: Drift | None, contents: int) -> list[str]:
    if drift is None:
        return []
    sides = ", ".join(f"{changed} on the other side of {edge}" for edge, changed in drift.changed.items())
    return [
        f"int8 against ours: mean difference {drift.mean:.1e}, largest {drift.largest:.1e}; {sides}, of {contents:,}"
    ]


def worst(races: Mapping[str, Race], name: str) -> float | None:
    """Return the smallest ratio of a contestant's time to ours."""
    ratios = [race.rounds.ratio(name) for race in races.values()]
    known = [ratio for ratio in ratios if ratio is not None]
    return min(known) if known and len(known) == len(ratios) else None


def worst_share(races: Mapping[str, Race]) -> float | None:
    """Return the smallest share of the peak that ours reaches."""
    return min((race.rounds.share(OURS, race.flops) for race in races.values()), default=None)
