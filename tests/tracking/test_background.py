import threading
import time

from sbir.tracking.background import Background


def test_jobs_run_in_order_outside_the_callers_thread() -> None:
    seen: list[tuple[int, str]] = []
    background = Background("worker")
    for number in range(20):
        background.submit(lambda number=number: seen.append((number, threading.current_thread().name)))  # type: ignore[misc]
    assert background.close(10) == []
    assert seen == [(number, "worker") for number in range(20)]


def test_a_raising_job_becomes_one_line_and_the_next_one_still_runs() -> None:
    def fail() -> None:
        raise OSError("disk full")

    seen: list[int] = []
    background = Background("W&B")
    background.submit(fail)
    background.submit(fail)
    background.submit(lambda: seen.append(1))
    assert background.close(10) == ["W&B: OSError: disk full"]
    assert seen == [1]


def test_a_hanging_job_costs_the_callers_no_more_than_the_limit() -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(60)

    background = Background("W&B")
    start = time.monotonic()
    background.submit(hang)
    background.submit(lambda: None)
    assert time.monotonic() - start < 1
    assert background.close(0.2) == ["W&B: 2 not done after 0.2 s"]
    assert time.monotonic() - start < 5
    release.set()
