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
    """Student's t interval of the mean over training seeds; needs two or more.

    >>> seed_interval([0.1, 0.3])  # doctest: +ELLIPSIS
    Interval(mean=0.2, low=-1.07..., high=1.47...)
    """
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        raise ValueError(f"an interval over seeds needs at least 2 of them, got {len(found)}")
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
    since they are no independent evidence (drawing single queries gives intervals three times too narrow). A query
    without an instance (-1) counts as one of its own. The mean is over queries, as in the metric itself.
    """
    sums, counts, group_class = _groups(values, classes, instances)
    rng = np.random.default_rng(seed)
    names, starts = np.unique(group_class, return_index=True)
    sizes = np.diff([*starts, len(group_class)])
    total, weight = np.zeros(resamples), np.zeros(resamples)
    for _ in names:  # one drawn class for every resample at once
        drawn = rng.integers(0, len(names), resamples)
        for number in range(len(names)):
            chosen = np.flatnonzero(drawn == number)
            picked = starts[number] + rng.integers(0, sizes[number], (len(chosen), sizes[number]))
            total[chosen] += sums[picked].sum(1)
            weight[chosen] += counts[picked].sum(1)
    low, high = np.quantile(total / weight, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.mean(values)), float(low), float(high))


def _groups(
    values: NDArray[np.float64], classes: NDArray[np.int64], instances: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Sum and number of values per (class, instance), sorted by class."""
    alone = np.where(instances < 0, -1 - np.arange(len(instances)), instances)
    keys, group = np.unique(np.stack([classes, alone]), axis=1, return_inverse=True)
    group = group.ravel()
    return np.bincount(group, values).astype(np.float64), np.bincount(group).astype(np.float64), keys[0]
