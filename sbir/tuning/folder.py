"""A run's folder: its name, its manifest, and whether an interrupted one is to be resumed."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sbir.models.method import Method
from sbir.tracking.segment import place
from sbir.training.plain_json import write_json
from sbir.tuning.code import CODE, check_code
from sbir.tuning.options import JOB, Options

MANIFEST, SUMMARY, JOURNAL = "manifest.json", "summary.json", "study.journal"
DIFF, LONGEST_DIFF, MOST_UNKNOWN = "uncommitted.diff", 1_000_000, 50  # characters; files
GIT = "git.json"  # beside the script of a sweep that was sent to a cluster, and its diff: what it was sent from
PACKAGES = ("sbir", "torch", "torchvision", "ray", "optuna", "wandb", "numpy", "pyarrow")


def choose_folder(options: Options, request: dict[str, Any], methods: Sequence[type[Method]] = ()) -> tuple[Path, bool]:
    """The run's folder, and whether it is an interrupted run that goes on.

    Without `--name` the script's last interrupted run with the same request is resumed. Raises where the named folder
    is finished, or belongs to a request that differs, and says in what; or where the code has changed, `methods` from
    outside the package included, and `--accept-changes` was not given.
    """
    if options.name is not None:
        return _named(options, request, methods)
    if found := open_runs(options, request):
        latest = max(found, key=lambda path: (path / MANIFEST).stat().st_mtime)
        check_code(latest, methods, accept=options.accept_changes)
        return latest, True
    return options.runs / new_name(options), False


def open_runs(options: Options, request: dict[str, Any]) -> list[Path]:
    """The script's interrupted runs with this request."""
    found = [path.parent for path in options.runs.glob(f"{options.script}-*/{MANIFEST}")]
    return [path for path in found if not (path / SUMMARY).exists() and held_request(path) == request]


def new_name(options: Options) -> str:
    """The script's name and the time, which no run has yet."""
    stem = f"{options.script}-{datetime.now():%Y%m%d-%H%M}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(name for name in names if not (options.runs / name).exists())


def _named(options: Options, request: dict[str, Any], methods: Sequence[type[Method]]) -> tuple[Path, bool]:
    folder = options.runs / str(options.name)
    if not (folder / MANIFEST).exists():
        if options.extend:
            raise ValueError(f"--extend needs a run to go on with, {folder} is none; leave --extend out")
        if holds_files(folder):
            raise ValueError(f"a new run needs a new or empty folder, {folder} holds other files; take another --name")
        return folder, False
    held = held_request(folder)
    check_same(folder, held, request, extend=options.extend)
    if (folder / SUMMARY).exists() and not options.extend:
        raise ValueError(f"{folder} is finished; take another --name, or --extend --trials N to go on with it")
    check_code(folder, methods, accept=options.accept_changes)
    (folder / SUMMARY).unlink(missing_ok=True)
    if options.extend:
        manifest = json.loads((folder / MANIFEST).read_text())
        write_json(folder / MANIFEST, manifest | {"request": request, "trials": options.trials})
    return folder, True


def holds_files(folder: Path) -> bool:
    """Whether there is more in a folder than a run leaves that was killed before its manifest was written."""
    left = {JOURNAL, DIFF, CODE, f"{CODE}.part", f"{MANIFEST}.part"}
    journal = folder / JOURNAL
    begun = journal.exists() and journal.stat().st_size > 0
    return folder.exists() and (begun or any(path.name not in left for path in folder.iterdir()))


def check_same(folder: Path, held: dict[str, Any], request: dict[str, Any], *, extend: bool) -> None:
    """Raise where a run began with other settings; only `--extend` may ask for other `--trials`."""
    ignored = {"trials"} if extend else set()
    differing = sorted(key for key in request if request[key] != held.get(key) and key not in ignored)
    if differing:
        got = ", ".join(f"{key}: {held.get(key)!r} there, {request[key]!r} asked" for key in differing)
        raise ValueError(
            f"a run goes on with the settings it began with, {folder} differs ({got}); take another --name"
        )


def held_request(folder: Path) -> dict[str, Any]:
    """What a run was asked for, as its manifest has it."""
    try:
        request: dict[str, Any] = json.loads((folder / MANIFEST).read_text())["request"]
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{folder / MANIFEST} must be a sweep's manifest, reading it failed: {error}") from None
    return request


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


def count_look(runs: Path, split_hash: str, run: str) -> int:
    """Count that this run has looked at the test part of a split; how many runs have by now."""
    path = runs / "looks_at_test.json"
    looks: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    runs_of_split = looks.setdefault(split_hash, [])
    if run not in runs_of_split:
        runs_of_split.append(run)
        write_json(path, looks)
    return len(runs_of_split)
