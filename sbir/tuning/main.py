"""`main(SWEEP)`: what a sweep script runs, from the command line to the report."""

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sbir.tuning import quiet  # isort: skip  (before Ray is imported)
from sbir.tuning.options import Options, parse
from sbir.tuning.runner import Runner
from sbir.tuning.sweep import Sweep
from sbir.tuning.tune import InterruptedSweepError


def main(*sweeps: Sweep, doc: str | None = None, argv: Sequence[str] | None = None) -> None:
    """Run the sweep that the command line asks for, and end the process.

    Exit status: 0 when the sweep did its job, 1 when no trial finished, 2 on bad input (one line on standard error),
    130 when a signal stopped it (the same command goes on).
    """
    script = Path(sys.argv[0]).stem if argv is None else sweeps[0].name
    try:
        sys.exit(run(sweeps, parse(script, doc, argv)))
    except (ValueError, OSError) as error:
        print(f"{script}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{script}: stopped before any trial; nothing is lost", file=sys.stderr)
        sys.exit(130)


def run(sweeps: Sequence[Sweep], options: Options) -> int:
    """Run one sweep to its report; the exit status."""
    quiet.silence()
    runner = Runner(sweeps, options, started=(time.monotonic(), datetime.now()))
    try:
        return runner.run()
    except InterruptedSweepError:
        print(f"\nstopped; the same command goes on with {runner.folder}", file=sys.stderr)
        return 130
    finally:
        runner.close()
