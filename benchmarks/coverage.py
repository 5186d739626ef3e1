"""How often the intervals of the reports hold what they say, in simulations of how figures arise.

    python benchmarks/coverage.py

Classes, photos and sketches vary; "skewed" has class precisions from a beta distribution, as zero-shot retrieval has
them. The last result is in coverage.txt.
"""

import platform
from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import NDArray

from sbir.metrics.best import compare_with_best
from sbir.metrics.intervals import class_bootstrap, seed_interval

Figures = Callable[[np.random.Generator, int], NDArray[np.float64]]
PHOTOS, SKETCHES = 8, 3  # of a class, of a photo
TRIALS, RESAMPLES = 1000, 400


def layout(num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class and photo of every query."""
    photos = np.repeat(np.arange(num_classes * PHOTOS), SKETCHES)
    return photos // PHOTOS, photos


def normal(rng: np.random.Generator, num_classes: int) -> NDArray[np.float64]:
    """Classes, photos and sketches vary alike; the mean is 0."""
    classes, photos = layout(num_classes)
    by_photo = rng.normal(size=num_classes * PHOTOS)[photos]
    return rng.normal(size=num_classes)[classes] + by_photo + rng.normal(size=len(photos))


def skewed(rng: np.random.Generator, num_classes: int) -> NDArray[np.float64]:
    """A few classes are easy, most are hard; the mean is 0 again."""
    classes, photos = layout(num_classes)
    by_class = rng.beta(0.8, 4.0, num_classes) - 0.8 / 4.8
    return by_class[classes] + 0.1 * rng.normal(size=num_classes * PHOTOS)[photos] + 0.1 * rng.normal(size=len(photos))


def over_classes(figures: Figures, num_classes: int, trials: int = TRIALS) -> float:
    """Share of class intervals that hold the mean over all classes that there could be."""
    rng, hits = np.random.default_rng(0), 0
    for trial in range(trials):
        found = class_bootstrap(figures(rng, num_classes), *layout(num_classes), resamples=RESAMPLES, seed=trial)
        hits += found.low <= 0 <= found.high
    return hits / trials


def over_seeds(count: int, trials: int = TRIALS) -> float:
    """Share of t intervals over seeds (or splits) that hold the mean."""
    found = [seed_interval(values) for values in np.random.default_rng(0).normal(size=(trials, count))]
    return float(np.mean([one.low <= 0 <= one.high for one in found]))


def winners(num_rows: int, num_classes: int, gap: float = 0.0, trials: int = 300) -> dict[str, float]:
    """Rows of one mean, the first better by `gap`: how often the best is lost, how often one row alone is left."""
    rng = np.random.default_rng(0)
    found = {"best lost": 0.0, "one left": 0.0, "all intervals hold": 0.0, "candidates": 0.0}
    truth = np.array([gap] + [-gap] * (num_rows - 1))
    for trial in range(trials):
        shared = normal(rng, num_classes)
        values = shared + 0.6 * np.stack([normal(rng, num_classes) for _ in range(num_rows)])
        values[0] += gap
        one = compare_with_best(values, *layout(num_classes), resamples=RESAMPLES, seed=trial)
        found["best lost"] += 0 not in one.candidates
        found["one left"] += len(one.candidates) == 1
        found["all intervals hold"] += bool(((one.low <= truth) & (truth <= one.high)).all())
        found["candidates"] += len(one.candidates)
    return {name: value / trials for name, value in found.items()}


def main() -> None:
    """Print the tables."""
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, {platform.machine()} CPU; {TRIALS} data sets a line")
    print("95 % class intervals that hold the mean")
    for num_classes in (5, 10, 20, 40):
        both = "  ".join(f"{name.__name__} {over_classes(name, num_classes):.3f}" for name in (normal, skewed))
        print(f"  {num_classes:3d} classes  {both}")
    print("95 % seed intervals that hold the mean")
    print("  " + "  ".join(f"{count} seeds {over_seeds(count):.3f}" for count in (2, 3, 5)))
    print("multiple comparison with the best")
    for num_rows, num_classes, gap in [(2, 10, 0), (2, 20, 0), (5, 10, 0), (5, 20, 0), (12, 20, 0), (5, 20, 1.0)]:
        rates = "  ".join(f"{name} {value:.3f}" for name, value in winners(num_rows, num_classes, gap).items())
        print(f"  {num_rows:2d} rows, {num_classes} classes, gap {gap:g}: {rates}")


if __name__ == "__main__":
    main()
