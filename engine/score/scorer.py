"""The seam of the stage: whatever turns contents into scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from engine.records import F32, Contents


class Scorer(Protocol):
    """A model that is ready to read contents."""

    @property
    def policies(self) -> tuple[str, ...]:
        """The columns of a score array, in order."""
        ...

    def score(self, contents: Contents) -> F32:
        """Score every content for every policy.

        Returns
        -------
        score_UP : float32, shape (U, P), in [0, 1], or NaN where the model itself gave NaN or nothing of a content
            could be read.
            A row depends on its content, the model and the settings, never on the other contents.
        """
        ...


class KeywordScorer:
    """A scorer without a model: the share of a policy's words that a content holds, in any case.

    Deterministic and instant; for tests, dry runs and a baseline that anybody can read.
    """

    def __init__(self, words: Mapping[str, tuple[str, ...]]) -> None:
        self._words = {policy: tuple(word.casefold() for word in given) for policy, given in words.items()}

    @property
    def policies(self) -> tuple[str, ...]:
        return tuple(self._words)

    def score(self, contents: Contents) -> F32:
        texts = ["\n".join(field or "" for field in fields).casefold() for fields in contents.fields]
        score_UP = np.zeros((len(contents), len(self._words)), np.float32)
        for p, words in enumerate(self._words.values()):
            for u, text in enumerate(texts):
                score_UP[u, p] = sum(word in text for word in words) / max(len(words), 1)
        return score_UP
