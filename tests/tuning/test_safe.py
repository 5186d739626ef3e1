"""Run folders may come from anywhere, and keys stay where they are: nothing is unpickled, no secret is written."""

import contextlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sbir.cli import main
from sbir.training import checkpoint

ROOT = Path(__file__).parents[2]
SECRETS = {
    "WANDB_API_KEY": "c0ffee" * 6 + "abcd",  # forty characters, as W&B's keys have
    "AWS_SECRET_ACCESS_KEY": "canary-of-a-cloud",
}
SWEEP = [sys.executable, str(ROOT / "sweeps/closed_forms.py"), "--smoke", "--workers", "1", "--name", "run"]


class Swept:
    """A finished sweep that had secrets in its environment, and all that could be seen of it meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.run, self.commands = folder / "runs/run", set[str]()
        ray = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets allow no long path
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(ray), **SECRETS}
        with (folder / "out").open("w") as output:
            process = subprocess.Popen(
                [*SWEEP, "--runs", str(folder / "runs")], cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
            )
            while process.poll() is None:
                self.commands |= set(command_lines())
                time.sleep(0.2)
        shutil.move(ray, folder / "ray")
        self.files = [path for path in folder.rglob("*") if path.is_file()]
        assert process.returncode == 0, (folder / "out").read_text()


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes().decode(errors="replace")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    return Swept(tmp_path_factory.mktemp("swept"))


def test_no_secret_reaches_a_file_a_log_or_a_process_list(swept: Swept) -> None:
    assert any("closed_forms.py" in line for line in swept.commands)  # they were looked at
    assert any("ray" in path.parts and path.suffix == ".log" for path in swept.files)
    assert any(path.suffix == ".wandb" for path in swept.files)
    for secret in SECRETS.values():
        assert not [line for line in swept.commands if secret in line]
        assert not [path for path in swept.files if secret.encode() in path.read_bytes()]


class Evil:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


def spoil(path: Path, mark: Path) -> None:
    """Put a pickle in a file's place, in the wrapping that its reader may take."""
    if path.suffix == ".npz":
        np.savez(path, query=np.array([Evil(mark)], dtype=object))
    elif path.suffix == ".pt":
        torch.save(Evil(mark), path)
    else:
        path.write_bytes(pickle.dumps(Evil(mark)))


def test_no_file_of_a_run_is_unpickled(swept: Swept, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Evil(mark)))
    mark.rmdir()  # it works
    of_every_kind = {path.name: path.relative_to(swept.run) for path in swept.run.rglob("*") if path.is_file()}
    kinds = [name for name in of_every_kind.values() if "wandb" not in name.parts]
    assert len(kinds) > 8
    for number, name in enumerate(kinds):
        run = tmp_path / f"{number}"
        shutil.copytree(swept.run, run)
        spoil(run / name, mark)
        for command in ("report", "evaluate"):
            main([command, str(run)])
        assert not mark.exists(), name
    state = tmp_path / "last.pt"
    spoil(state, mark)
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load(state)
    assert not mark.exists()


def test_only_the_restricted_reader_may_unpickle() -> None:
    loads = re.compile(r"pickle\.loads?\(|Unpickler|allow_pickle=True|weights_only=False|joblib|read_pickle")
    found = [path.name for path in (ROOT / "sbir").rglob("*.py") if loads.search(path.read_text(encoding="utf-8"))]
    assert set(found) <= {"safe_load.py"}
