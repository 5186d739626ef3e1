"""Birds, sea animals and insects: heads, wings, fins and legs in new combinations."""

from sbir.data.doodles.shape import Category, Part, Shape, arc, bar, ellipse, line, poly


def duck(s: Shape) -> list[Part]:
    """A swimming body, a beak."""
    size = s.num("head", 0.18, 0.25)
    return [*_bird(s, 0.4, size, -0.4), poly("beak", (0.62 + size, -0.45), (0.95, -0.38), (0.6 + size, -0.3))]


def swan(s: Shape) -> list[Part]:
    """A long bent neck."""
    high = s.num("neck", 0.6, 0.85)
    neck = line("neck", (0.45, 0), (0.62, -0.25), (0.42, -0.25 - high * 0.4), (0.5, -high))
    wing = ellipse("wing", -0.08, -0.08, s.num("wing", 0.3, 0.4), 0.18, -10)
    return [
        ellipse("body", 0, 0.05, 0.6, 0.3),
        wing,
        neck,
        ellipse("head", 0.55, -high, 0.12, 0.09),
        ellipse("eye", 0.58, -high - 0.02, 0.025),
        poly("beak", (0.64, -high - 0.05), (0.85, -high + 0.02), (0.64, -high + 0.06)),
    ]


def chicken(s: Shape) -> list[Part]:
    """A comb, two legs with feet."""
    legs = [line("leg", (x, 0.25), (x, 0.65), (x + 0.14, 0.68)) for x in (-0.1, 0.12)]
    comb = poly("comb", (0.35, -0.55), (0.38, -0.75), (0.46, -0.62), (0.53, -0.75), (0.56, -0.55))
    return [*legs, *_bird(s, 0.42, 0.18, -0.42, 0.45), comb, poly("beak", (0.6, -0.45), (0.8, -0.4), (0.6, -0.35))]


def _bird(s: Shape, long: float, head: float, y: float, x: float = 0.55) -> list[Part]:
    long *= s.num("body length", 1.1, 1.4)
    tail = poly("tail", (-long + 0.05, 0), (-long - 0.25, -0.25 * s.num("tail", 0.6, 1.3)), (-long + 0.15, 0.12))
    wing = ellipse("wing", -0.05, 0.02, s.num("wing", 0.22, 0.32), 0.16, -15)
    return [
        tail,
        ellipse("body", 0, 0.05, long, 0.34),
        wing,
        ellipse("head", x, y, head),
        ellipse("eye", x + 0.06, y - 0.04, 0.03),
    ]


def penguin(s: Shape) -> list[Part]:
    """Upright, white belly, flippers."""
    fat = s.num("fat", 0.3, 0.42)
    flip = s.num("flipper", 0.1, 0.4)
    wings = [poly("wing", (k * fat * 0.8, -0.3), (k * (fat + flip), 0.25), (k * fat * 0.8, 0.2)) for k in (-1, 1)]
    feet = [ellipse("foot", k * 0.16, 0.75, 0.16, 0.07) for k in (-1, 1)]
    return [
        *feet,
        *wings,
        ellipse("body", 0, 0.12, fat, 0.62),
        ellipse("belly", 0, 0.22, fat * 0.6, 0.45),
        ellipse("head", 0, -0.58, 0.22),
        poly("beak", (-0.05, -0.55), (0.05, -0.55), (0, -0.42)),
    ]


def owl(s: Shape) -> list[Part]:
    """Two big eyes, tufted ears."""
    fat, eye = s.num("fat", 0.4, 0.5), s.num("eye", 0.13, 0.19)
    ears = [poly("ear", (k * 0.15, -0.6), (k * 0.36, -0.95), (k * 0.42, -0.5)) for k in (-1, 1)]
    wings = [ellipse("wing", k * fat * 0.9, 0.15, 0.12, 0.4, -k * 10) for k in (-1, 1)]
    eyes = [
        e
        for k in (-1, 1)
        for e in (ellipse("eye", k * 0.18, -0.35, eye), ellipse("pupil", k * 0.18, -0.35, eye * 0.45))
    ]
    return [
        *ears,
        ellipse("body", 0, 0.05, fat, 0.75),
        *wings,
        *eyes,
        poly("beak", (-0.06, -0.2), (0.06, -0.2), (0, -0.05)),
    ]


def fish(s: Shape) -> list[Part]:
    """A body, a tail fin, gills."""
    tall, tail = s.num("height", 0.25, 0.42), s.num("tail", 0.2, 0.38)
    fin = poly("fin", (-0.2, -tall * 0.8), (0, -tall - 0.2), (0.15, -tall * 0.8))
    return [
        poly("tail fin", (-0.5, 0), (-0.9, -tail), (-0.9, tail)),
        fin,
        ellipse("body", 0, 0, 0.6, tall),
        ellipse("eye", 0.38, -0.06, 0.05),
        arc("gill", 0.15, 0, 0.1, tall * 0.7, -70, 70),
    ]


def shark(s: Shape) -> list[Part]:
    """Slim, a tall back fin, a split tail."""
    fin = s.num("fin", 0.3, 0.5)
    body = ellipse("body", 0, 0, 0.78, s.num("height", 0.18, 0.26))
    return [
        poly("tail fin", (-0.7, 0), (-1.0, -0.38), (-0.85, 0), (-0.98, 0.25)),
        poly("fin", (-0.12, -0.15), (0.02, -0.15 - fin), (0.2, -0.15)),
        poly("fin", (0.1, 0.15), (0, 0.45), (0.3, 0.15)),
        body,
        ellipse("eye", 0.55, -0.05, 0.03),
        *[line("gill", (x, -0.08), (x - 0.03, 0.1)) for x in (0.3, 0.36)],
    ]


def whale(s: Shape) -> list[Part]:
    """A big head, a raised fluke, a spout."""
    tall, up = s.num("height", 0.36, 0.46), s.num("tail", 0.25, 0.5)
    tail = bar("tail", -0.45, 0.1, -0.8, -up, 0.16)
    fluke = poly("tail fin", (-0.8, -up), (-1.0, -up - 0.25), (-0.78, -up - 0.12), (-0.58, -up - 0.27))
    spout = [line("spout", (0.3, -tall), (0.3, -tall - 0.25), (0.3 + d, -tall - 0.35)) for d in (-0.15, 0.15)]
    return [
        tail,
        fluke,
        ellipse("body", 0.1, 0.05, 0.65, tall),
        ellipse("eye", 0.5, 0, 0.04),
        arc("gill", 0.45, 0.05, 0.3, 0.2, 10, 100),
        *spout,
    ]


def crab(s: Shape) -> list[Part]:
    """Two claws, bent legs."""
    claw, reach = s.num("claw", 0.16, 0.24), s.num("reach", 0.55, 0.7)
    legs = [
        line("leg", (k * 0.4, y), (k * 0.75, y + 0.05), (k * 0.85, y + 0.3)) for k in (-1, 1) for y in (0.05, 0.18, 0.3)
    ]
    arms = [line("arm", (k * 0.35, -0.1), (k * reach, -0.3), (k * reach, -0.5)) for k in (-1, 1)]
    claws = [ellipse("claw", k * reach, -0.62, claw, claw * 0.8) for k in (-1, 1)]
    eyes = [ellipse("eye", k * 0.13, -0.32, 0.06) for k in (-1, 1)]
    return [*legs, *arms, *claws, *eyes, ellipse("body", 0, 0.08, 0.48, 0.32)]


def octopus(s: Shape) -> list[Part]:
    """A head and waving arms."""
    wave, big = s.num("wave", 0.05, 0.18), s.num("head", 0.38, 0.5)
    arms = [
        line("arm", (x * 0.6, 0.1), (x * 0.9 + wave, 0.4), (x - wave, 0.65), (x * 1.2 + wave, 0.85))
        for x in (-0.6, -0.3, 0.0, 0.3, 0.6)
    ]
    return [*arms, ellipse("head", 0, -0.25, big, 0.5), *[ellipse("eye", k * 0.15, -0.15, 0.07) for k in (-1, 1)]]


def butterfly(s: Shape) -> list[Part]:
    """Four wings, antennae."""
    big, low = s.num("upper wing", 0.34, 0.48), s.num("lower wing", 0.22, 0.34)
    wings = [
        w
        for k in (-1, 1)
        for w in (
            ellipse("wing", k * 0.42, -0.25, big, big * 0.8, -k * 35),
            ellipse("wing", k * 0.33, 0.35, low, low * 0.85, k * 35),
        )
    ]
    spots = [ellipse("spot", k * 0.45, -0.27, 0.09) for k in (-1, 1)]
    return [
        *wings,
        *spots,
        ellipse("body", 0, 0.03, 0.07, 0.5),
        *[line("antenna", (0, -0.45), (k * 0.2, -0.8)) for k in (-1, 1)],
    ]


def bee(s: Shape) -> list[Part]:
    """Stripes and two wings."""
    long = s.num("body length", 0.5, 0.62)
    wings = [
        ellipse("wing", x, -0.45, 0.17, 0.32 * s.num("wing", 0.8, 1.2), turn) for x, turn in ((-0.08, -15), (0.18, 15))
    ]
    stripes = [bar("stripe", x, -0.26, x, 0.26, 0.1) for x in (-0.22, 0.02, 0.24)]
    sting = poly("sting", (-long + 0.02, -0.05), (-long - 0.16, 0), (-long + 0.02, 0.05))
    return [
        *wings,
        sting,
        ellipse("body", 0, 0, long, 0.31),
        *stripes,
        ellipse("head", long + 0.08, -0.03, 0.18),
        line("antenna", (long + 0.12, -0.2), (long + 0.25, -0.42)),
    ]


def spider(s: Shape) -> list[Part]:
    """Eight bent legs."""
    reach, knee = s.num("reach", 0.7, 0.95), s.num("knee", 0.2, 0.45)
    legs = [
        line("leg", (k * 0.15, y * 0.4), (k * reach * 0.6, y - knee), (k * reach, y + 0.25))
        for k in (-1, 1)
        for y in (-0.35, -0.1, 0.15, 0.4)
    ]
    spots = [ellipse("spot", 0, y, 0.08) for y in (0.05, 0.22, 0.39)]
    return [*legs, ellipse("body", 0, 0.2, 0.3, 0.34), *spots, ellipse("head", 0, -0.22, 0.17)]


def ant(s: Shape) -> list[Part]:
    """Three balls, six legs."""
    tail = s.num("abdomen", 0.24, 0.34)
    legs = [
        line("leg", (x, 0.1), (x + d, 0.32), (x + d * 1.6, 0.6)) for x, d in ((-0.12, -0.18), (0, 0.03), (0.14, 0.2))
    ]
    back = [line("leg", (x, 0.05), (x + d, 0.3), (x + d, 0.6)) for x, d in ((-0.08, -0.3), (0.05, 0.12), (0.2, 0.32))]
    return [
        *back,
        *legs,
        ellipse("abdomen", -0.5, -0.02, tail + 0.06, tail),
        ellipse("thorax", 0, 0, 0.2, 0.14),
        ellipse("head", 0.42, -0.08, 0.2),
        *[line("antenna", (0.5, -0.2), (0.62 + d, -0.52)) for d in (0.0, 0.2)],
    ]


def snail(s: Shape) -> list[Part]:
    """A spiral shell on a foot."""
    size = s.num("shell", 0.36, 0.5)
    foot = poly("foot", (-0.75, 0.5), (0.55, 0.5), (0.75, 0.1), (0.6, -0.05), (0.45, 0.28), (-0.4, 0.32))
    rings = [
        ellipse("shell", -0.05, 0.05, size),
        arc("spiral", -0.02, 0.07, size * 0.62, size * 0.62, 0, 300),
        arc("spiral", 0, 0.08, size * 0.3, size * 0.3, 60, 360),
    ]
    return [foot, *rings, *[line("antenna", (0.66, 0), (0.66 + d, -0.32)) for d in (0.0, 0.14)]]


ANIMALS: dict[str, tuple[str, Category]] = {
    **{f.__name__: ("bird", f) for f in (duck, swan, chicken, penguin, owl)},
    **{f.__name__: ("sea animal", f) for f in (fish, shark, whale, crab, octopus)},
    **{f.__name__: ("insect", f) for f in (butterfly, bee, spider, ant, snail)},
}
