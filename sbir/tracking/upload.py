"""Uploading finished W&B run folders with `wandb sync`, with a limit on every step that could wait for ever."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

SYNC_LIMIT = 300.0  # seconds; to an unreachable host `wandb sync` was still trying after 150
REACH_LIMIT = 3.0  # seconds until a silent server counts as away


class Upload:
    """One `wandb sync` at a time; after the first failure the rest is not tried, and fails in the same words."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "wandb", "sync")) -> None:
        self._command = command
        self._reachable: bool | None = None
        self._failure = ""
        self._process: subprocess.Popen[str] | None = None

    def send(self, segment: Path) -> None:
        """Upload one run folder; `RuntimeError` says why not, and how to do it later."""
        if self._reachable is None:
            self._reachable = is_reachable(_server())
            self._failure = "" if self._reachable else "the server does not answer"
        if not self._failure:
            self._failure = self._sync(segment)
        if self._failure:
            raise RuntimeError(f"{self._failure}; upload later with `wandb sync {segment.parent}/offline-run-*`")

    def stop(self) -> None:
        """End an upload that is still going on."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _sync(self, segment: Path) -> str:
        """Why it failed, or nothing."""
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        segment = segment.resolve()
        self._process = subprocess.Popen(
            [*self._command, str(segment)],
            cwd=segment.parent.parent,  # it writes a log to `wandb/` of wherever it stands
            stdin=null,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = self._process.communicate(timeout=SYNC_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return f"`wandb sync` did not end within {SYNC_LIMIT:g} s"
        return f"`wandb sync` failed: {' '.join(output.split())[-200:]}" if self._process.returncode else ""


def _server() -> str:
    import wandb

    return str(wandb.Settings().base_url)  # WANDB_BASE_URL, the user's settings file, or W&B's own


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
