"""The runs of a folder: how each stands, what it takes on the disk, and removing old ones."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sbir.report.table import NONE, metric_label, percent

State = Literal["running", "finished", "interrupted"]
_DAY = 86400.0


@dataclass(frozen=True)
class Listed:
    """One run; times in seconds since the epoch, sizes in bytes."""

    path: Path
    state: State
    size: int
    used: float  # when its record was last written
    best: str  # "cross_modal-3, P@20 38.0 %" on validation, a dash where there is none yet
    flags: tuple[str, ...]


def list_runs(folder: Path) -> list[Listed]:
    """The runs in a folder, oldest first; what is no run, or only a link to one, is left out.

    `ValueError` where the folder is none.
    """
    if not folder.is_dir():
        raise ValueError(f"the runs' folder must be a folder, {folder} is none; name the one given to --runs")
    found = [_listed(path) for path in folder.iterdir() if is_run(path)]
    return sorted(found, key=lambda run: (run.used, run.path.name))


def is_run(path: Path) -> bool:
    """A folder of its own, no link, with a sweep's manifest in it."""
    if path.is_symlink() or not path.is_dir() or (path / "manifest.json").is_symlink():
        return False
    return {"name", "methods", "data"} <= _object(path / "manifest.json").keys()


def _listed(path: Path) -> Listed:
    summary = _object(path / "summary.json")
    best = summary.get("best") or {}
    told = NONE
    if best.get("value") is not None:
        label = metric_label(str(summary["metric"]).removeprefix("val/"))
        told = f"{best['method']}-{best['number']}, {label} {percent(best['value'])} %"
    state: State = "running" if _held(path) else "finished" if summary else "interrupted"
    records = [path / name for name in ("manifest.json", "study.journal", "summary.json")]
    used = max(record.stat().st_mtime for record in records if record.exists())
    return Listed(path, state, _size(path), used, told, tuple(summary.get("flags", ())))


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _held(path: Path) -> bool:
    """Whether a sweep holds the journal: its lock dies with its process, also on kill -9 (`tuning.journal`)."""
    try:
        with (path / "study.journal").open("rb") as journal:
            fcntl.flock(journal, fcntl.LOCK_SH | fcntl.LOCK_NB)  # the sweep's own is exclusive
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _size(path: Path) -> int:
    """Bytes of all files below, links not followed."""
    return sum((Path(root) / name).lstat().st_size for root, _, names in os.walk(path) for name in names)


def choose(folder: Path, names: Sequence[str], older_than: float | None, now: float | None = None) -> list[Listed]:
    """The runs to remove: those named, and those not written to for `older_than` days; never one in progress.

    `ValueError` names what is no run of the folder, and a named run that is in progress.
    """
    runs = {run.path.name: run for run in list_runs(folder)}
    for name in names:
        if name not in runs:
            there = ", ".join(runs) or "none"
            raise ValueError(
                f"--remove takes names of runs in {folder}, links not followed, got {name!r}; there: {there}"
            )
        if runs[name].state == "running":
            raise ValueError(f"a run in progress is not removed, {name} is one; stop its sweep first")
    if older_than is not None and older_than < 0:
        raise ValueError(f"--older-than must be at least 0 days, got {older_than:g}")
    before = (time.time() if now is None else now) - _DAY * (older_than or 0.0)
    old = {run.path.name for run in runs.values()
           if older_than is not None and run.used < before and run.state != "running"}  # fmt: skip
    return [run for name, run in runs.items() if name in {*names, *old}]


def remove(runs: Sequence[Listed]) -> None:
    """Delete the folders; each is looked at once more, and left where it is in progress or no run any longer."""
    for run in runs:
        if not is_run(run.path) or _held(run.path):
            raise ValueError(
                f"only a run that is not in progress is removed, {run.path} has become something else; list again"
            )
        shutil.rmtree(run.path)
