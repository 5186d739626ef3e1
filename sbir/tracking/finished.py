"""What a finished run has beyond its trials, as W&B runs: baselines, refits of the winners, and one for the comparison.

They are made from the run's own files when it is synced, so that a run of any age, moved to any machine, has them.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sbir.report.budgets import best_so_far
from sbir.report.drawn import drawn
from sbir.report.grid_picture import write_grid_picture
from sbir.report.load import Run
from sbir.report.reproduction import reproductions
from sbir.report.table import table_lines
from sbir.tracking.about import about, marks, row_of
from sbir.tracking.segment import FOLDER, Segment, is_synced, segments, write_segment

COMPARISON, PICTURES = "comparison", "pictures"  # ends of run ids, and job types
RETRIEVAL = "retrieval"  # key of the picture
FILES = ("manifest.json", "summary.json", "trials.parquet", "per_query.parquet", "published.parquet", "setup.md",
         "reproduction.md")  # fmt: skip


def write_finished(run: Run, *, pictures: bool) -> list[Path]:
    """Write what the server does not have of `summary.json` as it is now; the new segments.

    Pictures only when asked: data sets are licensed.
    """
    wanted = [*baselines(run), *finals(run), comparison(run), *(_pictures(run) if pictures else [])]
    folder, since = run.path / FOLDER, (run.path / "summary.json").stat().st_mtime  # a run that was extended is new
    missing = [one for one in wanted if not any(is_synced(path, since) for path in segments(folder, one.id))]
    return [path for one in missing for path in write_segment(one, folder)]


def baseline_id(sweep: str, row: str) -> str:
    """A baseline's run id."""
    return f"{sweep}-baseline-{re.sub(r'[^a-z0-9]+', '_', row.lower())}"


def baselines(run: Run) -> Iterator[Segment]:
    """Chance, the baselines and the ceiling: flat lines over the steps of the search, and their figures on test."""
    steps = [0, int(run.rows["step"].max())] if len(run.rows) else [0]
    for row in run.summary["table"]:
        if row["kind"] != "method":
            val = {f"val/{metric}": value for metric, value in row["val"].items()}
            best = {f"best/{run.metric}": row["val"][run.metric]} if run.metric in row["val"] else {}
            yield _segment(
                run,
                baseline_id(str(run.manifest["name"]), row["row"]),
                row["row"],
                "baseline",
                config={"about/told": row.get("given"), **row["settings"]},
                rows=[{"step": step, **val, **best} for step in dict.fromkeys(steps)],
                summary={"state": "COMPLETE", **_test(row)},
            )


def finals(run: Run) -> Iterator[Segment]:
    """Each winner's refits, one W&B run a seed: what bars with error bars are made of."""
    rows = {row["row"]: row for row in run.summary["table"] if row["kind"] == "method"}
    found = run.per_query[run.per_query["row"].isin(list(rows))]
    for _, queries in found.groupby(["row", "method", "seed"], sort=False):
        label, method, seed = str(queries["row"].iloc[0]), str(queries["method"].iloc[0]), int(queries["seed"].iloc[0])
        metrics = [metric for metric in rows[label]["test"] if metric in queries]
        yield _segment(
            run,
            f"{run.manifest['name']}-final-{method}-{seed}",
            label,
            method,
            name=f"{label} seed {seed}",
            config={"about/told": rows[label].get("given"), "about/seed": seed, **rows[label]["settings"]},
            summary={
                "state": "COMPLETE",
                "lambda": rows[label].get("lambda"),
                **{f"test/{metric}": float(queries[metric].mean()) for metric in metrics},
                **_seconds(run, method, seed),
            },
        )


def comparison(run: Run) -> Segment:
    """One W&B run for what belongs to no single trial: curves over lambda and budget, tables, and the run's files."""
    lines = lambda_rows(run) + budget_rows(run)
    tables = {"results": _results(run), **reproduction_tables(run)}
    return _segment(
        run,
        f"{run.manifest['name']}-{COMPARISON}",
        "",
        COMPARISON,
        rows=[{"step": at, **line} for at, line in enumerate(lines)],
        summary={"state": "COMPLETE", "looks_at_test": run.summary.get("looks_at_test"), **_costs(run)},
        tables=tables,
        files=[run.path / name for name in FILES if (run.path / name).is_file()],
    )


def lambda_rows(run: Run) -> list[dict[str, float]]:
    """A row per lambda: the maximised metric on validation of each method's winner, under `lambda/<label>`."""
    curves = {label: _curve(run, method) for method, label in labels(run).items()}
    grid = sorted({at for curve in curves.values() for at in curve})
    return [
        {"lambda/at": at, **{f"lambda/{label}": curve[at] for label, curve in curves.items() if at in curve}}
        for at in grid
    ]


def budget_rows(run: Run) -> list[dict[str, float]]:
    """Best validation value so far against device-seconds, in percent, under `budget/<label>`; none with one method."""
    traces = best_so_far(run).get("seconds", {}).get("data", [])
    rows = [
        {"budget/device_seconds": float(x), f"budget/{trace['name']}": float(y)}
        for trace in traces
        for x, y in zip(trace["x"], trace["y"], strict=True)
    ]
    return sorted(rows, key=lambda row: row["budget/device_seconds"])


def labels(run: Run) -> dict[str, str]:
    """Method -> the name that people read, in the order of the run."""
    named = run.manifest.get("labels") or {}
    return {method: str(named.get(method, method)) for method in run.manifest["methods"]}


def reproduction_tables(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Reported against reproduced, all methods below one another; none for a search."""
    rows = [{"method": one.label, **vars(line)} for one in reproductions(run) for line in one.rows]
    return {"reproduction": rows} if rows else {}


def _segment(run: Run, run_id: str, row: str, job_type: str, **more: Any) -> Segment:
    config = {**about(run.manifest), **(row_of(run.summary["protocol"], row) if row else {}), **more.pop("config", {})}
    tags = ["final" if job_type in run.manifest["methods"] else job_type, *marks(run.manifest)]
    named = {"name": row or str(run.manifest["name"]), **more}
    return Segment(run_id, str(run.manifest["name"]), job_type, tags=tags, config=config, **named)


def _test(row: Mapping[str, Any]) -> dict[str, float]:
    figures = {f"test/{metric}": figure["mean"] for metric, figure in row["test"].items()}
    return {key: float(value) for key, value in figures.items() if value is not None}


def _seconds(run: Run, method: str, seed: int) -> dict[str, float]:
    trials = run.trials
    found = trials[(trials["method"] == method) & (trials["kind"] == "refit") & (trials["seed"] == seed)]
    return {"device_seconds": float(found["device_seconds"].iloc[0])} if len(found) else {}


def _curve(run: Run, method: str) -> dict[float, float]:
    """The winner's kept evaluation over the grid of lambda; empty with one view."""
    trials = run.search_trials()
    trials = trials[(trials["method"] == method) & (trials["state"] == "COMPLETE") & trials["value"].notna()]
    if trials.empty or run.rows.empty:
        return {}
    winner = trials.iloc[int(trials["value"].astype(float).to_numpy().argmax())]
    rows = run.rows[(run.rows["method"] == method) & (run.rows["number"] == winner["number"])]
    kept = rows[rows["step"] == winner["best_step"]]
    grid = [column for column in rows if column.startswith("curve/") and column != "curve/min"]
    values = {float(column.removeprefix("curve/")): kept[column].iloc[0] for column in grid} if len(kept) else {}
    return {at: float(value) for at, value in values.items() if not pd.isna(value)}


def _costs(run: Run) -> dict[str, float]:
    """Device-seconds of all that was run, and of each method's search."""
    searched = {f"device_seconds/{one['label']}": one["device_s"] for one in run.summary.get("methods", {}).values()}
    return {"device_seconds": float(np.nansum(run.trials["device_seconds"])), **searched}


def _results(run: Run) -> list[dict[str, Any]]:
    """The table of the page; every line names the fingerprint that its figures may be compared within."""
    fingerprint, marked = run.summary["protocol"].get("fingerprint", ""), ", ".join(run.summary.get("flags", []))
    return [
        {
            "row": line.row, "kind": line.kind, "fitted on": line.given, "lambda": line.fusion, "val %": line.val,
            f"test {run.metric} %": line.test, "95 % classes": line.by_class, "95 % seeds": line.by_seed,
            "seeds": line.num_seeds, "fingerprint": fingerprint, "marks": marked,
        }
        for line in table_lines(run)
    ]  # fmt: skip


def _pictures(run: Run) -> list[Segment]:
    picture = write_grid_picture(run.path)
    pictures = {f"drawn_{one.finalist}_step_{sheet.step}": sheet.path for one in drawn(run) for sheet in one.sheets}
    pictures |= {RETRIEVAL: picture} if picture is not None else {}
    if not pictures:
        raise ValueError(f"--pictures needs pictures of the data, {run.path} has no ranking or its store has none")
    found = {"pictures": pictures, "rows": [{"step": 0}], "summary": {"state": "COMPLETE"}}
    return [_segment(run, f"{run.manifest['name']}-{PICTURES}", "", PICTURES, **found)]
