"""One offline W&B run on disk, a segment: written whole from what is known, marked when it is, never amended."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = "sbir"  # where WANDB_PROJECT names none
FOLDER = "wandb"  # of a run
SETTLED = 0.3  # seconds without growth after which W&B's files count as written
_MARK = "sbir-complete"  # in a segment's folder: W&B's own files do not tell a whole segment from a torn one
_STAGING = "staging"  # in FOLDER: where W&B copies files of artifacts to, else it is below the home directory


@dataclass(frozen=True)
class Segment:
    """A W&B run as it is to be written; `rows` become its history, each with an integer `step`."""

    id: str
    group: str
    job_type: str
    name: str
    tags: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)  # name -> file, logged with the last row
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # name -> records, of equal keys
    files: Sequence[Path] = ()  # one artifact of the type "results"


def place() -> tuple[str | None, str]:
    """Entity and project that the environment names; without an entity W&B takes the key's own."""
    return os.environ.get("WANDB_ENTITY") or None, os.environ.get("WANDB_PROJECT") or PROJECT


def segments(folder: Path, run_id: str | None = None) -> list[Path]:
    """Folders of W&B runs in a run's `wandb`, by name: of one id there are one or none."""
    ours = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{'.+' if run_id is None else re.escape(run_id)}")
    if not folder.is_dir():
        return []
    names = [name for name in os.listdir(folder) if ours.fullmatch(name)]  # noqa: PTH208  (a path a name is slow)
    return sorted(path for name in names if not (path := folder / name).is_symlink())


def is_whole(segment: Path) -> bool:
    """Whether it was written to its end; False after a kill in mid-writing."""
    return (segment / _MARK).exists()


def is_synced(segment: Path, since: float = 0.0) -> bool:
    """Whether W&B's server has had all of it at a time after `since` (as `time.time`).

    `wandb sync` leaves a file then; its exit status is 0 when the server refused, too.
    """
    return any(mark.stat().st_mtime >= since for mark in segment.glob("*.wandb.synced"))


def write_segment(wanted: Segment, folder: Path) -> list[Path]:
    """Write the run anew into `folder`, in place of an earlier one of its id, and mark it; where it lies."""
    for old in segments(folder, wanted.id):
        shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    with _staging(folder / _STAGING):
        _write(wanted, folder)
    found = segments(folder, wanted.id)
    for segment in found:
        (segment / _MARK).touch()
    return found


def settle(folder: Path, timeout: float) -> None:
    """Wait until no file grows: W&B's own process still writes a run's last rows after `finish` has returned."""
    deadline, before = time.monotonic() + timeout, -1
    while folder.is_dir() and time.monotonic() < deadline:
        size = sum(path.stat().st_size for path in folder.glob("*/*.wandb"))
        if size == before:
            return
        before = size
        time.sleep(SETTLED)


def drop_staging(folder: Path) -> None:
    """Delete the copies of artifacts' files, once all has been sent."""
    shutil.rmtree(folder / _STAGING, ignore_errors=True)


def _write(wanted: Segment, folder: Path) -> None:
    import wandb

    entity, project = place()
    run = wandb.init(
        reinit="create_new",
        id=wanted.id,
        project=project,
        entity=entity,
        group=wanted.group,
        job_type=wanted.job_type,
        name=wanted.name,
        tags=sorted(set(wanted.tags)),
        config=dict(wanted.config),
        dir=str(folder.parent),  # W&B adds the folder "wandb" itself
        mode="offline",
        settings=_quiet(wandb.Settings),
    )
    try:
        _define_axes(run)
        pictures = {name: wandb.Image(str(path)) for name, path in wanted.pictures.items()}
        # commit: otherwise the last row is written by `finish`, and its values replace those of the summary
        for row in wanted.rows:
            run.log(dict(row) | (pictures if row is wanted.rows[-1] else {}), step=row["step"], commit=True)
        for name, records in wanted.tables.items():
            columns: list[str | int] = list(records[0])
            run.log({name: wandb.Table(columns=columns, data=[list(record.values()) for record in records])})
        run.summary.update(dict(wanted.summary))
        if wanted.files:
            artifact = wandb.Artifact(f"{wanted.group}-results", type="results")
            for path in wanted.files:
                artifact.add_file(str(path))
            run.log_artifact(artifact)
    finally:
        run.finish()


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Tables and artifacts are copied below the run, not below the home directory, where another machine has none."""
    import wandb

    before = os.environ.get(wandb.env.DATA_DIR)
    os.environ[wandb.env.DATA_DIR] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[wandb.env.DATA_DIR]
        else:
            os.environ[wandb.env.DATA_DIR] = before


def _quiet(settings: Callable[..., Any]) -> Any:
    """Without these each run records the driver's terminal, the live view included, and the machine.

    And it reads what every installed package says of itself, nine tenths of a run's time; the manifest has versions.
    """
    return settings(
        console="off",
        silent=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        disable_git=True,
        disable_code=True,
    )


def _define_axes(run: Any) -> None:
    for axis in ("step", "examples", "device_seconds", "lambda/at", "budget/device_seconds"):
        run.define_metric(axis)
    for group, axis in (("train/*", "step"), ("val/*", "step"), ("best/*", "step"), ("lambda/*", "lambda/at"),
                        ("budget/*", "budget/device_seconds")):  # fmt: skip
        run.define_metric(group, step_metric=axis)
