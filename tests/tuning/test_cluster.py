"""Sweeps on a Ray cluster of two nodes: the head runs no trials, as in cluster.yaml."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbir.report.load import load_run

ROOT = Path(__file__).parents[2]
SMOKE = [sys.executable, str(ROOT / "sweeps/cross_modal.py"), "--smoke", "--wandb", "off"]
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def sweep(folder: Path, address: str, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [*SMOKE, "--address", address, "--name", "far", "--runs", str(folder), *more]
    return subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, check=False, timeout=300)


def test_trials_run_on_the_node_that_has_cores(tmp_path: Path, cluster: Any) -> None:
    alone = sweep(tmp_path, cluster.address)
    assert alone.returncode == 2
    assert "--workers must say" in alone.stderr
    assert not (tmp_path / "far").exists()
    cluster.add_node(num_cpus=1)
    done = sweep(tmp_path, cluster.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(load_run(tmp_path / "far").trials["state"]) == {"COMPLETE"}


def wait_for_two(cluster: Any) -> None:
    """`Cluster.wait_for_nodes` knows only the nodes that it has started itself."""
    end = time.monotonic() + 60
    while sum(node["Alive"] for node in cluster.global_state.node_table()) < 2:
        assert time.monotonic() < end, "the node did not join"
        time.sleep(0.2)


def test_a_run_folder_that_a_node_does_not_see_is_refused(tmp_path: Path, cluster: Any) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to make a mount namespace, in which the node sees another folder")
    ray = Path(sys.executable).with_name("ray")
    hidden = f"mount -t tmpfs none {tmp_path} && exec {ray} start --block --address={cluster.address} --num-cpus=1"
    node = subprocess.Popen(["unshare", "-m", "sh", "-c", hidden], env=ENV, stdout=subprocess.DEVNULL)
    try:
        wait_for_two(cluster)
        done = sweep(tmp_path, cluster.address)
    finally:
        node.terminate()
        node.wait(timeout=60)
    assert done.returncode == 2
    assert "storage that every node of the cluster sees" in done.stderr
    assert not (tmp_path / "far").exists()
