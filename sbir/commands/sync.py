"""`sbir sync`: send a run's W&B files."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `sync`."""
    sync = commands.add_parser("sync", help="send runs to W&B: trials, baselines, refits, tables; once, and resumable")
    sync.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    sync.add_argument("--pictures", action="store_true", help="the retrieval grid, too: it shows the data's pictures")
    sync.set_defaults(run=_sync)


def _sync(args: argparse.Namespace) -> None:
    from sbir.tracking.sync import check_access, check_run, sync_run

    for path in args.runs:
        check_run(path)
    check_access()
    for path in args.runs:
        done = sync_run(path, pictures=args.pictures, say=print)
        there = f", {done.before} were there already" if done.before else ""
        print(f"{path.name}: {done.sent} W&B runs sent to {done.project}{there}")
