"""What each method's search was given, what it took, and what it had found by then: one sample of a search each."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from sbir.report.figures import BLUE, GREEN, GREY, INK, ORANGE, RED, SKY, Figure, axis, layout, value_title
from sbir.report.load import Run
from sbir.report.table import percent

COLORS = (BLUE, ORANGE, GREEN, RED, SKY, "#CC79A7", INK, GREY)  # Okabe and Ito; dashes tell further methods apart
DASHES = ("solid", "dash", "dot")


@dataclass(frozen=True)
class Budget:
    """One method's line; figures are of the best trial so far, on validation."""

    method: str
    label: str
    trials: int
    spent: str  # "3.7 of 4", full-length equivalents
    seconds: str  # device-seconds of the search
    num_axes: int
    value: str  # with all that was spent
    at_equal_trials: str
    at_equal_seconds: str


def budgets(run: Run) -> tuple[list[Budget], str]:
    """A line a method, best first, and what the two equal shares are."""
    frames = {name: searched(run, name) for name in run.summary.get("methods") or {}}
    frames = {name: frame for name, frame in frames.items() if not frame.empty}
    if not frames:
        return [], ""
    share = min(frame["spent"].iloc[-1] for frame in frames.values())
    trained = [frame["seconds"].iloc[-1] for frame in frames.values() if frame["steps"].max() > 0]
    seconds = min(trained, default=max(frame["seconds"].iloc[-1] for frame in frames.values()))
    lines = [_budget(run, name, frame, share, seconds) for name, frame in frames.items()]
    order = {name: frame["best"].iloc[-1] for name, frame in frames.items()}
    lines.sort(key=lambda line: -order[line.method])
    return lines, f"{share:.3g} full-length trials; {seconds:.0f} device-seconds, the least that a trained method took"


def best_so_far(run: Run) -> dict[str, Figure]:
    """Best validation value over what was spent, in full-length trials and in device-seconds; none with one method."""
    methods = run.summary.get("methods") or {}
    if len(methods) < 2:
        return {}
    axes = {"spent": "full-length trials spent by the method", "seconds": "device-seconds spent by the method"}
    return {key: _curves(run, list(methods), key, title) for key, title in axes.items()}


def _curves(run: Run, methods: list[str], key: str, title: str) -> Figure:
    traces = []
    for place, name in enumerate(methods):
        frame = searched(run, name)
        if frame.empty:
            continue
        line = {"color": COLORS[place % len(COLORS)], "dash": DASHES[place // len(COLORS) % len(DASHES)], "shape": "hv"}
        label = escape(str(run.summary["methods"][name]["label"]))
        y = [round(100 * value, 3) for value in frame["best"]]
        hover = f"{label}: %{{y:.1f}} % after %{{x:.3g}}<extra></extra>"
        shared = {"type": "scatter", "mode": "lines+markers", "marker": {"size": 4}, "hovertemplate": hover}
        traces.append({**shared, "name": label, "line": line, "x": frame[key].round(3).tolist(), "y": y})
    y_axis = axis(value_title(run, "validation"), rangemode="tozero")
    return {"data": traces, "layout": layout(xaxis=axis(title, rangemode="tozero"), yaxis=y_axis, height=430)}


def searched(run: Run, method: str) -> pd.DataFrame:
    """A method's search trials by number: what they add up to, and the best value so far."""
    trials = run.search_trials()
    trials = trials[trials["method"] == method].sort_values("number")
    full = trials["train/steps"] if "train/steps" in trials else pd.Series(np.nan, index=trials.index)
    share = (trials["steps"] / full.astype(float)).clip(upper=1.0)
    whole = (trials["state"] == "FAIL") | (trials["steps"] <= 0) | share.isna()
    best = trials["value"].astype(float).cummax().ffill().fillna(0.0)
    return pd.DataFrame(
        {
            "steps": trials["steps"],
            "spent": share.where(~whole, 1.0).cumsum(),
            "seconds": trials["device_seconds"].cumsum(),
            "best": best,
        }
    )


def _budget(run: Run, name: str, frame: pd.DataFrame, share: float, seconds: float) -> Budget:
    about: dict[str, Any] = run.summary["methods"][name]
    return Budget(
        method=name,
        label=about["label"],
        trials=about["trials"],
        spent=f"{about['spent']:.3g} of {about['budget']}",
        seconds=f"{about['device_s']:.0f}",
        num_axes=about["num_axes"],
        value=percent(float(frame["best"].iloc[-1])),
        at_equal_trials=_by(frame, "spent", share),
        at_equal_seconds=_by(frame, "seconds", seconds),
    )


def _by(frame: pd.DataFrame, key: str, limit: float) -> str:
    """The best value when no more than `limit` was spent."""
    within = frame[frame[key] <= limit * (1 + 1e-9)]
    return percent(None if within.empty else float(within["best"].iloc[-1]))
