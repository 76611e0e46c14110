"""Many audits of one world at once, each a segment of its own with its own strata: simulated in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from estimate.worlds import World, census_rows, question, replayed

from engine.estimate.contrast import contrasted
from engine.estimate.evidence import Contrast
from engine.estimate.question import Question
from engine.records import Design, LabelledRows, Segments, Totals
from engine.replay.replay import Replayed
from engine.strategy import StrategyTable


@dataclass(frozen=True)
class Redrawn:
    """A world, what two strategies did in it, and everything about its audits. rate_H : share drawn of each stratum."""

    world: World
    table: StrategyTable
    found: Replayed
    rate_H: tuple[float, ...]

    def truth(self, contrast: Contrast) -> float:
        """Return the true value of a contrast."""
        rows = census_rows(self.world, self.found.outcome_Sn)
        value = contrasted(_overall(question(self.world, rows, self.found, self.table)), contrast, 0.95)[0].estimate
        assert value is not None
        return value

    def audits(self, seed: int, count: int) -> list[list[np.ndarray]]:
        """Return some audits."""
        return [self.drawn(np.random.default_rng([seed, i])) for i in range(count)]

    def drawn(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return who is drawn from each stratum, in the order of drawing."""
        out = []
        for h, rate in enumerate(self.rate_H):
            members = np.flatnonzero(self.world.stratum_N == h)
            out.append(generator.permutation(members)[: round(rate * len(members))])
        return out

    def asked(self, drawn: list[list[np.ndarray]], share: float) -> Question:
        """Return one question in which audit i is segment i, its strata its own."""
        world, H, count = self.world, len(self.rate_H), len(drawn)
        parts = [[each[: max(2, round(share * len(each)))] for each in audit] for audit in drawn]
        at = np.concatenate([members for audit in parts for members in audit])
        size = np.array([len(members) for audit in parts for members in audit])
        stratum_n = np.repeat(np.arange(H * count), size)
        population_H = np.tile(np.bincount(world.stratum_N, minlength=H), count)
        y = world.y_N[at][:, None].astype(np.int8)
        rows = LabelledRows(
            design=Design(("srs",) * (H * count), population_H, size, size[:, None]),
            pi_n=(size / population_H)[stratum_n],
            stratum_n=stratum_n.astype(np.int32),
            cell_n=stratum_n // H,
            advertiser_n=world.advertiser_N[at].astype(np.int64),
            y_nQ=y,
            naive_nQ=y,
            known_Wn=world.exposure_WN[:, at],
            imputed_Wn=np.zeros((3, len(at))),
            outcome_Sn=self.found.outcome_Sn[:, at],
            score_Kn=np.zeros((0, len(at))),
        )
        names = tuple(map(str, range(count)))
        segments = Segments(
            ("audit",), (names,), np.arange(count, dtype=np.int32)[:, None], ("audit",) * count, names,
            np.eye(count, dtype=bool),
        )  # fmt: skip
        whole = self.found.totals
        totals = Totals(
            *(np.repeat(sums.sum(axis, keepdims=True), count, axis) for sums, axis in
              ((whole.sum_SOFCW, 3), (whole.swap_OQCW, 2), (whole.whole_FCW, 1)))
        )  # fmt: skip
        return Question(self.table, ("p",), segments, totals, rows, pair=(0, 1))


def redrawn(world: World, table: StrategyTable, rate_H: tuple[float, ...]) -> Redrawn:
    """Return a world whose audits can be drawn as often as one likes."""
    return Redrawn(world, table, replayed(world, table), rate_H)


def _overall(asked: Question) -> Question:
    segments = asked.segments
    alone = replace(segments, by=segments.by[:1], name=segments.name[:1], member_GC=segments.member_GC[:1])
    return replace(asked, segments=alone)
