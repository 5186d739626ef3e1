"""Two nodes against one: trials a minute of the same sweep, and how often the features were copied to each node.

    python -m benchmarks.nodes      # as root, about ten minutes

The nodes are machines made of Linux namespaces (as in tests/faults/lab.py), each held to one core, brought up by `ray
up`. The sweep is the 20 rows of the source at demo scale, each 100 steps long and none stopped early; its driver is on
the head. Bytes are what each node's object store says that it has created, its own or copied from another.
"""

import os
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Report
from sbir.data.items import Items, Payload
from sbir.data.store import open_store
from sbir.data.store_write import write_store
from tests.faults import audit
from tests.faults.lab import Host, Lab, lab, missing, until

CLASSES, ITEMS, WIDTH = {"train": 20, "val": 8, "test": 12}, 25, 4096  # items a class and side
FLAGS = "--stage published --final-seeds 0 --scale demo --wandb off --address auto"
SETTINGS = "--set train/steps=100 --set train/eval_every=50 --set train/warmup=20"
CREATED = re.compile(r"num bytes created total: (\d+)")


def write_features(path: Path) -> int:
    """A store of noise around class means; the bytes of its features."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(sum(CLASSES.values())), ITEMS)
    means = rng.normal(size=(sum(CLASSES.values()), WIDTH))
    sides = [np.maximum(means[classes] + rng.normal(size=(len(classes), WIDTH)), 0) for _ in range(2)]
    items = Items(
        item_id=np.array([f"{side}-{number}" for side in ("photo", "sketch") for number in range(len(classes))]),
        domain=np.repeat(["photo", "sketch"], len(classes)),
        class_id=np.tile(classes, 2),
        instance_id=np.tile(np.arange(len(classes)), 2),
        split=np.tile(np.repeat(list(CLASSES), [ITEMS * count for count in CLASSES.values()]), 2),
        class_names=tuple(f"class {number}" for number in range(sum(CLASSES.values()))),
        payload={"feature": Payload([np.concatenate(sides).astype(np.float32)])},
    )
    write_store(path, items, dataset="noise", given="random vectors", synthetic=True)
    return open_store(path).column_bytes(["feature"])


def sweep(machines: Lab, store: Path, workers: int) -> tuple[float, float]:
    """Trials a minute between the first and the last end of a trial, and the seconds of the whole command."""
    runs, name = machines.shared, f"nodes{workers}"
    python = "cd ~/sbir && RAY_AUTH_MODE=disabled .venv/bin/python sweeps/cross_modal.py"
    where = f"--data {shlex.quote(str(store))} --runs {shlex.quote(str(runs))} --name {name} --workers {workers}"
    started = time.monotonic()
    done = machines.head.ssh(f"{python} {FLAGS} {SETTINGS} {where}", check=False, timeout=1500)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    ended = sorted(trial.datetime_complete for trial in audit.trials(runs / name).values() if trial.datetime_complete)
    minutes = (ended[-1] - ended[0]).total_seconds() / 60
    return (len(ended) - 1) / minutes, time.monotonic() - started


def created(host: Host) -> int:
    """Bytes that the node's object store has created since it began."""
    said = host.ssh("cat /tmp/ray/session_latest/logs/raylet.out").stdout
    return int(CREATED.findall(said)[-1])


def power_on(host: Host, core: int) -> None:
    """All that the machine runs is held to one core."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(every)[core % len(every)]})
    host.power_off()
    host.power_on()
    os.sched_setaffinity(0, every)


def main() -> None:
    """Measure with two nodes, then without the second."""
    if reason := missing():
        sys.exit(f"no machines can be made here: {reason}")
    report = Report("nodes", ("ray", "torch"))
    with tempfile.TemporaryDirectory(prefix="sbn") as folder, lab(Path(folder)) as machines:
        start, often = "ray start", "RAY_event_stats_print_interval_ms=2000 ray start"
        machines.yaml.write_text(machines.yaml.read_text().replace(start, often))
        store = machines.shared / "store"
        features = write_features(store)
        for core, host in enumerate(machines.hosts):
            power_on(host, core)
        machines.up()
        until(lambda: machines.alive() == 2, 300, "the worker did not join")
        two, two_seconds = sweep(machines, store, 2)
        time.sleep(5)  # until the stores have said what they hold
        copies = {host.name: created(host) for host in machines.hosts}
        machines.workers[0].power_off()
        until(lambda: machines.alive() == 1, 300, "the worker is still counted")
        one, one_seconds = sweep(machines, store, 1)
    report.say(f"20 trials, {features / 1e6:.0f} MB of features, each node one core and one trial at once")
    report.say()
    rows = [("one", one, one_seconds, 1.0), ("two", two, two_seconds, two / one)]
    report.table(("nodes", "trials a minute", "seconds of the whole command", "so many times one node"), rows)
    for name, count in copies.items():
        report.say(f"- {name}: its object store created {count / 1e6:.1f} MB, {count / features:.2f} of the features")
    report.keep(trials_a_minute={"one": one, "two": two}, features=features, created=copies)
    report.write()


if __name__ == "__main__":
    main()
