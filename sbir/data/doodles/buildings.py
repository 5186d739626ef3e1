"""Buildings and furniture: walls, roofs, towers, legs and seats in new combinations."""

import numpy as np

from sbir.data.doodles.shape import Category, Part, Shape, bar, box, dome, ellipse, line, poly


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
        box("lantern", -0.15, -0.72, 0.15, -0.45),
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
    slats = [bar("slat", -wide * 0.7, 0.3, wide * 0.7, 0.3, 0.06)] if s.pick("slat", 2) else []
    return [*slats, *legs, poly("seat", (-wide, -0.05), (-wide + 0.25, -0.3), (wide - 0.12, -0.3), (wide, -0.05))]


def lamp(s: Shape) -> list[Part]:
    """A shade on a stand."""
    top, low = s.num("shade top", 0.16, 0.28), s.num("shade", 0.4, 0.58)
    cord = [line("rope", (0.15, -0.2), (0.15, 0.15))] if s.pick("cord", 2) else []
    return [
        *cord,
        ellipse("base", 0, 0.8, s.num("base", 0.25, 0.42), 0.1),
        bar("stand", 0, -0.2, 0, 0.8, 0.07),
        poly("shade", (-top, -0.8), (top, -0.8), (low, -0.2), (-low, -0.2)),
    ]


BUILDINGS: dict[str, tuple[str, Category]] = {
    **{f.__name__: ("building", f) for f in (house, church, castle, windmill, lighthouse, skyscraper)},
    **{f.__name__: ("furniture", f) for f in (chair, table, lamp)},
}
