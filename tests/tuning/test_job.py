"""Sweeps sent from outside to a head that was started as users start one, by way of its dashboard."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbir.report.load import load_run
from sbir.tuning import job
from sbir.tuning.folder import MANIFEST, git_state
from sbir.tuning.options import parse
from tests.faults.head import Head

ROOT = Path(__file__).parents[2]
SWEEP = [sys.executable, str(ROOT / "sweeps/closed_forms.py"), "--smoke"]
CANARY = "canary-of-wandb"
LONG = 240  # seconds


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    if importlib.util.find_spec("aiohttp_cors") is None:
        pytest.fail("a head takes jobs only with ray[default]: pip install -c constraints.txt -e '.[cluster]'")
    started = Head(tmp_path_factory.mktemp("head"))
    try:
        yield started
    finally:
        started.stop()


def send(head: Head, folder: Path, *more: str) -> "subprocess.Popen[str]":
    """The user's command, with his own key."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_API_KEY": CANARY, "PYTHONUNBUFFERED": "1"}
    command = [*SWEEP, "--address", head.address, "--runs", str(folder / "runs"), *more]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and theirs, ignore it
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_a_sweep_is_sent_left_alone_looked_at_again_and_comes_home(head: Head, tmp_path: Path) -> None:
    leaves = send(head, tmp_path, "--name", "far")
    assert leaves.stdout is not None
    for line in leaves.stdout:
        if "Ctrl-C stops looking on" in line:
            break
    leaves.send_signal(signal.SIGINT)
    assert "far goes on" in leaves.communicate(timeout=LONG)[0]
    assert leaves.returncode == 130
    assert not (tmp_path / "runs").exists()

    back = send(head, tmp_path)  # the same options find it without its name, too
    told = back.communicate(timeout=LONG)[0]
    assert back.returncode == 0, told
    assert "far: was sent before" in told
    assert "far: started, run folder" in told
    assert f"came home: {tmp_path}/runs/far" in told
    assert set(load_run(tmp_path / "runs/far").trials["state"]) == {"COMPLETE"}
    assert (tmp_path / "runs/far/report.html").exists()
    assert json.loads((tmp_path / "runs/far" / MANIFEST).read_text())["git"] == git_state(tmp_path)
    assert json.loads((tmp_path / "runs/looks_at_test.json").read_text())
    there = head.home / "sbir-runs/far"
    run = tmp_path / "runs/far"
    assert files(run) == files(there)

    later = send(head, tmp_path / "later", "--name", "far")
    told = later.communicate(timeout=LONG)[0]
    assert later.returncode == 0, told
    assert files(tmp_path / "later/runs/far") == files(there)

    jobs: list[dict[str, Any]] = json.loads(head.ask("/api/jobs/"))
    assert [one["metadata"]["sbir_run"] for one in jobs if one["submission_id"]].count("far") == 1
    written = [path for folder in (head.temp, head.home) for path in folder.rglob("*") if path.is_file()]
    assert CANARY not in head.ask("/api/jobs/")
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


def test_what_the_cluster_refuses_is_said_here_with_its_status(head: Head, tmp_path: Path) -> None:
    sent = send(head, tmp_path, "--name", "bad", "--data", "/nowhere")
    told = sent.communicate(timeout=LONG)[0]
    assert sent.returncode == 2, told
    assert "closed_forms: error: " in told
    assert "/nowhere" in told
    assert not (tmp_path / "runs").exists()


def test_an_address_that_takes_no_jobs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--address must be that of a dashboard.* does not answer"):
        job.run(parse("x", None, ["--address", "http://127.0.0.1:9"]), [])


def test_a_jobs_name_can_stand_in_an_address() -> None:
    with pytest.raises(ValueError, match=r"--name of a job must be of letters.*got 'a b'"):
        job.run(parse("x", None, ["--address", "http://127.0.0.1:9", "--name", "a b"]), [])
