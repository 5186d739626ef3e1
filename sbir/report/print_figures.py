"""Figures for print, PDF and SVG: the table of several runs as a picture, and each run's figures as on its page."""

from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbir.report.compare import Cell, Column, Comparison
from sbir.report.figures import BLUE, GREY, INK, Figure
from sbir.report.load import Run
from sbir.report.section import plots
from sbir.report.table import metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

_DASHES = {"dash": "--", "dot": ":", "solid": "-"}
_LOOK: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # text stays text: journals refuse the other kind
    "svg.hashsalt": "sbir",
    "text.parse_math": False,
}


def write_figures(folder: Path, found: Comparison, runs: Sequence[Run]) -> list[Path]:
    """Write `results.pdf` and `.svg`, and `<run>-<figure>.pdf` and `.svg` for each figure of each run's page.

    The same runs give the same files. `ValueError` where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise ValueError("figures need matplotlib, it is not installed; pip install 'sbir[figures]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_LOOK):
        written = _save(_results(found), folder / "results")
        for run in runs:
            flags = ", ".join(run.summary.get("flags", ()))
            for plot in plots(run):
                written += _save(_drawn(plot.figure, plot.title, flags), folder / f"{run.path.name}-{plot.name}")
    return written


def _save(sheet: "Sheet", stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("pdf", "svg")]
    for path, undated in zip(paths, ({"CreationDate": None}, {"Date": None}), strict=True):
        part = path.with_name(path.name + ".part")
        sheet.savefig(part, format=path.suffix[1:], metadata=undated, bbox_inches="tight")
        part.replace(path)
    return paths


def _results(found: Comparison) -> "Sheet":
    """One panel a column: every row's figure with its interval over classes."""
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(2 + 2.6 * len(found.columns), 1.2 + 0.24 * len(found.rows)), layout="constrained")
    panels = sheet.subplots(1, len(found.columns), sharey=True, squeeze=False)[0]
    for at, (panel, column) in enumerate(zip(panels, found.columns, strict=True)):
        for place, name in enumerate(found.rows):
            if cell := found.cells[name][at]:
                _point(panel, place, cell)
        panel.set_yticks(range(len(found.rows)), found.rows)
        panel.set_title(_heading(column), fontsize=9)
        panel.set_xlabel(f"test {metric_label(column.metric)}, %\n(higher is better)")
        panel.grid(axis="x", color="#E4E7EB")
        panel.set_axisbelow(True)
    panels[0].invert_yaxis()
    sheet.supxlabel(
        "bars: 95 % over test classes; diamond: may be the best, where the test tells some rows apart", fontsize=7
    )
    return sheet


def _point(panel: "Axes", place: int, cell: Cell) -> None:
    mean, low, high = (cell.figure.get(key) for key in ("mean", "class_low", "class_high"))
    if mean is None:
        return
    color = {"method": BLUE, "baseline": INK}.get(cell.kind, GREY)
    if low is not None and high is not None:
        panel.plot([100 * low, 100 * high], [place, place], color=color, linewidth=2.5, alpha=0.45)
    panel.plot([100 * mean], [place], marker="D" if cell.bold else "|", color=color, markersize=5 if cell.bold else 9)


def _heading(column: Column) -> str:
    return "\n".join([column.dataset, *(flag.upper() for flag in column.flags), column.fingerprint])


def _drawn(figure: Figure, title: str, flags: str) -> "Sheet":
    """A figure of the page: its lines, points and bars with the same colours and axes."""
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(6.4, 3.8), layout="constrained")
    panel = sheet.subplots()
    for trace in figure["data"]:
        _trace(panel, trace)
    shown = figure["layout"]
    for line in shown.get("shapes", ()):
        panel.axhline(line["y0"], color=INK, linewidth=0.8, linestyle="--", zorder=0)
    for note in shown.get("annotations", ()):
        panel.annotate(unescape(note["text"]), (1.01, note["y"]), xycoords=("axes fraction", "data"), va="center")
    panel.set_xscale(shown["xaxis"].get("type", "linear"))
    panel.set_xlabel(_title(shown["xaxis"]))
    panel.set_ylabel(_title(shown["yaxis"]))
    panel.set_title(f"{title} ({flags.upper()})" if flags else title, fontsize=9)
    if sum("name" in trace for trace in figure["data"]) > 1:
        panel.legend(fontsize=7, frameon=False)
    return sheet


def _trace(panel: "Axes", trace: Mapping[str, Any]) -> None:
    if trace["type"] == "bar":
        panel.barh([unescape(name) for name in trace["y"]], trace["x"], color=trace["marker"]["color"])
        return
    x, y = ([float("nan") if value is None else value for value in trace[key]] for key in ("x", "y"))
    line, marker = trace.get("line", {}), trace.get("marker", {})
    shared = {"label": unescape(trace.get("name", "")), "linewidth": 0.7 * line.get("width", 2)}
    color = line.get("color") or marker.get("color")
    points = "D" if "diamond" in str(marker.get("symbol")) else "." if "markers" in trace["mode"] else ""
    steps = "steps-post" if line.get("shape") == "hv" else "default"
    style = _DASHES[line.get("dash", "solid")] if "lines" in trace["mode"] else ""
    panel.plot(x, y, color=color, linestyle=style, marker=points, markersize=4, drawstyle=steps, **shared)


def _title(axis: Mapping[str, Any]) -> str:
    return unescape(axis["title"]["text"])
