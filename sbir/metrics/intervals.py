"""Uncertainty of a mean, one source at a time: training seeds, and the choice of test classes and photos."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
MIN_CLASSES = 10  # fewer test classes give an interval, but no ground for naming a winner
RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def seed_interval(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """Student's t interval of the mean over training seeds; needs two or more, and raises `ValueError` otherwise.

    >>> seed_interval([0.1, 0.3])  # doctest: +ELLIPSIS
    Interval(mean=0.2, low=-1.07..., high=1.47...)
    """
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        raise ValueError(f"an interval over seeds needs at least 2 of them, got {len(found)}; refit over more seeds")
    half = stats.t.ppf((1 + LEVEL) / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    mean = float(found.mean())
    return Interval(mean, mean - float(half), mean + float(half))


def class_bootstrap(
    values: NDArray[np.float64],
    classes: NDArray[np.int64],
    instances: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile interval over test classes, and over photos within a class; one value per query, (Q,) each.

    Classes are drawn with replacement, then instances within a drawn class: all sketches of a photo stay together,
    since they are no independent evidence (drawing single queries gives intervals several times too narrow). A query
    without an instance (-1) counts as one of its own. The mean is over queries, as in the metric itself. With fewer
    than MIN_CLASSES classes the interval is too narrow to name a winner, and with one it says nothing about classes.
    Paired comparisons: give the differences of two methods on the same queries.

    >>> class_bootstrap(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]))
    Interval(mean=0.5, low=0.0, high=1.0)
    """
    _check_values(values, classes, instances)
    rng = np.random.default_rng(seed)
    groups = _groups(values, classes, instances)
    times = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), resamples)  # (resamples, classes)
    total, weight = np.zeros(resamples), np.zeros(resamples)
    for (sums, counts), drawn in zip(groups, times.T, strict=True):
        # Drawing a class's m instances m times for each of its draws is one multinomial of draws x m.
        picks = rng.multinomial(drawn * len(sums), np.full(len(sums), 1 / len(sums)))  # (resamples, m)
        total += picks @ sums
        weight += picks @ counts
    low, high = np.quantile(total / weight, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.mean(values)), float(low), float(high))


def _check_values(values: NDArray[np.float64], classes: NDArray[np.int64], instances: NDArray[np.int64]) -> None:
    if not len(values) == len(classes) == len(instances) or len(values) == 0:
        sizes = f"{len(values)} values, {len(classes)} classes and {len(instances)} instances"
        raise ValueError(f"class_bootstrap needs one class and one instance per value, and a value, got {sizes}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got NaN or infinity for {(~np.isfinite(values)).sum()} queries")


def _groups(
    values: NDArray[np.float64], classes: NDArray[np.int64], instances: NDArray[np.int64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For every class, sum and number of values of each of its instances."""
    alone = np.where(instances < 0, -1 - np.arange(len(instances)), instances)
    keys, group = np.unique(np.stack([classes, alone]), axis=1, return_inverse=True)  # sorted by class, then instance
    sums, counts = np.bincount(group.ravel(), values), np.bincount(group.ravel()).astype(np.float64)
    bounds = np.flatnonzero(np.diff(keys[0])) + 1
    return list(zip(np.split(sums, bounds), np.split(counts, bounds), strict=True))
