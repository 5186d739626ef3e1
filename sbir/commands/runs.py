"""`sbir runs`: what lies in a runs folder, and removing what is old."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sbir.commands import Commands

if TYPE_CHECKING:
    from sbir.report.runs import Listed


def add(commands: Commands) -> None:
    """Add `runs`."""
    runs = commands.add_parser("runs", help="list runs with their state and size, and remove old ones")
    runs.add_argument("folder", type=Path, nargs="?", default=Path("runs"), metavar="DIR", help="runs when left out")
    runs.add_argument("--remove", nargs="+", default=(), metavar="NAME", help="runs to remove")
    runs.add_argument("--older-than", type=float, metavar="DAYS", help="remove runs not written to for so long")
    runs.add_argument("--yes", action="store_true", help="do remove them; without it they are only named")
    runs.set_defaults(run=_runs)


def _runs(args: argparse.Namespace) -> None:
    from sbir.report.runs import choose, list_runs, remove

    if not args.remove and args.older_than is None:
        if args.yes:
            raise ValueError("--yes goes with --remove or --older-than, got neither")
        _print(list_runs(args.folder))
        return
    chosen = choose(args.folder, args.remove, args.older_than)
    _print(chosen)
    if args.yes:
        remove(chosen)
    size = _readable_size(sum(run.size for run in chosen))
    print(f"{'removed' if args.yes else 'would remove'} {len(chosen)} runs, {size}{'' if args.yes else '; add --yes'}")


def _print(runs: Sequence["Listed"]) -> None:
    width = max((len(run.path.name) for run in runs), default=0)
    for run in runs:
        used = datetime.fromtimestamp(run.used).strftime("%Y-%m-%d %H:%M")
        scale = f" ({', '.join(run.flags)})" if run.flags else ""
        print(f"{run.path.name:{width}}  {run.state:11}  {_readable_size(run.size):>8}  {used}  {run.best}{scale}")


def _readable_size(size: float) -> str:
    """A size with its unit.

    >>> _readable_size(999), _readable_size(12_345_678)
    ('999 B', '12.3 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
