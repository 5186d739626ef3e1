"""`report.html`: one file that opens from disk without a network, and runs nothing of what the run's files hold."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from sbir.report.compare import compare
from sbir.report.compare_text import LEGEND, notes
from sbir.report.drawn import drawn
from sbir.report.explore import explore
from sbir.report.grid import Look, looks, retrieval_grid
from sbir.report.load import Run, load_run
from sbir.report.queries import BUDGET
from sbir.report.reproduction import as_markdown
from sbir.report.section import FLAGS, plots, tables, texts
from sbir.report.setup_text import setup_latex, setup_markdown
from sbir.report.table import metric_label, percent
from sbir.tracking.names import readable

REPORT = "report.html"
SCRIPTS = ("elements.js", "parallel.js", "trials.js", "queries.js", "report.js")


def write_report(run_dir: str | Path, *, look: Look | None = None) -> Path:
    """Write the run's page and the texts beside it, each whole or not at all; the page's path.

    `setup.md` and `setup.tex`, and `reproduction.md` where declared rows were run over seeds. `look` gives the
    pictures where the store cannot.
    """
    run = load_run(run_dir)
    _write(run.path / "setup.md", setup_markdown(run))
    _write(run.path / "setup.tex", setup_latex(run))
    if text := as_markdown(run):
        _write(run.path / "reproduction.md", text + "\n")
    return _write(run.path / REPORT, render([run], [look or looks(run)]))


def write_joint_report(run_dirs: Sequence[str | Path], path: Path) -> Path:
    """Write one page of several runs: methods x data sets, and each run behind a button; the page's path."""
    runs = [load_run(run_dir) for run_dir in run_dirs]
    return _write(path, render(runs, [looks(run) for run in runs]))


def _write(path: Path, text: str) -> Path:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def render(runs: Sequence[Run], looks_of: Sequence[Look]) -> str:
    """The page's text; the runs share the room that there is for pictures."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(_asset)
    )
    environment.filters |= {"jpeg": _data_url, "readable": readable, "percent": percent, "metric": metric_label}
    sections = []
    for at, (run, look) in enumerate(zip(runs, looks_of, strict=True)):
        content = _section(run, look, BUDGET // len(runs))
        prefix = f"{at}-" if len(runs) > 1 else ""
        text = environment.get_template("run.html").render(prefix=prefix, **content)
        sections.append((run.manifest["name"], Markup(text)))
    return environment.get_template(REPORT).render(
        title=", ".join(str(run.manifest["name"]) for run in runs),
        css=Markup(_asset("report.css")),
        scripts=[Markup(script) for script in (get_plotlyjs(), *map(_asset, SCRIPTS))],
        sections=sections,
        legend=LEGEND,
        **_joint(runs),
    )


def _joint(runs: Sequence[Run]) -> dict[str, Any]:
    """The table over several runs, and the banners that hold for any of them."""
    if len(runs) == 1:
        return {"comparison": None}
    found = compare(runs)
    flags = dict.fromkeys(flag for run in runs for flag in run.summary.get("flags", ()))
    banners = [f"{FLAGS.get(flag, flag.upper())} It holds for the columns marked so." for flag in flags]
    return {"comparison": found, "notes": notes(found), "banners": banners}


def _section(run: Run, look: Look, budget: int) -> dict[str, Any]:
    figures = plots(run)
    return {
        "plots": figures,
        "grid": retrieval_grid(run, look),
        "drawn": drawn(run),
        "data": explore(run, figures, look, budget),
        **texts(run),
        **tables(run),
    }


def _asset(name: str) -> str:
    return (files("sbir.report") / name).read_text(encoding="utf-8")


def _data_url(picture: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")
