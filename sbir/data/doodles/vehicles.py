"""What drives, flies and swims: wheels, cabins, hulls and wings in new combinations."""

from sbir.data.doodles.shape import Category, Part, Shape, arc, bar, box, ellipse, line, poly


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
        *([box("basket", 0.42, -0.4, 0.75, -0.12)] if s.pick("basket", 2) else []),
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
        *([poly("flag", (0, 0.25 - high), (0.25, 0.32 - high), (0, 0.38 - high))] if s.pick("flag", 2) else []),
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


VEHICLES: dict[str, tuple[str, Category]] = {
    **{f.__name__: ("vehicle", f) for f in (car, truck, bus, bicycle, tractor, train)},
    **{f.__name__: ("craft", f) for f in (airplane, helicopter, rocket, balloon, sailboat, ship, submarine)},
}
