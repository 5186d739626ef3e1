"""A sweep on this machine alone, in a process of its own, for faults that need no cluster."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults import audit
from tests.faults.lab import until

ROOT = Path(__file__).parents[2]
STEADY = ROOT / "tests/faults/steady.py"
METHOD = f"{STEADY}:Steady"
FLAGS = ["--workers", "1", "--trials", "3", "--set", "train/steps=100", "--set", "train/eval_every=10"]
LONG = 300.0  # seconds


class Sweep:
    """The steady sweep as a user starts it; started again it is the same command."""

    def __init__(self, runs: Path, *more: str, smoke: bool = True, env: dict[str, str] | None = None) -> None:
        self.run, self.output = runs / "run", runs.parent / "sweep.out"
        self._command = [
            sys.executable,
            str(STEADY),
            *FLAGS,
            *(["--smoke"] if smoke else []),
            *more,
            "--name",
            "run",
            "--runs",
            str(runs),
        ]
        self._env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **(env or {})}
        self.start()

    def start(self, *more: str) -> None:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*self._command, *more], env=self._env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def until(self, true: Callable[[], bool], otherwise: str) -> float:
        def stop() -> bool:
            ended = self.process.poll() is not None
            assert true() or not ended, self.output.read_text()
            return true()

        return until(stop, LONG, otherwise)

    def middle(self) -> audit.Trials:
        """Wait until one trial has ended and the next has reported; what has ended by then."""
        self.until(lambda: bool(audit.finished(self.run)), "no trial")
        rows = audit.num_rows(self.run)
        self.until(lambda: audit.num_rows(self.run) > rows, "no second trial")
        return audit.finished(self.run)

    def ends(self, status: int = 0) -> str:
        """Wait for the end; what the sweep printed."""
        ended = self.process.wait(timeout=LONG)
        assert ended == status, self.output.read_text()
        return self.output.read_text()
