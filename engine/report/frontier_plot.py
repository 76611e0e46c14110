"""The picture of a frontier: axes and named strategies by matplotlib, thousands of dots as a few paths beneath them.

The plane of the picture is fixed before anything is drawn, so that the script of the page finds every dot again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.report import svg
from engine.report.frontier import staircase
from engine.report.page import Cloud, Frontier, Spot
from engine.report.plots import cross, figure, name_spots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (6.0, 4.5)
_FRAME = (0.085, 0.105, 0.895, 0.815)  # left, bottom, width, height of the axes, as shares of the picture
_SIZES = (1.6, 2.8, 4.0, 5.2, 6.4)  # across a dot, in points, by rising review load
_ROOM = 1.06  # the axes end so much beyond the last dot


@dataclass(frozen=True)
class Plane:
    """Where shares lie in the picture, in its own points from the upper left.

    overkill, leakage : the shares at the right and the upper end of the axes, which start at 0. review : the share of
    the largest dots. sizes : of dots by rising review load.
    """

    left: float
    top: float
    width: float
    height: float
    overkill: float
    leakage: float
    review: float
    sizes: tuple[float, ...] = _SIZES

    def at(self, overkill: float, leakage: float) -> tuple[float, float]:
        """Return the place of two shares."""
        x = self.left + self.width * overkill / self.overkill
        return x, self.top + self.height * (1 - leakage / self.leakage)

    def level(self, review: float) -> int:
        """Return which of `sizes` a review load has."""
        return min(int(math.sqrt(review / self.review) * len(self.sizes)), len(self.sizes) - 1)


def draw_frontier(block: Frontier) -> str:
    """Draw the picture as an `<svg>` element: same input, same bytes."""
    plane = plane_of(block)
    spots = [Spot(m.name, m.look, m.overkill, m.leakage) for m in block.marked]

    def fill(axes: Axes) -> None:
        axes.set_position(_FRAME)
        axes.set_xlim(0, 100 * plane.overkill)
        axes.set_ylim(0, 100 * plane.leakage)
        for spot in spots:
            cross(axes, spot)
        axes.set_xlabel("overkill: compliant but refused, %")
        axes.set_ylabel("leakage: violating but delivered, %")
        name_spots(axes, spots)

    drawn = figure(block.key, block.caption, _INCHES, fill)
    beneath = _dots(block.cloud, plane) + _line(block.cloud, plane) + _legend(plane)
    return drawn.replace(">", f">{beneath}", 1)  # after the opening tag, whose attributes hold no ">"


def plane_of(block: Frontier) -> Plane:
    """Return the plane that holds every dot and every interval of a named strategy."""
    ends = [(n.high if n.high is not None else n.estimate) or 0.0 for m in block.marked for n in (m.overkill,)]
    overkill = max([*block.cloud.overkill, *ends]) or 0.01
    ends = [(n.high if n.high is not None else n.estimate) or 0.0 for m in block.marked for n in (m.leakage,)]
    leakage = max([*block.cloud.leakage, *ends]) or 0.01
    review = max([*block.cloud.review, *(m.review.estimate or 0.0 for m in block.marked)]) or 0.01
    wide, high = (72 * inches for inches in _INCHES)
    left, bottom, width, height = _FRAME
    place = (left * wide, (1 - bottom - height) * high, width * wide, height * high)
    return Plane(*place, _ROOM * overkill, _ROOM * leakage, review)


def plane_data(plane: Plane) -> dict[str, Any]:
    """Return the plane as plain values."""
    return asdict(plane)


def _dots(cloud: Cloud, plane: Plane) -> str:
    """Draw all dots of one size as one path of lines without length, whose round ends are the dots."""
    places: list[dict[str, None]] = [{} for _ in plane.sizes]
    for overkill, leakage, review in zip(cloud.overkill, cloud.leakage, cloud.review, strict=True):
        x, y = plane.at(overkill, leakage)
        places[plane.level(review)][f"M{x:.1f} {y:.1f}h0"] = None
    paths = (
        f'<path stroke-width="{size}" d="{"".join(found)}"/>'
        for size, found in zip(plane.sizes, places, strict=True)
        if found
    )
    stroke = 'fill="none" stroke="var(--muted)" stroke-opacity="0.5" stroke-linecap="round"'
    return f'<g class="every" {stroke}>{"".join(paths)}</g>'


def _line(cloud: Cloud, plane: Plane) -> str:
    """Draw the staircase of what no other one beats in leakage and overkill."""
    corners = [plane.at(cloud.overkill[i], cloud.leakage[i]) for i in staircase(cloud)]
    return f'<path fill="none" stroke="var(--muted)" stroke-width="1" d="{stairs(corners)}"/>'


def stairs(corners: Sequence[tuple[float, float]]) -> str:
    """Return a path that goes right, then down, from corner to corner."""
    (x, y), *more = corners
    return f"M{x:.1f} {y:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in more)


def _legend(plane: Plane) -> str:
    """Say what the smallest and the largest dot send to review."""
    wide, _ = (72 * inches for inches in _INCHES)
    y, said = plane.top / 2, f'fill="var(--{svg.COLOURS[svg.MUTED]})" font-size="9px"'
    return (
        f'<g stroke="var(--muted)" stroke-linecap="round"><path stroke-width="{plane.sizes[0]}" d="M{wide - 76:.1f} '
        f'{y:.1f}h0"/><path stroke-width="{plane.sizes[-1]}" d="M{wide - 48:.1f} {y:.1f}h0"/></g>'
        f'<text {said} text-anchor="end" x="{wide - 82:.1f}" y="{y + 3:.1f}">sent to review: 0 %</text>'
        f'<text {said} x="{wide - 42:.1f}" y="{y + 3:.1f}">{100 * plane.review:.3g} %</text>'
    )
