"""How far an extraction is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

INTERVAL = 10.0  # seconds between plain lines


class Meter(Protocol):
    """Counts items."""

    def advance(self, count: int) -> None:
        """So many more are done."""


@contextmanager
def meter(total: int, done: int) -> Iterator[Meter]:
    """Show progress on stderr from `done` to `total` items."""
    if not sys.stderr.isatty():
        yield (lines := _Lines(total, done))
        lines.say()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]:.0f} items/s")
    columns = (TextColumn("features"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Bar(bar, total, done)


class _Clock:
    """Items per second since the first result, so that starting the workers does not count."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._counted = 0

    def rate(self, count: int) -> float:
        now = time.monotonic()
        if self._started is None:
            self._started = now
            return 0.0
        self._counted += count
        return self._counted / max(now - self._started, 1e-9)


class _Bar:
    def __init__(self, bar: object, total: int, done: int) -> None:
        from rich.progress import Progress

        assert isinstance(bar, Progress)
        self._bar, self._clock = bar, _Clock()
        self._task = bar.add_task("features", total=total, completed=done, rate=0.0)

    def advance(self, count: int) -> None:
        self._bar.update(self._task, advance=count, rate=self._clock.rate(count))


class _Lines:
    def __init__(self, total: int, done: int) -> None:
        self._total, self._done, self._clock, self._rate = total, done, _Clock(), 0.0
        self._said = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        self._rate = self._clock.rate(count)
        if time.monotonic() - self._said > INTERVAL:
            self.say()

    def say(self) -> None:
        self._said = time.monotonic()
        print(f"features: {self._done} of {self._total} items, {self._rate:.0f} items/s", file=sys.stderr, flush=True)
