"""Figures of finalists that retrieve by binary codes: precision against recall and against the number of results."""

import json
from typing import Any

from sbir.report.figures import BLUE, GREEN, ORANGE, RED, SKY, Figure, axis, layout
from sbir.report.load import Run

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
