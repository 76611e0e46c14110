"""The picture of a number over time: SVG, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.report import plots, svg
from engine.report.lookup import Number
from engine.report.page import Look, Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_APART = 0.16  # of a piece's width, between the lines of a piece
_TICKS = 7  # dates that fit under a narrow picture


def draw_trend(trend: Trend) -> str:
    """Draw a trend as an `<svg>` element; "" where it has nothing to show."""
    if not any(number.estimate is not None for line in trend.lines for number in line):
        return ""
    scale = 100.0 if trend.unit == "%" else 1.0

    def fill(axes: Axes) -> None:
        for k, (line, look) in enumerate(zip(trend.lines, trend.looks, strict=True)):
            _line(axes, line, look, _APART * (k - (len(trend.lines) - 1) / 2), scale)
        every = -(-len(trend.ticks) // _TICKS)
        axes.set_xticks(range(0, len(trend.ticks), every), [tick[5:] for tick in trend.ticks[::every]])
        axes.set_xlim(-0.6, len(trend.ticks) - 0.4)
        axes.set_ylabel(f"{trend.title}, {trend.unit}" if trend.unit == "%" else trend.title)
        axes.grid(visible=False, axis="x")
        axes.set_ylim(bottom=0)

    return plots.figure(trend.key, trend.caption, (5.2, 2.5), fill)


def _line(axes: Axes, line: Sequence[Number], look: Look, shift: float, scale: float) -> None:
    """Draw the markers of a line, their intervals, and a thin line that breaks where a number is missing."""
    colour, marker = svg.SERIES[look.colour], plots.MARKERS[look.marker]
    x = [i + shift for i in range(len(line))]
    y = [float("nan") if number.estimate is None else scale * number.estimate for number in line]
    axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.6)
    axes.plot(x, y, marker, color=colour, markersize=4.0 if len(line) <= 20 else 2.5, clip_on=False)
    for at, number in zip(x, line, strict=True):
        if number.low is not None and number.high is not None and number.estimate is not None and not number.exact:
            axes.plot([at, at], [scale * number.low, scale * number.high], color=colour, linewidth=1.2)
