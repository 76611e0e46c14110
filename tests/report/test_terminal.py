"""The lines that a command prints at its end."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from engine.report.terminal import headline_table, paired_table

Run = tuple[dict[str, Any], pa.Table, pa.Table | None]


def test_the_headline_has_every_strategy_with_its_intervals_and_truths(run: Run) -> None:
    lines = headline_table(run[0]).splitlines()
    assert lines[2].split() == ["strategy", "leakage_rate", "truth", "overkill_rate", "truth", "review_rate"]
    assert re.split(r" {2,}", lines[3]) == [
        "live", "24.3 % [21.1, 27.8]", "25.3 %", "4.5 % [3.9, 5.2]", "4.7 %", "3.66 % exact",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[3:6]] == ["live", "candidate", "logged"]
    naive = "leakage_rate 41.30 % of 2,210, overkill_rate 41.30 % of 2,210"
    assert f"naive count of labelled rows, live: {naive}" in lines


def test_columns_of_truth_vanish_where_no_truth_is_known(make: Callable[..., Run]) -> None:
    assert "truth" not in headline_table(make(known=False)[0])


def test_several_policies_are_several_tables(make: Callable[..., Run]) -> None:
    text = headline_table(make(policies=("scam", "adult"))[0])
    assert re.findall(r"^policy (\w+)", text, re.MULTILINE) == ["any", "scam", "adult"]


def test_a_null_number_is_a_dash_and_its_reason_stands_below(make: Callable[..., Run]) -> None:
    summary, _, _ = make()
    for row in summary["headline"]:
        if row["strategy"] == "live" and row["metric"] == "overkill_rate":
            row |= {"estimate": None, "low": None, "high": None, "null_reason": "no label says so"}
    assert "— overkill_rate of live: no label says so" in headline_table(summary)


def test_the_comparison_has_differences_and_the_swap_matrix(run: Run) -> None:
    text = paired_table(run[0])
    assert re.search(r"leakage_rate +machine alone +−4\.5 pp \[−6\.8, −2\.2\] +−4\.0 pp +−4\.5 pp", text)
    assert re.search(r"^REVIEW +520 +0 +2,100 +291$", text, re.MULTILINE)


def test_a_run_that_compares_nothing_says_so(make: Callable[..., Run]) -> None:
    assert "nothing is compared" in paired_table(make(compare=False)[0])


@pytest.mark.parametrize("name", ["\x1b]0;title\x07", "two\nlines", "\u202eevil", "a" * 500, "漢字漢字", "\r\x1b[2K"])
def test_a_hostile_name_neither_commands_the_terminal_nor_breaks_the_columns(
    make: Callable[..., Run], name: str
) -> None:
    summary, _, _ = make(names=("logged", "live", name))
    for text in (headline_table(summary), paired_table(summary)):
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"]
        assert "\u202e" not in text
    names = [row.partition("%")[0] for row in headline_table(summary).splitlines()[3:6]]
    wide = {sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in name) for name in names}
    assert len(wide) == 1
