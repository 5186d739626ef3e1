"""The record of a run: Optuna's journal format in a file with one writer."""

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend


class Journal(BaseJournalBackend):
    """An append-only journal that is held for as long as the process lives.

    Optuna's own file backend locks for every operation, waits 30 s for a stale lock, and makes a study unreadable
    once a line was torn. Here the lock dies with the process, a torn last line is cut when the file is opened, and an
    append that fails (disk full) is rolled back. Optuna's tools read the file as it is.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise ValueError(
                f"a run has one driver, {path} is held by another; wait for it or take another --name"
            ) from None
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        os.ftruncate(self._file, len(whole))
        try:
            self._logs: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            os.close(self._file)
            raise ValueError(f"every line of {path} must be JSON, {error}; restore it from a copy") from None

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """All entries from a number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all entries or none."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, lines)
            if written != len(lines):
                raise OSError(f"wrote {written} of {len(lines)} bytes to the journal: is the disk full?")
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self._logs.extend(json.loads(line) for line in lines.splitlines())

    def close(self) -> None:
        """Let another driver have the file."""
        os.close(self._file)
