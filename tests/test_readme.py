"""Every command and every piece of Python in the README is run, in a folder with small data of the documented form."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)
CLASSES = [f"class{number}" for number in range(12)]


def write_arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    means = np.repeat(rng.normal(size=(12, 16)), 5, axis=0)
    names, instance = np.repeat(CLASSES, 5), np.arange(60)
    for side in ("sketches", "photos"):
        feature = np.maximum(means + 0.3 * rng.normal(size=means.shape), 0).astype(np.float32)
        ids = np.array([f"{side}-{number}" for number in range(60)])
        arrays = {"feature": feature, "class": names, "instance": instance, "id": ids}
        np.savez(folder / f"{side}.npz", allow_pickle=False, **arrays)
    split = {"train": CLASSES[:6], "val": CLASSES[6:9], "test": CLASSES[9:]}
    (folder / "split.json").write_text(json.dumps(split))


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        for side in ("photo", "sketch"):
            (folder / "my-images" / side / name).mkdir(parents=True)
        for number in range(2):
            for path in (f"photo/{name}/n1_{number}.jpg", f"sketch/{name}/n1_{number}-1.png"):
                Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / "my-images" / path)


def linked(command: str) -> list[str]:
    """The words of a command, with this environment's programs and this checkout's scripts."""
    words = command.split()
    if words[0] == "python":
        script = words[1] if not words[1].startswith("sweeps/") else str(ROOT / words[1])
        return [sys.executable, script, *words[2:]]
    assert words[0] == "sbir", f"the README's commands are python, sbir and make, got {command}"
    return [sys.executable, "-m", "sbir.cli", *words[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    write_arrays(path)
    write_images(path)
    return path


def test_every_command_and_every_example_runs(folder: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SBIR_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    ran = 0
    for language, block in BLOCKS:
        if block.startswith("# my_sweep.py"):
            (folder / "my_sweep.py").write_text(block)
            continue
        commands = [[sys.executable, "-c", block]] if language == "python" else map(linked, block.strip().splitlines())
        for command in commands:
            done = subprocess.run(
                command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran >= 9
    assert (folder / "runs/first/report.html").stat().st_size > 100_000


def test_the_two_commands_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"sweep", "test"} <= set(targets)


def test_files_that_the_readme_names_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).exists(), path
    for name in ("constraints.txt", "CITATION.cff", "LICENSE", "sweeps/cross_modal.py"):
        assert (ROOT / name).exists(), name
