"""The report's figures as plotly dictionaries, in fixed colours that colour-blind readers can tell apart."""

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from sbir.report.load import Run
from sbir.report.table import metric_label
from sbir.tracking.names import trial_name

Figure = dict[str, Any]

# Okabe and Ito, "Color Universal Design" (2008)
BLUE, SKY, ORANGE, GREEN, RED, GREY, INK = "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00", "#8A8F98", "#1F2933"
_STATES = {
    "COMPLETE": ("complete", {"color": SKY, "width": 1.4}),
    "PRUNED": ("pruned", {"color": ORANGE, "width": 1.2, "dash": "dot"}),
    "FAIL": ("failed", {"color": GREY, "width": 1.2, "dash": "dash"}),
}
_FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", "size": 13}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with light lines."""
    look = {"gridcolor": "#E4E7EB", "linecolor": "#9AA5B1", "zeroline": False, "ticks": "outside", "automargin": True}
    return {"title": {"text": escape(title), "standoff": 10, "font": {"size": 13}}, **look, **more}


def layout(**more: Any) -> dict[str, Any]:
    """White paper, room for the labels, legend above."""
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    base = {"paper_bgcolor": "#fff", "plot_bgcolor": "#fff", "font": {**_FONT, "color": INK}, "hovermode": "closest"}
    return {**base, "legend": legend, "margin": {"l": 70, "r": 24, "t": 36, "b": 56}, "height": 400, **more}


def value_title(run: Run, where: str) -> str:
    """Title of the axis of the maximised metric."""
    return f"{metric_label(run.metric)} on {where}, % (higher is better)"


def learning_curves(run: Run) -> Figure | None:
    """Validation figure over steps, one line a trial, the best one on top, and what the baselines reach."""
    key = f"val/{run.metric}"
    if run.rows.empty or key not in run.rows.columns:
        return None
    trials = run.search_trials()
    keys = zip(trials["method"].astype(str), trials["number"].astype(int), strict=True)
    records = dict(zip(keys, trials.to_dict("records"), strict=True))
    best = (run.summary["best"]["method"], run.summary["best"]["number"])
    lines: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for _, rows in run.rows.groupby(["method", "number"]):
        trial = str(rows["method"].iloc[0]), int(rows["number"].iloc[0])
        record = records.get(trial, {})
        settings = {str(key): value for key, value in record.items() if not pd.isna(value)}
        label = f"{trial[0]}-{trial[1]} {trial_name(settings, run.axes.get(trial[0], []))}"
        lines.setdefault("best" if trial == best else str(record.get("state", "")), []).append((label, rows))
    traces = [_curves(label, lines[state], key, line) for state, (label, line) in _STATES.items() if state in lines]
    if "best" in lines:
        traces.append(_curves("best trial", lines["best"], key, {"color": BLUE, "width": 3}))
    shapes, notes = _references(run)
    title = axis(value_title(run, "validation"), rangemode="tozero")
    plain = layout(xaxis=axis("training step"), yaxis=title, shapes=shapes, annotations=notes)
    room = max([150, *(8 * len(note["text"]) for note in notes)])  # pixels, for the names at the right end
    return {"data": traces, "layout": {**plain, "margin": {**plain["margin"], "r": room}}}


def _curves(label: str, trials: list[tuple[str, pd.DataFrame]], key: str, line: dict[str, Any]) -> Figure:
    """One trace for all trials of a state, broken between them, so that a thousand trials stay light."""
    x: list[Any] = []
    y: list[Any] = []
    text: list[str] = []
    for name, rows in trials:
        x += [*rows["step"].tolist(), None]
        y += [*_percents(rows[key]), None]
        text += [escape(name)] * (len(rows) + 1)
    hover = "%{text}<br>step %{x}: %{y:.1f} %<extra></extra>"
    mode = "lines+markers" if all(len(rows) < 60 for _, rows in trials) else "lines"
    shared: Figure = {"type": "scatter", "mode": mode, "name": label, "line": line, "marker": {"size": 4}}
    return {**shared, "x": x, "y": y, "text": text, "hovertemplate": hover}


def _references(run: Run) -> tuple[list[Figure], list[Figure]]:
    """Dashed lines for chance and baselines, named at the right end, names kept apart."""
    found = [(row["val"].get(run.metric), row["row"]) for row in run.summary["table"] if row["kind"] != "method"]
    levels = sorted((100 * value, name) for value, name in found if value is not None and name != "ceiling")
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "layer": "below",
         "line": {"color": INK, "width": 1, "dash": "dash"}}
        for y, _ in levels
    ]  # fmt: skip
    top = max([y for y, _ in levels], default=1.0)
    notes, last = [], -1e9
    for y, name in levels:
        last = max(y, last + top / 14)
        text = f"{escape(str(name))} {y:.1f}"
        notes.append({"xref": "paper", "x": 1.005, "xanchor": "left", "y": last, "text": text, "showarrow": False})
    return shapes, notes


def lambda_curve(run: Run) -> Figure | None:
    """The maximised metric over the whole grid of lambda, for the best trial's kept checkpoint; None with one view."""
    curve: Mapping[str, float] = run.summary.get("curve") or {}
    grid = sorted((float(fusion), value) for fusion, value in curve.items() if fusion != "min" and value is not None)
    if not grid:
        return None
    chosen = run.summary["best"].get("lambda")
    x, y = [fusion for fusion, _ in grid], [100 * value for _, value in grid]
    traces: list[Figure] = [
        {"type": "scatter", "mode": "lines+markers", "name": "weighted sum", "x": x, "y": y, "line": {"color": BLUE}}
    ]
    if curve.get("min") is not None:
        flat = [100 * curve["min"]] * 2
        line = {"color": ORANGE, "dash": "dash"}
        traces.append(
            {"type": "scatter", "mode": "lines", "name": "minimum of both", "x": [0, 1], "y": flat, "line": line}
        )
    if chosen is not None and curve.get(chosen) is not None:
        at = 0.5 if chosen == "min" else float(chosen)
        marker = {"color": RED, "size": 13, "symbol": "diamond-open", "line": {"width": 2.5}}
        name = f"chosen: {escape(str(chosen))}"
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [at],
                "y": [100 * curve[chosen]],
                "marker": marker,
            }
        )
    ends = axis("lambda (0 = second view only, 1 = first view only)", dtick=0.1)
    return {"data": traces, "layout": layout(xaxis=ends, yaxis=axis(value_title(run, "validation")))}


def importance_bars(run: Run) -> tuple[dict[str, Figure], dict[str, str]]:
    """Per method a bar chart, or the note that says why there is none."""
    figures, notes = {}, {}
    for method, shares in (run.summary.get("importance") or {}).items():
        if "note" in shares:
            notes[method] = str(shares["note"])
            continue
        ranked = sorted(shares.items(), key=lambda item: item[1])
        bars = {
            "type": "bar",
            "orientation": "h",
            "marker": {"color": BLUE},
            "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
        }
        data = [{**bars, "x": [share for _, share in ranked], "y": [escape(name) for name, _ in ranked]}]
        shares_axis = axis("share of the variance between trials (larger matters more)", range=[0, 1])
        height = 120 + 26 * len(ranked)
        figures[method] = {"data": data, "layout": layout(xaxis=shares_axis, yaxis=axis(""), height=height)}
    return figures, notes


def _percents(values: pd.Series) -> list[float | None]:  # type: ignore[type-arg, unused-ignore]
    return [None if pd.isna(value) else round(100 * value, 3) for value in values]
