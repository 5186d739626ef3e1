"""Figures class by class: where a method is good, and how sure that is."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sbir.metrics.intervals import LEVEL, resampled_means
from sbir.report.load import Run

_RESAMPLES = 1000


def class_figures(run: Run) -> dict[str, Any] | None:
    """Classes, and per row of the table `[mean, low, high]` of each class in percent; None without figures per query.

    The interval is a bootstrap over the photos of the class, all sketches of a photo together, seeds averaged: what
    other photos of the same class would give. Ends are None where a class has a single photo.
    """
    table = _table(run)
    if table is None:
        return None
    values, classes, instances = table
    found: dict[str, list[Any]] = {str(row): [] for row in values.columns}
    names = sorted(set(classes))
    for name in names:
        inside = classes == name
        block = values[inside].to_numpy(dtype=np.float64).T
        for row, figure in zip(found, _intervals(block, instances[inside]), strict=True):
            found[row].append(figure)
    return {"classes": names, "rows": found}


def _table(run: Run) -> tuple[pd.DataFrame, NDArray[np.str_], NDArray[np.int64]] | None:
    """Item x row, seeds averaged, with the items' classes and instances."""
    frame = run.per_query
    if run.metric not in frame.columns or frame.empty:
        return None
    values = frame.pivot_table(index="item", columns="row", values=run.metric, aggfunc="mean", sort=False).dropna()
    if values.empty:
        return None
    about = frame.drop_duplicates("item").set_index("item").loc[values.index]
    return values, about["class"].to_numpy(dtype=str), about["instance"].to_numpy(dtype=np.int64)


def _intervals(values: NDArray[np.float64], instances: NDArray[np.int64]) -> list[list[float | None]]:
    """One class: rows (M, Q) to means and ends."""
    means = [round(100 * float(row.mean()), 2) for row in values]
    alone = len(set(instances[instances >= 0])) + int((instances < 0).sum()) < 2
    if alone:
        return [[mean, None, None] for mean in means]
    drawn = resampled_means(values, np.zeros(len(instances), dtype=np.int64), instances, resamples=_RESAMPLES)
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    pairs = zip(means, ends[0], ends[1], strict=True)
    return [[mean, round(100 * float(low), 2), round(100 * float(high), 2)] for mean, low, high in pairs]
