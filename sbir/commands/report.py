"""`sbir report`: write the page of a finished run again, or one page of several."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `report`."""
    report = commands.add_parser("report", help="write a finished run's page again, or one page of several runs")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    report.add_argument("--out", type=Path, metavar="FILE", help="of several runs; comparison.html when left out")
    report.set_defaults(run=_report)


def _report(args: argparse.Namespace) -> None:
    from sbir.report.load import runs_in
    from sbir.report.page import write_joint_report, write_report

    runs = [run for path in args.runs for run in runs_in(path)]
    if len(runs) == 1:
        if args.out is not None:
            raise ValueError(
                f"--out is for several runs, one run's page lies in its folder, got --out {args.out}; leave it out"
            )
        print(f"wrote {write_report(runs[0])}")
    else:
        print(f"wrote {write_joint_report(runs, args.out or Path('comparison.html'))}")
