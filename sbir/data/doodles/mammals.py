"""Animals on four legs: bodies, necks, ears and tails in new combinations."""

from sbir.data.doodles.shape import Category, Part, Shape, arc, bar, ellipse, line, poly


def _legs(s: Shape, half: float, top: float, length: float, width: float = 0.1) -> list[Part]:
    lean = s.num("lean", -0.1, 0.1)
    return [bar("leg", x, top, x + lean, top + length, width) for x in (-half, -half * 0.55, half * 0.55, half)]


def _quadruped(
    s: Shape, *, neck: float, leg: float, fat: float, ears: str, tail: str, head: float = 0.22
) -> list[Part]:
    long, tall = s.num("body length", 0.5, 0.72), fat * s.num("body height", 0.85, 1.2)
    lift = neck * s.num("neck", 0.85, 1.15)
    x, y = long + 0.05 + 0.25 * neck, -tall * 0.5 - lift
    size = head * s.num("head", 0.85, 1.2)
    parts = _legs(s, long * 0.75, tall * 0.5, leg * s.num("leg", 0.85, 1.15))
    parts.append(ellipse("body", 0, 0, long, tall))
    if neck > 0.3:
        parts.append(bar("neck", long * 0.8, -tall * 0.3, x - 0.05, y, 0.18))
    parts += [
        ellipse("head", x, y, size * 1.1, size),
        *_ears(ears, x, y, size),
        ellipse("eye", x + size * 0.3, y - size * 0.2, 0.035),
    ]
    return parts + _tail(s, tail, -long, -tall * 0.2)


def _ears(kind: str, x: float, y: float, size: float) -> list[Part]:
    if kind == "pointed":
        return [
            poly("ear", (x + d - 0.08, y - size * 0.8), (x + d, y - size * 1.7), (x + d + 0.08, y - size * 0.8))
            for d in (-0.1, 0.12)
        ]
    if kind == "long":
        return [ellipse("ear", x + d, y - size * 1.9, 0.06, size) for d in (-0.08, 0.08)]
    if kind == "floppy":
        return [ellipse("ear", x - size * 0.7, y + 0.05, 0.09, size * 0.8)]
    if kind == "horns":
        return [line("horn", (x + d, y - size * 0.9), (x + d, y - size * 1.5)) for d in (-0.06, 0.08)]
    return [ellipse("ear", x + d, y - size * 0.95, 0.09) for d in (-0.14, 0.12)]


def _tail(s: Shape, kind: str, x: float, y: float) -> list[Part]:
    up = s.num("tail", -0.25, 0.25)
    if kind == "curl":
        return [arc("tail", x - 0.08, y + up * 0.4, 0.1, 0.1, 0, 300)]
    if kind == "round":
        return [ellipse("tail", x - 0.05, y + 0.05 + up * 0.4, 0.12)]
    if kind == "long":
        return [line("tail", (x, y), (x - 0.2, y - 0.1 + up), (x - 0.28, y - 0.4 + up))]
    if kind == "bush":
        return [ellipse("tail", x - 0.2, y - 0.2 + up * 0.5, 0.28, 0.12, 40)]
    return [line("tail", (x, y), (x - 0.15, y + 0.12 + up * 0.4))]


def cat(s: Shape) -> list[Part]:
    """Pointed ears, long tail, whiskers."""
    parts = _quadruped(s, neck=0.25, leg=0.35, fat=0.28, ears="pointed", tail="long", head=0.26)
    x, y = parts[5].points.mean(0)
    return [
        *parts,
        line("whisker", (x + 0.1, y + 0.05), (x + 0.45, y)),
        line("whisker", (x + 0.1, y + 0.1), (x + 0.45, y + 0.15)),
    ]


def dog(s: Shape) -> list[Part]:
    """Floppy ears and a snout."""
    parts = _quadruped(s, neck=0.25, leg=0.42, fat=0.27, ears="floppy", tail="long", head=0.23)
    x, y = parts[5].points.mean(0)
    return [*parts, ellipse("snout", x + 0.25, y + 0.06, 0.14, 0.09)]


def horse(s: Shape) -> list[Part]:
    """A raised neck with a mane, long legs."""
    parts = _quadruped(s, neck=0.5, leg=0.62, fat=0.26, ears="pointed", tail="bush", head=0.2)
    x, y = parts[6].points.mean(0)
    mane = line("mane", (x - 0.15, y - 0.15), (x - 0.32, y + 0.15), (x - 0.3, y + 0.45))
    return [*parts, ellipse("snout", x + 0.2, y + 0.08, 0.16, 0.1, 20), mane]


def giraffe(s: Shape) -> list[Part]:
    """A very long neck, horns, spots."""
    parts = _quadruped(s, neck=1.0, leg=0.6, fat=0.24, ears="horns", tail="thin", head=0.15)
    return [*parts, *[ellipse("spot", x, y, 0.07) for x, y in ((-0.3, 0), (0, -0.08), (0.25, 0.05), (0.6, -0.55))]]


def elephant(s: Shape) -> list[Part]:
    """A trunk and a big ear."""
    parts = _quadruped(s, neck=0.15, leg=0.42, fat=0.42, ears="none", tail="thin", head=0.3)
    *parts, tail = [*parts[:6], parts[-1]]  # other ears and eyes than the common ones
    x, y = parts[5].points.mean(0)
    trunk = s.num("trunk", 0.4, 0.7)
    return [
        tail,
        *parts,
        ellipse("eye", x + 0.15, y - 0.06, 0.035),
        ellipse("ear", x - 0.18, y + 0.02, 0.2, 0.28),
        line("trunk", (x + 0.25, y), (x + 0.42, y + trunk * 0.6), (x + 0.36, y + trunk), (x + 0.5, y + trunk)),
    ]


def pig(s: Shape) -> list[Part]:
    """Round, a curly tail, a flat snout."""
    parts = _quadruped(s, neck=0.05, leg=0.25, fat=0.4, ears="pointed", tail="curl", head=0.26)
    x, y = parts[5].points.mean(0)
    return [*parts, ellipse("snout", x + 0.26, y + 0.04, 0.07, 0.1)]


def sheep(s: Shape) -> list[Part]:
    """A cloud on legs."""
    parts = _quadruped(s, neck=0.1, leg=0.32, fat=0.36, ears="floppy", tail="thin", head=0.2)
    wool = [
        ellipse("wool", x, y, 0.17)
        for x, y in ((-0.5, -0.1), (-0.25, -0.3), (0.05, -0.36), (0.33, -0.28), (-0.3, 0.25), (0.1, 0.28))
    ]
    return [*parts[:5], *wool, *parts[5:]]


def camel(s: Shape) -> list[Part]:
    """One or two humps."""
    humps = [ellipse("hump", x, -0.26, 0.17, 0.24) for x in ((-0.2, 0.22) if s.pick("humps", 2) else (0.0,))]
    return [*humps, *_quadruped(s, neck=0.45, leg=0.6, fat=0.24, ears="round", tail="thin", head=0.17)]


def rabbit(s: Shape) -> list[Part]:
    """Long ears and a round tail."""
    return _quadruped(s, neck=0.22, leg=0.22, fat=0.36, ears="long", tail="round", head=0.24)


def turtle(s: Shape) -> list[Part]:
    """A domed shell with plates."""
    high = s.num("shell", 0.45, 0.65)
    shell = Part("shell", arc("shell", 0, 0.2, 0.65, high, 180, 360).points)
    legs = [bar("leg", x, 0.15, x * 1.1, 0.42, 0.15) for x in (-0.45, 0.4)]
    neck = s.num("neck", 0.0, 0.2)
    plates = [line("stripe", (x, 0.2), (x * 0.6, 0.2 - high * 0.9)) for x in (-0.3, 0.05, 0.35)]
    return [
        *legs,
        shell,
        ellipse("head", 0.8 + neck * 0.3, 0.05 - neck, 0.16),
        *plates,
        line("tail", (-0.63, 0.2), (-0.8, 0.28)),
    ]


MAMMALS: dict[str, tuple[str, Category]] = {
    **{f.__name__: ("mammal", f) for f in (cat, dog, horse, giraffe, elephant, pig, sheep, camel, rabbit, turtle)},
}
