"""Uploading finished W&B run folders with `wandb sync`, with a limit on every step that could wait for ever."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from sbir.tracking.segment import is_synced

SYNC_LIMIT = 300.0  # seconds without a further run sent; to an unreachable host `wandb sync` tried for over 150
REACH_LIMIT = 3.0  # seconds until a silent server counts as away
SERVICE = "WANDB_SERVICE"  # names a process of W&B's that is running; `wandb sync` is to have, and to end, its own
STOP_LIMIT = 5.0  # seconds for `wandb sync` to end once interrupted
COMMAND = (sys.executable, "-m", "wandb", "sync")


class Upload:
    """One `wandb sync` at a time; after the first failure the rest is not tried, and fails in the same words."""

    def __init__(self, command: tuple[str, ...] = COMMAND, limit: float = SYNC_LIMIT) -> None:
        self._command, self._limit = command, limit
        self._reachable: bool | None = None
        self._failure = ""
        self._process: subprocess.Popen[str] | None = None

    def send(self, segment: Path) -> None:
        """Upload one run folder; `RuntimeError` says why not, and how to do it later."""
        if self._reachable is None:
            self._reachable = is_reachable(server())
            self._failure = "" if self._reachable else "the server does not answer"
        if not self._failure:
            self._failure = self.sync([segment])
        if self._failure:
            raise RuntimeError(f"{self._failure}; upload later with `sbir sync {segment.parent.parent}`")

    def stop(self) -> None:
        """End an upload that is still going on: by an interrupt, since a kill leaves W&B's own process behind."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def sync(self, segments: Sequence[Path], say: Callable[[int], object] | None = None) -> str:
        """Send run folders of one `wandb`; why some were not sent, or nothing. `say` hears how many were, as it grows.

        `wandb sync` ends with status 0 when the server refused a run; the file that it leaves beside a run counts.
        """
        folder = segments[0].resolve().parent.parent  # it writes a log to `wandb/` of wherever it stands
        with tempfile.TemporaryFile("w+") as output:
            self._process = subprocess.Popen(
                [*self._command, *map(str, (segment.resolve() for segment in segments))],
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name != SERVICE},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                ended = self._wait(segments, say)
            finally:
                self.stop()
            output.seek(0)
            told = output.read()
        if all(map(is_synced, segments)):
            return ""
        return f"`wandb sync` failed: {_reason(told)}" if ended else f"`wandb sync` stood still for {self._limit:g} s"

    def _wait(self, segments: Sequence[Path], say: Callable[[int], object] | None) -> bool:
        """Until the process ends, or sends nothing more for too long; whether it ended."""
        assert self._process is not None
        sent, since = 0, time.monotonic()
        while time.monotonic() - since < self._limit:
            try:
                self._process.wait(0.2)
            except subprocess.TimeoutExpired:
                now = sum(map(is_synced, segments))
                if now > sent:
                    sent, since = now, time.monotonic()
                    if say is not None:
                        say(sent)
            else:
                return True
        return False


def _reason(told: str) -> str:
    """The first error that `wandb sync` printed, else its last words."""
    lines = [line.removeprefix("wandb: ").strip() for line in told.splitlines()]
    errors = [line for line in lines if line.startswith(("ERROR", "Error:")) and "debug-cli" not in line]
    return errors[0].split(maxsplit=1)[-1] if errors else " ".join(lines)[-200:]


def server() -> str:
    """The address of W&B's server: WANDB_BASE_URL, that of the user's settings file, or W&B's own."""
    import wandb

    told = os.environ.get("WANDB_BASE_URL")  # which `wandb.Settings()` does not read, and `wandb.setup()` just once
    return str(told or wandb.setup().settings.base_url)


def is_reachable(url: str, limit: float = REACH_LIMIT) -> bool:
    """Whether a server answers at all within `limit` seconds, through the proxy that the environment names, if any."""
    try:
        with urllib.request.urlopen(url, timeout=limit):
            return True
    except urllib.error.HTTPError as answer:  # an unfriendly one is one, too
        answer.close()
        return True
    except (OSError, ValueError):
        return False
