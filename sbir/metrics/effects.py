"""Effects of settings: rows trained over the same seeds against one reference row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sbir.metrics.intervals import Interval, seed_interval


class Effect(NamedTuple):
    """A row minus the reference row: mean over seeds, 95 % t interval, and the p-value before and after Holm."""

    gap: Interval
    p: float
    p_holm: float


def effects(reference: NDArray[np.float64], rows: Sequence[NDArray[np.float64]]) -> list[Effect]:
    """Rows (S,) each, paired by seed with the reference (S,), S of two or more; Holm's correction is over the rows.

    Trainings of one seed share batches but little else, so pairing gains little; it costs nothing either.
    """
    gaps = [seed_interval(row - reference) for row in rows]
    p = [_p_value(row - reference) for row in rows]
    return [Effect(gap, raw, adjusted) for gap, raw, adjusted in zip(gaps, p, holm(p), strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down p-values: the chance of any false effect among all of them stays below the level.

    >>> holm([0.01, 0.04, 0.03])  # 3 · 0.01, then 2 · 0.03, then 1 · 0.04 but not below the one before
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    adjusted, highest = [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = highest
    return adjusted


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's, ties at their mean rank; nan where one side is constant.

    >>> rank_correlation([1, 2, 3, 4], [10, 30, 20, 40])
    0.8
    """
    if len(set(first)) < 2 or len(set(second)) < 2:
        return float("nan")
    from scipy import stats  # half a second that few runs need

    return round(float(stats.spearmanr(first, second).statistic), 12)


def _p_value(gaps: NDArray[np.float64]) -> float:
    spread = gaps.std(ddof=1)
    if spread == 0:
        return 1.0 if gaps.mean() == 0 else 0.0  # a closed form has no seeds: what differs, differs
    t = gaps.mean() / (spread / np.sqrt(len(gaps)))
    return float(2 * special.stdtr(len(gaps) - 1, -abs(t)))
