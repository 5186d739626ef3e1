"""Work beside the trials, on what they leave of the cores."""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Self, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
MOST = 4  # threads: closed forms of wide features take a gigabyte each


class SpareCores:
    """Threads that give way to every other one; while trials run, one of them works at a time.

    Closed forms take a minute at full width. Mostly a core has no trial for a while, since a phase ends or the
    finalists are odd in number; when the last trial has ended, all cores are free.
    """

    def __init__(self) -> None:
        self._count = min(os.cpu_count() or 1, MOST)
        self._room = threading.Semaphore(1)
        self._threads = ThreadPoolExecutor(self._count, initializer=_give_way)
        self._leader = ThreadPoolExecutor(1)
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._stopped = error is not None
        self._leader.shutdown()
        self._threads.shutdown()

    def submit(self, function: Callable[[], Made]) -> "Future[Made]":
        """Start what deals out the work by `map`."""
        return self._leader.submit(function)

    def map(self, function: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
        """As Python's own `map`, each call where there is room."""

        def take(one: Given) -> Made:
            with self._room:
                if self._stopped:
                    raise CancelledError
                return function(one)

        return self._threads.map(take, given)

    def trials_ended(self) -> None:
        """Work with all threads from now on."""
        self._room.release(self._count)


def _give_way() -> None:
    if sys.platform == "linux":
        with suppress(PermissionError):  # some containers forbid it
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
