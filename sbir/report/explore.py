"""What the page's script is given of one run: plain values that it sorts, filters, brushes and scores again."""

from itertools import groupby
from typing import Any

import pandas as pd

from sbir.metrics.distances import FUSIONS
from sbir.report.classes import class_figures
from sbir.report.figures import Figure
from sbir.report.grid import Look
from sbir.report.load import Run
from sbir.report.parallel import parallel_coordinates
from sbir.report.queries import query_answers
from sbir.report.section import Plot
from sbir.report.table import metric_label
from sbir.tracking.names import readable


def explore(run: Run, plots: list[Plot], look: Look, budget: int) -> dict[str, Any]:
    """Trials, figures, parallel coordinates, curves over lambda, classes and queries, as JSON values."""
    labels = run.manifest.get("labels") or {}
    parallel = {method: parallel_coordinates(run, method) for method in run.manifest["methods"]}
    return {
        "metric": metric_label(run.metric),
        "best": run.summary["best"]["method"],
        "figures": {plot.name: _packed(plot.figure) for plot in plots},
        "methods": {
            method: {"label": labels.get(method, method), "axes": [_short(axis) for axis in run.axes[method]]}
            for method in run.manifest["methods"]
        },
        "trials": trial_records(run),
        "parallel": {method: found for method, found in parallel.items() if found},
        "lambdas": list(FUSIONS),
        "classes": class_figures(run),
        "queries": query_answers(run, look, budget),
    }


def _packed(figure: Figure) -> Figure:
    """A figure with equal neighbours of a trace's texts written once: a curve's points all carry their trial's name."""
    return {**figure, "data": [_packed_trace(trace) for trace in figure["data"]]}


def _packed_trace(trace: Figure) -> Figure:
    if not isinstance(trace.get("text"), list):
        return trace
    runs = [[text, sum(1 for _ in same)] for text, same in groupby(trace["text"])]
    return {**{key: value for key, value in trace.items() if key != "text"}, "textRuns": runs}


def trial_records(run: Run) -> list[dict[str, Any]]:
    """One a trial of the search, best first, then the refits; `curve` is the kept checkpoint's, over lambda."""
    refits = run.trials[run.trials["kind"] == "refit"].assign(value=None)
    trials = run.search_trials().sort_values("value", ascending=False, na_position="last", kind="stable")
    curves = _curves(run)
    rows = [*trials.to_dict("records"), *refits.to_dict("records")]
    return [_trial(row, run.axes.get(row["method"], []), curves) for row in rows]


def _trial(row: dict[Any, Any], axes: list[str], curves: dict[tuple[str, int], list[float | None]]) -> dict[str, Any]:
    def number(key: str, digits: int) -> float | None:
        value = row.get(key)
        return None if value is None or pd.isna(value) else round(float(value), digits)

    text = {key: "" if _absent(row.get(key)) else str(row[key]) for key in ("label", "reason", "lambda")}
    value, key = number("value", 6), (str(row["method"]), int(row["number"]))
    record = {
        "name": f"{row['method']}-{row['number']}",
        "method": row["method"],
        "number": int(row["number"]),
        "kind": row["kind"],
        "state": str(row["state"]).lower(),
        "value": None if value is None else round(100 * value, 2),
        "lambda": text["lambda"],
        "best_step": number("best_step", 0),
        "steps": number("steps", 0),
        "seconds": number("device_seconds", 1),
        "note": " ".join(filter(None, (text["label"], text["reason"]))),
        "settings": {_short(axis): readable(row[axis]) for axis in axes if not _absent(row.get(axis))},
    }
    return record | ({"curve": curves[key]} if key in curves and row["kind"] != "refit" else {})


def _absent(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _short(axis: str) -> str:
    return axis.rsplit("/", 1)[-1]


def _curves(run: Run) -> dict[tuple[str, int], list[float | None]]:
    """Every two-view trial's figures over the grid of lambda at its best evaluation, in percent."""
    columns = [f"curve/{fusion}" for fusion in FUSIONS]
    key = f"val/{run.metric}"
    if run.rows.empty or key not in run.rows.columns or not set(columns) <= set(run.rows.columns):
        return {}
    whole = run.rows[run.rows[columns[0]].notna() & run.rows[key].notna()]
    best = whole.loc[whole.groupby(["method", "number"])[key].idxmax()]
    names = zip(best["method"].astype(str), best["number"].astype(int), strict=True)
    values = (100 * best[columns]).round(2).astype(object).where(best[columns].notna(), None)
    return dict(zip(names, values.to_numpy().tolist(), strict=True))
