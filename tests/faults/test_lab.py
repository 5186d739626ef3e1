"""`ray up deploy/lab.yaml` on machines made of namespaces, and what happens to a sweep there when machines break."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sbir.training.trial import WORKER
from tests.faults import audit
from tests.faults.conftest import Note
from tests.faults.lab import ROOT, Lab, until

SCRIPT = "tests/faults/steady.py"
METHOD = f"{ROOT / SCRIPT}:Steady"
FLAGS = "--address auto --smoke --wandb off --set train/steps=150 --set train/eval_every=10"
RAYLET = "raylet/raylet"
TRIAL = "ray::ResourceTrainable"  # title of a process that runs a trial: what Tune makes of our class
LONG = 400.0  # seconds that anything may take here on a busy machine


class Sweep:
    """A sweep whose driver runs on the head, started over ssh."""

    def __init__(self, lab: Lab, name: str, *, trials: int, workers: int = 2) -> None:
        self.lab, self.run = lab, lab.shared / name
        python = f"cd ~/sbir && RAY_AUTH_MODE=disabled .venv/bin/python {ROOT / SCRIPT}"
        self._command = f"{python} {FLAGS} --trials {trials} --workers {workers} --name {name}"
        self.start()

    def start(self) -> None:
        with (self.lab.folder / "sweep.out").open("w") as output:
            command = f"{self._command} --runs {shlex.quote(str(self.lab.shared))}"
            self._process = subprocess.Popen(
                self.lab.head.ssh_command(command), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def until(self, true: Callable[[], bool], otherwise: str) -> float:
        def stop() -> bool:
            ended = self._process.poll() is not None
            assert true() or not ended, (self.lab.folder / "sweep.out").read_text()
            return true()

        return until(stop, LONG, otherwise)

    def ends(self) -> None:
        status = self._process.wait(timeout=LONG)
        assert status == 0, (self.lab.folder / "sweep.out").read_text()

    def dies(self) -> None:
        assert self._process.wait(timeout=LONG) != 0


@pytest.fixture
def up(machines: Lab) -> Lab:
    """The cluster with both nodes, brought up again where the test before has broken it."""
    if machines.alive() < 2:
        machines.up()
        until(lambda: machines.alive() == 2, LONG, "the worker did not join")
    return machines


@pytest.mark.cluster
def test_ray_up_brings_both_machines_and_a_sweep_runs_on_them(machines: Lab, note: Note) -> None:
    started = time.monotonic()
    machines.up()
    came = time.monotonic() - started
    sweep = Sweep(machines, "first", trials=2)
    sweep.until(lambda: len(audit.finished(sweep.run)) > 0, "no trial")
    first = time.monotonic() - started
    sweep.ends()
    until(lambda: machines.alive() == 2, LONG, "the worker did not join")
    audit.check(sweep.run, {}, method=METHOD)
    machines.down()
    left = machines.head.processes("raylet")  # the worker's ends by itself when it has missed the head for a minute
    note(
        "none: `ray up` on two bare machines, then a sweep",
        f"`ray up` returned after {came:.0f} s; the first trial of the sweep had ended {first:.0f} s after its start",
        "nothing",
        first,
    )
    assert not left


@pytest.mark.cluster
@pytest.mark.faults
def test_a_sweep_outlives_its_nodes(up: Lab, note: Note) -> None:
    sweep, worker = Sweep(up, "nodes", trials=30), up.workers[0]
    seen = {}

    def broken(name: str, again: Callable[[], object] = lambda: None) -> None:
        """What was finished when it broke, and how long the trials that it hit took to report something new."""
        before, count = audit.finished(sweep.run), audit.deaths(sweep.run).count(0)
        try:
            seconds = sweep.until(lambda: audit.deaths(sweep.run).count(0) > count, f"no trial went on: {name}")
        finally:
            again()
        seen[name] = before, seconds

    def busy() -> bool:
        return bool(worker.processes(TRIAL)) and bool(audit.num_rows(sweep.run))

    sweep.until(busy, "no trial on the worker")
    assert worker.kill(TRIAL)
    broken("worker")
    sweep.until(busy, "no trial on the worker after it was killed")
    gone = time.monotonic()
    assert worker.kill(RAYLET)
    broken("node")
    sweep.until(busy, "no trial on the node after it came back")
    joined = time.monotonic() - gone
    assert worker.kill(RAYLET, "TERM")
    broken("spot")
    sweep.until(busy, "no trial on the node after it came back")
    worker.cut()
    broken("cut", worker.mend)
    sweep.ends()
    for before, _ in seen.values():
        audit.check(sweep.run, before, method=METHOD)

    note("kill -9 of a trial's worker", "handed out again under its number", *lost(*seen["worker"]))
    note("kill -9 of a node's raylet", "its trial was handed out again", *lost(*seen["node"]))
    note(
        "a node comes back in mid-sweep",
        "the autoscaler started Ray there; it got trials",
        *lost(seen["node"][0], joined),
    )
    did = "Ray gave the node up, its trial was handed out again"
    note("a node's packets are dropped", did, *lost(*seen["cut"]))
    note("SIGTERM to a node, as a spot node gets it", "its trial was handed out again", *lost(*seen["spot"]))


@pytest.mark.cluster
@pytest.mark.faults
def test_a_node_that_was_never_there_joins_and_gets_trials(up: Lab, note: Note) -> None:
    sweep = Sweep(up, "joined", trials=10, workers=3)
    sweep.until(lambda: bool(audit.finished(sweep.run)), "no trial")
    before, started = audit.finished(sweep.run), time.monotonic()
    new = up.join()
    try:
        sweep.until(lambda: reported_from(sweep.run, new.address), "no trial on the new node")
        seconds = time.monotonic() - started
        sweep.ends()
        audit.check(sweep.run, before, method=METHOD)
    finally:
        up.leave(new)
    did = "`ray start` there, with the head's address; the trial that waited for a place began there"
    note("a wholly new node joins in mid-sweep", did, *lost(before, seconds))


def reported_from(run: Path, address: str) -> bool:
    """Whether a trial that runs on a node has reported."""
    for worker in run.glob(f"*/*/{WORKER}"):
        with suppress(OSError, ValueError):  # it may end at any moment
            if json.loads(worker.read_text())["node"] == address and (worker.parent / "rows.jsonl").exists():
                return True
    return False


@pytest.mark.cluster
@pytest.mark.faults
def test_a_sweep_outlives_its_driver_and_the_head(up: Lab, note: Note) -> None:
    sweep = Sweep(up, "head", trials=5)
    sweep.until(lambda: bool(audit.finished(sweep.run)), "no trial")
    before, started = audit.finished(sweep.run), time.monotonic()
    assert up.head.kill(SCRIPT)
    sweep.dies()
    rows = audit.num_rows(sweep.run)
    sweep.start()
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "no report after the driver's death")
    driver = before, time.monotonic() - started

    before, started = audit.finished(sweep.run), time.monotonic()
    up.head.power_off()
    sweep.dies()
    rows = audit.num_rows(sweep.run)
    up.head.power_on()
    up.up()
    sweep.start()
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "no report after the head's death")
    head = before, time.monotonic() - started
    sweep.ends()
    until(lambda: up.alive() == 2, LONG, "the worker did not join the new head")
    for before, _ in (driver, head):
        audit.check(sweep.run, before, method=METHOD)
    note("kill -9 of the driver", "the same command again went on with its folder", *lost(*driver))
    note("the head loses its power", "`ray up` and the same command again", *lost(*head))


def lost(before: audit.Trials, seconds: float) -> tuple[str, float]:
    """For the table, after `audit.check` has held."""
    return f"nothing: {len(before)} trials had ended and were there, unchanged and once", seconds
