"""A run's folder: its manifest, and the looks at test of all runs beside it."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from sbir.tracking.segment import place
from sbir.training.plain_json import write_json
from sbir.tuning.code import CODE
from sbir.tuning.options import JOB, Options

MANIFEST, SUMMARY, JOURNAL = "manifest.json", "summary.json", "study.journal"
DIFF, LONGEST_DIFF, MOST_UNKNOWN = "uncommitted.diff", 1_000_000, 50  # characters; files
GIT = "git.json"  # beside the script of a sweep that was sent to a cluster, and its diff: what it was sent from
PACKAGES = ("sbir", "torch", "torchvision", "ray", "optuna", "wandb", "numpy", "pyarrow")


def open_runs(options: Options, request: dict[str, Any], *, but: str = "") -> list[Path]:
    """The script's interrupted runs with this request, whatever one of its entries says."""
    wanted = request | {but: None}
    found = [path.parent for path in options.runs.glob(f"{options.script}-*/{MANIFEST}")]
    return [path for path in found if not (path / SUMMARY).exists() and held_request(path) | {but: None} == wanted]


def new_name(options: Options) -> str:
    """The script's name and the time, which no run has yet."""
    stem = f"{options.script}-{datetime.now():%Y%m%d-%H%M}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(name for name in names if not (options.runs / name).exists())


def holds_files(folder: Path) -> bool:
    """Whether there is more in a folder than a run leaves that was killed before its manifest was written."""
    left = {JOURNAL, DIFF, CODE, f"{CODE}.part", f"{MANIFEST}.part"}
    journal = folder / JOURNAL
    begun = journal.exists() and journal.stat().st_size > 0
    return folder.exists() and (begun or any(path.name not in left for path in folder.iterdir()))


def held_request(folder: Path) -> dict[str, Any]:
    """What a run was asked for, as its manifest has it."""
    request: dict[str, Any] = read_manifest(folder)["request"]
    return request


def read_manifest(folder: Path) -> dict[str, Any]:
    """A run's manifest; `ValueError` where it is none."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        manifest["request"].keys()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{folder / MANIFEST} must be a sweep's manifest, reading it failed: {error}") from None
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """The manifest with what a reviewer needs: versions, git state, time; what is not committed goes into a file."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    entity, project = place()
    write_json(
        folder / MANIFEST,
        manifest
        | {
            "versions": versions,
            "git": _sent_git_state(folder) if JOB in os.environ else git_state(folder),
            "wandb": {"entity": entity, "project": project},
            "created": datetime.now().isoformat(timespec="seconds"),
        },
    )


def note_device(folder: Path, device: str) -> None:
    """Add what the trials run on to the manifest; a run that was resumed elsewhere names both."""
    manifest = json.loads((folder / MANIFEST).read_text())
    named = [one for one in str(manifest.get("device") or "").split(" + ") if one]
    if device not in named:
        write_json(folder / MANIFEST, manifest | {"device": " + ".join([*named, device])})


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _sent_git_state(folder: Path) -> dict[str, Any] | None:
    if Path(DIFF).exists():
        shutil.copy(DIFF, folder / DIFF)
    state: dict[str, Any] | None = json.loads(Path(GIT).read_text())
    return state


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, hash of what is not committed and files unknown to git, of the folder that the sweep is started in.

    The difference itself goes into the run's folder, cut where it is long, and nowhere else: it may hold anything.
    """
    try:
        commit = _run_git("rev-parse", "HEAD").strip()
        diff = _run_git("diff", "HEAD")
        unknown = _run_git("ls-files", "--others", "--exclude-standard").splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    if diff:
        cut = f"\n[cut: {len(diff)} characters in all]\n" if len(diff) > LONGEST_DIFF else ""
        (folder / DIFF).write_text(diff[:LONGEST_DIFF] + cut, encoding="utf-8")
    dirty = hashlib.sha256(diff.encode()).hexdigest()[:12] if diff else None
    return {"commit": commit, "dirty": dirty, "unknown": unknown[:MOST_UNKNOWN]}


def _run_git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True, timeout=10).stdout


def run_folder(path: Path) -> Path | None:
    """The run that a path lies in, or is; None where there is none."""
    return next((one for one in (path.resolve(), *path.resolve().parents) if (one / MANIFEST).is_file()), None)


def look_of(manifest: dict[str, Any]) -> str:
    """What a run's look at test is counted under: each extension may look at other finalists."""
    extensions = len(manifest.get("extensions", []))
    return str(manifest["name"]) + (f", extension {extensions}" if extensions else "")


def count_look(runs: Path, split_hash: str, run: str) -> int:
    """Count that this run has looked at the test part of a split; how many runs have by now."""
    path = runs / "looks_at_test.json"
    looks: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    runs_of_split = looks.setdefault(split_hash, [])
    if run not in runs_of_split:
        runs_of_split.append(run)
        write_json(path, looks)
    return len(runs_of_split)
