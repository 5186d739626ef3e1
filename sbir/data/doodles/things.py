"""Vehicles, buildings, furniture, tools, kitchenware, plants, instruments, clothes: parts in new combinations."""

import numpy as np

from sbir.data.doodles.animals import Category
from sbir.data.doodles.shape import Part, Shape, arc, bar, box, dome, ellipse, line, poly


def _wheels(s: Shape, xs: tuple[float, ...], y: float, size: float) -> list[Part]:
    size *= s.num("wheel", 0.8, 1.2)
    return [part for x in xs for part in (ellipse("wheel", x, y, size), ellipse("hub", x, y, size * 0.35))]


def car(s: Shape) -> list[Part]:
    """A low body with a cabin."""
    high, back = s.num("cabin", 0.28, 0.42), s.num("back", -0.5, -0.3)
    cabin = poly("cabin", (back - 0.1, -0.1), (back + 0.08, -0.1 - high), (0.25, -0.1 - high), (0.45, -0.1))
    windows = [box("window", back + 0.08, -0.04 - high, -0.07, -0.12), box("window", 0.0, -0.04 - high, 0.24, -0.12)]
    return [cabin, *windows, box("body", -0.85, -0.1, 0.85, 0.25), *_wheels(s, (-0.5, 0.5), 0.28, 0.2)]


def truck(s: Shape) -> list[Part]:
    """A tall load behind a cab."""
    load = s.num("load", 0.45, 0.7)
    return [
        box("load", -0.9, 0.2 - load, 0.3, 0.2),
        poly("cabin", (0.35, 0.2), (0.35, -0.3), (0.65, -0.3), (0.85, -0.05), (0.85, 0.2)),
        box("window", 0.45, -0.22, 0.65, -0.02),
        *_wheels(s, (-0.6, -0.1, 0.6), 0.26, 0.17),
    ]


def bus(s: Shape) -> list[Part]:
    """A long box with a row of windows."""
    high = s.num("height", 0.5, 0.7)
    windows = [box("window", x, -high + 0.3, x + 0.22, -high + 0.52) for x in (-0.78, -0.48, -0.18, 0.12)]
    return [
        box("body", -0.9, 0.22 - high, 0.9, 0.25),
        *windows,
        box("door", 0.5, -high + 0.32, 0.74, 0.22),
        *_wheels(s, (-0.5, 0.5), 0.28, 0.17),
    ]


def bicycle(s: Shape) -> list[Part]:
    """Two big wheels and a frame."""
    size, gap = s.num("wheel", 0.3, 0.38), s.num("gap", 0.48, 0.58)
    wheels = [ellipse("wheel", x, 0.25, size) for x in (-gap, gap)]
    frame = line("frame", (-gap, 0.25), (-0.2, -0.2), (0.35, -0.2), (0.0, 0.25), (-gap, 0.25))
    return [
        *wheels,
        frame,
        line("frame", (-0.25, -0.32), (0.0, 0.25)),
        line("fork", (gap, 0.25), (0.32, -0.4), (0.5, -0.45)),
        bar("saddle", -0.38, -0.34, -0.12, -0.34, 0.08),
    ]


def tractor(s: Shape) -> list[Part]:
    """One big wheel, one small, a chimney."""
    big = s.num("big wheel", 0.36, 0.46)
    cabin = box("cabin", -0.6, -0.6, -0.05, 0.05)
    return [
        box("body", -0.5, -0.12, 0.75, 0.25),
        cabin,
        box("window", -0.5, -0.5, -0.15, -0.15),
        bar("chimney", 0.5, -0.1, 0.5, -0.5 * s.num("chimney", 0.8, 1.2), 0.09),
        ellipse("wheel", -0.4, 0.25, big),
        ellipse("hub", -0.4, 0.25, big * 0.4),
        ellipse("wheel", 0.55, 0.42, 0.22),
        ellipse("hub", 0.55, 0.42, 0.08),
    ]


def train(s: Shape) -> list[Part]:
    """A boiler with a chimney and many wheels."""
    return [
        box("cabin", -0.85, -0.55, -0.3, 0.2),
        box("window", -0.72, -0.42, -0.45, -0.12),
        box("body", -0.3, -0.2, 0.75, 0.2),
        poly("chimney", (0.45, -0.2), (0.4, -0.62 * s.num("chimney", 0.8, 1.2)), (0.68, -0.62), (0.62, -0.2)),
        poly("plough", (0.75, 0.2), (0.98, 0.45), (0.7, 0.45)),
        *_wheels(s, (-0.6, -0.15, 0.2, 0.55), 0.32, 0.15),
    ]


def airplane(s: Shape) -> list[Part]:
    """A fuselage, a swept wing, a tail."""
    wing, tail = s.num("wing", 0.45, 0.65), s.num("tail", 0.25, 0.42)
    windows = [ellipse("window", x, -0.04, 0.045) for x in (-0.3, -0.1, 0.1, 0.3, 0.5)]
    return [
        poly("tail", (-0.8, 0), (-0.95, -tail - 0.08), (-0.72, -tail), (-0.55, -0.08)),
        ellipse("body", 0, 0, 0.88, 0.17),
        poly("wing", (0.2, 0.05), (-0.25, 0.05 + wing), (-0.42, 0.05 + wing), (-0.15, 0.05)),
        *windows,
    ]


def helicopter(s: Shape) -> list[Part]:
    """A rotor over a cabin, a thin tail."""
    reach = s.num("rotor", 0.65, 0.9)
    skids = [
        line("skid", (-0.15, 0.55), (0.7, 0.55)),
        line("skid", (0.1, 0.3), (0.1, 0.55)),
        line("skid", (0.45, 0.3), (0.45, 0.55)),
    ]
    return [
        bar("tail", -0.95, -0.12, 0.0, 0.0, 0.1),
        ellipse("rotor", -0.92, -0.15, 0.14),
        ellipse("cabin", 0.28, 0.05, 0.48, s.num("cabin", 0.28, 0.38)),
        arc("window", 0.4, 0.05, 0.28, 0.22, -80, 60),
        bar("mast", 0.25, -0.3, 0.25, -0.5, 0.07),
        bar("rotor", 0.25 - reach, -0.52, 0.25 + reach, -0.52, 0.06),
        *skids,
    ]


def rocket(s: Shape) -> list[Part]:
    """A pointed tube with fins and a flame."""
    fat = s.num("fat", 0.18, 0.28)
    fins = [poly("fin", (k * fat, 0.2), (k * (fat + 0.25), 0.6), (k * fat, 0.5)) for k in (-1, 1)]
    flame = poly("flame", (-0.14, 0.5), (0, 0.6 + 0.35 * s.num("flame", 0.6, 1.1)), (0.14, 0.5))
    return [
        *fins,
        flame,
        box("body", -fat, -0.4, fat, 0.5),
        poly("nose", (-fat, -0.4), (0, -0.9), (fat, -0.4)),
        ellipse("window", 0, -0.15, 0.1),
    ]


def balloon(s: Shape) -> list[Part]:
    """A hot-air balloon: envelope, ropes, basket."""
    big = s.num("envelope", 0.48, 0.62)
    ropes = [line("rope", (k * big * 0.6, 0.12), (k * 0.14, 0.6)) for k in (-1, 1)]
    gores = [arc("gore", 0, -0.3, big * f, 0.55, 90, 270) for f in (0.45,)] + [
        arc("gore", 0, -0.3, big * 0.45, 0.55, -90, 90)
    ]
    return [ellipse("envelope", 0, -0.3, big, 0.58), *gores, *ropes, box("basket", -0.16, 0.6, 0.16, 0.85)]


def sailboat(s: Shape) -> list[Part]:
    """A hull, a mast, two sails."""
    high, wide = s.num("mast", 0.75, 1.0), s.num("sail", 0.4, 0.6)
    return [
        poly("hull", (-0.7, 0.35), (0.7, 0.35), (0.45, 0.7), (-0.5, 0.7)),
        bar("mast", 0, 0.35, 0, 0.35 - high - 0.1, 0.05),
        poly("sail", (0.06, 0.25), (0.06, 0.3 - high), (0.06 + wide, 0.25)),
        poly("sail", (-0.06, 0.25), (-0.06, 0.4 - high), (-wide * 0.75, 0.25)),
    ]


def ship(s: Shape) -> list[Part]:
    """A hull with decks and funnels."""
    funnels = [
        poly("chimney", (x, -0.1), (x - 0.04, -0.48), (x + 0.16, -0.48), (x + 0.14, -0.1))
        for x in ((-0.3, 0.05) if s.pick("funnels", 2) else (-0.1,))
    ]
    return [
        *funnels,
        box("cabin", -0.5, -0.1 - 0.15 * s.num("deck", 0, 1), 0.4, 0.2),
        *[ellipse("window", x, 0.06, 0.05) for x in (-0.35, -0.1, 0.15)],
        poly("hull", (-0.9, 0.2), (0.95, 0.2), (0.7, 0.6), (-0.75, 0.6)),
    ]


def submarine(s: Shape) -> list[Part]:
    """A tube with a tower and a periscope."""
    return [
        box("tower", -0.15, -0.5, 0.25, -0.15),
        line(
            "periscope",
            (0.05, -0.5),
            (0.05, -0.6 - 0.25 * s.num("periscope", 0.3, 1)),
            (0.22, -0.6 - 0.25 * s.num("periscope", 0.3, 1)),
        ),
        ellipse("body", 0, 0.1, 0.8, s.num("height", 0.26, 0.36)),
        *[ellipse("window", x, 0.08, 0.09) for x in (-0.35, 0.0, 0.35)],
        poly("fin", (-0.75, 0.1), (-0.98, -0.18), (-0.98, 0.38)),
    ]


def house(s: Shape) -> list[Part]:
    """Walls, a gable roof, a door, windows."""
    high, wide = s.num("roof", 0.35, 0.6), s.num("width", 0.55, 0.75)
    windows = [box("window", k * wide * 0.6 - 0.13, 0.0, k * wide * 0.6 + 0.13, 0.25) for k in (-1, 1)]
    chimney = box("chimney", wide * 0.45, -0.2 - high, wide * 0.65, -0.15) if s.pick("chimney", 2) else None
    return [
        *([chimney] if chimney else []),
        box("wall", -wide, -0.15, wide, 0.75),
        poly("roof", (-wide - 0.12, -0.15), (0, -0.15 - high), (wide + 0.12, -0.15)),
        box("door", -0.12, 0.25, 0.12, 0.75),
        *windows,
    ]


def church(s: Shape) -> list[Part]:
    """A nave beside a tower with a cross."""
    high = s.num("tower", 0.55, 0.8)
    return [
        box("wall", -0.3, 0.05, 0.8, 0.75),
        poly("roof", (-0.35, 0.05), (-0.1, -0.25), (0.7, -0.25), (0.88, 0.05)),
        box("tower", -0.7, 0.3 - high, -0.25, 0.75),
        poly("roof", (-0.78, 0.3 - high), (-0.48, -0.1 - high), (-0.17, 0.3 - high)),
        line("cross", (-0.48, -0.1 - high), (-0.48, -0.35 - high)),
        line("cross", (-0.57, -0.26 - high), (-0.39, -0.26 - high)),
        dome("door", -0.48, 0.75, 0.1, 0.3),
        dome("window", 0.25, 0.5, 0.12, 0.25),
    ]


def castle(s: Shape) -> list[Part]:
    """Two towers with battlements, a gate."""
    high = s.num("towers", 0.45, 0.75)
    teeth = [box("battlement", x, -0.12, x + 0.13, 0.05) for x in (-0.36, -0.07, 0.22)]
    towers = [
        p
        for k in (-1, 1)
        for p in (
            box("tower", k * 0.62 - 0.2, -high, k * 0.62 + 0.2, 0.75),
            box("battlement", k * 0.62 - 0.2, -high - 0.15, k * 0.62 - 0.07, -high),
            box("battlement", k * 0.62 + 0.07, -high - 0.15, k * 0.62 + 0.2, -high),
        )
    ]
    return [box("wall", -0.45, 0.05, 0.45, 0.75), *teeth, *towers, dome("door", 0, 0.75, 0.17, 0.42)]


def windmill(s: Shape) -> list[Part]:
    """A tapered tower with four sails."""
    turn, reach = s.num("sails", 0, 90), s.num("reach", 0.5, 0.65)
    angles = np.radians(turn + 90 * np.arange(4))
    sails = [bar("sail", 0, -0.3, reach * np.cos(a), -0.3 + reach * np.sin(a), 0.13) for a in angles]
    return [
        poly("tower", (-0.2, -0.3), (0.2, -0.3), (0.36, 0.8), (-0.36, 0.8)),
        dome("roof", 0, -0.28, 0.24, 0.22),
        box("door", -0.1, 0.5, 0.1, 0.8),
        *sails,
    ]


def lighthouse(s: Shape) -> list[Part]:
    """A striped tower with a lamp room."""
    fat = s.num("fat", 0.2, 0.3)
    stripes = [
        poly("stripe", (-fat - d, y), (fat + d, y), (fat + d + 0.03, y + 0.2), (-fat - d - 0.03, y + 0.2))
        for y, d in ((-0.2, 0.02), (0.25, 0.08))
    ]
    rays = [line("ray", (k * 0.2, -0.62), (k * 0.65, -0.62 - 0.15 * d)) for k in (-1, 1) for d in (-1, 1)]
    return [
        *rays,
        poly("tower", (-fat, -0.45), (fat, -0.45), (fat + 0.15, 0.85), (-fat - 0.15, 0.85)),
        *stripes,
        box("window", -0.15, -0.72, 0.15, -0.45),
        poly("roof", (-0.2, -0.72), (0, -0.95), (0.2, -0.72)),
    ]


def skyscraper(s: Shape) -> list[Part]:
    """A tall box of windows with an antenna."""
    fat = s.num("fat", 0.24, 0.36)
    windows = [
        box("window", x - 0.06, y, x + 0.06, y + 0.12)
        for x in (-fat * 0.5, fat * 0.5)
        for y in (-0.55, -0.3, -0.05, 0.2, 0.45)
    ]
    return [
        bar("antenna", 0, -0.7, 0, -1.0 * s.num("antenna", 0.9, 1.05), 0.05),
        box("tower", -fat, -0.7, fat, 0.85),
        *windows,
    ]


def chair(s: Shape) -> list[Part]:
    """A back, a seat, legs."""
    back, seat = s.num("back", 0.6, 0.85), s.num("seat", 0.35, 0.5)
    legs = [bar("leg", x, 0.15, x, 0.8, 0.08) for x in (-seat, -seat * 0.4, seat * 0.6, seat)]
    slats = [bar("slat", -seat, y, -seat + 0.18, y + 0.05, 0.06) for y in (-0.5, -0.2)] if s.pick("slats", 2) else []
    return [
        *legs,
        bar("back", -seat, 0.1, -seat - 0.08, 0.1 - back, 0.12),
        *slats,
        poly("seat", (-seat - 0.05, 0.05), (seat, 0.05), (seat + 0.06, 0.2), (-seat - 0.05, 0.2)),
    ]


def table(s: Shape) -> list[Part]:
    """A top on four legs."""
    wide = s.num("width", 0.65, 0.9)
    legs = [
        bar("leg", x, -0.05, x, 0.6 * s.num("leg", 0.8, 1.2), 0.09)
        for x in (-wide + 0.1, -wide * 0.55, wide * 0.55, wide - 0.1)
    ]
    return [*legs, poly("seat", (-wide, -0.05), (-wide + 0.25, -0.3), (wide - 0.12, -0.3), (wide, -0.05))]


def lamp(s: Shape) -> list[Part]:
    """A shade on a stand."""
    top, low = s.num("shade top", 0.16, 0.28), s.num("shade", 0.4, 0.58)
    return [
        ellipse("base", 0, 0.8, 0.35, 0.1),
        bar("stand", 0, -0.2, 0, 0.8, 0.07),
        poly("shade", (-top, -0.8), (top, -0.8), (low, -0.2), (-low, -0.2)),
    ]


def cup(s: Shape) -> list[Part]:
    """A mug with a handle."""
    wide, grip = s.num("width", 0.38, 0.52), s.num("handle", 0.18, 0.28)
    return [
        arc("handle", wide, 0.05, grip, 0.26, -90, 90),
        poly("body", (-wide, -0.45), (wide, -0.45), (wide * 0.88, 0.6), (-wide * 0.88, 0.6)),
        ellipse("rim", 0, -0.45, wide, 0.1),
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
    ]


def tree(s: Shape) -> list[Part]:
    """A trunk under a round crown."""
    wide = s.num("crown", 0.4, 0.6)
    crown = [ellipse("crown", x, y, wide * 0.62) for x, y in ((-wide * 0.6, -0.2), (wide * 0.6, -0.2), (0, -0.5))]
    return [poly("trunk", (-0.1, 0), (0.1, 0), (0.16, 0.9), (-0.16, 0.9)), *crown]


def palm(s: Shape) -> list[Part]:
    """A bent trunk with fronds."""
    bend = s.num("bend", -0.3, 0.3)
    fronds = [
        poly(
            "leaf",
            (bend, -0.4),
            (bend + 0.35 * np.cos(a), -0.5 + 0.3 * np.sin(a) - 0.08),
            (bend + s.num("leaf", 0.6, 0.75) * np.cos(a), -0.3 + 0.35 * np.sin(a)),
        )
        for a in np.radians([200, 240, 300, 340, 20, 160])
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
        poly("pot", (-0.35, 0.6), (0.35, 0.6), (0.26, 0.95), (-0.26, 0.95)),
    ]


def hammer(s: Shape) -> list[Part]:
    """A head across a handle."""
    wide = s.num("head", 0.38, 0.52)
    return [
        bar("handle", 0, -0.45, 0, 0.95, 0.13 * s.num("thick", 0.8, 1.2)),
        poly("head", (-wide, -0.75), (wide * 0.6, -0.75), (wide, -0.6), (wide * 0.6, -0.42), (-wide, -0.42)),
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
    size = s.num("size", 0.36, 0.5)
    return [ellipse("ring", 0, -0.4, size), bar("stick", 0, -0.4 + size, 0, 0.75 + 0.2 * s.num("stick", 0, 1), 0.09)]


def magnifying_glass(s: Shape) -> list[Part]:
    """A ring on a handle: drawn handle first."""
    size = s.num("size", 0.36, 0.5)
    return [bar("handle", 0, -0.4 + size, 0, 0.75 + 0.2 * s.num("handle", 0, 1), 0.11), ellipse("ring", 0, -0.4, size)]


def donut(s: Shape) -> list[Part]:
    """A ring with a hole: drawn from the inside out, a wheel the other way."""
    size = s.num("size", 0.62, 0.82)
    return [ellipse("ring", 0, 0, size), ellipse("hole", 0, 0, size * s.num("hole", 0.3, 0.42))]


def wheel(s: Shape) -> list[Part]:
    """A tyre and a rim."""
    size = s.num("size", 0.62, 0.82)
    return [ellipse("wheel", 0, 0, size), ellipse("rim", 0, 0, size * s.num("rim", 0.3, 0.42))]


THINGS: dict[str, tuple[str, Category]] = {
    **{f.__name__: ("vehicle", f) for f in (car, truck, bus, bicycle, tractor, train)},
    **{f.__name__: ("craft", f) for f in (airplane, helicopter, rocket, balloon, sailboat, ship, submarine)},
    **{f.__name__: ("building", f) for f in (house, church, castle, windmill, lighthouse, skyscraper)},
    **{f.__name__: ("furniture", f) for f in (chair, table, lamp)},
    **{f.__name__: ("kitchen", f) for f in (cup, teapot, bottle, wine_glass)},
    **{f.__name__: ("plant", f) for f in (tree, palm, flower, mushroom, cactus)},
    **{f.__name__: ("tool", f) for f in (hammer, saw, key, umbrella)},
    **{f.__name__: ("round thing", f) for f in (lollipop, magnifying_glass, donut, wheel)},
}
