"""The curves of `sbir invariance`: similarity of codes when drawings are moved."""

import json
from typing import Any

from sbir.report.figures import BLUE, GREEN, GREY, ORANGE, RED, SKY, Figure, axis, layout
from sbir.report.load import Run

_ACROSS = {"shift": "shift to the right, pixels", "rotation": "rotation, degrees", "scale": "scale, factor"}
_COLOURS = (BLUE, ORANGE, GREEN, RED, SKY)


def invariance_figures(run: Run) -> list[tuple[str, str, str, Figure]]:
    """Name, title, note and figure of each kind of move; none where no study has been made."""
    path = run.path / "invariance.json"
    if not path.exists():
        return []
    curves = json.loads(path.read_text())
    found = []
    for move, across in _ACROSS.items():
        areas = "; ".join(
            f"{_label(run, name)} {moves[move]['area']:.3f} ({moves[move]['others']:.3f})"
            for name, moves in curves.items()
        )
        note = (
            "Mean over held-out drawings; bars: one standard deviation. Area under the curve and, in brackets, the "
            f"mean similarity of two different drawings, to which a code that tells nothing apart would keep: {areas}."
        )
        found.append((f"invariance-{move}", f"Invariance to {move}", note, _figure(run, curves, move, across)))
    return found


def _figure(run: Run, curves: dict[str, Any], move: str, across: str) -> Figure:
    trained = [name for name in curves if f"{name}, random weights" in curves]
    traces = []
    for name, moves in curves.items():
        base = name.removesuffix(", random weights")
        colour = _COLOURS[trained.index(base) % len(_COLOURS)] if base in trained else GREY
        curve = moves[move]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": _label(run, name),
                "x": curve["values"],
                "y": curve["mean"],
                "error_y": {"type": "data", "array": curve["deviation"], "thickness": 0.6, "width": 0},
                "line": {"color": colour, "width": 2, "dash": "solid" if name in trained else "dot"},
            }
        )
    up = axis("similarity to the unmoved code (higher is better)", range=[0, 1.05])
    return {"data": traces, "layout": layout(xaxis=axis(across), yaxis=up)}


def _label(run: Run, name: str) -> str:
    base, comma, rest = name.partition(",")
    return str(run.manifest.get("labels", {}).get(base, base)) + comma + rest
