"""What individuals of every category differ in beside its own parameters: build, size of parts, number of details."""

from collections.abc import Iterator
from functools import wraps
from itertools import groupby

import numpy as np

from sbir.data.doodles.shape import Category, Part, Points, Shape

# How far a whole object is deformed, at most, where |x| or |y| is 1.
STRETCH, TAPER, BEND, SAG, FRONT, RISE = 0.15, 0.2, 0.15, 0.12, 0.18, 0.18
SIZED = {
    *("beak", "claw", "crown", "door", "ear", "fin", "foot", "head", "hump", "label", "leaf", "lid", "petal", "sail"),
    *("snout", "spot", "tail fin", "window", "wing"),
}
DETAILS = {
    *("antenna", "belly", "cork", "cross", "door", "eye", "gill", "gore", "hub", "knob", "label", "leaf", "petal"),
    *("pupil", "ray", "rib", "spot", "sting", "stripe", "window", "wool"),
}


def individual(draw: Category) -> Category:
    """A category whose instances also differ in build (six deformations of the whole), in the size of each kind of
    movable part, and in which details they have."""

    @wraps(draw)
    def drawn(shape: Shape) -> list[Part]:
        parts = list(_detailed(shape, _sized(shape, draw(shape))))
        return [Part(part.name, _deformed(shape, part.points), part.closed) for part in parts]

    return drawn


def _sized(shape: Shape, parts: list[Part]) -> list[Part]:
    """Parts of one name grow alike, each around its own centre."""
    factors = {name: shape.num(f"{name} size", 0.75, 1.3) for name in sorted({part.name for part in parts} & SIZED)}
    return [
        Part(part.name, (part.points - part.points.mean(0)) * factors.get(part.name, 1.0) + part.points.mean(0),
             part.closed)
        for part in parts
    ]  # fmt: skip


def _detailed(shape: Shape, parts: list[Part]) -> Iterator[Part]:
    """Of three or more details of a name up to two are missing; one or two are missing together, in a third."""
    names = sorted(part.name for part in parts if part.name in DETAILS)
    kept = {}
    for name, group in groupby(names):
        count, missing = len(list(group)), shape.pick(f"{name} missing", 3)
        kept[name] = count - missing if count > 2 else count * (missing < 2)
    for part in parts:
        kept[part.name] = kept.get(part.name, len(parts)) - 1
        if kept[part.name] >= 0:
            yield part


def _deformed(shape: Shape, points: Points) -> Points:
    """Stretched, wider at the top or bottom, bent sideways, sagging, larger in front, larger above."""
    x, y = points.T
    stretch = np.exp(shape.num("stretch", -STRETCH, STRETCH))
    x, y = x * stretch, y / stretch
    x = x * (1 + shape.num("taper", -TAPER, TAPER) * y) + shape.num("bend", -BEND, BEND) * (y**2 - 0.3)
    y = y + shape.num("sag", -SAG, SAG) * (x**2 - 0.3)
    x = x + shape.num("front", -FRONT, FRONT) * (x**2 - 0.3)
    y = y + shape.num("rise", -RISE, RISE) * (y**2 - 0.3)
    return np.stack([x, y], 1)
