"""`sbir compare`: several runs in one table."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `compare`."""
    compare = commands.add_parser(
        "compare", help="methods x data sets over several finished runs, for reading and for papers"
    )
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    compare.add_argument("--format", choices=("terminal", "latex", "csv", "markdown"), default="terminal")
    compare.add_argument("--metric", metavar="NAME", help="such as map_all; each run's own when left out")
    compare.add_argument("--figures", type=Path, metavar="DIR", help="also draw the figures there, as PDF and SVG")
    compare.set_defaults(run=_compare)


def _compare(args: argparse.Namespace) -> None:
    from sbir.report.compare import compare
    from sbir.report.compare_text import as_csv, as_latex, as_markdown, print_comparison
    from sbir.report.load import load_run, runs_in

    runs = [load_run(run) for path in args.runs for run in runs_in(path)]
    found = compare(runs, args.metric)
    if args.figures is not None:
        from sbir.report.print_figures import write_figures

        write_figures(args.figures, found, runs)
    if args.format == "terminal":
        print_comparison(found)
    else:
        print({"latex": as_latex, "csv": as_csv, "markdown": as_markdown}[args.format](found), end="")
