"""W&B's workspace and report of some runs: built here without a network, saved apart from that, under stable names."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sbir.report.load import Run, load_run
from sbir.report.reproduction import as_markdown
from sbir.tracking import panels
from sbir.tracking.finished import baseline_id, labels
from sbir.tracking.sync import destination

MAX_RUNS = 200  # drawn a panel; W&B draws ten where it is not told
MAX_PINNED = 20  # W&B's own limit
SPECIFICATION = "dashboard.json"
NO_ENTITY = "your-entity"  # in a specification that is not saved, where the environment names none


@dataclass(frozen=True)
class Dashboard:
    """What W&B is to show, not yet saved; `slug` is the same for the same runs, and the workspace's name in its URL."""

    workspace: Any
    report: Any
    slug: str


def build(paths: Sequence[Path], *, price: float | None = None) -> Dashboard:
    """Workspace and report of finished runs; nothing is sent. `ValueError` where a folder is no finished run."""
    if price is not None and price < 0:
        raise ValueError(f"price must be at least 0 a device-hour, got {price:g}")
    runs = [load_run(path) for path in paths]
    names = [str(run.manifest["name"]) for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"a dashboard is of runs with different names, got {', '.join(names)}; name each once")
    entity, project = destination(runs[0].manifest)
    entity = entity or NO_ENTITY
    slug = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:11]
    sections = panels.sections(runs, price)
    return Dashboard(_workspace(runs, entity, project, sections), _report(runs, entity, project, sections), slug)


def specification(dashboard: Dashboard) -> str:
    """The workspace's and the report's specifications as JSON, as W&B gets them."""
    views = {
        "workspace": dashboard.workspace._to_model().spec,
        "report": dashboard.report._to_model().spec,
    }
    told = {name: json.loads(spec.model_dump_json(by_alias=True, exclude_none=True)) for name, spec in views.items()}
    where = {"entity": dashboard.workspace.entity, "project": dashboard.workspace.project, "name": dashboard.slug}
    return json.dumps({**where, "title": dashboard.report.title, **told}, indent=1, ensure_ascii=False) + "\n"


def save(built: Dashboard) -> tuple[str, str]:
    """Save workspace and report in place of those that an earlier call saved for the same runs; their addresses.

    Needs a key. `ValueError` where the project is not on the server: the runs have not been synced.
    """
    import wandb

    panels.reports()
    import wandb_workspaces.workspaces as ws

    api, workspace, report = wandb.Api(), built.workspace, built.report
    if workspace.entity == NO_ENTITY:
        workspace.entity = report.entity = api.default_entity
    for grid in (block for block in report.blocks if hasattr(block, "runsets")):
        for runset in grid.runsets:
            runset.entity, runset.project = workspace.entity, workspace.project
    report.id = _known(api, workspace.entity, workspace.project).get(report.title, "")
    workspace._internal_name = f"nw-{built.slug}-v"
    with suppress(ValueError):  # not there yet
        workspace._internal_id = ws.Workspace.from_url(workspace.url)._internal_id
    workspace.save()
    report.save()
    return workspace.url, report.url


def _known(api: Any, entity: str, project: str) -> dict[str, str]:
    """Title -> id of the project's reports: a report has no name that we could choose."""
    try:
        return {one.display_name: one.id for one in api.reports(f"{entity}/{project}")}
    except ValueError as error:
        told = f"a dashboard needs the project {entity}/{project} on the server, it has none ({error})"
        raise ValueError(f"{told}; `sbir sync` first") from None


def _workspace(runs: Sequence[Run], entity: str, project: str, sections: dict[str, list[Any]]) -> Any:
    import wandb_workspaces.workspaces as ws

    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name=_title(runs),
        sections=[
            ws.Section(name=title, panels=shown, is_open=True, pinned=at == 0)
            for at, (title, shown) in enumerate(sections.items())
        ],
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=MAX_RUNS),
        runset_settings=_runset(runs),
    )
    workspace._internal_runset_id = "sbir"
    return workspace


def _runset(runs: Sequence[Run]) -> Any:
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    metric = panels.metrics(runs)[0]
    pinned: list[str | ws.RunRef] = [
        baseline_id(str(run.manifest["name"]), row["row"]) for run in runs for row in _baselines(run)
    ]
    return ws.RunsetSettings(
        filters=_shown(runs),
        groupby=[expr.Config(panels.group_key(runs))],
        group_colors=cast("dict[object, object]", panels.colors(runs)),
        order=[expr.Ordering(expr.Summary(f"test/{metric}"), ascending=False)],
        pinned_columns=[
            "run:displayName", f"summary:test/{metric}", f"summary:best/{metric}", "summary:lambda",
            "summary:device_seconds", "tags:__ALL__", f"config:{panels.group_key(runs)}.value",
            "config:about/fingerprint.value", "config:about/told.value",
        ],
        baseline_run=pinned[0] if pinned else None,
        pinned_runs=pinned[:MAX_PINNED],
    )  # fmt: skip


def _baselines(run: Run) -> list[Any]:
    """Baselines of the table, the best on test first: differences are shown to that one."""
    rows = [row for row in run.summary["table"] if row["kind"] == "baseline"]
    return sorted(rows, key=lambda row: -float((row["test"].get(run.metric) or {}).get("mean") or 0.0))


def _shown(runs: Sequence[Run], method: str | None = None) -> Any:
    from wandb_workspaces import expr

    names = [str(run.manifest["name"]) for run in runs]
    of_method = [expr.Metric("JobType") == method] if method else []
    # by the tag: of a key that W&B itself uses, such as the summary's `state`, the library makes the run's own
    return expr.And(expr.Config("about/sweep").isin(names), expr.Tags().notin(["pruned"]), *of_method)


def _title(runs: Sequence[Run]) -> str:
    names = [str(run.manifest["name"]) for run in runs]
    short = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"sbir: {short}"[:100]


def _report(runs: Sequence[Run], entity: str, project: str, sections: dict[str, list[Any]]) -> Any:
    """The sections below one another; importance apart for each method, and reproduced rows as text, too."""
    wr = panels.reports()
    blocks: list[Any] = [wr.TableOfContents()]
    for title, shown in sections.items():
        blocks.append(wr.H1(title))
        texts = [panel.markdown for panel in shown if isinstance(panel, wr.MarkdownPanel)]
        drawn = [panel for panel in shown if not isinstance(panel, wr.MarkdownPanel | wr.ParameterImportancePlot)]
        blocks += [wr.MarkdownBlock(text) for text in texts]
        if title == "Reported against reproduced":
            blocks += [wr.MarkdownBlock(text) for run in runs if (text := as_markdown(run))]
        if drawn:
            blocks.append(_grid(runs, drawn, grouped=title in ("Methods side by side", "Learning curves"), name=title))
        if title == "Settings and result":
            blocks += [_importance(run, method, label) for run in runs for method, label in labels(run).items()]
    return wr.Report(
        entity=entity, project=project, title=_title(runs), description=_description(runs), blocks=blocks, width="fluid"
    )


def _description(runs: Sequence[Run]) -> str:
    marks = sorted({flag for run in runs for flag in run.summary.get("flags", [])})
    return " ".join(
        [*(f"{mark.upper()}." for mark in marks), "Made by `sbir dashboard`, and by each further call anew."]
    )


def _grid(runs: Sequence[Run], drawn: list[Any], *, grouped: bool, name: str, method: str | None = None) -> Any:
    wr = panels.reports()
    key = panels.group_key(runs)
    runset = wr.Runset(name=name, filters=_shown(runs, method), groupby=[f"config.{key}"] if grouped else [])
    runset._id = hashlib.sha256(f"{name} {method}".encode()).hexdigest()[:11]
    colours = {
        wr.RunsetGroup(runset_name=name, keys=(wr.RunsetGroupKey(key=wr.Config(key), value=line),)): colour
        for line, colour in panels.colors(runs).items()
    }
    return wr.PanelGrid(runsets=[runset], panels=drawn, custom_run_colors=colours if grouped else {})


def _importance(run: Run, method: str, label: str) -> Any:
    wr = panels.reports()
    panel = wr.ParameterImportancePlot(with_respect_to=f"best/{run.metric}", layout=wr.Layout(w=24, h=9))
    name = f"{label}, {run.manifest['name']}"
    panel._id = "sbir" + hashlib.sha256(name.encode()).hexdigest()[:7]
    return _grid([run], [panel], grouped=False, name=name, method=method)
