"""Parts of a drawn object, and the parameters that an instance is made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A named outline in object coordinates: x to the right, y down, the object within about [-1, 1]."""

    name: str
    points: Points  # (n, 2)
    closed: bool = True


class Shape:
    """Gives a category its parameters by name: drawn on first use, remembered in `values` as numbers in [0, 1)."""

    def __init__(self, rng: np.random.Generator | None = None, values: dict[str, float] | None = None) -> None:
        self._rng = rng
        self.values = dict(values or {})

    def num(self, name: str, low: float, high: float) -> float:
        """A continuous parameter."""
        return low + self._unit(name) * (high - low)

    def pick(self, name: str, count: int) -> int:
        """A discrete parameter in [0, count); named with a leading `#`, since it compares by equality."""
        chosen = int(self._unit(f"#{name}") * count)
        self.values[f"#{name}"] = (chosen + 0.5) / count  # equal numbers for equal choices
        return chosen

    def _unit(self, name: str) -> float:
        if name not in self.values:
            assert self._rng is not None, f"parameter {name} is unknown"  # only a new instance draws
            self.values[name] = float(self._rng.random())
        return self.values[name]


Category = Callable[[Shape], list[Part]]
"""Draws an instance: its parts, in the order in which they cover each other."""


def ellipse(  # noqa: PLR0917 (coordinates read best by position)
    name: str, cx: float, cy: float, rx: float, ry: float | None = None, turn: float = 0.0
) -> Part:
    """An ellipse around (cx, cy), turned by `turn` degrees."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    points = np.stack([rx * np.cos(angle), (rx if ry is None else ry) * np.sin(angle)], 1)
    return Part(name, rotate(points, turn) + np.array([cx, cy]))


def box(name: str, left: float, top: float, right: float, bottom: float) -> Part:
    """An upright rectangle."""
    return poly(name, (left, top), (right, top), (right, bottom), (left, bottom))


def poly(name: str, *corners: tuple[float, float]) -> Part:
    """A closed polygon."""
    return Part(name, np.array(corners, dtype=np.float64))


def line(name: str, *corners: tuple[float, float]) -> Part:
    """An open line."""
    return Part(name, np.array(corners, dtype=np.float64), closed=False)


def bar(name: str, x0: float, y0: float, x1: float, y1: float, width: float = 0.08) -> Part:  # noqa: PLR0917
    """A straight limb or stick of some width."""
    along = np.array([x1 - x0, y1 - y0])
    side = np.array([-along[1], along[0]]) / (np.hypot(*along) + 1e-9) * width / 2
    start, end = np.array([x0, y0]), np.array([x1, y1])
    return Part(name, np.stack([start + side, end + side, end - side, start - side]))


def arc(  # noqa: PLR0917
    name: str, cx: float, cy: float, rx: float, ry: float, start: float, stop: float
) -> Part:
    """An open part of an ellipse from `start` to `stop` degrees."""
    angle = np.radians(np.linspace(start, stop, 16))
    return Part(name, np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], 1), closed=False)


def dome(name: str, cx: float, cy: float, rx: float, ry: float) -> Part:
    """The upper half of an ellipse, closed below."""
    return Part(name, arc(name, cx, cy, rx, ry, 180, 360).points)


def rotate(points: Points, degrees: float) -> Points:
    """Turn points (n, 2) around the origin."""
    a = np.radians(degrees)
    turned: Points = points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return turned
