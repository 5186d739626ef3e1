"""A sweep whose trials break by themselves, each in its own way, while the others go on."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.faults import audit
from tests.faults.conftest import Note

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests/faults/broken.py"
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
FLAGS = ["--smoke", "--stage", "published", "--workers", "2", "--wandb", "off", "--name", "run"]
ONE_GPU = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False}  # a GPU for Ray's bookkeeping; none is touched


ROWS = {
    "works": ("", ""),
    "not finite": ("failed with the term and the step as the reason; its worker was kept", "is nan at step 1"),
    "raises": ("failed with the exception as the reason; its worker was kept", "KeyError"),
    "out of memory": ("once more with twice the part of a GPU, failed", "out of GPU memory: CUDA out of memory"),
    "fits a whole GPU": ("once more with twice the part of a GPU, completed", ""),
    "hangs": ("ended after the limit, tried once more, failed; its stacks are kept", "(it hung; the stacks are in"),
    "dies": ("tried once more, failed", "died again and again without progress (a kill or a crash)"),
}


def test_broken_trials_say_why_and_harm_no_other(tmp_path: Path, note: Note) -> None:
    check(tmp_path, note, "works", "not finite", "raises", "out of memory", "fits a whole GPU")


@pytest.mark.faults
def test_trials_that_take_their_worker_down_are_tried_twice(tmp_path: Path, note: Note) -> None:
    check(tmp_path, note, "works", "hangs", "dies")


def check(folder: Path, note: Note, *ways: str) -> None:
    """One sweep over some ways to break, two trials at once on what Ray takes for a GPU."""
    table = sweep_over(folder, ways)
    for how in ways:
        did, reason = ROWS[how]
        assert table.loc[how, "state"] == ("FAIL" if reason else "COMPLETE")
        assert reason in str(table.loc[how, "reason"] or "")
        if did:
            note(f"a trial: {how}", did, "nothing of the other trials", None)
    audit.check(folder / "run", {}, method=f"{SCRIPT}:Broken", fails=sum(bool(ROWS[how][1]) for how in ways))


def sweep_over(folder: Path, ways: tuple[str, ...]) -> pd.DataFrame:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        cluster: Any = Cluster(initialize_head=True, head_node_args=ONE_GPU)
        try:
            what = ["--address", cluster.address, "--runs", str(folder), "--set", f"how={','.join(ways)}"]
            command = [sys.executable, str(SCRIPT), *FLAGS, *what]
            done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False, timeout=400)
        finally:
            cluster.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_parquet(folder / "run/trials.parquet")
    return table[table["kind"] == "declared"].set_index("method/how")
