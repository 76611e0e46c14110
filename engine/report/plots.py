"""Pictures → SVG, drawn by matplotlib: same input, same bytes.

matplotlib is imported when the first picture is drawn, never before.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.report import svg
from engine.report.lookup import Number
from engine.report.page import Dots, Look, Picture, Reliability, Shape, Spot, Tradeoff, Trend
from engine.report.placing import Box, around, place
from engine.report.wording import clip, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME = 9.0  # size of a name, in points
MARKERS = {"square": "s", "diamond": "D", "circle": "o"}
_STYLE: dict[Any, Any] = {  # matplotlib types each key of its own settings, differently by version
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": _NAME,
    "text.color": svg.INK,
    "axes.edgecolor": svg.RULE,
    "axes.labelcolor": svg.MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": svg.RULE,
    "grid.linewidth": 0.5,
    "xtick.color": svg.RULE,
    "ytick.color": svg.RULE,
    "xtick.labelcolor": svg.MUTED,
    "ytick.labelcolor": svg.MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
}


def draw(picture: Picture) -> str:
    """Draw a picture as an `<svg>` element; "" where it has nothing to show."""
    match picture:
        case Tradeoff():
            return _tradeoff(picture)
        case Dots():
            return _dots(picture)
        case Shape():
            return _shape(picture)
        case Reliability():
            from engine.report.reliability import draw_reliability

            return draw_reliability(picture.key, picture.caption, picture.curves)
        case Trend():
            from engine.report.trend_plot import draw_trend

            return draw_trend(picture)


def _tradeoff(picture: Tradeoff) -> str:
    spots = [spot for spot in picture.spots if spot.x.estimate is not None and spot.y.estimate is not None]
    if not spots:
        return ""

    def fill(axes: Axes) -> None:
        for spot in spots:
            cross(axes, spot)
        axes.set_xlabel("overkill: compliant but refused, %")
        axes.set_ylabel("leakage: violating but delivered, %")
        axes.set_position((0.1, 0.11, 0.87, 0.87))  # known before anything is drawn, so that names can be placed
        axes.margins(0.14)
        _from_zero(axes)
        name_spots(axes, spots)

    return figure(picture.key, picture.caption, (5.2, 4.1), fill)


def cross(axes: Axes, spot: Spot) -> None:
    """Draw a strategy with its two intervals, and the truth where it is known."""
    colour, marker = _paint(spot.look)
    x, y = _percent(spot.x.estimate), _percent(spot.y.estimate)
    if (ends := _ends(spot.x)) is not None:
        axes.plot(ends, [y, y], color=colour, linewidth=1.3)
    if (ends := _ends(spot.y)) is not None:
        axes.plot([x, x], ends, color=colour, linewidth=1.3)
    axes.plot([x], [y], marker, color=colour, markersize=7, clip_on=False)
    if spot.x.truth is not None and spot.y.truth is not None:
        truth = [_percent(spot.x.truth)], [_percent(spot.y.truth)]
        axes.plot(*truth, marker, markerfacecolor="none", markeredgecolor=colour, markersize=9, markeredgewidth=1.2)


def name_spots(axes: Axes, spots: list[Spot]) -> None:
    """Write each name where it covers least of markers, truths, other names and intervals."""
    scale = 72 / axes.figure.dpi

    def at(x: float | None, y: float | None) -> tuple[float, float]:
        px, py = axes.transData.transform((_percent(x), _percent(y)))
        return scale * px, scale * py

    centres = [at(spot.x.estimate, spot.y.estimate) for spot in spots]
    taken = [around(*centre, 9.0, 3.0) for centre in centres]
    for spot in spots:
        if spot.x.truth is not None and spot.y.truth is not None:
            taken.append(around(*at(spot.x.truth, spot.y.truth), 11.0, 3.0))
        taken += [_line(at(spot.x.low, spot.y.estimate), at(spot.x.high, spot.y.estimate))]
        taken += [_line(at(spot.x.estimate, spot.y.low), at(spot.x.estimate, spot.y.high))]
    names = [plain(clip(spot.name, 28)) for spot in spots]
    frame = Box(*(scale * v for v in axes.bbox.bounds))
    boxes = place(centres, [_NAME * 0.68 * len(name) for name in names], _NAME * 1.2, taken, frame)
    for spot, name, box, (x, y) in zip(spots, names, boxes, centres, strict=True):
        right = box.left < x
        shift = (box.left + (box.width if right else 0) - x, box.bottom + 0.2 * box.height - y)
        axes.annotate(
            name,
            (_percent(spot.x.estimate), _percent(spot.y.estimate)),
            xytext=shift,
            textcoords="offset points",
            ha="right" if right else "left",
            color=_paint(spot.look)[0],
            fontweight="bold",
        )


def _line(start: tuple[float, float], end: tuple[float, float]) -> Box:
    """Return the thin box of an interval, given in points."""
    return Box(start[0] - 1, start[1] - 1, end[0] - start[0] + 2, end[1] - start[1] + 2)


def _dots(picture: Dots) -> str:
    drawn = [number for row in picture.rows for number in row.numbers if number.estimate is not None]
    if not drawn:
        return ""

    def fill(axes: Axes) -> None:
        for i, row in enumerate(picture.rows):
            for k, number in enumerate(row.numbers):
                offset = 0.34 * (k - (len(row.numbers) - 1) / 2)
                _dot(axes, number, i + offset, picture.looks[k])
        axes.set_yticks(range(len(picture.rows)), [plain(clip(row.label, 22)) for row in picture.rows])
        for tick, row in zip(axes.get_yticklabels(), picture.rows, strict=True):
            tick.set(fontweight="normal" if row.numbers else "bold", color=svg.MUTED if row.numbers else svg.INK)
        axes.set_ylim(len(picture.rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{picture.title}, %")
        _from_zero(axes, only_x=True)

    height = 0.55 + 0.27 * len(picture.rows)
    return figure(picture.key, picture.caption, (5.2, height), fill)


def _dot(axes: Axes, number: Number, y: float, look: Look) -> None:
    colour, marker = _paint(look)
    if number.estimate is None:
        axes.text(0.005, y, "—", color=colour, va="center", transform=axes.get_yaxis_transform())
        return
    if (ends := _ends(number)) is not None:
        axes.plot(ends, [y, y], color=colour, linewidth=1.3)
    axes.plot([_percent(number.estimate)], [y], marker, color=colour, markersize=4.5)
    if number.truth is not None:
        truth = [_percent(number.truth)], [y]
        axes.plot(*truth, marker, markerfacecolor="none", markeredgecolor=colour, markersize=7, markeredgewidth=1.0)


def _shape(picture: Shape) -> str:
    if not any(picture.violating) and not any(picture.compliant):
        return ""

    def fill(axes: Axes) -> None:
        edges = list(picture.edges)
        axes.stairs([100 * v for v in picture.compliant], edges, fill=True, color=svg.SERIES[0], alpha=0.35)
        axes.stairs([100 * v for v in picture.violating], edges, color=svg.SERIES[6], linewidth=1.6)
        axes.set_xlabel("score")
        axes.set_ylabel("share of the group, %")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        for height, name, colour in ((0.98, "violating", svg.SERIES[6]), (0.88, "compliant", svg.SERIES[0])):
            axes.text(
                0.5, height, name, color=colour, transform=axes.transAxes, ha="center", va="top"
            )  # bars end the axis

    return figure(picture.key, f"{picture.title}: scores by label", (5.2, 2.7), fill)


def figure(key: str, label: str, size: tuple[float, float], fill: Callable[[Axes], None]) -> str:
    """Draw on fresh axes and return the element. No pyplot: nothing global outlives the call."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with _settings(key):
        drawn = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(drawn)
        fill(drawn.add_subplot(facecolor="none"))
        written = io.StringIO()
        unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawn.savefig(written, format="svg", metadata=unsaid, transparent=True)
    return svg.inline(written.getvalue(), key, plain(label))


@contextmanager
def _settings(key: str) -> Iterator[None]:
    """Set matplotlib's defaults, then ours, whatever a user's matplotlibrc says.

    The font lacks many scripts; the reader's browser has them, so its complaint about glyphs is no news.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": key})
        yield


def _paint(look: Look) -> tuple[str, str]:
    return svg.SERIES[look.colour], MARKERS[look.marker]


def _percent(value: float | None) -> float:
    return 100 * (value or 0.0)


def _ends(number: Number) -> list[float] | None:
    if number.low is None or number.high is None:
        return None
    return [_percent(number.low), _percent(number.high)]


def _from_zero(axes: Axes, *, only_x: bool = False) -> None:
    """Start at 0 where that costs less than half of the picture."""
    low, high = axes.get_xlim()
    axes.set_xlim(left=0 if low < 0.4 * high else low)
    if not only_x:
        low, high = axes.get_ylim()
        axes.set_ylim(bottom=0 if low < 0.4 * high else low)
