"""Kitchenware, plants, tools and round things: handles, stems, rings in new combinations."""

import numpy as np

from sbir.data.doodles.shape import Category, Part, Shape, arc, bar, box, dome, ellipse, line, poly


def cup(s: Shape) -> list[Part]:
    """A mug with a handle."""
    wide, grip = s.num("width", 0.38, 0.52), s.num("handle", 0.18, 0.28)
    return [
        arc("handle", wide, 0.05, grip, 0.26, -90, 90),
        poly("body", (-wide, -0.45), (wide, -0.45), (wide * 0.88, 0.6), (-wide * 0.88, 0.6)),
        ellipse("rim", 0, -0.45, wide, 0.1),
        bar("stripe", -wide * 0.93, 0.1, wide * 0.93, 0.1, s.num("stripe", 0.12, 0.24)),
    ]


def teapot(s: Shape) -> list[Part]:
    """A spout, a lid, a handle."""
    fat = s.num("fat", 0.42, 0.54)
    return [
        arc("handle", -fat, 0.08, 0.26, 0.28, 90, 270),
        poly("spout", (fat * 0.8, 0.2), (0.85, -0.32), (0.95, -0.25), (fat * 0.9, 0.4)),
        ellipse("body", 0, 0.15, fat, 0.45),
        dome("lid", 0, -0.22, 0.28, s.num("lid", 0.14, 0.24)),
        ellipse("knob", 0, -0.46, 0.07),
    ]


def bottle(s: Shape) -> list[Part]:
    """A body, shoulders, a neck, a label."""
    fat, neck = s.num("fat", 0.24, 0.34), s.num("neck", 0.3, 0.5)
    body = poly(
        "body",
        (-fat, 0.9),
        (-fat, -0.1),
        (-0.1, -0.35),
        (-0.1, -0.4 - neck),
        (0.1, -0.4 - neck),
        (0.1, -0.35),
        (fat, -0.1),
        (fat, 0.9),
    )
    return [body, box("label", -fat, 0.15, fat, 0.55), box("cork", -0.12, -0.5 - neck, 0.12, -0.38 - neck)]


def wine_glass(s: Shape) -> list[Part]:
    """A bowl on a stem."""
    wide, stem = s.num("bowl", 0.32, 0.46), s.num("stem", 0.5, 0.75)
    bowl = Part("bowl", arc("bowl", 0, -0.6, wide, 0.65, 0, 180).points)
    return [
        bar("stem", 0, 0.05, 0, 0.1 + stem, 0.06),
        ellipse("base", 0, 0.13 + stem, 0.32, 0.08),
        bowl,
        ellipse("rim", 0, -0.6, wide, 0.08),
        bar("stripe", -wide * 0.8, -0.3, wide * 0.8, -0.3, 0.06),
    ]


def tree(s: Shape) -> list[Part]:
    """A trunk under a round crown."""
    wide = s.num("crown", 0.4, 0.6)
    hole = [ellipse("hole", 0, 0.55, 0.07, 0.1)] if s.pick("hole", 2) else []
    crown = [ellipse("crown", x, y, wide * 0.62) for x, y in ((-wide * 0.6, -0.2), (wide * 0.6, -0.2), (0, -0.5))]
    return [poly("trunk", (-0.1, 0), (0.1, 0), (0.16, 0.9), (-0.16, 0.9)), *hole, *crown]


def palm(s: Shape) -> list[Part]:
    """A bent trunk with fronds."""
    bend = s.num("bend", -0.3, 0.3)
    fronds = [
        poly(
            "leaf",
            (bend, -0.4),
            (bend + 0.35 * np.cos(a), -0.62 + 0.3 * np.sin(a)),
            (bend + s.num("leaf", 0.6, 0.75) * np.cos(a), -0.3 + 0.35 * np.sin(a)),
        )
        for a in np.radians([200, 340, 160, 20, 240, 300])
    ]
    return [poly("trunk", (-0.08, 0.9), (0.1, 0.9), (bend + 0.06, -0.4), (bend - 0.06, -0.4)), *fronds]


def flower(s: Shape) -> list[Part]:
    """Petals, a stem, leaves."""
    count, size = 5 + s.pick("petals", 3), s.num("petal", 0.16, 0.22)
    petals = [
        ellipse("petal", 0.3 * np.cos(a), -0.45 + 0.3 * np.sin(a), size)
        for a in np.linspace(0, 2 * np.pi, count, endpoint=False)
    ]
    return [
        bar("stem", 0, -0.3, 0, 0.9, 0.06),
        ellipse("leaf", 0.22, 0.45 + 0.2 * s.num("leaf", 0, 1), 0.22, 0.09, -30),
        *petals,
        ellipse("centre", 0, -0.45, 0.17),
    ]


def mushroom(s: Shape) -> list[Part]:
    """A cap with dots on a stalk."""
    wide, high = s.num("cap", 0.55, 0.75), s.num("height", 0.45, 0.65)
    return [
        poly("stem", (-0.16, 0.05), (0.16, 0.05), (0.22, 0.8), (-0.22, 0.8)),
        dome("cap", 0, 0.1, wide, high),
        *[ellipse("spot", x, y, 0.08) for x, y in ((-0.3, -0.1), (0.02, -0.28), (0.32, -0.08))],
    ]


def cactus(s: Shape) -> list[Part]:
    """A column with raised arms."""
    left, right = s.num("left arm", -0.3, 0.1), s.num("right arm", -0.2, 0.25)
    arms = [
        poly(
            "arm", (0, y), (k * 0.48, y), (k * 0.48, y - 0.45), (k * 0.3, y - 0.45), (k * 0.3, y - 0.16), (0, y - 0.16)
        )
        for k, y in ((-1, left + 0.2), (1, right + 0.2))
    ]
    return [
        *arms,
        ellipse("trunk", 0, 0.05, 0.19, 0.8),
        *[ellipse("petal", x, -0.78, 0.12) for x in (-0.1, 0.1)],
        poly("pot", (-0.35, 0.6), (0.35, 0.6), (0.26, 0.95), (-0.26, 0.95)),
    ]


def hammer(s: Shape) -> list[Part]:
    """A head across a handle."""
    wide = s.num("head", 0.38, 0.52)
    return [
        bar("handle", 0, -0.45, 0, 0.95, 0.13 * s.num("thick", 0.8, 1.2)),
        poly("head", (-wide, -0.75), (wide * 0.6, -0.75), (wide, -0.6), (wide * 0.6, -0.42), (-wide, -0.42)),
        *([ellipse("hole", 0, 0.85, 0.05)] if s.pick("hole", 2) else []),
    ]


def saw(s: Shape) -> list[Part]:
    """A toothed blade with a grip."""
    count = 7 + s.pick("teeth", 3)
    xs = np.linspace(-0.35, 0.95, count)
    teeth = [(float(x), 0.18 if index % 2 else 0.3) for index, x in enumerate(xs)]
    blade = poly("blade", (-0.35, -0.2), (0.95, -0.05 * s.num("taper", 0, 2)), *reversed(teeth))
    return [
        blade,
        poly("handle", (-0.95, -0.3), (-0.35, -0.3), (-0.35, 0.35), (-0.95, 0.4)),
        ellipse("hole", -0.66, 0.05, 0.16, 0.18),
    ]


def key(s: Shape) -> list[Part]:
    """A ring, a shaft, teeth."""
    size = s.num("ring", 0.24, 0.34)
    teeth = [box("tooth", x, 0.0, x + 0.1, 0.2 + 0.1 * s.pick("long tooth", 2)) for x in (0.5, 0.72)]
    return [
        bar("shaft", -0.4, 0, 0.9, 0, 0.1),
        *teeth,
        ellipse("ring", -0.6, 0, size),
        ellipse("hole", -0.6, 0, size * 0.5),
    ]


def umbrella(s: Shape) -> list[Part]:
    """A canopy on a hooked stick."""
    wide, high = s.num("canopy", 0.65, 0.85), s.num("height", 0.5, 0.7)
    ribs = [line("rib", (x * wide, -0.05), (0, -0.05 - high)) for x in (-0.35, 0.35)]
    return [
        bar("stick", 0, -0.1, 0, 0.75, 0.05),
        arc("hook", 0.12, 0.75, 0.12, 0.15, 0, 180),
        dome("canopy", 0, -0.05, wide, high),
        *ribs,
    ]


def lollipop(s: Shape) -> list[Part]:
    """A disc on a stick: drawn disc first, which tells it from a magnifying glass."""
    disc, stick = _disc_on_stick(s, "stick")
    return [*disc, stick]


def magnifying_glass(s: Shape) -> list[Part]:
    """A ring on a handle: drawn handle first."""
    disc, handle = _disc_on_stick(s, "handle")
    return [handle, *disc]


def _disc_on_stick(s: Shape, name: str) -> tuple[list[Part], Part]:
    size, thick = s.num("size", 0.36, 0.5), s.num("thick", 0.07, 0.13)
    bright = [arc("spiral", 0, -0.4, size * 0.6, size * 0.6, 150, 330)] if s.pick("bright", 2) else []
    return [ellipse("ring", 0, -0.4, size), *bright], bar(name, 0, -0.4 + size, 0, s.num("long", 0.7, 0.98), thick)


def donut(s: Shape) -> list[Part]:
    """A ring with a hole: drawn from the inside out, a wheel the other way."""
    return _rings(s, "ring", "hole")


def wheel(s: Shape) -> list[Part]:
    """A tyre and a rim."""
    return _rings(s, "wheel", "rim")


def _rings(s: Shape, outer: str, inner: str) -> list[Part]:
    size, hole = s.num("size", 0.62, 0.82), s.num("hole", 0.3, 0.42)
    spots = [
        ellipse("spot", size * 0.7 * np.cos(a), size * 0.7 * np.sin(a), 0.06)
        for a in np.radians(s.num("turn", 0, 90) + 72 * np.arange(5))
    ]
    return [ellipse(outer, 0, 0, size), ellipse(inner, 0, 0, size * hole), *spots]


THINGS: dict[str, tuple[str, Category]] = {
    **{f.__name__: ("kitchen", f) for f in (cup, teapot, bottle, wine_glass)},
    **{f.__name__: ("plant", f) for f in (tree, palm, flower, mushroom, cactus)},
    **{f.__name__: ("tool", f) for f in (hammer, saw, key, umbrella)},
    **{f.__name__: ("round thing", f) for f in (lollipop, magnifying_glass, donut, wheel)},
}
