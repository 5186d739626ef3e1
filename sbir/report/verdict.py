"""What the table says, in one sentence: each method against the best baseline, paired by query."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sbir.metrics.intervals import MIN_CLASSES, Interval, class_bootstrap
from sbir.report.load import Run
from sbir.report.table import percent


def verdicts(run: Run) -> list[str]:
    """One sentence a method that was scored on test; with several methods also which of them may be the best.

    The rival is the baseline that is best on test, the hardest one, and the interval is that of the difference, since
    all rows share their queries: two overlapping intervals do not say that two rows are equal.
    """
    scored = [row for row in run.summary["table"] if _mean(row, run.metric) is not None]
    baselines = [row for row in scored if row["kind"] == "baseline"]
    methods = [row for row in scored if row["kind"] == "method"]
    if not baselines:
        return []
    rival = max(baselines, key=lambda row: _mean(row, run.metric) or 0.0)
    if len(methods) == 1:
        return [_verdict(run, methods[0], rival)]
    return [*_candidates(run), _against_baseline(run, methods, rival)]


def _against_baseline(run: Run, methods: list[Mapping[str, Any]], rival: Mapping[str, Any]) -> str:
    """All methods in one sentence: each pair by itself, so among many methods some may stand out by chance."""
    groups: dict[str, list[str]] = {"better": [], "not told apart from it": [], "worse": [], "not compared": []}
    for row in sorted(methods, key=lambda row: -(_mean(row, run.metric) or 0.0)):
        found = difference(run.per_query, row["row"], rival["row"], run.metric)
        groups[_place(found[0]) if found else "not compared"].append(f"{row['row']} {percent(_mean(row, run.metric))}")
    told = [f"{name}: {', '.join(rows)}" for name, rows in groups.items() if rows]
    head = f"Against {rival['row']} ({percent(_mean(rival, run.metric))} %, the best baseline on test), each by itself"
    return f"{head}: {'; '.join(told)}."


def _place(gap: Interval) -> str:
    return "better" if gap.low > 0 else "worse" if gap.high < 0 else "not told apart from it"


def _candidates(run: Run) -> list[str]:
    """Multiple comparison with the best over all rows, baselines too."""
    found = run.summary.get("comparison")
    if not found:
        return []
    names = [name for name, row in found["rows"].items() if row["candidate"]]
    others = len(found["rows"]) - len(names)
    if not found["names_winners"]:
        few = f"With {found['num_classes']} test classes (fewer than {MIN_CLASSES}) no winner is named"
        return [f"{few}; not worse than the best of the others: {', '.join(names)}."]
    if len(names) == 1:
        return [f"Best on these classes, of {others + 1} rows: {names[0]} (multiple comparison with the best, 95 %)."]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    worse = {0: "", 1: "; the other row is worse than the best of them (95 %)"}
    rest = worse.get(others, f"; the other {others} rows are worse than the best of them (95 %)")
    return [f"This run does not tell {listed} apart{rest}."]


def _mean(row: Mapping[str, Any], metric: str) -> float | None:
    figure = row["test"].get(metric) or {}
    mean = figure.get("mean")
    return None if mean is None else float(mean)


def _verdict(run: Run, row: Mapping[str, Any], rival: Mapping[str, Any]) -> str:
    ours, theirs = _mean(row, run.metric), _mean(rival, run.metric)
    head = f"{row['row']} {percent(ours)} % on test, {rival['row']} (the best baseline there) {percent(theirs)} %"
    found = difference(run.per_query, row["row"], rival["row"], run.metric)
    if found is None:
        return f"{head}; no figures per query to compare them by."
    gap, num_classes = found
    gained = (
        f"{100 * gap.mean:+.1f} points, 95 % interval over test classes [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    )
    return f"{head}: {gained}. {_judgement(gap, num_classes)}"


def _judgement(gap: Interval, num_classes: int) -> str:
    if num_classes < MIN_CLASSES:
        return f"With {num_classes} test classes (fewer than {MIN_CLASSES}) no winner is named."
    if gap.low > 0:
        return "The method is better on these classes."
    return "The baseline is better on these classes." if gap.high < 0 else "This run does not tell them apart."


def difference(per_query: pd.DataFrame, row: str, rival: str, metric: str) -> tuple[Interval, int] | None:
    """One row minus another, seeds averaged, queries paired: mean, interval over classes, and how many classes."""
    sides = [per_query[per_query["row"] == name] for name in (row, rival)]
    if metric not in per_query.columns or any(side.empty for side in sides):
        return None
    ours, theirs = (side.groupby("item")[metric].mean() for side in sides)
    about = sides[1].drop_duplicates("item").set_index("item")
    gap = (ours - theirs).dropna()
    if gap.empty:
        return None
    about = about.loc[gap.index]
    classes = np.unique(about["class"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    instances = about["instance"].to_numpy(dtype=np.int64)
    return class_bootstrap(gap.to_numpy(dtype=np.float64), classes, instances), len(np.unique(classes))
