"""Where the name of a spot goes so that it covers as little as possible.

Knows rectangles in points and nothing about drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_GAP = 7.0  # points between a spot and its name
_OUTSIDE = 50.0  # how much worse a point outside of the picture is than a covered one


@dataclass(frozen=True)
class Box:
    """A rectangle, in points from the lower left; `weight` is how bad covering it is."""

    left: float
    bottom: float
    width: float
    height: float
    weight: float = 1.0

    def overlap(self, other: Box) -> float:
        """Return the shared area."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.bottom + self.height, other.bottom + other.height) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)


def around(x: float, y: float, size: float, weight: float = 1.0) -> Box:
    """Return the square of this size centred on a point."""
    return Box(x - size / 2, y - size / 2, size, size, weight)


def place(
    spots: Sequence[tuple[float, float]],
    widths: Sequence[float],
    height: float,
    taken: Sequence[Box],
    frame: Box,
) -> list[Box]:
    """Return a box for the name of each spot, one after the other; the first of equally good places wins.

    Parameters
    ----------
    spots : their centres, in points.
    widths, height : size of each name, in points.
    taken : what should stay uncovered.
    frame : the picture.
    """
    placed: list[Box] = []
    for (x, y), width in zip(spots, widths, strict=True):
        obstacles = [*taken, *placed]
        placed.append(min(_places(x, y, width, height), key=lambda box: _cost(box, obstacles, frame)))
    return placed


def _places(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Yield places by rising distance: right above, left above, right below, left below, then further off."""
    for step in range(4):
        up, down = y + _GAP * 0.6 + step * height, y - _GAP * 0.6 - (step + 1) * height
        for bottom in (up, down):
            yield Box(x + _GAP, bottom, width, height, 3.0)
            yield Box(x - _GAP - width, bottom, width, height, 3.0)


def _cost(box: Box, obstacles: Sequence[Box], frame: Box) -> float:
    outside = box.width * box.height - box.overlap(frame)
    return _OUTSIDE * outside + sum(other.weight * box.overlap(other) for other in obstacles)
