"""Parallel coordinates of a method's trials, as plain lines: they print, and need no WebGL."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sbir.report.figures import GREY, INK, RED, Figure, layout
from sbir.report.load import Run
from sbir.report.table import metric_label
from sbir.tracking.names import readable, trial_name

UNSET = -0.1  # height of "not set": an axis that the trial's other settings switch off
_FEW = 6  # up to so many numbers an axis shows each of them at its own height
_SHADES = ("#C3D5E8", "#9DBFDD", "#6FA5D0", "#4288BF", "#1F66A3", "#0B3C6F")  # bad to good
_MAX_TRIALS = 300


@dataclass(frozen=True)
class _Axis:
    name: str
    heights: NDArray[np.float64]  # (trials,), 0 to 1, or UNSET
    ticks: list[tuple[float, str]]


def parallel_coordinates(run: Run, method: str) -> Figure | None:
    """One line a trial over the axes that vary, and its validation value; None for fewer than two such trials."""
    trials = run.search_trials()
    trials = trials[(trials["method"] == method) & trials["value"].notna()]
    trials = trials.sort_values("value").tail(_MAX_TRIALS)  # the best drawn last
    names = [name for name in run.axes[method] if trials[name].astype(str).nunique() > 1]
    if len(trials) < 2 or not names:
        return None
    axes = [_axis(name.rsplit("/", 1)[-1], trials[name]) for name in names]
    value = _linear(f"{metric_label(run.metric)} on val, %", 100 * trials["value"].to_numpy(dtype=np.float64), [])
    axes.append(value)
    traces = [_line(axes, at, row, run, method) for at, row in enumerate(_records(trials))]
    shapes = [_rule(at) for at in range(len(axes))]
    notes = [note for at, one in enumerate(axes) for note in _labels(at, one)]
    hidden = {"visible": False, "fixedrange": True}
    return {
        "data": traces,
        "layout": layout(
            height=440,
            showlegend=False,
            xaxis={**hidden, "range": [-0.35, len(axes) - 0.6]},
            yaxis={**hidden, "range": [-0.16, 1.3]},
            shapes=shapes,
            annotations=notes,
            margin={"l": 20, "r": 40, "t": 10, "b": 10},
        ),
    }


def _records(trials: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in trials.to_dict("records")]


def _line(axes: Sequence[_Axis], at: int, row: dict[str, Any], run: Run, method: str) -> Figure:
    settings = {key: value for key, value in row.items() if not pd.isna(value)}
    name = f"{method}-{row['number']} {row['state'].lower()} {100 * row['value']:.1f} % "
    name += trial_name(settings, run.axes[method])
    whole = row["state"] == "COMPLETE"
    shade = _SHADES[min(int(axes[-1].heights[at] * len(_SHADES)), len(_SHADES) - 1)]
    best = row["number"] == run.summary["best"]["number"] and method == run.summary["best"]["method"]
    line = {"color": shade if whole else GREY, "width": 1.8 if whole else 1, "dash": "solid" if whole else "dot"}
    if best:
        line |= {"color": RED, "width": 4}
    heights = [float(one.heights[at]) for one in axes]
    fixed: Figure = {"type": "scatter", "mode": "lines", "hoverinfo": "text", "line": line}
    return {**fixed, "x": list(range(len(axes))), "y": heights, "text": escape(name)}


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


def _rule(at: int) -> Figure:
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": {"color": INK, "width": 1}, "layer": "below"}


def _labels(at: int, one: _Axis) -> list[Figure]:
    plain = {"x": at, "showarrow": False, "font": {"size": 11}, "bgcolor": "rgba(255,255,255,0.8)"}
    ticks = [{**plain, "y": y, "text": escape(text), "xanchor": "right", "xshift": -3} for y, text in one.ticks]
    if bool((one.heights == UNSET).any()):
        ticks.append({**plain, "y": UNSET, "text": "not set", "xanchor": "right", "xshift": -3})
    name = {
        **plain,
        "y": 1.05,
        "text": f"<b>{escape(one.name)}</b>",
        "textangle": -20,
        "xanchor": "left",
        "yanchor": "bottom",
    }
    return [*ticks, {**name, "xshift": -14}]
