"""Several frames a content, one score: how they are combined. Plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.records import F32, I64


@dataclass(frozen=True)
class FrameRule:
    """How the frames of a content make its score.

    combine : "max", or "top_mean", the mean of the `top` highest (of all, where there are fewer), per policy.
    most : frames read of one animated picture or file of several pages.
    """

    combine: Literal["max", "top_mean"] = "max"
    top: int = 3
    most: int = 8

    def __post_init__(self) -> None:
        if min(self.top, self.most) < 1:
            raise ValueError(f"{self}: top and most are at least 1")


def combine_frames(score_FP: F32, owner_F: I64, contents: int, rule: FrameRule) -> F32:
    """Combine the scores of frames.

    Parameters
    ----------
    score_FP : float32, shape (F, P); a NaN makes its content NaN, for that policy.
    owner_F : int64, rising: the content of each frame, below `contents`.

    Returns
    -------
    score_UP : float32, shape (contents, P); NaN for a content without a frame. The order of frames is of no matter.
    """
    score_UP = np.full((contents, score_FP.shape[1]), np.nan, np.float32)
    first = np.searchsorted(owner_F, np.arange(contents + 1))
    for u in np.flatnonzero(np.diff(first)):
        frames = score_FP[first[u] : first[u + 1]]
        score_UP[u] = frames.max(axis=0) if rule.combine == "max" else _top_mean(frames, rule.top)
    return score_UP


def _top_mean(score_FP: F32, top: int) -> F32:
    """Average the highest in float64, in falling order, rounded once."""
    falling = -np.sort(-score_FP.astype(np.float64), axis=0)
    mean_P = falling[:top].mean(axis=0)
    mean_P[np.isnan(score_FP).any(axis=0)] = np.nan
    return mean_P.astype(np.float32)
