"""Sketches by different drawers: drawn part by part along an own path, not traced from the photo."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from sbir.data.doodles.categories import CATEGORIES, SAME_RASTER
from sbir.data.doodles.contour import resample, union
from sbir.data.doodles.shape import Part, Points, Shape

DRAWERS = 12
BAD = 0.06  # part of the sketches that are scribbles, halves, or show another class
SPAN = 0.78  # of the canvas that the longer side of a drawing takes, as in Sketchy's tx_000100000000
IN_ORDER = {name for pair in SAME_RASTER for name in pair}
BACKWARDS = {"donut"}


@dataclass(frozen=True)
class Drawer:
    """One person's habits."""

    number: int
    wobble: float  # of the hand, in object units
    wide: float  # proportion bias of width to height
    big_head: float  # factor on small round parts
    drop: float  # probability of leaving out a part
    symbol: float  # probability of a symbolic outline with few corners
    merge: float  # probability of drawing a part and its neighbour as one outline
    gap: float  # of an outline's end: below 0 it overshoots
    facing: float  # probability of drawing the mirror image of the photo
    turned: float  # how much of the photo's rotation is drawn
    order: int  # 0: as it is built, 1: large parts first, 2: from left to right
    pace: float  # units per millisecond
    pen: float  # line width, in hundredths of the canvas


def drawer(number: int) -> Drawer:
    """The habits of drawer `number`, the same in every data set."""
    rng = np.random.default_rng([2, 77, number])
    return Drawer(
        number,
        wobble=rng.uniform(0.004, 0.02),
        wide=rng.uniform(0.88, 1.14),
        big_head=rng.uniform(0.9, 1.25),
        drop=rng.uniform(0.0, 0.12),
        symbol=rng.uniform(0.0, 0.25),
        merge=rng.uniform(0.0, 0.4),
        gap=rng.uniform(-0.12, 0.1),
        facing=rng.uniform(0.0, 0.15),
        turned=rng.uniform(0.3, 1.0),
        order=number % 3,
        pace=rng.uniform(0.0008, 0.003),
        pen=rng.uniform(1.8, 3.4),
    )


@dataclass(frozen=True)
class Sketch:
    """Strokes (n, 3) each: x and y in fractions of the canvas, time in ms since the first point."""

    strokes: list[Points]
    drawer: int
    bad: bool


def draw_sketch(
    name: str, values: dict[str, float], stand: dict[str, float], number: int, rng: np.random.Generator
) -> Sketch:
    """Draw an instance as one drawer would."""
    habits = drawer(number)
    bad = bool(rng.random() < BAD)
    if bad and rng.random() < 1 / 3:
        others = [other for other in CATEGORIES if other != name]
        name = others[int(rng.integers(len(others)))]
        shape = Shape(rng)
        CATEGORIES[name].draw(shape)
        values = shape.values
    parts = _ordered(name, CATEGORIES[name].parts(values), habits)
    if name not in IN_ORDER:
        parts = merged(_kept(parts, habits, rng), habits.merge, rng)
    lines = [_stroke(part, habits, rng) for part in parts]
    if bad and (name in IN_ORDER or rng.random() < 0.5):
        lines = [_scribble(rng)] if rng.random() < 0.5 else lines[: max(1, len(lines) // 2)]
    angle = np.radians(stand["turn"] * habits.turned)
    spin = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mirrored = bool(stand["mirror"]) != bool(rng.random() < habits.facing)
    flip = np.array([-habits.wide if mirrored else habits.wide, 1.0])
    return Sketch(_timed(_fit([line * flip @ spin for line in lines]), habits, rng), number, bad)


def rasterise(strokes: list[Points], pen: float, size: int) -> Image.Image:
    """Black lines on white, (size, size) grey."""
    large = size * 2
    image = Image.new("L", (large, large), 255)
    pencil = ImageDraw.Draw(image)
    for stroke in strokes:
        corners = [(float(x), float(y)) for x, y in stroke[:, :2] * large]
        pencil.line(corners, fill=0, width=max(2, round(pen * large / 100)), joint="curve")
    return image.resize((size, size), Image.Resampling.BOX)


def _ordered(name: str, parts: list[Part], habits: Drawer) -> list[Part]:
    if name in IN_ORDER:
        return parts[::-1] if name in BACKWARDS else parts
    if habits.order == 1:
        return sorted(parts, key=lambda part: -float(np.ptp(part.points, axis=0).prod()))
    if habits.order == 2:
        return sorted(parts, key=lambda part: float(part.points[:, 0].min()))
    return parts


def _kept(parts: list[Part], habits: Drawer, rng: np.random.Generator) -> list[Part]:
    """Small parts are left out now and then, never the largest one."""
    areas = [float(np.ptp(part.points, axis=0).prod()) for part in parts]
    keep = [area >= max(areas) * 0.5 or rng.random() >= habits.drop for area in areas]
    return [part for part, kept in zip(parts, keep, strict=True) if kept]


def merged(parts: list[Part], chance: float, rng: np.random.Generator) -> list[Part]:
    """Now and then a part and the first one that overlaps it become one outline, in the place of the former."""
    left, done = list(parts), []
    while left:
        part = left.pop(0)
        if rng.random() < chance:
            at, whole = next(
                ((at, whole) for at, other in enumerate(left) if (whole := union(part, other)) is not None), (-1, part)
            )
            left, part = [other for index, other in enumerate(left) if index != at], whole
        done.append(part)
    return done


def _stroke(part: Part, habits: Drawer, rng: np.random.Generator) -> Points:
    points = part.points
    small = np.ptp(points, axis=0).max() < 0.6
    if small:
        points = (points - points.mean(0)) * habits.big_head + points.mean(0)
    if part.closed and len(points) > 12 and rng.random() < habits.symbol:
        points = points[:: len(points) // 6]
    if part.closed:
        points = _closed(np.roll(points, int(rng.integers(len(points))), axis=0), habits)
    dense = resample(points, 0.06)
    shift = rng.normal(0, 1.2 * habits.wobble, 2)
    tremor = np.cumsum(rng.normal(0, habits.wobble, dense.shape), 0) * 0.5
    tremor -= np.linspace(0, 1, len(dense))[:, None] * tremor[-1] * 0.8
    return dense + shift + tremor


def _closed(points: Points, habits: Drawer) -> Points:
    """Back to the start, stopping short of it or going on beyond it."""
    ring = np.concatenate([points, points[:1]])
    extra = ring[-1] + (ring[1] - ring[0]) * -habits.gap
    return np.concatenate([ring[:-1], ring[-1:] if habits.gap > 0 else np.stack([ring[-1], extra])])


def _scribble(rng: np.random.Generator) -> Points:
    return resample(np.clip(np.cumsum(rng.normal(0, 0.4, (14, 2)), 0), -1, 1), 0.06)


def _fit(lines: list[Points]) -> list[Points]:
    """Centred, the longer side at its share of the canvas."""
    every = np.concatenate(lines)
    low, high = every.min(0), every.max(0)
    scale = SPAN / max(float((high - low).max()), 1e-6)
    return [(line - (low + high) / 2) * scale + 0.5 for line in lines]


def _timed(lines: list[Points], habits: Drawer, rng: np.random.Generator) -> list[Points]:
    strokes, now = [], 0.0
    for line in lines:
        steps = np.hypot(*np.diff(line, axis=0).T) / habits.pace
        times = now + np.concatenate([[0], np.cumsum(steps)])
        strokes.append(np.column_stack([line, np.round(times)]))
        now = float(times[-1]) + float(rng.uniform(80, 400))  # the pen in the air
    return strokes
