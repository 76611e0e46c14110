"""report.md: the page without its pictures, in GitHub-flavoured tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from engine.report.page import Block, Cell, Exhibit, Fold, Frontier, Gallery, Grid, Group, Page, Points, Text
from engine.report.wording import plain

_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "{": "&#123;", "}": "&#125;", '"': "&quot;"}
)
_MARKS = re.compile(
    r"[\\`*|~$]"
    r"|\](?=[(\[:])"  # links and their definitions; a bracket alone is only a bracket
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # between letters an underscore means nothing
    r"|/(?=/)|(?<=www)\.",  # bare addresses
    re.IGNORECASE,
)
_OPENING = re.compile(r"^\s*(?:[-+=#:\[]|\d{1,9}[.)])")


def page_markdown(page: Page) -> str:
    """Write a page as Markdown: same page, same text."""
    lines = [f"# {escape(page.run)}", "", _line(page.question), ""]
    lines += [
        line for answer in page.answers for line in (f"**{escape(answer.words)}** {escape(answer.number)}".rstrip(), "")
    ]
    lines += _block(page.headline)
    lines += ["### What these numbers cannot tell", ""]
    lines += [line for points in page.unknowns for line in _block(points)]
    for section in page.sections:
        if found := [line for block in section.blocks for line in _block(block)]:
            lines += [f"## {escape(section.title)}", "", *found]
    return "\n".join([*lines, _line(page.imprint), ""])


def render_blocks(title: str, blocks: Iterable[Block]) -> str:
    """Render some blocks under one heading, such as a comment on a pull request."""
    return "\n".join([f"### {escape(title)}", "", *(line for block in blocks for line in _block(block))])


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, inside a line: no HTML, link, emphasis, code, cell."""
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", plain(text).translate(_ENTITIES))


def _line(text: str) -> str:
    """Escape a text that stands at the start of a line, where it could open a list or a heading."""
    return _OPENING.sub(lambda start: f"{start[0][:-1]}\\{start[0][-1]}", escape(text))


def _block(block: Block) -> Iterator[str]:
    """Yield the lines of a block, an empty one last."""
    match block:
        case Text(text):
            yield from (_line(text), "")
        case Points(items):
            yield from (f"- {_line(item)}" for item in items)
            yield ""
        case Grid():
            yield from _grid(block)
        case Fold(title, blocks):
            yield from (f"<details><summary>{plain(title).translate(_ENTITIES)}</summary>", "")
            for inner in blocks:
                yield from _block(inner)
            yield from ("</details>", "")
        case Exhibit():
            yield from _exhibit(block)
        case Gallery() | Frontier():
            return


def _exhibit(exhibit: Exhibit) -> Iterator[str]:
    """Yield a creative as a list; its pictures stand in the HTML alone."""
    yield f"- **{escape(exhibit.title)}**"
    pairs = [*exhibit.texts, *exhibit.facts]
    yield from (f"  - *{escape(name)}*: {escape(words)}" for name, words in pairs)
    notes = [*exhibit.notes, *([f"{len(exhibit.pictures)} pictures: see report.html"] if exhibit.pictures else [])]
    yield from (f"  - {_line(note)}" for note in notes)
    yield ""


def _grid(grid: Grid) -> Iterator[str]:
    if grid.title:
        yield from (f"*{escape(grid.title)}*", "")
    yield _row([escape(head) for head in grid.head])
    yield _row(
        [
            "---",
            *("---:" if grid.column(i) in ("number", "heat") else "---" for i in range(1, len(grid.head))),
        ]
    )
    for group in grid.groups:
        if group.title:
            yield _row([_heading(group), *[""] * (len(grid.head) - 1)])
        yield from (_row([_cell(cell) for cell in cells]) for cells in group.rows)
    yield ""
    yield from (f"{i}. {_line(note)}" for i, note in enumerate(grid.notes, 1))
    if grid.notes:
        yield ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(group: Group) -> str:
    aside = f" {escape(group.aside)}" if group.aside else ""
    return f"**{escape(group.title)}**{aside}"


def _cell(cell: Cell) -> str:
    parts = [escape(cell.text), escape(cell.interval), f"(truth {escape(cell.truth)})" if cell.truth else ""]
    notes = f" <sup>{','.join(map(str, cell.notes))}</sup>" if cell.notes else ""
    return " ".join(part for part in parts if part) + notes
