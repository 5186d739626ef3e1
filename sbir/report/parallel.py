"""Parallel coordinates of a method's trials, as numbers; `report.js` draws them as plain lines that can be brushed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sbir.report.load import Run
from sbir.report.table import metric_label
from sbir.tracking.names import readable

UNSET = -0.1  # height of "not set": an axis that the trial's other settings switch off
_FEW = 6  # up to so many numbers an axis shows each of them at its own height
_SHADES = ("#C3D5E8", "#9DBFDD", "#6FA5D0", "#4288BF", "#1F66A3", "#0B3C6F")  # bad to good


@dataclass(frozen=True)
class _Axis:
    name: str
    heights: NDArray[np.float64]  # (trials,), 0 to 1, or UNSET
    ticks: list[tuple[float, str]]


def parallel_coordinates(run: Run, method: str) -> dict[str, Any] | None:
    """Axes `[name, ticks]` and lines, one a trial, best last; None for fewer than two trials or nothing that varies.

    A line has the trial's number, a height per axis (the last axis is the maximised metric), how dark it is drawn, and
    whether it is the run's best or was stopped early.
    """
    trials = run.search_trials()
    trials = trials[(trials["method"] == method) & trials["value"].notna()].sort_values("value", kind="stable")
    names = [name for name in run.axes[method] if trials[name].astype(str).nunique() > 1]
    if len(trials) < 2 or not names:
        return None
    axes = [_axis(name.rsplit("/", 1)[-1], trials[name]) for name in names]
    value = 100 * trials["value"].to_numpy(dtype=np.float64)
    axes.append(_linear(f"{metric_label(run.metric)} on val, %, higher is better", value, []))
    return {
        "axes": [[one.name, _ticks(one)] for one in axes],
        "lines": [_line(axes, at, row, run) for at, row in enumerate(trials.to_dict("records"))],
    }


def _line(axes: Sequence[_Axis], at: int, row: dict[Any, Any], run: Run) -> dict[str, Any]:
    best = run.summary["best"]
    is_best = row["number"] == best["number"] and row["method"] == best["method"]
    return {
        "number": int(row["number"]),
        "heights": [round(float(one.heights[at]), 4) for one in axes],
        "shade": _SHADES[min(int(axes[-1].heights[at] * len(_SHADES)), len(_SHADES) - 1)],
        "look": "best" if is_best else "whole" if row["state"] == "COMPLETE" else "cut",
    }


def _ticks(one: _Axis) -> list[list[Any]]:
    unset = [[UNSET, "not set"]] if bool((one.heights == UNSET).any()) else []
    return [[round(height, 4), text] for height, text in one.ticks] + unset


def _axis(name: str, values: "pd.Series[Any]") -> _Axis:
    """Numbers with many values on a scale, logarithmic from a factor of 30 on; all else at even heights."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    present = sorted({value for value in values if not pd.isna(value)}, key=lambda value: (str(type(value)), value))
    if not numeric or len(present) <= _FEW:
        step = 1 / max(1, len(present) - 1)
        place = {value: at * step for at, value in enumerate(present)}
        heights = np.array([place.get(value, UNSET) if not pd.isna(value) else UNSET for value in values])
        return _Axis(name, heights, [(height, readable(_plain(value))) for value, height in place.items()])
    numbers = values.to_numpy(dtype=np.float64)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    if low > 0 and high / low >= 30:
        return _linear(name, np.log10(numbers), [(float(at), f"{10**at:.2g}") for at in _decades(low, high)])
    return _linear(name, numbers, [])


def _linear(name: str, numbers: NDArray[np.float64], ticks: list[tuple[float, str]]) -> _Axis:
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    span = (high - low) or 1.0
    ticks = ticks or [(at, f"{at:.3g}") for at in np.linspace(low, high, 4)]
    heights = np.where(np.isnan(numbers), UNSET, (numbers - low) / span)
    return _Axis(name, heights, [((at - low) / span, text) for at, text in ticks])


def _decades(low: float, high: float) -> list[float]:
    """Ends and the whole decades between them, those too near an end left out."""
    ends = [math.log10(low), math.log10(high)]
    gap = (ends[1] - ends[0]) / 8
    inner = [float(at) for at in range(math.ceil(ends[0]), math.floor(ends[1]) + 1)]
    return [ends[0], *(at for at in inner if ends[0] + gap < at < ends[1] - gap), ends[1]]


def _plain(value: Any) -> Any:
    """10 rather than 10.0: pandas makes integers with gaps floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
