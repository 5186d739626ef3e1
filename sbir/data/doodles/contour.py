"""Two overlapping parts as the one outline that a drawer sees around both."""

import numpy as np
from numpy.typing import NDArray

from sbir.data.doodles.shape import Part, Points

STEP = 0.05  # between points of an outline, in object units
LEAST = 3  # points of each outline that lie outside the other: fewer would change nothing to be seen


def union(first: Part, second: Part) -> Part | None:
    """The outline around both parts, None where they do not overlap or it would not be one plain line around them."""
    if not (first.closed and second.closed):
        return None
    one, two = resample(_ring(first.points), STEP)[:-1], resample(_ring(second.points), STEP)[:-1]
    one_out, two_out = _outside(one, two), _outside(two, one)
    if one_out is None or two_out is None:
        return None
    if np.hypot(*(one_out[-1] - two_out[0])) > np.hypot(*(one_out[-1] - two_out[-1])):
        two_out = two_out[::-1]
    return Part(f"{first.name} and {second.name}", np.concatenate([one_out, two_out]))


def inside(points: Points, polygon: Points) -> NDArray[np.bool_]:
    """Which points (n, 2) lie within a polygon: an odd number of its edges cross the ray to the right.

    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    >>> inside(np.array([[0.5, 0.5], [1.5, 0.5]]), square).tolist()
    [True, False]
    """
    x, y = points[:, :1], points[:, 1:]
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, 0).T
    straddles = (y0 > y) != (y1 > y)
    slope = (x1 - x0) / np.where(y1 == y0, 1, y1 - y0)
    odd: NDArray[np.bool_] = (straddles & (x < x0 + (y - y0) * slope)).sum(1) % 2 == 1
    return odd


def resample(points: Points, step: float) -> Points:
    """Points (n, 2) along a line, at even distances of about `step`."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0], np.cumsum(lengths)])
    count = max(3, int(along[-1] / step) + 1)
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], 1)


def _ring(points: Points) -> Points:
    return np.concatenate([points, points[:1]])


def _outside(ring: Points, other: Points) -> Points | None:
    """The run of a ring's points outside the other, where there is exactly one and both sides of it are long enough."""
    out = ~inside(ring, other)
    starts = np.flatnonzero(out & ~np.roll(out, 1))
    if len(starts) != 1 or out.sum() < LEAST:
        return None
    run: Points = np.roll(ring, -int(starts[0]), axis=0)[: int(out.sum())]
    return run
