"""`main(SWEEP)`: what a sweep script runs, from the command line to the report."""

import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sbir.tuning import quiet  # isort: skip  (before Ray is imported)
from sbir.process import leave
from sbir.tuning import job
from sbir.tuning.collect import choose, sweeps_in
from sbir.tuning.data_sets import DataSets
from sbir.tuning.options import JOB, TRIALS, Options, is_outside, parse
from sbir.tuning.runner import Runner
from sbir.tuning.setup import Setup
from sbir.tuning.sweep import Sweep
from sbir.tuning.tune import InterruptedSweepError

STOPPED = 130  # exit status after a signal


def main(*sweeps: Sweep, doc: str | None = None, argv: Sequence[str] | None = None, trials: int = TRIALS) -> None:
    """Run the sweep that the command line asks for, and end the process; `trials` is the default of `--trials`.

    Exit status: 0 when the sweep did its job, 1 when no trial finished, 2 on bad input (one line on standard error),
    130 when a signal stopped it (the same command goes on).
    """
    status = _status(sweeps, doc, argv, trials)
    if argv is None:
        leave(status)
    sys.exit(status)


def _status(sweeps: Sequence[Sweep], doc: str | None, argv: Sequence[str] | None, trials: int) -> int:
    script = Path(sys.argv[0]).stem if argv is None else sweeps[0].name
    try:
        options = parse(script, doc, argv, trials=trials)
        added = [sweep for path in options.also for sweep in sweeps_in(path)]
        chosen = choose([*sweeps, *added], options.methods)
        return job.run(options, argv) if is_outside(options.address) else run(chosen, options)
    except (ValueError, OSError) as error:
        print(f"{script}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{script}: stopped before any trial; nothing is lost", file=sys.stderr)
        return STOPPED


def run(sweeps: Sequence[Sweep], options: Options) -> int:
    """Run one sweep to its report, on several data sets to the table of them all; the exit status."""
    quiet.silence()
    try:
        return _run(Setup(sweeps, options)) if len(options.data) < 2 else _run_each(sweeps, options)
    finally:
        if JOB in os.environ:
            job.leave_results(options)


def _run_each(sweeps: Sequence[Sweep], options: Options) -> int:
    data_sets, status = DataSets(sweeps, options), 0
    for setup in data_sets.setups():
        status = max(status, _run(setup))
        if status == STOPPED:
            return status
    data_sets.compare()
    return status


def _run(setup: Setup) -> int:
    runner = Runner(setup, started=(time.monotonic(), datetime.now()))
    try:
        return runner.run()
    except InterruptedSweepError:
        print(f"\nstopped; the same command goes on with {runner.folder}", file=sys.stderr)
        return STOPPED
    finally:
        runner.close()
