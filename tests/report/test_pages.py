"""report.html and report.md: what they say, and that they say it alone."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest
from rendered import render_html, render_markdown

from engine.report.cells import written
from engine.report.lookup import numbers_of
from engine.report.run_summary import read_summary

Run = tuple[dict[str, Any], pa.Table, pa.Table | None]
Cells = dict[tuple[str, ...], list[str]]


class Tables(HTMLParser):
    """Reads the cells of every table row, keyed by fold, group and row name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[tuple[str, str, str], list[str]] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self._fold = self._group = self._row = ""
        self._cells: list[str] = []
        self._words: list[str] = []
        self._in_group = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("summary", "th", "td"):
            self._words = []
        if tag == "tr":
            self._cells = []
            self._in_group = ("class", "group") in attrs

    def handle_endtag(self, tag: str) -> None:
        said = " ".join(" ".join(self._words).split())
        if tag == "summary":
            self._fold = said
        elif tag in ("th", "td"):
            self._cells.append(said)
        elif tag == "tr" and self._in_group:
            self._group = self._cells[0].split()[0]
        elif tag == "tr" and self._cells:
            self.rows.setdefault((self._fold, self._group, self._cells[0]), self._cells[1:])

    def handle_data(self, data: str) -> None:
        self._words.append(data)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return render_html(*run)


@pytest.fixture(scope="module")
def text(run: Run) -> str:
    return render_markdown(*run)


def test_every_headline_number_stands_in_its_own_cell_of_the_page(run: Run, page: str) -> None:
    rows = Tables(page).rows
    readings = {"machine": "machine alone", "after_review": "after review"}
    for number in numbers_of(run[0]["headline"]):
        key = number.key
        fold = f"{key.policy} · {key.weighting} · {readings[key.reading]}"
        cell = rows[fold, key.metric, key.strategy][0 if key.inference == "history" else 1]
        value, interval, truth = written(number)
        assert cell.startswith(value)
        assert interval in cell
        assert truth in cell


def test_every_headline_number_stands_in_the_markdown(run: Run, text: str) -> None:
    for number in numbers_of(run[0]["headline"]):
        value, interval, _ = written(number)
        assert f"{value} {interval}".rstrip() in text


def test_the_first_screen_has_both_readings_of_every_strategy(page: str) -> None:
    rows = Tables(page).rows
    leakage, overkill, review = rows["", "machine", "live"]
    assert leakage == "24.3 % [21.1, 27.8] truth 25.3 %"
    assert overkill == "4.5 % [3.9, 5.2] truth 4.7 %"
    assert review == "3.66 % exact"
    assert rows["", "after", "candidate"][0] == "15.8 % [13.8, 18.1] truth 16.5 %"


def test_the_answer_says_what_the_interval_allows_and_no_more(make: Callable[..., Run]) -> None:
    summary, estimates, truth = make()
    text = render_markdown(summary, estimates, truth)
    assert "**candidate leaks less than live:** −4.5 pp [−6.8, −2.2]" in text
    assert "Whether candidate wrongly refuses more or less than live, these labels cannot tell:" in text
    for row in summary["paired"]:
        row |= {"estimate": None, "low": None, "high": None, "null_reason": "no labels at all"}
    assert "cannot be told: — (no labels at all)**" in render_markdown(summary, estimates, truth)


def test_the_verdict_is_the_first_answer(make: Callable[..., Run]) -> None:
    summary, estimates, truth = make()
    facts = {"line": "do not ship: it leaks", "baseline": "live", "candidate": "candidate", "confidence": 0.95}
    facts |= {"verdict": "do not ship", "look": 1, "looks": 1, "looks_in_config": 1, "gates": []}
    text = render_markdown(summary | {"verdict": facts}, estimates, truth)
    assert 0 < text.index("**Do not ship: it leaks**") < text.index("**candidate leaks less than live:**")
    assert "ship" not in render_markdown(summary, estimates, truth)


def test_a_warning_of_the_first_screen_names_its_numbers_once(make: Callable[..., Run]) -> None:
    summary, estimates, truth = make()
    for row in summary["headline"]:
        row["warning"] = "few carry it" if row["metric"] == "leakage_rate" else None
    text = render_markdown(summary, estimates, truth)
    unknown = text[text.index("### What these numbers cannot tell") : text.index("\n## ")]
    names = ", ".join(read_summary(summary).names)
    assert unknown.count("few carry it") == 1
    assert f"leakage_rate of {names}: few carry it" in unknown


@pytest.mark.parametrize("reason", ["impressions of refused creatives", "logged_final is not given"])
def test_a_null_number_shows_its_reason_in_both_pages(page: str, text: str, reason: str) -> None:
    assert reason in page
    assert reason in text


def test_a_warning_of_a_segment_stands_under_the_table_of_segments(page: str, text: str) -> None:
    assert page.count("fewer than 10 effective events") == 1
    assert text.count("fewer than 10 effective events") == 1


@pytest.mark.parametrize(
    "said",
    [
        "61,207 read = 50,000 kept + 11,180 warm_up + 20 outside_period + 7 quarantined.",
        "Appeals: 63 of 210 decided were overturned (30 %).",
        "candidate is harsher on 741 creatives and softer on 620; 97.2 % are decided alike.",
        "1,890 of 2,000 audited creatives have been answered, 16 of them UNKNOWN.",
        "The audit could have drawn 97.3 % of the exposure behind them",
        "Impressions: missing, not zero, for 5,120 creatives.",
        "history is shorter than the warm-up",
        "Advertisers would not have acted differently",
        "Σ w y A / Σ w y",
        "41.3 %",
    ],
)
def test_both_pages_say_what_the_numbers_rest_on(page: str, text: str, said: str) -> None:
    assert said in page
    assert said in text


def test_counts_that_do_not_add_up_are_called_out(make: Callable[..., Run]) -> None:
    summary, estimates, truth = make()
    summary["counts"]["read"] += 3
    assert "3 creatives are unaccounted for" in render_markdown(summary, estimates, truth)


def test_an_exposure_model_is_named_on_the_first_screen(make: Callable[..., Run]) -> None:
    summary, estimates, truth = make()
    summary["exposure"] = {"refused": "segment_median", "imputed": {"spend": 5120}, "missing": {}}
    text = render_markdown(summary, estimates, truth)
    assert "modelled, not known: segment_median." in text
    assert "Spend: modelled for 5,120 creatives." in text


def test_the_same_files_give_the_same_bytes(run: Run, page: str, text: str) -> None:
    assert render_html(*run) == page
    assert render_markdown(*run) == text


def test_the_page_fetches_nothing(page: str) -> None:
    assert not re.search(r"https?://|//www|<script src|<link|<iframe|<object|<base|@import|url\((?!#)", page)
    for tag, name, value in Tables(page).attributes:
        assert name not in ("src", "srcset", "style", "action", "xlink:href"), (tag, name)
        assert not name.startswith("on"), (tag, name)
        assert name != "href" or value.startswith("#"), (tag, value)


def test_the_content_policy_allows_the_one_style_sheet_the_one_script_and_nothing_else(page: str) -> None:
    policies = [value for tag, _, value in Tables(page).attributes if tag == "meta" and "-src" in value]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ]


def test_ids_are_unique_and_every_link_has_its_target(page: str) -> None:
    found = Tables(page).attributes
    ids = Counter(value for _, name, value in found if name == "id")
    assert max(ids.values()) == 1
    assert {value[1:] for _, name, value in found if name == "href"} <= set(ids)


def test_the_page_of_a_whole_run_stays_under_a_megabyte(page: str) -> None:
    assert len(page.encode()) < 1_000_000


def test_a_sweep_says_how_many_strategies_it_leaves_out(make: Callable[..., Run]) -> None:
    names = [f"s{i}" for i in range(15)]
    text = render_markdown(*make(names=names, segments=[("all", "all")]))
    assert "3 more strategies are in estimates.parquet" in text
    assert "| s13 |" in text
    assert "| s12 |" not in text


def test_one_strategy_without_segments_or_truth_has_its_page(make: Callable[..., Run]) -> None:
    run = make(names=("live",), segments=[("all", "all")], known=False, compare=False)
    page = render_html(*run)
    assert "Of what violates, live leaks" in page
    assert "The difference" not in page
    assert 'id="segments"' not in page
    assert "hollow" not in page.lower()


def test_who_answered_is_shown_by_stratum_and_what_does_not_count_by_reason(make: Callable[..., Run]) -> None:
    summary, estimates, truth = make()
    assert "Not yet answered" not in render_markdown(summary, estimates, truth)
    stratum = {"audit": "a1", "stratum": "<b>high</b>", "method": "pps", "population": 1234, "drawn": 100}
    summary["strata"] = [stratum | {"answered": 90, "unknown": 7, "waiting": 3}]
    summary["labels"] |= {"labels_late": 11}
    page, text = render_html(summary, estimates, truth), render_markdown(summary, estimates, truth)
    assert "| pps | 1,234 | 100 | 90 | 7 | 3 |" in text
    assert "| labels_late | 11 | known after labels.known_by" in text.replace("`", "")
    assert "labels_young" not in text
    assert "<b>high</b>" not in page


def test_a_run_without_any_label_has_its_page(make: Callable[..., Run]) -> None:
    summary, estimates, _ = make(known=False)
    for row in (*summary["headline"], *summary["paired"]):
        row |= {"estimate": None, "low": None, "high": None, "support": None, "null_reason": "no labels"}
    summary |= {"labels": {}, "naive": [], "scores": [], "training_overlap": ""}
    page = render_html(summary, estimates, None)
    assert "no labels" in page
    assert "Nothing to draw" in page
    assert "Training overlap unknown." in page


def test_several_policies_lead_with_any(make: Callable[..., Run]) -> None:
    run = make(policies=("scam", "adult"), names=("live", "new"), segments=[("all", "all")])
    text = render_markdown(*run)
    assert "*policy any · by creatives" in text
    for policy in ("any", "scam", "adult"):
        assert f"<summary>{policy} · spend · after review</summary>" in text


def test_nothing_that_draws_is_imported_until_a_page_is_drawn() -> None:
    code = (
        "import sys, engine.report.html, engine.report.markdown, engine.report.terminal, engine.report.plots;"
        "print([m for m in ('matplotlib', 'jinja2', 'torch', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
