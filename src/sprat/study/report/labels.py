"""Places labels beside points so that they hide neither each other nor the points: greedy, in pixels, repeatable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

LINE, GLYPH = 14.0, 6.2  # pixels: a line's height, and a glyph's mean width at 12 px
SPOTS = (
    (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1), (0, -1), (0, 1),
)  # fmt: skip
FAR, NEAR = (1.0, 1.8, 2.8, 4.0, 5.5), 20.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area shared with another box."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0

    def distance(self, x: float, y: float) -> float:
        """How far a point lies from the box; 0 inside."""
        return hypot(max(self.left - x, 0, x - self.right), max(self.top - y, 0, y - self.bottom))

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The box's point nearest to a point."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


@dataclass(frozen=True)
class Placed:
    """A label's lines with the point (x, y) in pixels of the first line's middle, and how the text hangs on it.

    `foot` is the text's point nearest to what it names, for a line between the two; None where it stands beside it.
    """

    lines: tuple[str, ...]
    x: float
    y: float
    align: str
    foot: tuple[float, float] | None


def place(
    labels: Sequence[tuple[tuple[str, ...], float, float]], obstacles: Sequence[Box], width: float, height: float
) -> list[Placed]:
    """A place for each label (its lines, and its point's x and y in pixels), the important ones first."""
    taken: list[Box] = []
    found: list[Placed] = []
    for i, (lines, x, y) in enumerate(labels):
        others = [(a, b) for j, (_, a, b) in enumerate(labels) if j != i]
        best: tuple[float, Placed, Box] | None = None
        for far in FAR:
            for dx, dy in SPOTS:
                placed, box = _option(lines, x, y, dx, dy, far)
                bad = 90 * far + _badness(box, taken, obstacles, width, height)
                bad += 2000 * sum(box.distance(*other) < box.distance(x, y) + 3 for other in others)
                if best is None or bad < best[0]:
                    best = bad, placed, box
        assert best is not None
        found.append(best[1])
        taken.append(best[2])
    return found


def _option(lines: tuple[str, ...], x: float, y: float, dx: int, dy: int, far: float) -> tuple[Placed, Box]:
    wide, high = GLYPH * max(map(len, lines)), LINE * len(lines)
    gap = 11.0 * far
    align = {1: "left", -1: "right", 0: "center"}[dx]
    at = x + dx * gap * (0.75 if dy else 1)
    left = at - {1: 0.0, -1: wide, 0: wide / 2}[dx]
    middle = y + dy * (gap * (0.6 if dx else 1) + high / 2)
    top = middle - high / 2
    box = Box(left, top, left + wide, top + high)
    foot = box.nearest(x, y) if box.distance(x, y) > NEAR else None
    return Placed(lines, at, top + LINE / 2, align, foot), box


def _badness(box: Box, taken: Sequence[Box], obstacles: Sequence[Box], width: float, height: float) -> float:
    inside = Box(0, 0, width, height)
    area = (box.right - box.left) * (box.bottom - box.top)
    outside = area - box.overlap(inside)
    return 50 * outside + 20 * sum(map(box.overlap, taken)) + sum(map(box.overlap, obstacles))
