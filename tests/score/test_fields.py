"""Fields of a content: joined by separator or template, or scored apart and combined."""

from __future__ import annotations

import numpy as np
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.records import Contents
from engine.score.fields import FieldRule, parse_template

FIELDS = (("Win", "now"), (None, "x"), ("", None), ("a", ""))


def test_fields_are_joined_by_the_separator_or_the_template() -> None:
    assert FieldRule(" | ").texts(Contents(FIELDS))[0] == ["Win | now", " | x", " | ", "a | "]
    template = parse_template("{body} [SEP] {title}{{}}", ("title", "body"))
    texts, owner = FieldRule(template=template).texts(Contents(FIELDS))
    assert texts == ["now [SEP] Win{}", "x [SEP] {}", " [SEP] {}", " [SEP] a{}"]
    assert owner.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{titel}", "no text column of the model"),
        ("plain", "names no text column"),
        ("{title", "'}'"),
        ("{title!r}", "no text column"),
    ],
)
def test_a_template_that_means_nothing_is_refused(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_template(template, ("title", "body"))


def test_fields_scored_apart_leave_out_what_is_empty() -> None:
    texts, owner = FieldRule(apart="max").texts(Contents(FIELDS))
    assert texts == ["Win", "now", "x", "", "a"]
    assert owner.tolist() == [0, 0, 1, 2, 3]


@examples(40)
@given(
    sizes=st.lists(st.integers(1, 4), max_size=8), how=st.sampled_from(["max", "mean"]), seed=st.integers(0, 2**32 - 1)
)
def test_combining_equals_a_plain_loop(sizes: list[int], how: str, seed: int) -> None:
    owner = np.repeat(np.arange(len(sizes)), sizes)
    score = np.random.default_rng(seed).random((len(owner), 2)).astype(np.float32)
    found = FieldRule(apart=how).combine(score, owner, len(sizes))
    for u in range(len(sizes)):
        mine = [row for row, of in zip(score.tolist(), owner, strict=True) if of == u]
        for p in range(2):
            column = [row[p] for row in mine]
            wanted = max(column) if how == "max" else sum(column) / len(column)
            assert found[u, p] == np.float32(wanted)
    assert found.shape == (len(sizes), 2)


def test_a_missing_score_of_one_field_is_a_missing_score() -> None:
    score = np.array([[0.2], [np.nan], [0.9]], np.float32)
    for how in ("max", "mean"):
        assert np.isnan(FieldRule(apart=how).combine(score, np.array([0, 0, 1]), 2)).tolist() == [[True], [False]]
