"""The reliability picture: violating share against mean score, bin by bin; on the diagonal a score is a share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.report import svg
from engine.report.page import Curve
from engine.report.plots import figure
from engine.report.wording import clip, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("s", "o", "D")


def draw_reliability(key: str, caption: str, curves: Sequence[Curve]) -> str:
    """Draw up to three curves with their intervals as an `<svg>` element; "" where no curve has a bin.

    key : unique in the page.
    """
    drawn = [curve for curve in curves if curve.score]
    if not drawn:
        return ""

    def fill(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=svg.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        for i, curve in enumerate(drawn):
            _curve(axes, curve, svg.SERIES[i + 1], _MARKERS[i])
            axes.text(
                0.03, 0.97 - 0.07 * i, plain(clip(curve.name, 28)), color=svg.SERIES[i + 1], fontweight="bold",
                transform=axes.transAxes, va="top",
            )  # fmt: skip
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel("mean score of the bin, %")
        axes.set_ylabel("violating, %")

    return figure(key, caption, (4.4, 4.1), fill)


def _curve(axes: Axes, curve: Curve, colour: str, marker: str) -> None:
    score = [100 * value for value in curve.score]
    share = [100 * value for value in curve.share]
    axes.vlines(score, [100 * v for v in curve.low], [100 * v for v in curve.high], color=colour, linewidth=1.3)
    axes.plot(score, share, color=colour, linewidth=0.7, alpha=0.6)
    axes.plot(score, share, marker, color=colour, markersize=4.5, clip_on=False)
