"""`sbir preflight`: check a cluster file before `ray up`."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `preflight`."""
    preflight = commands.add_parser("preflight", help="check a cluster file before `ray up`, without a network")
    preflight.add_argument("file", type=Path, metavar="CLUSTER.yaml")
    preflight.add_argument("--prices", type=Path, metavar="FILE", help="JSON: instance type -> price per hour")
    preflight.set_defaults(run=_preflight)


def _preflight(args: argparse.Namespace) -> None:
    from sbir.tuning.preflight import preflight

    found = preflight(args.file, args.prices)
    for finding in found:
        print(finding)
    errors = sum(finding.level == "error" for finding in found)
    if errors:
        raise ValueError(f"{args.file} is not ready for `ray up`: {errors} errors stand above")
    print(f"{args.file}: no errors")
