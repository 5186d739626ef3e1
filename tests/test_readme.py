"""Every command and every piece of Python in the README is run, in a folder with small data of the documented form."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:<!-- not run: (.*?) -->\n)?```(sh|python)\n(.*?)```", README, re.DOTALL)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CLASSES = [f"class{number}" for number in range(12)]
# What a reader leaves out: two searched trials and one refit of 20 steps instead of twelve and five of 250.
SHORTER = ["--smoke", "--wandb", "off"]
FEWER = ["--methods", "cvae,siamese_1,direct_regression"]  # tests/test_sweeps.py runs all
# The only commands that may carry a "not run" mark, by its first word.
NOT_RUN = {
    "network": "sbir features my-images --backbone vgg16 --weights imagenet",
    "hours": "python sweeps/cross_modal.py --data my-store --stage published --scale paper",
    "account": "sbir sync runs/first",
    "pictures": "sbir retrieve winner --sketch drawing.png",
    "browser": "sbir retrieve winner --draw",
    "photos": "python sweeps/metric_learning.py --data photo-store",
    "AWS": "ray up cluster.yaml",
    "dashboard": "python sweeps/cross_modal.py --data /shared/my-store --address http://127.0.0.1:8265",
    "cluster": "python sweeps/cross_modal.py --data /shared/my-store --runs /shared/runs --address auto",
}


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
    for name in CLASSES[:4]:
        for side in ("photo", "sketch"):
            (folder / "my-images" / side / name).mkdir(parents=True)
        for path in (f"photo/{name}/n1_0.jpg", f"sketch/{name}/n1_0-1.png"):
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / "my-images" / path)


def commands(block: str) -> list[list[str]]:
    """The words of each command; a backslash at a line's end joins it to the next."""
    return [shlex.split(line) for line in block.replace("\\\n", " ").strip().splitlines()]


def linked(words: list[str]) -> list[str]:
    """A command with this environment's programs, this checkout's scripts, and sweeps made short."""
    if words[0] == "python":
        script = str(ROOT / words[1]) if words[1].startswith("sweeps/") else words[1]
        shorter = [word for word in SHORTER if word not in words]
        return [sys.executable, script, *words[2:], *shorter, *(FEWER if "all_methods" in script else [])]
    assert words[0] == "sbir", f"the README's commands are python, sbir and make, got {words}"
    return [str(Path(sys.executable).with_name("sbir")), *words[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    write_arrays(path)
    write_images(path)
    return path


def run_words(words: list[str], folder: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SBIR_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    for name in ("RAY_ADDRESS", "WANDB_API_KEY"):
        env.pop(name, None)
    log = folder / "output"  # a file: workers that outlive a command would hold a pipe open
    with log.open("w") as out:
        done = subprocess.run(
            words, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, check=False, timeout=300
        )
    text = log.read_text()
    assert done.returncode == 0, f"{words}\n{text}"
    assert "Traceback" not in text, f"{words}\n{text}"
    return text


def test_every_command_and_every_example_runs(folder: Path) -> None:
    ran = []
    for skipped, language, block in BLOCKS:
        if skipped:
            continue
        if block.startswith("# my_sweep.py"):
            (folder / "my_sweep.py").write_text(block)
        elif language == "python":
            ran.append(run_words([sys.executable, "-c", block], folder))
        else:
            ran += [run_words(linked(words), folder) for words in commands(block) if words[0] != "make"]
    assert len(ran) == 18
    assert (folder / "runs/first/report.html").stat().st_size > 100_000
    check_one_configuration(folder)


def check_one_configuration(folder: Path) -> None:
    """It fixes every axis of the sweep."""
    manifest = json.loads((folder / "runs/single/manifest.json").read_text())
    axes, settings = manifest["axes"]["cross_modal"], manifest["settings"]
    assert set(axes) == {key if "/" in key else f"method/{key}" for key in settings}
    trials = pd.read_parquet(folder / "runs/single/trials.parquet")
    assert trials["kind"].tolist() == ["search", "refit"]


def test_only_what_needs_hours_a_network_an_account_or_a_cluster_is_not_run() -> None:
    marked = {re.split(r"\W", reason)[0]: block for reason, _, block in BLOCKS if reason}
    assert README.count("<!-- not run:") == len(marked) == len(NOT_RUN)
    for reason, start in NOT_RUN.items():
        assert marked[reason].startswith(start)
        assert len(commands(marked[reason])) == 1, "a mark covers one command"


def test_every_fenced_block_is_of_a_kind_that_is_run() -> None:
    assert README.count("```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("flags", [["--stage", "published", "--scale", "paper"], ["--runs", "r", "--address", "auto"]])
def test_sweeps_that_are_not_run_have_flags_that_exist(flags: list[str]) -> None:
    from sbir.tuning.options import parse

    assert any(" ".join(flags[-2:]) in block and reason for reason, _, block in BLOCKS)
    parse("cross_modal", None, flags)


def test_make_targets_of_the_readme_exist() -> None:
    asked = {words[1] for _, language, block in BLOCKS if language == "sh" for words in commands(block)
             if words[0] == "make"}  # fmt: skip
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert asked == {"sweep", "test"}
    assert asked <= targets
    assert "python sweeps/cross_modal.py" in MAKEFILE


def anchors() -> set[str]:
    """The names that a Markdown page gives its headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", README, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_pictures_and_anchors_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    assert {"docs/report.png", "LICENSE", "CITATION.cff", "constraints.txt"} <= set(targets)
    for target in targets:
        path, _, anchor = target.partition("#")
        assert not path or path.startswith("https://") or (ROOT / path).exists(), target
        assert not anchor or path or anchor in anchors(), target
