"""Figures of finalists that retrieve by binary codes: precision against recall and against the number of results."""

import json
from typing import Any

import pandas as pd

from sbir.report.figures import BLUE, GREEN, ORANGE, RED, SKY, Figure, axis, layout
from sbir.report.load import Run
from sbir.report.table import metric_label, percent

_COLOURS = (BLUE, ORANGE, GREEN, RED, SKY)


def code_figures(run: Run) -> list[tuple[str, str, str, Figure]]:
    """Name, title, note and figure of both curves of the test part; none where no finalist has codes."""
    found = _codes(run)
    if not found:
        return []
    note = "; ".join(f"{label}: {_facts(codes)}" for label, codes in found.items())
    recall = {label: [(at, precision) for _, at, precision in codes["by_radius"]] for label, codes in found.items()}
    ranks = {label: codes["by_rank"] for label, codes in found.items()}
    by_recall = _figure(recall, axis("recall, % (more items within a larger radius)", rangemode="tozero"), 100)
    by_rank = _figure(ranks, axis("number N of results", type="log"), 1)
    return [
        ("codes-recall", "Hash look-up: precision and recall by Hamming radius", note, by_recall),
        ("codes-rank", "Precision of the first N results", "In expectation over the order of ties.", by_rank),
    ]


def code_table(run: Run) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Declared rows with codes, the columns of a table: their labels, and what each line says of them.

    Figures are the honest ones of the maximised metric, means over the final seeds. Empty without `--stage published`
    or `ablate`, and where no method has bits.
    """
    if run.published is None or "method/bits" not in run.trials.columns:
        return [], []
    declared = run.trials[(run.trials["kind"] == "declared") & run.trials["method/bits"].notna()]
    bits = {(row["method"], row["label"]): int(row["method/bits"]) for row in declared.to_dict("records")}
    rows = [
        (str(label), bits[method, label], of_row)
        for (method, label), of_row in run.published.groupby(["method", "label"], sort=False)
        if (method, label) in bits
    ]
    rows.sort(key=lambda row: row[1])
    lines: dict[str, list[str]] = {
        "bits": [str(count) for _, count, _ in rows],
        f"{metric_label(run.metric)}, codes": [_mean(of_row, "precision") for *_, of_row in rows],
        f"{metric_label(run.metric)}, real-valued": [_mean(of_row, "real_precision") for *_, of_row in rows],
        "bytes an item, codes": [str(_packed_bytes(count)) for _, count, _ in rows],
        "bytes an item, real-valued": [str(4 * count) for _, count, _ in rows],
    }
    return [label for label, *_ in rows], list(lines.items()) if rows else []


def _mean(rows: pd.DataFrame, column: str) -> str:
    values = rows[column].dropna()
    return percent(float(values.mean()) if len(values) else None)


def _packed_bytes(bits: int) -> int:
    """A code's bytes, padded to a machine word."""
    return next(size for size in (1, 2, 4) if 8 * size >= bits) if bits <= 32 else 8 * -(-bits // 64)


def _codes(run: Run) -> dict[str, Any]:
    """Curves of the first seed of each method that has them, by label."""
    found: dict[str, Any] = {}
    for path in sorted(run.path.glob("finalists/*/codes.json")):
        method = path.parent.name.rsplit("-", 2)[0]
        found.setdefault(run.manifest.get("labels", {}).get(method, method), json.loads(path.read_text()))
    return found


def _facts(codes: Any) -> str:
    means = {name: f"{100 * value:.1f} %" for name, value in codes["means"].items()}
    return (
        f"{codes['num_bits']} bits, {codes['bytes_per_item']} bytes an item; within radius 2 "
        f"{means['precision_within_2']} are right ({means['nothing_within_2']} of the queries find nothing there); "
        f"mean average precision {means['map_all_worst']} to {means['map_all_best']} over all orders of the ties"
    )


def _figure(lines: dict[str, list[tuple[float, float]]], across: dict[str, Any], factor: int) -> Figure:
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": label,
            "x": [factor * x for x, _ in points],
            "y": [100 * y for _, y in points],
            "line": {"color": _COLOURS[place % len(_COLOURS)], "width": 2},
        }
        for place, (label, points) in enumerate(lines.items())
    ]
    return {
        "data": traces,
        "layout": layout(xaxis=across, yaxis=axis("precision, % (higher is better)", rangemode="tozero")),
    }
