"""Frames of a content → one score, against a slow twin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.records import F32, I64
from engine.score.frames import FrameRule, combine_frames


def slowly(score_FP: F32, owner_F: I64, contents: int, rule: FrameRule) -> list[list[float]]:
    """Plain loops over Python floats."""
    rows = []
    for u in range(contents):
        mine = [score_FP[f].tolist() for f in range(len(owner_F)) if owner_F[f] == u]
        row = []
        for p in range(score_FP.shape[1]):
            values = sorted((frame[p] for frame in mine), reverse=True)
            if not values or any(math.isnan(value) for value in values):
                row.append(math.nan)
            elif rule.combine == "max":
                row.append(values[0])
            else:
                row.append(sum(values[: rule.top]) / len(values[: rule.top]))
        rows.append(row)
    return rows


@pytest.mark.parametrize("rule", [FrameRule(), *(FrameRule("top_mean", top=top) for top in (1, 2, 3, 9))])
def test_combining_agrees_with_a_slow_twin(rule: FrameRule) -> None:
    random = np.random.default_rng(7)
    for contents in (0, 1, 5, 40):
        count = int(random.integers(0, 4 * contents + 1))
        owner_F = np.sort(random.integers(0, max(contents, 1), count))
        score_FP = random.random((count, 3)).astype(np.float32)
        score_FP[random.random(score_FP.shape) < 0.1] = np.nan
        combined = combine_frames(score_FP, owner_F, contents, rule)
        assert combined.dtype == np.float32
        assert combined.shape == (contents, 3)
        expected = np.array(slowly(score_FP, owner_F, contents, rule)).reshape(contents, 3)
        assert np.array_equal(combined, expected.astype(np.float32), equal_nan=True)


def test_the_order_of_frames_changes_no_byte() -> None:
    random = np.random.default_rng(8)
    score_FP = random.random((9, 2)).astype(np.float32)
    for rule in (FrameRule(), FrameRule("top_mean", top=4)):
        first = combine_frames(score_FP, np.zeros(9, np.int64), 1, rule)
        for _ in range(20):
            again = combine_frames(score_FP[random.permutation(9)], np.zeros(9, np.int64), 1, rule)
            assert again.tobytes() == first.tobytes()


@pytest.mark.parametrize("field", ["top", "most"])
def test_a_rule_of_no_frames_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FrameRule(**{field: 0})
