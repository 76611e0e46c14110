"""The start-up probe: on this machine, is a score a function of the content alone?"""

from __future__ import annotations

import numpy as np

from engine.score.text import HuggingFaceText
from engine.score.tokens import Tokens, as_tokens

_LENGTHS = (5,) * 7 + (11,) * 3 + (23,) * 6 + (61,) * 9
_SEED = 8


def probe_equality(scorer: HuggingFaceText) -> bool:
    """Score some made-up contents together, in reverse, and each alone; say whether all bytes agree.

    Three times 755 tokens of work, which is two tiles of packed tokens. True is evidence, not proof (the tests try
    far more shapes). Where it is False, the manifest says "equal within 1e-6".
    """
    id_lists = _made_up(scorer.folder.vocabulary, scorer.folder.max_length)
    together_UP = scorer.score_tokens(_pack(id_lists))
    backwards_UP = scorer.score_tokens(_pack(id_lists[::-1]))[::-1]
    alone_UP = np.concatenate([scorer.score_tokens(_pack([ids])) for ids in id_lists])
    return together_UP.tobytes() == backwards_UP.tobytes() == alone_UP.tobytes()


def _made_up(vocabulary: int, max_length: int) -> list[list[int]]:
    random = np.random.default_rng(_SEED)
    return [random.integers(0, vocabulary, min(length, max_length)).tolist() for length in _LENGTHS]


def _pack(id_lists: list[list[int]]) -> Tokens:
    return as_tokens(id_lists, [False] * len(id_lists))
