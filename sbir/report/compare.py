"""Methods x data sets: several runs in one table, each protocol in a column of its own."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sbir.metrics.best import compare_with_best
from sbir.metrics.intervals import MIN_CLASSES
from sbir.report.load import Run
from sbir.report.table import NONE, interval, metric_label, percent

_ORDER = {"chance": 0, "baseline": 1, "method": 2, "ceiling": 3}


@dataclass(frozen=True)
class Cell:
    """A row's figure in one column, and what it was given there."""

    run: str
    kind: str
    given: str
    figure: Mapping[str, Any]  # mean, class_low, class_high, seed_low, seed_high, num_seeds
    mark: str  # the footnote of what it was given: "a", "b", ...
    bold: bool = False  # may be the best, where the test can tell

    @property
    def text(self) -> str:
        """The mean with its 95 % interval over test classes, in percent."""
        ends = interval(self.figure.get("class_low"), self.figure.get("class_high"))
        return percent(self.figure.get("mean")) + (f" {ends}" if ends != NONE else "")


@dataclass(frozen=True)
class Column:
    """One data set under one protocol, by one metric, at one scale: figures of a column may be compared."""

    dataset: str
    protocol: str
    fingerprint: str
    metric: str
    flags: tuple[str, ...]  # "synthetic", "demo scale"
    selected_by: str  # the metric that the runs maximised on validation
    given: str
    runs: tuple[str, ...]
    verdict: str  # what bold means here, or why nothing is bold

    @property
    def note(self) -> str:
        """All that a reader needs to know of the column, as one sentence for a footnote."""
        shouted = f", {', '.join(self.flags).upper()}" if self.flags else ""
        selected = f", settings chosen by {metric_label(self.selected_by)} on validation"
        return (
            f"{self.dataset}{shouted}: {metric_label(self.metric)} on test, protocol {self.protocol}, fingerprint "
            f"{self.fingerprint}{selected}; given: {self.given}; runs: {', '.join(self.runs)}. {self.verdict}"
        )


@dataclass(frozen=True)
class Comparison:
    """Rows x columns; `cells[row][column]` is None where the row is not in the column."""

    columns: list[Column]
    rows: list[str]
    cells: dict[str, list[Cell | None]]
    marks: dict[str, str]  # footnote mark -> what was given


def compare(runs: Sequence[Run], metric: str | None = None) -> Comparison:
    """Put finished runs side by side; `metric` in place of the one that each run maximised.

    Runs share a column only where data, protocol, fingerprint, maximised metric and scale agree: no figure of one
    protocol stands in the column of another. A row that two runs of a column give differently is named with its run.
    `ValueError` for a metric that a run did not score.
    """
    columns: list[Column] = []
    found: dict[str, list[Cell | None]] = {}
    marks: dict[str, str] = {}
    groups = _groups(runs, metric)
    for at, (shown, members) in enumerate(groups):
        rows = _rows(members, shown)
        bold, verdict = _may_be_best(rows, shown)
        columns.append(_column(members, shown, verdict))
        for name, (run, row) in rows.items():
            given = str(row.get("given") or NONE)
            mark = "" if row["kind"] == "reference" else marks.setdefault(given, _letter(len(marks)))
            figure = row["test"].get(shown) or {}
            kind = str(row["row"]) if row["kind"] == "reference" else str(row["kind"])
            cells = found.setdefault(name, [None] * len(groups))
            cells[at] = Cell(run.path.name, kind, given, figure, mark, name in bold)
    order = sorted(found, key=lambda name: _place(found[name]))
    return Comparison(columns, order, found, {mark: given for given, mark in marks.items()})


def _groups(runs: Sequence[Run], metric: str | None) -> list[tuple[str, list[Run]]]:
    """The shown metric and the runs of each column."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        scored = list(dict.fromkeys(name for row in run.summary["table"] for name in row["test"]))
        if metric is not None and metric not in scored:
            raise ValueError(
                f"--metric must be one that all runs scored, {run.path} has {', '.join(scored)}, got {metric}"
            )
        protocol = run.summary["protocol"]
        key = (
            run.manifest["data"]["dataset"],
            protocol.get("name"),
            protocol.get("fingerprint"),
            tuple(run.summary.get("flags", ())),
            run.metric,
        )
        found.setdefault(key, []).append(run)
    return [(metric or members[0].metric, members) for members in found.values()]


def _column(members: Sequence[Run], metric: str, verdict: str) -> Column:
    first = members[0]
    protocol = first.summary["protocol"]
    return Column(
        dataset=str(first.manifest["data"]["dataset"]),
        protocol=str(protocol.get("name", NONE)),
        fingerprint=str(protocol.get("fingerprint", NONE)),
        metric=metric,
        flags=tuple(first.summary.get("flags", ())),
        selected_by=first.metric,
        given="; or ".join(dict.fromkeys(str(run.summary.get("given") or "not stated") for run in members)),
        runs=tuple(run.path.name for run in members),
        verdict=verdict,
    )


def _rows(members: Sequence[Run], metric: str) -> dict[str, tuple[Run, Mapping[str, Any]]]:
    """Rows of a column; equal figures of one name are one row, differing ones are told apart by their run."""
    by_name: dict[str, list[tuple[Run, Mapping[str, Any]]]] = {}
    for run in members:
        for row in run.summary["table"]:
            by_name.setdefault(str(row["row"]), []).append((run, row))
    found = {}
    for name, rows in by_name.items():
        same = len({(row["test"].get(metric) or {}).get("mean") for _, row in rows}) == 1
        for run, row in rows[:1] if same else rows:
            found[name if same else f"{name} ({run.path.name})"] = (run, row)
    return found


def _may_be_best(rows: Mapping[str, tuple[Run, Mapping[str, Any]]], metric: str) -> tuple[set[str], str]:
    """Rows to print bold, and what that means: only where the test tells some rows from the best."""
    values = {}
    for name, (run, row) in rows.items():
        frame = run.per_query[run.per_query["row"] == row["row"]]
        if row["kind"] != "reference" and metric in frame.columns and not frame.empty:
            values[name] = frame.groupby("item", sort=False)[metric].mean()
    if len(values) < 2:
        return set(), "Nothing to compare."
    table = pd.DataFrame(values)
    if table.isna().to_numpy().any():
        return set(), "Not tested: the rows were not scored on the same queries."
    run, _ = next(iter(rows.values()))
    about = run.per_query.drop_duplicates("item").set_index("item").loc[table.index]
    classes = np.unique(about["class"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    found = compare_with_best(table.to_numpy(dtype=np.float64).T, classes, about["instance"].to_numpy(dtype=np.int64))
    if not found.names_winners:
        return set(), f"Nothing bold: {found.num_classes} test classes, fewer than {MIN_CLASSES}."
    if len(found.candidates) == len(values):
        return set(), "Nothing bold: no two rows are told apart."
    bold = {list(values)[at] for at in found.candidates}
    return bold, "Bold: may be the best (multiple comparison with the best, 95 %, over test classes)."


def _letter(count: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    letters = string.ascii_lowercase
    return letters[count] if count < 26 else letters[count // 26 - 1] + letters[count % 26]


def _place(cells: Sequence[Cell | None]) -> tuple[int, float]:
    """Chance, baselines in their order, methods with the best first (mean over the columns that have them), ceiling."""
    there = [cell for cell in cells if cell is not None]
    means = [float(cell.figure["mean"]) for cell in there if cell.figure.get("mean") is not None]
    place = _ORDER.get(there[0].kind, 2)
    return place, -sum(means) / max(1, len(means)) if there[0].kind == "method" else 0.0
