"""The `sbir` command: data, features, stores; scoring, export and use of saved models; reports and tables of runs."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from sbir.commands import (
    cite,
    compare,
    dashboard,
    data,
    evaluate,
    export,
    features,
    invariance,
    preflight,
    report,
    retrieve,
    runs,
    store,
    sync,
)
from sbir.process import UNREAD, leave

COMMANDS = (
    data,
    features,
    store,
    evaluate,
    export,
    invariance,
    retrieve,
    report,
    compare,
    runs,
    preflight,
    cite,
    sync,
    dashboard,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 0, 2 after an error of the user's input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["store", "import"]:  # beside `store PATH`, which takes a positional too
        words[:2] = ["store import"]
    args = _parser().parse_args(words)
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("sbir: interrupted; an extraction goes on where it was when started again", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads any more, as in `sbir cite | head -3`
        return UNREAD
    except (ValueError, OSError) as error:
        print(f"sbir: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def run() -> NoReturn:
    """`main` as a program."""
    leave(main())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sbir", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    run()
