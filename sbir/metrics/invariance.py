"""How much a code changes when its drawing is moved: similarity to the unmoved code under shift, rotation and scale."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, radians, sin

import torch
from torch import Tensor
from torch.nn import functional

MOVES = ("shift", "rotation", "scale")
ROTATIONS = [step / 2 for step in range(91)]  # degrees: the source's step of 0.5
SCALES = [round(0.5 + 0.05 * step, 2) for step in range(21)]  # the source's step of 0.05


@dataclass(frozen=True)
class Curve:
    """Similarity over one kind of move, over n drawings."""

    values: list[float]  # pixels, degrees, or factors
    mean: list[float]
    deviation: list[float]  # standard deviation over drawings
    others: float  # mean similarity of two different drawings, unmoved: what a code that tells nothing apart is at

    @property
    def area(self) -> float:
        """Area under the mean curve over the width of its range: 1 is full invariance."""
        across = torch.tensor(self.values, dtype=torch.float64)
        height = torch.tensor(self.mean, dtype=torch.float64)
        return float(torch.trapezoid(height, across) / (across[-1] - across[0]))


def moved(ink: Tensor, move: str, value: float) -> Tensor:
    """Drawings (n, 1, S, S), 0 where there is no ink: shifted to the right by pixels, turned to the left by degrees, or
    scaled.

    Bilinear, about the middle of the picture; what leaves it is lost. Whole pixels and 0, 0 and 1 are exact.

    >>> moved(torch.tensor([[[[1.0, 2.0], [0.0, 0.0]]]]), "shift", 1).tolist()
    [[[[0.0, 1.0], [0.0, 0.0]]]]
    """
    if move == "shift" and value == int(value):
        return functional.pad(ink, (int(value), 0))[..., : ink.shape[3]]
    angle, scale = (radians(value), 1.0) if move == "rotation" else (0.0, value)
    along = [[cos(angle) / scale, -sin(angle) / scale, 0.0], [sin(angle) / scale, cos(angle) / scale, 0.0]]
    grid = functional.affine_grid(
        torch.tensor([along], device=ink.device).expand(len(ink), 2, 3), list(ink.shape), align_corners=False
    )
    return functional.grid_sample(ink, grid, align_corners=False)


@torch.no_grad()
def invariance(encode: Callable[[Tensor], Tensor], ink: Tensor) -> dict[str, Curve]:
    """Curves of an encoder (n, 1, S, S) -> (n, D) over drawings: shifts up to a quarter of the picture, ROTATIONS and
    SCALES. The similarity is the normalised dot product; two codes of zeros have 0.

    A. Creswell and A. A. Bharath, "Adversarial Training for Sketch Retrieval" (2016); their ranges are not known.
    """
    codes = encode(ink)
    ranges: dict[str, list[float]] = {
        "shift": [float(step) for step in range(ink.shape[3] // 4 + 1)],
        "rotation": ROTATIONS,
        "scale": SCALES,
    }
    others = _between(codes)
    curves = {}
    for move, values in ranges.items():
        found = [functional.cosine_similarity(encode(moved(ink, move, value)), codes) for value in values]
        similarity = torch.stack(found).double()  # values, n
        curves[move] = Curve(values, similarity.mean(1).tolist(), similarity.std(1, correction=0).tolist(), others)
    return curves


def _between(codes: Tensor) -> float:
    """Mean cosine over all pairs of different rows; 0 where there is one row."""
    units = functional.normalize(codes.double(), dim=1)
    count = len(units)
    total = float((units.sum(0) ** 2).sum() - (units**2).sum())
    return total / max(1, count * (count - 1))
