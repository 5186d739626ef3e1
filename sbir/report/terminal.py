"""What a sweep prints at its end."""

from pathlib import Path
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sbir.report.load import Run, load_run
from sbir.report.table import further_metrics, metric_label, percent, table_lines
from sbir.report.verdict import verdicts
from sbir.tracking.names import readable

WIDTH = 150  # columns where the output is no terminal


def print_summary(folder: Path, file: TextIO | None = None) -> None:
    """Best settings, the table, the verdict, and where the report and the W&B files are."""
    run = load_run(folder)
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=WIDTH)
    for line in _head(run):
        console.print(line, soft_wrap=True)
    console.print(_table(run))
    for line in _foot(run):
        console.print(line, soft_wrap=True)


def _head(run: Run) -> list[Text]:
    counts, best = run.summary["counts"], run.summary["best"]
    trials = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['failed']} failed"
    settings = " ".join(f"{key}={readable(value)}" for key, value in best["settings"].items())
    fusion = f", lambda {best['lambda']}" if best.get("lambda") is not None else ""
    value = f"{metric_label(run.metric)} {percent(best['value'])} % on validation at step {best['step']}{fusion}"
    return [
        Text(f"\n{run.summary.get('question', run.manifest['name'])}", style="bold"),
        Text(f"trials: {trials}"),
        Text.assemble(("best: ", ""), (f"{best['method']}-{best['number']}", "bold"), f", {value}"),
        Text(f"      {settings}"),
    ]


def _table(run: Run) -> Table:
    label = metric_label(run.metric)
    flags = f" ({', '.join(run.summary['flags']).upper()})" if run.summary.get("flags") else ""
    title = f"{run.manifest['data']['dataset']}, protocol {_protocol(run)}, percent{flags}"
    table = Table(title=Text(title), title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in ("lambda", f"val {label}", f"test {label}", "95 % classes", "95 % seeds"):
        table.add_column(heading, justify="right")
    for metric in further_metrics(run):
        table.add_column(f"test {metric_label(metric)}", justify="right")
    table.add_column("fitted on")
    for line in table_lines(run):
        seeds = line.by_seed + (f" n={line.num_seeds}" if line.num_seeds else "")
        cells = (line.row, line.fusion, line.val, line.test, line.by_class, seeds, *line.further, line.given)
        style = "bold" if line.best else "dim" if line.kind == "reference" else ""
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _protocol(run: Run) -> str:
    protocol = run.summary["protocol"]
    return f"{protocol.get('name', '')} {protocol.get('fingerprint', '')}"


def _foot(run: Run) -> list[Text]:
    looks = run.summary.get("looks_at_test")
    lines = [*verdicts(run), f"given: {run.summary.get('given') or 'not stated'}"]
    if looks is not None:
        lines.append(f"looks at the test part of this split so far, in this runs folder: {looks}")
    lines.append(f"report: {run.path / 'report.html'}")
    if (run.path / "wandb").is_dir():
        lines.append(f"W&B:    {run.path / 'wandb'} (send: sbir sync {run.path})")
    return [Text(line) for line in lines]
