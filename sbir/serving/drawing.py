"""Strokes as a browser sends them, believed in nothing until they are checked."""

import json
from typing import Any

STROKES, POINTS = 500, 20_000  # of one drawing, at most; a QuickDraw drawing has some 10 and 100
REACH = 1e6  # of a coordinate, at most: the unit does not matter, but differences must stay finite

Stroke = tuple[list[float], list[float]]


def read_drawing(body: bytes) -> list[Stroke]:
    """The strokes of `{"drawing": [[xs, ys], ...]}`, QuickDraw's form; raises `ValueError` with rule, value and fix."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError('a request must be JSON such as {"drawing": [[[0, 9], [0, 9]]]}, this is none') from None
    drawing = value.get("drawing") if isinstance(value, dict) else None
    if not isinstance(drawing, list) or not 1 <= len(drawing) <= STROKES:
        raise ValueError(f'"drawing" must be a list of 1 to {STROKES} strokes; draw something')
    strokes = [_stroke(stroke) for stroke in drawing]
    if not 1 <= (count := sum(len(xs) for xs, _ in strokes)) <= POINTS:
        raise ValueError(f"a drawing must have 1 to {POINTS} points, got {count}; draw something, or clear the pad")
    return strokes


def _stroke(stroke: Any) -> Stroke:
    if not isinstance(stroke, list) or len(stroke) < 2 or not all(isinstance(axis, list) for axis in stroke[:2]):
        raise ValueError("a stroke must be [xs, ys], two lists of numbers; send it so")
    xs, ys = stroke[:2]
    if len(xs) != len(ys):
        raise ValueError(f"a stroke must have as many xs as ys, got {len(xs)} and {len(ys)}; send both of each point")
    if not all(isinstance(value, int | float) and abs(value) <= REACH for value in (*xs, *ys)):  # NaN is not, either
        raise ValueError(f"coordinates must be numbers between {-REACH:.0f} and {REACH:.0f}; send such")
    return xs, ys
