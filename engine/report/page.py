"""A page as records: what it says and in which order, nothing about how it looks.

    Page → Section → blocks: Text, Points, Grid, Exhibit, Picture (Tradeoff, Dots, Shape, Reliability, Trend),
    Frontier, Fold (blocks)

Text in them is raw: each renderer cleans and escapes it on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.report.lookup import Number


@dataclass(frozen=True)
class Look:
    """How a strategy is drawn everywhere: colour 0 (logged) to 6, and a marker."""

    colour: int
    marker: str  # square (baseline), diamond (logged) or circle


@dataclass(frozen=True)
class Span:
    """A number as a bar from 0 with its interval, all places as shares of the column's width."""

    zero: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the interval and truth beneath it, and what it rests on."""

    text: str
    interval: str = ""
    truth: str = ""
    notes: tuple[int, ...] = ()  # numbers of the grid's notes
    tip: str = ""
    tone: str = "name"  # name, number, code, words, or `heat` with its level and direction
    look: Look | None = None
    bar: float | None = None  # share in [0, 1]
    span: Span | None = None


@dataclass(frozen=True)
class Group:
    """Rows under one heading; an empty title draws no heading."""

    title: str
    rows: tuple[tuple[Cell, ...], ...]
    aside: str = ""


@dataclass(frozen=True)
class Grid:
    """A table; `notes` are the numbered reasons and warnings that its cells point at."""

    title: str
    head: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()

    def column(self, i: int) -> str:
        """Return what column i holds: the first word of its first cell's tone."""
        first = next((cells for group in self.groups for cells in group.rows), ())
        return first[i].tone.split()[0] if i < len(first) else "name"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list, one sentence an item; `tone` is `plain` or `warning`."""

    items: tuple[str, ...]
    tone: str = "plain"


@dataclass(frozen=True)
class Spot:
    """A strategy in the plane of overkill (x) and leakage (y)."""

    name: str
    look: Look
    x: Number
    y: Number


@dataclass(frozen=True)
class Tradeoff:
    """Leakage against overkill, one spot a strategy."""

    key: str
    caption: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class DotRow:
    """A segment and its number under each strategy; no numbers make it a heading."""

    label: str
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Dots:
    """One metric over segments, a dot with its interval for each strategy."""

    key: str
    title: str
    caption: str
    names: tuple[str, ...]
    looks: tuple[Look, ...]
    rows: tuple[DotRow, ...]


@dataclass(frozen=True)
class Shape:
    """How a score is distributed over violating and over compliant creatives."""

    key: str
    title: str
    caption: str
    edges: tuple[float, ...]
    violating: tuple[float, ...]
    compliant: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """One set of scores, such as a model's own or its calibrated ones; all shares in [0, 1], bins by rising score."""

    name: str
    score: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Reliability:
    """Violating share against mean score, bin by bin, of up to three sets of scores."""

    key: str
    title: str
    caption: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Trend:
    """One number over pieces of time, in order: a marker with its interval for each line.

    ticks : what the pieces are called. names, looks, lines : one each; a line has one number a piece.
    unit : `%` of shares in [0, 1], else of the numbers as they are.
    """

    key: str
    title: str
    caption: str
    ticks: tuple[str, ...]
    names: tuple[str, ...]
    looks: tuple[Look, ...]
    lines: tuple[tuple[Number, ...], ...]
    unit: str = "%"


Picture = Tradeoff | Dots | Shape | Reliability | Trend


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side where there is room."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Cloud:
    """Everything that was tried, in that order; the numbers are shares in [0, 1], one a point.

    names : of each point, "" for all where the values of `parameters` name it. ranges : low and high of leakage,
    overkill and review of the points that are written in full.
    """

    leakage: tuple[float, ...]
    overkill: tuple[float, ...]
    review: tuple[float, ...]
    names: tuple[str, ...]
    parameters: Mapping[str, tuple[str, ...]]
    ranges: Mapping[int, tuple[tuple[float | None, float | None], ...]]


@dataclass(frozen=True)
class Marked:
    """A strategy of the run among all that was tried."""

    name: str
    look: Look
    leakage: Number
    overkill: Number
    review: Number


@dataclass(frozen=True)
class Limit:
    """A limit that the reader moves, in percent as decimal text: where it starts, its most and its step."""

    start: str
    most: str
    step: str


@dataclass(frozen=True)
class Frontier:
    """Leakage against overkill with review load as size, and limits that a reader moves.

    what : what a point is, such as `setting`. subject : whose settings, "" where each point has a name.
    """

    key: str
    caption: str
    what: str
    subject: str
    cloud: Cloud
    marked: tuple[Marked, ...]
    baseline: str | None
    review: Limit
    overkill: Limit
    formulas: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Fold:
    """Blocks that a reader opens."""

    title: str
    blocks: tuple[Block, ...]
    open: bool = False


@dataclass(frozen=True)
class Exhibit:
    """A creative. facts, texts : name → words; a text is what an advertiser wrote. pictures : JPEG files of ours."""

    title: str
    facts: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...]
    pictures: tuple[bytes, ...]
    notes: tuple[str, ...]


Block = Text | Points | Grid | Gallery | Frontier | Fold | Exhibit


@dataclass(frozen=True)
class Section:
    """A chapter of the page; `key` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Answer:
    """A sentence that ends in a number with its interval, or in nothing."""

    words: str
    number: str = ""


@dataclass(frozen=True)
class Page:
    """The whole page. `answers`, `headline`, `picture` and `unknowns` are the first screen."""

    run: str
    imprint: str
    question: str
    answers: tuple[Answer, ...]
    headline: Grid
    picture: Tradeoff
    unknowns: tuple[Points, ...]
    sections: tuple[Section, ...]
