"""`sbir dashboard`: W&B's workspace and report of some runs."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `dashboard`."""
    dashboard = commands.add_parser("dashboard", help="save a W&B workspace and report of runs that were synced")
    dashboard.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    dashboard.add_argument("--out", type=Path, metavar="FILE", help="write the specification there and save nothing")
    dashboard.add_argument("--price", type=float, metavar="X", help="of a device-hour: costs are shown, too")
    dashboard.set_defaults(run=_dashboard)


def _dashboard(args: argparse.Namespace) -> None:
    from sbir.tracking import dashboard as wanted
    from sbir.tracking.sync import check_access, has_key

    built = wanted.build(args.runs, price=args.price)
    if args.out is None and has_key():
        check_access()
        for address in wanted.save(built):
            print(address)
        return
    path = args.out or args.runs[0] / wanted.SPECIFICATION
    part = path.with_name(path.name + ".part")
    part.write_text(wanted.specification(built), encoding="utf-8")
    part.replace(path)
    where = f"{built.workspace.entity}/{built.workspace.project}"
    print(f"wrote {path}: {len(built.workspace.sections)} sections")
    print("not saved: with a key of W&B's (WANDB_API_KEY or `wandb login`) and without --out, this makes or updates")
    print(
        f"the workspace {built.slug} and the report {built.report.title!r} in {where}; `sbir sync` sends the runs first"
    )
