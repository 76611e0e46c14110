from __future__ import annotations

import numpy as np

from engine.records import Contents
from engine.score.scorer import KeywordScorer, Scorer

WORDS = {"scam": ("free", "Money"), "adult": ("nude",)}


def test_the_keyword_scorer_is_a_scorer() -> None:
    scorer: Scorer = KeywordScorer(WORDS)
    assert scorer.policies == ("scam", "adult")
    assert scorer.score(Contents((("x", None),))).dtype == np.float32


def test_a_keyword_score_is_the_share_of_words_found_in_any_field_and_case() -> None:
    contents = Contents((("FREE", "money"), (None, "moneybags"), ("nude", ""), (None, None)))
    expected = [[1, 0], [0.5, 0], [0, 1], [0, 0]]
    assert KeywordScorer(WORDS).score(contents).tolist() == expected


def test_no_contents_give_no_scores() -> None:
    assert KeywordScorer(WORDS).score(Contents(())).shape == (0, 2)


def test_a_policy_without_words_scores_zero() -> None:
    assert KeywordScorer({"scam": ()}).score(Contents((("free",),))).tolist() == [[0]]


def test_contents_of_images_alone_hold_no_words() -> None:
    assert KeywordScorer({"scam": ("free",)}).score(Contents((), ((b"free",), ()))).tolist() == [[0], [0]]
