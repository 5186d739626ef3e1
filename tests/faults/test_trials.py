"""A sweep whose trials break by themselves, each in its own way, while the others go on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.faults import audit
from tests.faults.conftest import Note
from tests.faults.lab import until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests/faults/broken.py"
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
FLAGS = ["--smoke", "--stage", "published", "--workers", "2", "--wandb", "off", "--name", "run"]
GROUPS = Path("/sys/fs/cgroup/memory")
ONE_GPU = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False}  # a GPU for Ray's bookkeeping; none is touched


ROWS = {
    "works": ("", ""),
    "not finite": ("failed with the term and the step as the reason; its worker was kept", "is nan at step 1"),
    "raises": ("failed with the exception as the reason; its worker was kept", "KeyError"),
    "out of memory": ("once more with twice the part of a GPU, failed", "out of GPU memory: CUDA out of memory"),
    "fits a whole GPU": ("once more with twice the part of a GPU, completed", ""),
    "hangs": ("ended after the limit, tried once more, failed; its stacks are kept", "(it hung; the stacks are in"),
    "dies": ("tried once more, failed", "died again and again without progress (a kill or a crash)"),
    "eats memory": ("Ray's memory monitor killed it; tried once more, failed", "(the node's memory was full)"),
    "waits": ("", ""),
}
MEMORY = 6 << 30  # bytes of the group that the hungry trial shares with the whole sweep


def test_broken_trials_say_why_and_harm_no_other(tmp_path: Path, note: Note) -> None:
    check(tmp_path, note, "works", "not finite", "raises", "out of memory", "fits a whole GPU")


@pytest.mark.faults
def test_trials_that_take_their_worker_down_are_tried_twice(tmp_path: Path, note: Note) -> None:
    check(tmp_path, note, "works", "hangs", "dies")


@pytest.mark.faults
def test_a_trial_that_fills_the_memory_of_its_node_is_tried_twice(tmp_path: Path, note: Note) -> None:
    ways = ("eats memory", "waits", "works")
    with memory_group(MEMORY) as group:
        # In the group, and where Ray looks for it: it then watches this sweep's memory and nobody else's.
        inside = f'echo $$ > {group}/cgroup.procs && mount --bind {group} {GROUPS} && exec "$@"'
        table = sweep(tmp_path, ways, "unshare", "--mount", "bash", "-c", inside, "-")
    check_table(tmp_path, note, table, ways)


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    group = GROUPS / f"sbir-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
    except OSError as error:
        pytest.skip(f"needs the right to make a memory group of the first kind of control groups: {error}")
    try:
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), 60, "a process of the sweep is left")
        group.rmdir()


def check(folder: Path, note: Note, *ways: str) -> None:
    """One sweep over some ways to break, two trials at once on what Ray takes for a GPU."""
    check_table(folder, note, sweep_on_gpu(folder, ways), ways)


def check_table(folder: Path, note: Note, table: pd.DataFrame, ways: tuple[str, ...]) -> None:
    for how in ways:
        did, reason = ROWS[how]
        assert table.loc[how, "state"] == ("FAIL" if reason else "COMPLETE")
        assert reason in str(table.loc[how, "reason"] or "")
        if did:
            note(f"a trial: {how}", did, "nothing of the other trials", None)
    audit.check(folder / "run", {}, method=f"{SCRIPT}:Broken", fails=sum(bool(ROWS[how][1]) for how in ways))


def sweep_on_gpu(folder: Path, ways: tuple[str, ...]) -> pd.DataFrame:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        cluster: Any = Cluster(initialize_head=True, head_node_args=ONE_GPU)
        try:
            return sweep(folder, ways, address=cluster.address)
        finally:
            cluster.shutdown()


def sweep(folder: Path, ways: tuple[str, ...], *before: str, address: str = "local") -> pd.DataFrame:
    """Its declared trials; `before` is what the command is an argument of."""
    what = ["--address", address, "--runs", str(folder), "--set", f"how={','.join(ways)}"]
    command = [*before, sys.executable, str(SCRIPT), *FLAGS, *what]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_parquet(folder / "run/trials.parquet")
    return table[table["kind"] == "declared"].set_index("method/how")
