"""Work beside the trials: one call at a time while they run, then several, and none begins after an interruption."""

import os
import threading

import pytest

from sbir.tuning.spare import SpareCores


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_one_at_a_time_while_trials_run_and_more_at_once_afterwards() -> None:
    running, most = 0, 0
    lock, both = threading.Lock(), threading.Barrier(2, timeout=20)

    def alone(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1
        return 10 * number

    def together(number: int) -> int:
        both.wait()  # ends only where two are here at once
        return number

    with SpareCores() as spare:
        assert spare.submit(lambda: list(spare.map(alone, range(6)))).result() == [0, 10, 20, 30, 40, 50]
        assert most == 1
        spare.trials_ended()
        assert list(spare.map(together, range(4))) == [0, 1, 2, 3]


@pytest.mark.usefixtures("two_cores")
def test_after_an_interruption_nothing_more_begins() -> None:
    began, go = [], threading.Event()

    def work(number: int) -> None:
        began.append(number)
        go.wait(20)

    def interrupted() -> None:
        with SpareCores() as spare:
            spare.submit(lambda: list(spare.map(work, range(5))))
            while not began:
                threading.Event().wait(0.01)
            threading.Timer(0.2, go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert began == [0]
