"""The start-up probe of image models: on this machine, is a score a function of the content alone?"""

from __future__ import annotations

import numpy as np

from engine.records import F32
from engine.score.image import HuggingFaceImage

_FRAMES = 7
_SEED = 8


def probe_picture_equality(scorer: HuggingFaceImage) -> bool:
    """Score some made-up frames together, in reverse, and each alone; say whether all bytes agree.

    Three times 7 forward passes. True is evidence, not proof; on a CPU it holds by construction, on a GPU it may not.
    """
    random = np.random.default_rng(_SEED)
    frames: list[F32] = list(random.standard_normal((_FRAMES, *scorer.shape)).astype(np.float32))
    together_FP = scorer.score_pixels(frames)
    backwards_FP = scorer.score_pixels(frames[::-1])[::-1]
    alone_FP = np.concatenate([scorer.score_pixels([pixels]) for pixels in frames])
    return together_FP.tobytes() == backwards_FP.tobytes() == alone_FP.tobytes()
