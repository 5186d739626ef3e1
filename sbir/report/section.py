"""What the page says of one run: texts, tables and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sbir.report.budgets import best_so_far, budgets
from sbir.report.codes import code_figures, code_table
from sbir.report.cost import cost_to_reach, failures, stopped_early
from sbir.report.figures import Figure, importance_bars, lambda_curve, learning_curves
from sbir.report.invariance import invariance_figures
from sbir.report.load import Run
from sbir.report.quoted import quoted
from sbir.report.reproduction import controls, not_comparable, reproductions
from sbir.report.setup_text import setup_paragraph
from sbir.report.table import (
    NONE,
    Line,
    further_metrics,
    interval,
    long_table,
    metric_label,
    percent,
    table_lines,
)
from sbir.report.verdict import verdicts
from sbir.tracking.names import readable, readable_time

FLAGS = {
    "synthetic": "SYNTHETIC DATA: generated drawings. These figures test software and say nothing about real sketches.",
    "demo scale": "DEMO SCALE: small models and few steps, for a laptop. Not comparable with any published figure.",
    "data changed in mid-run": "DATA CHANGED IN MID-RUN: the search saw both; figures on test are of the data since.",
}


@dataclass(frozen=True)
class Plot:
    """A figure with its place on the page."""

    name: str  # the element's id
    title: str
    note: str
    figure: Figure


def texts(run: Run) -> dict[str, Any]:
    """Question, banners, verdicts, the best trial and the facts that stand beside every figure."""
    summary = run.summary
    best = summary["best"]
    return {
        "name": run.manifest["name"],
        "created": str(run.manifest.get("created", "")).replace("T", " "),
        "question": summary.get("question") or run.manifest["name"],
        "banners": [FLAGS.get(flag, str(flag).upper()) for flag in summary.get("flags", [])],
        "verdicts": verdicts(run),
        "best": best,
        "best_value": percent(best["value"]),
        "best_settings": {key.rsplit("/", 1)[-1]: readable(value) for key, value in best["settings"].items()},
        "metric": metric_label(run.metric),
        "facts": _facts(run),
        "importance_notes": importance_bars(run)[1],
    }


def _facts(run: Run) -> dict[str, str]:
    summary, data, counts = run.summary, run.manifest["data"], run.summary["counts"]
    trials = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['failed']} failed"
    seconds = (summary.get("times") or {}).get("total_s")
    took = f"; {readable_time(seconds)} in all" if seconds is not None else ""
    looks = summary.get("looks_at_test")
    protocol = summary["protocol"]
    called = f"{protocol.get('name', NONE)}, fingerprint {protocol.get('fingerprint', NONE)}"
    facts = {
        "data": f"{data['dataset']} (content {data.get('content_hash', NONE)}); {_sizes(data)}",
        "given": str(summary.get("given") or "not stated"),
        "protocol": f"{called}: {_protocol(protocol)}",
        "looks at test": f"{looks if looks is not None else 'not counted'} (runs of this folder scored on this split)",
        "trials": f"{trials}{took}; seed {run.manifest.get('seed', NONE)}",
        "extended": "; ".join(map(_extension, run.manifest.get("extensions", []))),
        "data changed": "; ".join(map(_data_change, run.manifest.get("data_changes", []))),
        "code": _code(run),
        "reported elsewhere": quoted(run),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _extension(extension: Mapping[str, Any]) -> str:
    """When a finished run was asked for more, and what: before and since."""
    changed = [f"{key} {before} to {now}" for key, (before, now) in extension["changed"].items()]
    return f"{str(extension['when']).replace('T', ' ')} ({', '.join(changed) or 'declared rows'})"


def _data_change(note: Mapping[str, Any]) -> str:
    when = str(note["when"]).replace("T", " ")
    return f"{when}: {note['change']}; {note['trials']} trials of the search had ended on the data before"


def _sizes(data: Any) -> str:
    """Queries, gallery and classes of each part."""
    num, classes = data.get("num") or {}, data.get("classes") or {}
    parts = [
        f"{part} {num[f'{part}_query']} queries, {num[f'{part}_gallery']} gallery"
        + (f", {classes[part]} classes" if part in classes else "")
        for part in ("train", "val", "test")
        if f"{part}_query" in num and f"{part}_gallery" in num
    ]
    return "; ".join(parts)


def _protocol(protocol: Any) -> str:
    lines = protocol.get("lines") or {}
    return "; ".join(f"{key}: {value}" for key, value in lines.items() if key not in ("protocol", "data", "synthetic"))


def _code(run: Run) -> str:
    git, versions = run.manifest.get("git") or {}, run.manifest.get("versions") or {}
    commit = f"commit {str(git['commit'])[:10]}" if git.get("commit") else "no commit known"
    changed = ", with uncommitted changes" if git.get("dirty") else ""
    named = [f"{name} {versions[name]}" for name in ("sbir", "torch", "ray", "optuna", "python") if versions.get(name)]
    return "; ".join([commit + changed, *named])


def tables(run: Run) -> dict[str, Any]:
    """What the template puts into tables: text, in percent."""
    lines = table_lines(run)
    headings, long_rows = long_table(run)
    return {
        "budgets": budgets(run) if len(run.manifest["methods"]) > 1 else ([], ""),
        "splits": _split_lines(run),
        "reproductions": reproductions(run),
        "codes": code_table(run),
        "source_reasons": "; ".join(not_comparable(run)),
        "controls": controls(run),
        "setup": setup_paragraph(run),
        "gaps": _gaps(run) if len(run.manifest["methods"]) > 1 else {},
        "lines": lines,
        "spans": {line.row: _span(line, lines) for line in lines},
        "further": [metric_label(metric) for metric in further_metrics(run)],
        "long_headings": headings,
        "long_rows": long_rows,
        "costs": cost_to_reach(run),
        "stopped": stopped_early(run),
        "failures": failures(run),
    }


def _gaps(run: Run) -> dict[str, tuple[str, bool]]:
    """Row -> its figure minus the best of the others with the simultaneous interval, and whether it may be the best."""
    rows = (run.summary.get("comparison") or {}).get("rows", {})
    return {
        name: (f"{100 * row['gap']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]", row["candidate"])
        for name, row in rows.items()
    }


def _split_lines(run: Run) -> tuple[list[str], list[tuple[str, list[str], str, str]]]:
    """Figures over further class splits: the splits, and per row its figures, their mean and its interval."""
    rows = run.summary.get("splits") or []
    names = sorted(rows[0]["by_split"]) if rows else []
    lines = [
        (row["row"], [percent(row["by_split"].get(name)) for name in names], percent(row["mean"]),
         interval(row["low"], row["high"]))
        for row in rows
    ]  # fmt: skip
    return names, lines


def _span(line: Line, lines: list[Line]) -> dict[str, float]:
    """Where a row's figure and class interval lie on the bar of the table, in percent of its width."""
    top = max((found for one in lines for found in (one.mean, one.high) if found is not None), default=1.0) or 1.0
    ends = {"mean": line.mean, "low": line.low, "high": line.high}
    return {name: 100 * value / top for name, value in ends.items() if value is not None}


def plots(run: Run) -> list[Plot]:
    """The figures that plotly draws; those without data are left out."""
    found: list[tuple[str, str, str, Figure | None]] = [
        (
            "learning",
            "Learning curves",
            "One line a trial of the search; dashed: chance and baselines.",
            learning_curves(run),
        ),
        (
            "lambda",
            "Lambda, how the two views are combined",
            "The best trial's kept checkpoint on validation; the line follows the slider.",
            lambda_curve(run),
        ),
    ]
    words = {"spent": "equal trials", "seconds": "equal time"}
    for key, figure in best_so_far(run).items():
        note = "Best validation value so far. One sample of a search: another seed would draw another curve."
        found.append((f"best-{key}", f"Best so far, at {words[key]}", note, figure))
    found += code_figures(run) + invariance_figures(run)
    for method, figure in importance_bars(run)[0].items():
        note = "fANOVA over complete trials: which axes the values differ by, not which way, nor why."
        found.append((f"importance-{method}", f"Importance of the axes: {method}", note, figure))
    return [Plot(name, title, note, figure) for name, title, note, figure in found if figure is not None]
