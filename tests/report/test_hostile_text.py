"""Ad text as attack: whatever a name, a segment or a reason holds, the page keeps its shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest
from payloads import PAYLOADS
from rendered import render_html, render_markdown

from engine import schema
from engine.report.markdown import escape

Run = tuple[dict[str, Any], pa.Table, pa.Table | None]

HARMLESS = tuple(f"harmless {i}" for i in range(len(PAYLOADS)))


DRAWN = {"svg", "g", "defs", "path", "use", "text", "clippath", "rect"}


class Shape(HTMLParser):
    """The tags and attribute names of a page, in order; those inside pictures apart; and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.drawn: set[tuple[str, ...]] = set()
        self.text: list[str] = []
        self._drawing = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._drawing = self._drawing or ("class", "plot") in attrs
        if self._drawing:
            self.drawn.add((tag, *sorted(name for name, _ in attrs)))
        else:
            self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._drawing = self._drawing and tag != "svg"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def poisoned(make: Callable[..., Run], words: Sequence[str]) -> Run:
    """Return a run with foreign words in every place that can hold one."""
    attributes = [words[i % 7] if i % 2 else "region" for i in range(len(words))]
    segments = [(_storable(by), _storable(name)) for by, name in zip(attributes, words, strict=True)]
    names = [_storable(word) for word in (words[0], words[3], words[8])]
    summary, estimates, truth = make(names=names, segments=[("all", "all"), *segments], policies=[_storable(words[9])])
    for i, strategy in enumerate(summary["strategies"]):
        strategy["words"] = " ".join(words)
        strategy["rules"] = [{"rule": word, "creatives": i, "share": 0.1} for word in words]
    for row in (*summary["headline"], *summary["paired"]):
        row["estimator"] = words[6]
        if row["weighting"] == "spend":
            row |= {"estimate": None, "low": None, "high": None, "warning": words[7]}
            row["null_reason"] = words[len(row["metric"]) % len(words)]
    for i, scores in enumerate(summary["scores"]):
        scores["column"] = words[i + 4]
    formulas = {name: words[i] for i, name in enumerate(summary["formulas"])}
    summary |= {
        "run": words[2],
        "training_overlap": words[1],
        "fingerprint": words[4][:16],
        "formulas": formulas,
    }
    summary |= {"warnings": list(words), "assumptions": list(words)}
    summary["period"]["from"] = words[5]
    summary["exposure"] = {"refused": words[10], "imputed": {}, "missing": {}}
    summary["examples"] = [_example(words, i) for i in range(len(words))]
    return summary, _reasoned(estimates, words), truth


def _example(words: Sequence[str], i: int) -> dict[str, Any]:
    """Return a row of schema.EXAMPLES that is hostile throughout."""
    word, other = words[i], words[i - 1]
    return {
        "kind": "leaked",
        "strategy": words[0],
        "creative_id": word,
        "labels": [{"policy": other, "label": word}],
        "ways": [{"strategy": word, "decision": "APPROVE", "rule": other}],
        "scores": [{"column": word, "score": 0.5}],
        "exposure": [{"weighting": "spend", "value": 1.0, "source": word}],
        "texts": [{"field": other, "text": word}, {"field": word, "text": None}],
        "pictures": [],
        "notes": [word, other],
    }


def _storable(word: str) -> str:
    """Parquet holds UTF-8: half a surrogate can only come from summary.json."""
    return word.replace("\ud800", "")


def _reasoned(estimates: pa.Table, words: Sequence[str]) -> pa.Table:
    """Give every row of a segment a warning, and every seventh a reason instead of a number."""
    rows = estimates.to_pylist()
    for i, row in enumerate(rows):
        row["warning"] = _storable(words[i % len(words)])
        if i % 7 == 0:
            row |= {"estimate": None, "low": None, "high": None, "null_reason": row["warning"]}
    return pa.Table.from_pylist(rows, schema.ESTIMATES)


@pytest.fixture(scope="module")
def hostile(make: Callable[..., Run]) -> Run:
    return poisoned(make, PAYLOADS)


@pytest.fixture(scope="module")
def page(hostile: Run) -> str:
    return render_html(*hostile)


@pytest.fixture(scope="module")
def text(hostile: Run) -> str:
    return render_markdown(*hostile)


def test_a_hostile_page_has_the_shape_of_a_harmless_one(make: Callable[..., Run], page: str) -> None:
    harmless, found = Shape(render_html(*poisoned(make, HARMLESS))), Shape(page)
    assert found.tags == harmless.tags
    assert found.drawn == harmless.drawn
    assert {tag for tag, *_ in found.drawn} == DRAWN


def test_payloads_are_shown_as_the_text_they_are(page: str) -> None:
    said = "".join(Shape(page).text)
    for i in (0, 1, 2, 3, 4, 9, 10, 12, 19):
        assert PAYLOADS[i] in said


def test_the_page_has_its_two_scripts_and_no_more(page: str) -> None:
    assert page.count("<script") == page.count("</script") == 2
    assert page.count('<script type="application/json" id="data">') == page.count("<script>") == 1


@pytest.mark.parametrize(
    "raw", ["<script>alert", "</script><script>alert", "<img", "<iframe", "<!--", "<![CDATA", '"><svg on']
)
def test_nothing_of_a_payload_is_markup_in_the_page(page: str, raw: str) -> None:
    assert raw not in page


def test_both_pages_encode_and_hold_no_control_or_override_character(page: str, text: str) -> None:
    for document in (page, text):
        document.encode("utf-8")
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066\ufeff]", document)


def test_hostile_rows_keep_the_columns_of_their_table(text: str) -> None:
    columns = 0
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("| ---"):
            columns = cells
        elif line.startswith("|") and columns:
            assert cells == columns, line
        elif not line:
            columns = 0


def test_the_markdown_holds_no_html_but_its_own(text: str) -> None:
    own = {f"<{close}{tag}>" for close in ("", "/") for tag in ("details", "summary", "sup")}
    assert set(re.findall(r"<[^>]*>?", text)) == own


def test_the_markdown_holds_no_link_code_or_address_of_a_payload(text: str) -> None:
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)\]:", text)
    assert not re.search(r"(?<!\\)`", text)
    assert "://" not in text
    assert "{{" not in text


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("a|b", "a\\|b"),
        ("[x](y)", "[x\\](y)"),
        ("[low, high]", "[low, high]"),
        ("leakage_rate _it_", "leakage_rate \\_it\\_"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("http://www.evil.example", "http:\\//www\\.evil.example"),
        ("me@evil.example", "me&#64;evil.example"),
        ("{{7}}", "&#123;&#123;7&#125;&#125;"),
        ("`*~$\\", "\\`\\*\\~\\$\\\\"),
    ],
)
def test_markdown_escapes_what_means_something_and_leaves_the_rest(raw: str, safe: str) -> None:
    assert escape(raw) == safe
