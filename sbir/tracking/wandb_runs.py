"""Weights & Biases as a view of the trials' own rows: written offline by the driver, one whole segment per trial.

Nothing here can block or end a sweep. A trial's segment is written when the trial has ended, from its `rows.jsonl`; an
earlier one of the same trial (a killed driver leaves torn files) is deleted first. Online is the same, plus a
`wandb sync` of each finished run folder in the background.
"""

import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sbir.tracking.background import Background
from sbir.tracking.rows import read_rows
from sbir.tracking.upload import Upload

Mode = Literal["offline", "online", "off"]

PROJECT = "sbir"  # where WANDB_PROJECT names none
SETTLED = 0.3  # seconds without growth after which W&B's files count as written
_MARK = "sbir-complete"  # in a segment's folder: W&B's own files do not tell a whole segment from a torn one
_ENV = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "off"}


def wandb_mode(flag: str | None, *, demo: bool, smoke: bool, environ: Mapping[str, str] = os.environ) -> Mode:
    """What `--wandb` and WANDB_MODE ask for, offline by default; the flag counts first, demo and smoke never go online.

    >>> wandb_mode(None, demo=False, smoke=False, environ={"WANDB_MODE": "online"})
    'online'
    >>> wandb_mode("online", demo=True, smoke=False, environ={})
    'offline'
    """
    asked = flag or _ENV.get(environ.get("WANDB_MODE", ""), "offline")
    if asked not in {"offline", "online", "off"}:
        raise ValueError(f"wandb must be offline, online or off, got {asked!r}")
    if asked == "online" and not (demo or smoke):
        return "online"
    return "off" if asked == "off" else "offline"


@dataclass(frozen=True)
class EndedTrial:
    """One trial as W&B is to show it; `settings` become the config, `pictures` (name -> file) are logged as images."""

    method: str
    number: int
    name: str
    settings: Mapping[str, Any]
    state: str  # "COMPLETE", "PRUNED" or "FAIL"
    tags: Sequence[str] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)


class WandbRuns:
    """All W&B runs of one sweep, in `run_dir/wandb`: run id = sweep-method-number, group = sweep, job type = method.

    Holds a thread and a lock: create it in `Callback.setup`, not in `__init__` (Tune pickles callbacks).
    """

    def __init__(self, run_dir: Path, sweep_id: str, mode: Mode) -> None:
        self.folder = Path(run_dir) / "wandb"
        self._sweep_id, self._mode = sweep_id, mode
        self._writer, self._syncer = Background("W&B"), Background("W&B sync")
        self._upload = Upload()

    def finish_trial(self, trial: EndedTrial, folder: Path) -> None:
        """Queue the trial's segment, from the rows in its `folder`; called again, the segment is written anew."""
        if self._mode != "off":
            self._writer.submit(lambda: self._write(trial, read_rows(folder)))

    def written(self, method: str, number: int) -> bool:
        """Whether a whole segment lies on disk; False after a kill in mid-writing, and always when W&B is off."""
        return any((segment / _MARK).exists() for segment in self.segments(method, number))

    def segments(self, method: str, number: int) -> list[Path]:
        """Run folders of one trial: one, or none."""
        ours = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(self._id(method, number))}")
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if ours.fullmatch(path.name) and not path.is_symlink())

    def close(self, timeout: float = 30.0) -> list[str]:
        """Wait at most `timeout` seconds for the writing, and as long for the syncing; what went wrong, a line each."""
        problems = self._writer.close(timeout)
        self._settle(timeout)
        problems += self._syncer.close(timeout)
        self._upload.stop()
        return problems

    def _settle(self, timeout: float) -> None:
        """Wait until no file grows: W&B's own process still writes a run's last rows after `finish` has returned."""
        deadline, before = time.monotonic() + timeout, -1
        while self.folder.is_dir() and time.monotonic() < deadline:
            size = sum(path.stat().st_size for path in self.folder.glob("*/*.wandb"))
            if size == before:
                return
            before = size
            time.sleep(SETTLED)

    def _id(self, method: str, number: int) -> str:
        return f"{self._sweep_id}-{method}-{number}"

    def _write(self, trial: EndedTrial, rows: list[dict[str, Any]]) -> None:
        for segment in self.segments(trial.method, trial.number):
            shutil.rmtree(segment)
        self.folder.mkdir(parents=True, exist_ok=True)
        _log_run(trial, rows, run_id=self._id(trial.method, trial.number), group=self._sweep_id, folder=self.folder)
        for segment in self.segments(trial.method, trial.number):
            (segment / _MARK).touch()
            if self._mode == "online":
                self._syncer.submit(partial(self._upload.send, segment))


def _log_run(trial: EndedTrial, rows: list[dict[str, Any]], *, run_id: str, group: str, folder: Path) -> None:
    import wandb

    run = wandb.init(
        reinit="create_new",
        id=run_id,
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        entity=os.environ.get("WANDB_ENTITY"),
        group=group,
        job_type=trial.method,
        name=trial.name,
        tags=sorted({*trial.tags, *(["pruned"] if trial.state == "PRUNED" else [])}),
        config=dict(trial.settings),
        dir=str(folder.parent),  # W&B adds the folder "wandb" itself
        mode="offline",
        settings=_quiet(wandb.Settings),
    )
    try:
        _define_axes(run)
        pictures = {name: wandb.Image(str(path)) for name, path in trial.pictures.items()}
        # commit: otherwise the last row is written by `finish`, and its values replace those of the summary
        for row in rows:
            run.log(scalars(row) | (pictures if row is rows[-1] else {}), step=row["step"], commit=True)
        run.summary.update({"state": trial.state, **best_values(rows), **trial.summary})
    finally:
        run.finish()


def _quiet(settings: Callable[..., Any]) -> Any:
    """Without these each run records the driver's terminal, the live view included, and the machine."""
    return settings(
        console="off", silent=True, x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True
    )


def _define_axes(run: Any) -> None:
    for axis in ("step", "examples", "device_seconds"):
        run.define_metric(axis)
    for group in ("train/*", "val/*", "best/*"):
        run.define_metric(group, step_metric="step")


def scalars(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row W&B can draw: finite numbers, and lambda, which may be the word "min".

    >>> scalars({"step": 50, "val/map_all": 0.25, "train/kl": None, "lambda": "min", "curve": {"0.0": 0.2}})
    {'step': 50, 'val/map_all': 0.25, 'lambda': 'min'}
    """
    numbers = {key: value for key, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
    return {**numbers, "lambda": row["lambda"]} if row.get("lambda") is not None else numbers


def best_values(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of the checkpoint that is kept, in place of W&B's own summary, which is the last row.

    >>> best_values([{"step": 5, "val/p": 0.4}, {"step": 9, "val/p": 0.3, "best/step": 5, "best/p": 0.4}])
    {'val/p': 0.4, 'best/step': 5, 'best/p': 0.4}
    """
    rows = list(rows)
    if not rows:
        return {}
    last = rows[-1]
    best = next((row for row in rows if row["step"] == last.get("best/step")), last)
    kept = {key: value for key, value in scalars(best).items() if key.startswith(("val/", "lambda"))}
    return kept | {key: value for key, value in scalars(last).items() if key.startswith("best/")}
