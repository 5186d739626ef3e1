"""A thread with a queue for work that must neither block nor end a sweep."""

import queue
import threading
import time
from collections.abc import Callable


class Background:
    """Runs jobs one after the other in a daemon thread; what they raise becomes a line in `problems`."""

    def __init__(self, name: str) -> None:
        self.problems: list[str] = []
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pending = 0
        self._idle = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Returns at once; the thread starts with the first job."""
        with self._idle:
            self._pending += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        self._jobs.put(job)

    def close(self, timeout: float) -> list[str]:
        """Wait at most `timeout` seconds for the jobs, then give up on the rest; the problems, each one once."""
        end = time.monotonic() + timeout
        with self._idle:
            self._idle.wait_for(lambda: self._pending == 0, timeout)
            late = self._pending
        if self._thread is not None and not late:
            self._jobs.put(None)
            self._thread.join(max(0.0, end - time.monotonic()))
        lines = list(dict.fromkeys(self.problems))
        return [*lines, f"{self._name}: {late} not done after {timeout:g} s"] if late else lines

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # W&B's boundary: a tracker must never end what it tracks
                self.problems.append(f"{self._name}: {type(error).__name__}: {str(error).strip()[:300]}")
            with self._idle:
                self._pending -= 1
                self._idle.notify_all()
