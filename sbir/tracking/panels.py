"""The panels of W&B's workspace and report: what is drawn of finished runs, by section, in the colours of the page."""

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sbir.report.budgets import COLORS, DASHES
from sbir.report.figures import GREY
from sbir.report.load import Run
from sbir.report.table import metric_label
from sbir.tracking.about import LINE, ROW, line_of
from sbir.tracking.finished import COMPARISON, RETRIEVAL, budget_rows, labels, lambda_rows, reproduction_tables

MARKS = {"solid": "solid", "dash": "dashed", "dot": "dotted"}  # plotly's words, and W&B's
WIDE, HALF = 24, 12  # columns of a report's grid


def reports() -> Any:
    """`wandb_workspaces.reports.v2`, whose import warns of pydantic's first version in its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("wandb_workspaces.reports.v2")


def metrics(runs: Sequence[Run]) -> list[str]:
    """The maximised metrics, each once; figures of different k are different metrics."""
    return list(dict.fromkeys(run.metric for run in runs))


def group_key(runs: Sequence[Run]) -> str:
    """What W&B groups by: the line of the table, apart for each fingerprint where there are several."""
    return ROW if len({run.summary["protocol"].get("fingerprint") for run in runs}) == 1 else LINE


def colors(runs: Sequence[Run]) -> dict[str, str]:
    """Value of `group_key` -> colour: methods as on the page, all that is not a method grey."""
    found: dict[str, str] = {}
    for run in runs:
        places = {label: place for place, label in enumerate(labels(run).values())}
        for row in run.summary["table"]:
            colour = COLORS[places[row["row"]] % len(COLORS)] if row["row"] in places else GREY
            found[line_of(run.summary["protocol"], row["row"]) if group_key(runs) == LINE else row["row"]] = colour
    return found


def sections(runs: Sequence[Run], price: float | None = None) -> dict[str, list[Any]]:
    """Title -> panels, in the order to be read; none is empty. `price` is of a device-hour, in any currency."""
    found = {
        "What this is": [_markdown(overview(run)) for run in runs],
        "Methods side by side": [panel for metric in metrics(runs) for panel in _bars(metric, group_key(runs))],
        "Learning curves": [panel for metric in metrics(runs) for panel in _learning(metric, group_key(runs))],
        "Settings and result": [panel for run in runs for panel in _settings(run)],
        "Lambda": list(_lambda(runs)),
        "Quality against cost": [*_costs(runs), *_prices(runs, price)],
        "Reported against reproduced": list(_reproduction(runs)),
        "Runs compared": [_panel("RunComparer", diff_only="split", wide=True)],
        "Retrieval grids (sent with --pictures only)": [
            _panel("MediaBrowser", title="Retrieval grid", media_keys=[RETRIEVAL], num_columns=1, wide=True)
        ],
    }
    return _with_ids({title: panels for title, panels in found.items() if panels})


def overview(run: Run) -> str:
    """What the figures of a run mean, before any of them."""
    summary, protocol = run.summary, run.summary["protocol"]
    marks = " ".join(f"**{flag.upper()}.**" for flag in summary.get("flags", []))
    lines = [
        f"## {run.manifest['name']}",
        marks,
        str(summary.get("question") or ""),
        f"Maximised: {metric_label(run.metric)} (higher is better), on validation; test was looked at by "
        f"{summary.get('looks_at_test', 'an unknown number of')} runs.",
        f"Protocol {protocol.get('name')}, fingerprint `{protocol.get('fingerprint')}`: only figures within one "
        "fingerprint may be compared. Given: "
        f"{summary.get('given') or 'not stated'}.",
        "Bars: mean over training seeds, with the standard deviation; intervals over test classes are in the table "
        "`results`. Pruned trials are hidden by a filter. Grey: baselines, chance and ceiling.",
    ]
    return "\n\n".join(line for line in lines if line)


def _bars(metric: str, by: str) -> Iterator[Any]:
    for part, title in (("test", "on test, winners refitted on train + val"), ("best", "on validation, all trials")):
        yield _panel(
            "BarPlot",
            title=f"{metric_label(metric)} {title}",
            metrics=[f"{part}/{metric}"],
            title_x="share, higher is better",
            max_bars_to_show=50,
            **_grouped(by, "stddev"),
        )
    if metric != "map_all":
        yield _panel("BarPlot", title="mAP@all on test", metrics=["test/map_all"], **_grouped(by, "stddev"))
    yield _panel("WeavePanelSummaryTable", table_name="results", wide=True)


def _learning(metric: str, by: str) -> Iterator[Any]:
    for part, title in (("val", "at each evaluation"), ("best", "best so far")):
        yield _panel(
            "LinePlot",
            title=f"{metric_label(metric)} on validation, {title}",
            x="step",
            y=[f"{part}/{metric}"],
            title_x="training step",
            title_y="share, higher is better",
            **_grouped(by, "minmax"),
        )


def _grouped(by: str, area: str) -> dict[str, Any]:
    wr = reports()
    return {"groupby": wr.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": area}


def _settings(run: Run) -> Iterator[Any]:
    """Parallel coordinates a method, W&B's own importance, and ours, which says when there is not enough."""
    wr = reports()
    for method, label in labels(run).items():
        if axes := run.axes[method]:
            domains = (run.manifest.get("domains") or {}).get(method, {})
            columns = [_column(wr.Config(axis), axis, domains.get(axis)) for axis in axes]
            columns.append(_column(wr.SummaryMetric(f"best/{run.metric}"), metric_label(run.metric), None))
            title = f"{label}, {run.manifest['name']}: settings and result"
            yield _panel("ParallelCoordinatesPlot", title=title, columns=columns, wide=True)
    yield _panel("ParameterImportancePlot", with_respect_to=f"best/{run.metric}")
    yield _markdown(_importance(run))


def _column(metric: Any, name: str, domain: Any) -> Any:
    wr = reports()
    log = True if "(log)" in str(domain) else None
    return wr.ParallelCoordinatesPlotColumn(metric, display_name=name.rsplit("/", 1)[-1], log=log)


def _importance(run: Run) -> str:
    lines = ["### Importance by fANOVA, over complete trials of one method"]
    lines.append("W&B's own plot is a random forest over every run that is shown: filter it to one method first.")
    for method, shares in (run.summary.get("importance") or {}).items():
        told = shares.get("note") or ", ".join(f"{axis} {share:.2f}" for axis, share in _largest_first(shares))
        lines.append(f"**{labels(run).get(method, method)}**: {told}")
    return "\n\n".join(lines)


def _largest_first(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda item: -item[1])


def _lambda(runs: Sequence[Run]) -> Iterator[Any]:
    for run in runs:
        if rows := lambda_rows(run):
            yield _panel(
                "LinePlot",
                title=f"{metric_label(run.metric)} on validation over lambda, {run.manifest['name']}",
                x="lambda/at",
                title_x="lambda (0 = second view only, 1 = first view only)",
                title_y="share, higher is better",
                **_styled(run, "lambda", rows),
            )


def _costs(runs: Sequence[Run]) -> Iterator[Any]:
    wr = reports()
    for run in runs:
        if rows := budget_rows(run):
            yield _panel(
                "LinePlot",
                title=f"Best so far against device-seconds, {run.manifest['name']}",
                x="budget/device_seconds",
                title_x="device-seconds spent by the method",
                title_y=f"{metric_label(run.metric)} on validation, %",
                **_styled(run, "budget", rows),
            )
    for metric in metrics(runs):
        yield _panel(
            "ScatterPlot",
            title=f"{metric_label(metric)} on validation against device-seconds, a point a trial",
            x=wr.SummaryMetric("device_seconds"),
            y=wr.SummaryMetric(f"best/{metric}"),
        )


def _styled(run: Run, group: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The lines of the comparison's W&B run that have values, in the page's colours and dashes."""
    present = {key for row in rows for key in row}
    lines = [(f"{group}/{label}", place, label) for place, label in enumerate(labels(run).values())]
    lines = [line for line in lines if line[0] in present]
    of = f"{run.manifest['name']}-{COMPARISON}"
    return {
        "y": [key for key, _, _ in lines],
        "line_colors": {f"{of}:{key}": COLORS[place % len(COLORS)] for key, place, _ in lines},
        "line_marks": {f"{of}:{key}": MARKS[DASHES[place // len(COLORS) % len(DASHES)]] for key, place, _ in lines},
        "line_titles": {f"{of}:{key}": label for key, _, label in lines},
    }


def _prices(runs: Sequence[Run], price: float | None) -> Iterator[Any]:
    if price is not None:
        lines = [
            f"### Cost at {price:g} a device-hour",
            "| run | method | device-hours | cost |",
            "| --- | --- | --- | --- |",
        ]
        for run in runs:
            for one in (run.summary.get("methods") or {}).values():
                hours = one["device_s"] / 3600
                lines.append(f"| {run.manifest['name']} | {one['label']} | {hours:.3g} | {price * hours:.3g} |")
        yield _markdown("\n".join([lines[0], "", *lines[1:]]))


def _reproduction(runs: Sequence[Run]) -> Iterator[Any]:
    if any(reproduction_tables(run) for run in runs):
        yield _panel("WeavePanelSummaryTable", table_name="reproduction", wide=True)
    else:
        yield _markdown("No declared rows were run over seeds: `--stage published` or `ablate` does that.")


def _markdown(text: str) -> Any:
    return _panel("MarkdownPanel", markdown=text)


def _panel(kind: str, *, wide: bool = False, **settings: Any) -> Any:
    wr = reports()
    return getattr(wr, kind)(**settings, layout=wr.Layout(w=WIDE if wide else HALF, h=9))


def _with_ids(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same panel has the same id in every call, so that saving again changes nothing where nothing changed."""
    for at, panels in enumerate(found.values()):
        for place, panel in enumerate(panels):
            panel._id = f"sbir{at:02d}{place:03d}"
    return found
