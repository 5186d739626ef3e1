"""Uncertainty of a mean, one source at a time: training seeds, and the choice of test classes and photos."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

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
    half = special.stdtrit(len(found) - 1, (1 + LEVEL) / 2) * found.std(ddof=1) / np.sqrt(len(found))
    mean = float(found.mean())
    return Interval(mean, mean - float(half), mean + float(half))


def prediction_interval(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """Where one further training run is expected in 95 % of all cases, given two or more.

    Student's t with the spread of a single run: half width t(n - 1) · s · sqrt(1 + 1/n). A single reported figure is
    compared with this, not with the interval of a mean.

    >>> [round(end, 3) for end in prediction_interval([0.30, 0.32, 0.34])]  # 4.303 · 0.02 · sqrt(4/3)
    [0.32, 0.221, 0.419]
    """
    mean, low, high = seed_interval(values)
    wider = np.sqrt(len(values) + 1.0)
    return Interval(mean, mean - float(wider * (mean - low)), mean + float(wider * (high - mean)))


def class_bootstrap(
    values: NDArray[np.float64],
    classes: NDArray[np.int64],
    instances: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval over test classes, and over photos within a class; one value per query, (Q,) each.

    Classes are drawn with replacement, then instances within a drawn class: all sketches of a photo stay together,
    since they are no independent evidence (drawing single queries gives intervals several times too narrow). A query
    without an instance (-1) counts as one of its own. The mean is over queries, as in the metric itself. The percentile
    interval is widened about the mean by `few_classes`, and kept within the values: measured coverage in
    `benchmarks/coverage.py`. With fewer than MIN_CLASSES classes it is no ground for naming a winner, and with one it
    says nothing about classes. Paired comparisons: give the differences of two methods on the same queries.

    >>> class_bootstrap(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]))
    Interval(mean=0.5, low=0.0, high=1.0)
    """
    means = resampled_means(values[None], classes, instances, resamples=resamples, seed=seed)[0]
    mean, wider = float(np.mean(values)), few_classes(len(np.unique(classes)))
    low, high = (mean + wider * (end - mean) for end in np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return Interval(mean, max(float(low), float(values.min())), min(float(high), float(values.max())))


def few_classes(count: int) -> float:
    """By how much a bootstrap of so few classes is too narrow: the bias of its variance, and a normal's tails for t's.

    >>> round(few_classes(20), 3), round(few_classes(5), 3), few_classes(1)
    (1.096, 1.584, 1.0)
    """
    if count < 2:
        return 1.0
    tails = special.stdtrit(count - 1, (1 + LEVEL) / 2) / special.ndtri((1 + LEVEL) / 2)
    return float(tails * np.sqrt(count / (count - 1)))


def resampled_means(
    values: NDArray[np.float64],
    classes: NDArray[np.int64],
    instances: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Means of M rows of values on the same Q queries, (M, Q), over drawn classes and photos: (M, resamples).

    All rows see the same draws, so differences of rows are paired.
    """
    _check_values(values, classes, instances)
    rng = np.random.default_rng(seed)
    groups = _groups(values, classes, instances)
    times = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), resamples)  # (resamples, classes)
    total, weight = np.zeros((len(values), resamples)), np.zeros(resamples)
    for (sums, counts), drawn in zip(groups, times.T, strict=True):
        # Drawing a class's m instances m times for each of its draws is one multinomial of draws x m.
        picks = rng.multinomial(drawn * len(counts), np.full(len(counts), 1 / len(counts)))  # (resamples, m)
        total += sums @ picks.T
        weight += picks @ counts
    return total / weight


def _check_values(values: NDArray[np.float64], classes: NDArray[np.int64], instances: NDArray[np.int64]) -> None:
    count = values.shape[-1]
    if not count == len(classes) == len(instances) or count == 0:
        sizes = f"{count} values, {len(classes)} classes and {len(instances)} instances"
        raise ValueError(f"class_bootstrap needs one class and one instance per value, and a value, got {sizes}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got NaN or infinity for {(~np.isfinite(values)).sum()} queries")


def _groups(
    values: NDArray[np.float64], classes: NDArray[np.int64], instances: NDArray[np.int64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For every class, sums (M, instances) and number of values of each of its instances."""
    alone = np.where(instances < 0, -1 - np.arange(len(instances)), instances)
    keys, group = np.unique(np.stack([classes, alone]), axis=1, return_inverse=True)  # sorted by class, then instance
    sums = np.stack([np.bincount(group.ravel(), row) for row in values])
    counts = np.bincount(group.ravel()).astype(np.float64)
    bounds = np.flatnonzero(np.diff(keys[0])) + 1
    return list(zip(np.split(sums, bounds, axis=1), np.split(counts, bounds), strict=True))
