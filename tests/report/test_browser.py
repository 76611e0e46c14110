"""The page in a real Chromium: the frontier answers, nothing else runs, nothing leaves."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from payloads import PAYLOADS
from rendered import render_html
from trials import NUMBERS, searched, trials

from engine.expression import parse
from engine.search.trial import Goal, Point, Trial, best

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: scripts/browser does it")

Run = tuple[dict[str, Any], pa.Table, pa.Table | None]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TIES = ("overkill_rate", "review_rate")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: scripts/browser installs it")


@dataclass
class Opened:
    """A page with all it said, asked for and tried to open."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        # Without its sandbox, which a container's root may not use: the pages are our own.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def view(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a page by its text; extra arguments go to the browser's context."""
    contexts = []

    def opened(text: str, **how: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        context = chromium.new_context(**({"viewport": {"width": 1400, "height": 900}} | how))
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("dialog", lambda dialog: (found.said.append(dialog.message), dialog.dismiss()))
        context.on("request", lambda request: found.asked.append(request.url))
        found.page.goto(path.as_uri())
        return found

    yield opened
    for context in contexts:
        context.close()


def swept(make: Callable[..., Run], tried: Sequence[Trial], **how: Any) -> str:
    """Return the page of a run whose sweep tried these."""
    found = searched(tried)
    summary, estimates, truth = make(segments=[("all", "all")], **how)
    return render_html(summary | {"search": found.as_plain()}, estimates, truth, found.table())


@pytest.fixture(scope="module")
def tried() -> tuple[Trial, ...]:
    return trials(7, 600)


@pytest.fixture(scope="module")
def sweep(make: Callable[..., Run], tried: tuple[Trial, ...]) -> str:
    return swept(make, tried)


def answer(page: Any) -> str:
    return str(page.inner_text("#best-name"))


def limit(page: Any, review: str, overkill: str) -> str:
    """Type limits, in percent, and return the strategy that the page answers with."""
    page.fill("#review-number", review)
    page.fill("#overkill-number", overkill)
    return answer(page)


def written(trial: Trial) -> str:
    return "candidate: " + ", ".join(f"{name} = {value:.6g}" for name, value in trial.setting.items())


def percent(share: float) -> str:
    """Return a share in percent as decimal text that loses nothing: the same digits, two places on."""
    digits = f"{share:.30f}".rstrip("0")
    whole, _, rest = digits.partition(".")
    rest = rest.ljust(2, "0")
    return f"{int(whole + rest[:2])}.{rest[2:] or '0'}"


def test_a_page_opens_without_a_word_and_asks_for_nothing_but_itself(view, sweep):
    opened = view(sweep)
    assert opened.said == []
    assert [url.rpartition("/")[2] for url in opened.asked] == ["report.html"]
    assert opened.page.is_visible("#limits")


def test_moved_limits_pick_what_the_engines_own_search_picks(view, sweep, tried):
    page, generator, picked = view(sweep).page, random.Random(11), set()
    known = [t for t in tried if all(p.estimate is not None for p in t.points.values())]
    for k in range(100):
        if k % 2:
            review, overkill = (generator.choice(known).points[name].estimate for name in reversed(TIES))
        else:
            review, overkill = generator.random() * 0.2, generator.random() * 0.03
        goal = Goal("leakage_rate", parse(f"review_rate <= {review!r} and overkill_rate <= {overkill!r}"), TIES)
        chosen = best(tried, goal)
        said = limit(page, percent(review), percent(overkill))
        assert said == ("Nothing keeps to these limits." if chosen is None else written(tried[chosen])), (k, goal)
        picked.add(chosen)
    assert len(picked) > 20


def test_strategies_of_a_run_without_a_sweep_are_picked_by_the_same_rule(view, make):
    names = [f"strategy {k}" for k in range(40)]
    summary, estimates, truth = make(names=names, segments=[("all", "all")])
    generator, known = random.Random(3), []
    for row in summary["headline"]:
        if row["metric"] in ("leakage_rate", *TIES):
            row["estimate"] = round(generator.random(), 1)
            row |= {"low": row["estimate"], "high": row["estimate"]}
    for name in names:
        points = {
            row["metric"]: Point(row["estimate"], None, None)
            for row in summary["headline"]
            if (row["strategy"], row["weighting"], row["reading"], row["inference"])
            == (name, "creatives", "after_review", "history")
        }
        known.append(Trial(name, {}, points))
    page = view(render_html(summary, estimates, truth)).page
    for review, overkill in ((100, 100), (30, 20), (10, 70), (0, 0), (50, 40), (20, 90)):
        goal = Goal(
            "leakage_rate", parse(f"review_rate <= {review / 100!r} and overkill_rate <= {overkill / 100!r}"), TIES
        )
        chosen = best(known, goal)
        expected = "Nothing keeps to these limits." if chosen is None else known[chosen].name
        assert limit(page, str(review), str(overkill)) == expected


def test_the_limits_start_where_the_baseline_stands_and_its_numbers_are_said(view, sweep):
    page = view(sweep).page
    assert "live, the baseline, leaks 19.4" in page.inner_text("#baseline-numbers")
    start = page.input_value("#review-number")
    page.click("#no-limits")
    assert page.input_value("#review-number") == page.get_attribute("#review-range", "max") != start
    page.click("#first-limits")
    assert page.input_value("#review-number") == start


def test_slider_and_field_move_each_other_and_the_answer(view, sweep):
    page = view(sweep).page
    limit(page, "0", "3")
    least = answer(page)
    page.focus("#review-range")
    assert float(page.input_value("#review-range")) == 0
    page.keyboard.press("End")
    assert float(page.input_value("#review-number")) == float(page.get_attribute("#review-range", "max"))
    assert page.get_attribute("#review-range", "aria-valuetext") == page.input_value("#review-number") + " %"
    assert answer(page) != least
    page.keyboard.press("ArrowLeft")
    assert float(page.input_value("#review-number")) < float(page.get_attribute("#review-range", "max"))


def test_an_empty_limit_is_none(view, sweep, tried):
    chosen = best(tried, Goal("leakage_rate", parse("review_rate <= 1 and overkill_rate <= 1"), TIES))
    assert limit(view(sweep).page, "", "") == written(tried[chosen])


def test_a_dot_says_what_it_is_until_it_is_left_or_escape_is_pressed(view, sweep):
    page = view(sweep).page
    page.locator("#frontier-figure").scroll_into_view_if_needed()
    limit(page, "100", "100")
    mark = page.locator(".best").bounding_box()
    centre = mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2
    assert page.is_hidden("#tip")
    page.mouse.move(*centre)
    assert answer(page) in page.inner_text("#tip")
    assert "leaks" in page.inner_text("#tip")
    assert "to review" in page.inner_text("#tip")
    page.keyboard.press("Escape")
    assert page.is_hidden("#tip")
    page.mouse.move(*centre)
    page.mouse.move(5, 5)
    assert page.is_hidden("#tip")


def test_a_named_strategy_says_its_name_under_the_pointer(view, sweep):
    page = view(sweep).page
    page.locator("#frontier-figure").scroll_into_view_if_needed()
    place = page.evaluate("""() => {
        const { marked, plane } = JSON.parse(document.getElementById("data").textContent).frontier;
        const { name, leakage, overkill } = marked.find((each) => each.name === "logged" || each.name === "live");
        const x = plane.left + plane.width * overkill / plane.overkill;
        const y = plane.top + plane.height * (1 - leakage / plane.leakage);
        const svg = document.querySelector("#frontier-figure svg");
        const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
        return { name, x: at.x, y: at.y };
    }""")
    page.mouse.move(place["x"], place["y"])
    assert page.inner_text("#tip b") == place["name"]


def test_the_keyboard_steps_along_the_line_and_is_told_where_it_is(view, sweep):
    page = view(sweep).page
    page.focus("#walk")
    first = page.get_attribute("#walk", "aria-valuetext")
    assert page.is_visible("#tip")
    page.keyboard.press("ArrowRight")
    second = page.get_attribute("#walk", "aria-valuetext")
    assert first != second
    assert page.inner_text("#tip b") in second
    page.keyboard.press("Tab")
    assert page.is_hidden("#tip")


def test_toggles_work(view, sweep):
    page = view(sweep).page
    assert page.get_attribute(".every", "visibility") != "hidden"
    page.check("#only")
    assert page.get_attribute(".every", "visibility") == "hidden"
    page.uncheck("#only")
    assert page.get_attribute(".every", "visibility") == "visible"
    fold = page.locator("#metrics details").first
    inside = fold.locator("table").first
    assert inside.is_hidden()
    fold.locator("summary").click()
    assert inside.is_visible()


def test_without_script_the_picture_stands_and_no_control_pretends(view, sweep):
    page = view(sweep, java_script_enabled=False).page
    assert page.is_visible("#frontier-figure svg")
    assert page.is_hidden("#limits")
    assert page.is_hidden("#answer")
    assert "needs a script" in page.inner_text("#frontier")


def test_every_control_has_a_name_and_follows_the_reading_order(view, sweep):
    page = view(sweep).page
    page.focus("#review-range")
    order = ["review-range"]
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert order == [
        *("review-range", "review-number", "overkill-range", "overkill-number"),
        *("first-limits", "no-limits", "only", "walk"),
    ]
    named = {
        "slider": ["Sent to review, at most", "Overkill, at most", "Step along the line"],
        "spinbutton": ["Sent to review, at most", "Overkill, at most"],
        "button": ["As the baseline", "No limits"],
        "checkbox": ["Hide what breaks a limit"],
        "group": ["What leaks least within limits?"],
    }
    for role, names in named.items():
        for name in names:
            assert page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
    assert page.get_by_role("status").count() == 1  # an output is a polite live region
    nameless = page.locator("svg[role=img]:not([aria-label]), svg[role=img][aria-label='']")
    assert nameless.count() == 0


def test_headings_descend_one_level_at_a_time(view, sweep):
    levels = view(sweep).page.evaluate(
        "Array.from(document.querySelectorAll('h1,h2,h3,h4'), (heading) => Number(heading.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("width", [320, 400, 700, 1400])
def test_the_page_is_never_wider_than_the_screen(view, sweep, width):
    page = view(sweep, viewport={"width": width, "height": 800}).page
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    for control in page.locator("#limits input, #limits button").all():
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_paper_in_light_and_dark(view, sweep, scheme):
    ratios = view(sweep, color_scheme=scheme).page.evaluate("""() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
            const hex = style.getPropertyValue(`--${name}`).trim().slice(1);
            const [r, g, b] = [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255)
                .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = light("paper");
        const names = ["ink", "muted", "warn", "c0", "c1", "c2", "c3", "c4", "c5", "c6"];
        return Object.fromEntries(names.map((name) => {
            const [low, high] = [light(name), paper].sort((a, b) => a - b);
            return [name, (high + 0.05) / (low + 0.05)];
        }));
    }""")
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


def test_print_shows_the_answer_and_opens_every_fold_but_no_control(view, sweep):
    page = view(sweep).page
    page.emulate_media(media="print")
    assert page.is_hidden("#limits")
    assert page.is_hidden("nav")
    assert page.is_visible("#best-name")
    assert all(table.is_visible() for table in page.locator("details table").all())


def hostile_pages(make: Callable[..., Run]) -> Iterator[str]:
    """Yield two pages with every payload as strategy, segment and reason; as parameter, its value, policy and run."""
    words = [word.replace("\ud800", "") for word in PAYLOADS]
    segments = [("all", "all"), *((words[k % 9], word) for k, word in enumerate(words))]
    summary, estimates, truth = make(names=words, segments=segments[:6])
    summary |= {"warnings": words, "assumptions": words, "training_overlap": words[22], "run": words[23]}
    for k, strategy in enumerate(summary["strategies"]):
        strategy["words"] = words[-k]
        strategy["rules"] = [{"rule": words[k], "creatives": 3, "share": 0.1}]
    for k, row in enumerate(summary["headline"]):
        row["warning"] = words[k % len(words)]
        if row["metric"] in NUMBERS:
            share = points_of(words.index(row["strategy"]))[row["metric"]].estimate
            row |= {"estimate": share, "low": share, "high": share}
    yield render_html(summary, estimates, truth)
    summary, estimates, truth = make(names=words[22:28], segments=segments[6:], policies=[words[24]])
    settings = [Trial(word, dict.fromkeys(words, word), points_of(k)) for k, word in enumerate(words)]
    found = searched(settings)
    plain = found.as_plain() | {"strategy": words[25], "policy": words[24]}
    yield render_html(summary | {"search": plain}, estimates, truth, found.table())


def points_of(k: int) -> dict[str, Point]:
    """Return numbers that put every k on the line."""
    shares = {"leakage_rate": 0.01 * k, "overkill_rate": 0.3 / (k + 1), "review_rate": 0.005 * (k % 7)}
    return {name: Point(share, 0.9 * share, 1.1 * share) for name, share in shares.items()}


def test_nothing_of_a_hostile_corpus_runs_leaves_or_becomes_markup(view, make):
    assert len(PAYLOADS) >= 40
    for text in hostile_pages(make):
        opened = view(text)
        page = opened.page
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        page.click("#no-limits")
        told = page.evaluate("""() => {
            const walk = document.getElementById("walk"), told = new Set();
            for (let k = 0; k <= Number(walk.max); k++) {
                walk.value = k;
                walk.dispatchEvent(new Event("input"));
                told.add(document.querySelector("#tip b").textContent);
            }
            return Array.from(told);
        }""")
        for most in range(0, 31, 6):
            limit(page, str(most / 10), "100")
        for button in ("#first-limits", "#no-limits", "#only"):
            page.click(button)
        assert len(told) > len(PAYLOADS) / 2
        assert page.locator("#tip *").count() == 2
        assert page.locator("#answer output *").count() == 2
        assert page.evaluate("typeof ran") == "undefined"
        kinds = page.evaluate("Array.from(new Set(Array.from(document.querySelectorAll('*'), (e) => e.localName)))")
        assert not {"iframe", "img", "link", "object", "base", "form", "math", "animate", "embed"} & set(kinds)
        assert opened.said == []
        assert len(opened.asked) == 1
