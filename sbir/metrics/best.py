"""Multiple comparison with the best: which rows may still be the best one, all of them looked at together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sbir.metrics.intervals import LEVEL, MIN_CLASSES, RESAMPLES, few_classes, resampled_means


@dataclass(frozen=True)
class Comparison:
    """Each row minus the best of the others, with its simultaneous 95 % interval, and the rows that may be the best."""

    gap: NDArray[np.float64]  # (M,)
    low: NDArray[np.float64]  # (M,) at most 0
    high: NDArray[np.float64]  # (M,) at least 0
    candidates: tuple[int, ...]  # rows that are not worse than the best with 95 % confidence
    num_classes: int

    @property
    def names_winners(self) -> bool:
        """Whether there are classes enough for `candidates` to be called winners."""
        return self.num_classes >= MIN_CLASSES


def compare_with_best(
    values: NDArray[np.float64],
    classes: NDArray[np.int64],
    instances: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare M rows of figures on the same Q queries, (M, Q), seeds averaged beforehand.

    Constrained intervals of Hsu (1981, "Simultaneous confidence intervals for all distances from the best"), in the
    form of Edwards and Hsu (1983) that lets every pair have a spread of its own. The spread is that of the class
    bootstrap (`intervals.resampled_means`), paired by query. What varies is the choice of test classes and photos: the
    trained models are taken as they are, so a method whose seeds differ much needs more of them. A row outside of
    `candidates` is worse than the best of the others. The critical value is the two-sided one, so that among two equal
    rows a single candidate remains in at most 5 % of all cases; measured rates are in `benchmarks/coverage.py`.
    """
    means = resampled_means(values, classes, instances, resamples=resamples, seed=seed)
    count, num_classes = len(values), len(np.unique(classes))
    if count < 2:
        raise ValueError(f"a comparison needs at least 2 rows, got {count}")
    point = values.mean(1)
    upper = np.array([_upper(point, means, row, num_classes) for row in range(count)])
    candidates = tuple(int(row) for row in np.flatnonzero(upper >= 0))
    rivals = [[other for other in candidates if other != row] for row in range(count)]
    lower = [
        min((_against(point, means, row, other, num_classes) for other in rivals[row]), default=0.0)
        for row in range(count)
    ]
    gap = np.array([point[row] - np.delete(point, row).max() for row in range(count)])
    return Comparison(gap, np.minimum(lower, 0.0), np.maximum(upper, 0.0), candidates, num_classes)


def _upper(point: NDArray[np.float64], means: NDArray[np.float64], row: int, num_classes: int) -> float:
    """Upper end of a row minus the best of all others, before it is constrained."""
    others = np.delete(np.arange(len(point)), row)
    gaps, margin = _margins(point, means, row, others, num_classes)
    return float((gaps + margin).min())


def _against(
    point: NDArray[np.float64], means: NDArray[np.float64], row: int, candidate: int, num_classes: int
) -> float:
    """Lower end of a row minus one candidate, at that candidate's own critical value."""
    others = np.delete(np.arange(len(point)), candidate)
    gaps, margin = _margins(point, means, candidate, others, num_classes)
    place = int(np.flatnonzero(others == row)[0])
    return float(-gaps[place] - margin[place])


def _margins(
    point: NDArray[np.float64],
    means: NDArray[np.float64],
    row: int,
    others: NDArray[np.int64],
    num_classes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A row minus each of the others, and how far each may be off, all at once (Dunnett's bound)."""
    gaps = point[row] - point[others]
    drawn = means[row] - means[others] - gaps[:, None]  # others, resamples
    spread = drawn.std(1)
    scaled = np.divide(drawn, spread[:, None], out=np.zeros_like(drawn), where=spread[:, None] > 0)
    critical = float(np.quantile(scaled.max(0), (1 + LEVEL) / 2))
    return gaps, max(critical, 0.0) * few_classes(num_classes) * spread
