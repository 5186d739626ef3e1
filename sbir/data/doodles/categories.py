"""The 64 categories: families, the fixed split, and how an instance is drawn at random."""

from dataclasses import dataclass

import numpy as np

from sbir.data.doodles.animals import ANIMALS
from sbir.data.doodles.build import individual
from sbir.data.doodles.buildings import BUILDINGS
from sbir.data.doodles.mammals import MAMMALS
from sbir.data.doodles.shape import Category, Part, Shape
from sbir.data.doodles.things import THINGS
from sbir.data.doodles.vehicles import VEHICLES

MOST = 200  # instances of a class in the larger data set
SPREAD = 0.3  # minimum distance of two instances, in units of the mean spacing of so many in so many dimensions


@dataclass(frozen=True)
class Kind:
    """One category."""

    name: str
    family: str
    draw: Category

    def instances(self, count: int, rng: np.random.Generator) -> list[dict[str, float]]:
        """Parameters of `count` instances that differ by a minimum distance."""
        found: list[dict[str, float]] = []
        while len(found) < count:
            shape = Shape(rng)
            self.draw(shape)
            if all(distance(shape.values, other) >= min_distance(shape.values) for other in found):
                found.append(shape.values)
        return found

    def parts(self, values: dict[str, float]) -> list[Part]:
        """An instance's parts, in the order in which they cover each other."""
        return self.draw(Shape(values=values))


def min_distance(values: dict[str, float]) -> float:
    """How far apart two instances of a class are at least: less where there are few parameters to differ in."""
    return SPREAD * float(MOST ** (-1 / sum(not key.startswith("#") for key in values)))


def distance(first: dict[str, float], second: dict[str, float]) -> float:
    """Root mean square difference of parameters; discrete ones (`#`) differ by 0 or 1.

    >>> round(distance({"a": 0.5, "#b": 0.1}, {"a": 0.1, "#b": 0.1}), 4)  # the root of 0.16 / 2
    0.2828
    """
    keys = sorted({*first, *second})
    differences = [_difference(key, first.get(key), second.get(key)) for key in keys]
    return float(np.sqrt(np.mean(np.square(differences))))


def _difference(key: str, first: float | None, second: float | None) -> float:
    if first is None or second is None:
        return 1.0
    return abs(first - second) if not key.startswith("#") else float(first != second)


_DECLARED = {**MAMMALS, **ANIMALS, **VEHICLES, **BUILDINGS, **THINGS}
CATEGORIES = {name: Kind(name, family, individual(draw)) for name, (family, draw) in sorted(_DECLARED.items())}
FAMILIES = sorted({kind.family for kind in CATEGORIES.values()})
SAME_RASTER = (("lollipop", "magnifying_glass"), ("donut", "wheel"))  # told apart by their stroke order
