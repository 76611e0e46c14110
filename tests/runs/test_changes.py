"""Trees of plain values, key by key."""

from __future__ import annotations

from engine.runs.changes import ABSENT, Change, changes, value_words


def test_every_key_that_differs_is_named_and_no_other():
    was = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": "x"}
    now = {"a": {"b": 2, "c": [1, 3]}, "d": None, "f": "x"}
    assert changes(was, now) == (
        Change("a.b", 1, 2),
        Change("a.c", [1, 2], [1, 3]),
        Change("e", "x", ABSENT),
        Change("f", ABSENT, "x"),
    )


def test_items_of_a_list_of_rules_are_counted():
    was = {"rules": [{"when": "a", "then": "reject"}, {"when": "b", "then": "review"}]}
    now = {"rules": [{"when": "a", "then": "reject"}, {"when": "c", "then": "review"}, {"when": "d", "then": "review"}]}
    assert [change.key for change in changes(was, now)] == ["rules.1.when", "rules.2"]


def test_true_is_not_one_and_null_is_not_absent():
    assert changes({"a": True}, {"a": 1}) == (Change("a", True, 1),)
    (change,) = changes({"a": None}, {})
    assert change.as_plain() == {"key": "a", "was": None}


def test_long_values_are_cut():
    assert value_words("x" * 100) == '"' + "x" * 58 + "…"
    assert value_words(ABSENT) == "absent"
